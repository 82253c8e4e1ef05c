"""The files of a job that is done, for doors that send bytes rather than URLs.

A job's id flows in, a description of the file flows out: of audio where it lies in the store, so
that a door can send it in parts; of word times the bytes, in any format, since words that are in
the record can be written anew. Every call blocks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from f5serve.alignment.subtitles import MEDIA_TYPES, SubtitleFormat, write
from f5serve.jobs.board import Board
from f5serve.jobs.records import Record, folder_of
from f5serve.service import answers
from f5serve.types import Alignment, WordTiming

MAX_TIMING_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job.

    Attributes:
        filename: under which it is saved.
        sha256: in hexadecimal.
        key: where it lies in the store; "" where `data` is all of it.
    """

    filename: str
    mime: str
    size: int
    sha256: str
    key: str = ""
    data: bytes = b""


def audio_file(board: Board, job_id: str) -> JobFile:
    """The speech.

    Raises:
        InvalidRequest: INVALID_JOB_ID, JOB_NOT_COMPLETE, JOB_FAILED.
    """
    line = answers.find_output(board.result(job_id), "audio")
    name = f"{folder_of(job_id)}.{str(line['key']).rpartition('.')[2]}"
    return JobFile(name, line["mime"], line["size"], line["sha256"], line["key"])


def timing_file(board: Board, job_id: str, format: SubtitleFormat) -> JobFile:
    """When each word is heard: as it was asked for, else written now.

    Raises:
        InvalidRequest: as `audio_file`; NO_TIMINGS where no words are recorded.
    """
    record = board.result(job_id)
    line = answers.find_timing(record, format)
    if line is not None:
        data = board.store.get(line["key"], MAX_TIMING_BYTES)
    else:
        data = _written(board, job_id, record, format)
    name = f"{folder_of(job_id)}.{format}"
    return JobFile(name, MEDIA_TYPES[format], len(data), hashlib.sha256(data).hexdigest(), "", data)


def _written(board: Board, job_id: str, record: Record, format: SubtitleFormat) -> bytes:
    words = answers.details_of(board.store, record).get("word_timings") or []
    if not words:
        raise answers.no_timings(job_id, format, record)
    timings: dict[str, Any] = record.get("timings") or {}
    alignment = Alignment(
        tuple(_word(told) for told in words),
        str(timings.get("method") or ""),
        float(timings.get("confidence") or 0.0),
    )
    return write(alignment, format)


def _word(told: dict[str, Any]) -> WordTiming:
    return WordTiming(
        str(told["word"]),
        float(told["start_time"]),
        float(told["end_time"]),
        float(told.get("confidence", 1.0)),
    )
