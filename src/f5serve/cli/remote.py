"""`f5serve say` and `dub` with `--server URL`: a running server speaks, its speech goes to a file.

No model is loaded: the sound is written as it arrives, and the server's errors keep their sentence
and code.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from f5serve.alignment.subtitles import SubtitleFormat
from f5serve.audio.encode_stream import patch_lengths
from f5serve.cli.client import ServerClient
from f5serve.cli.local_cast import read_rule_file
from f5serve.cli.output import STDOUT, Output, show_utterances
from f5serve.cli.say import SAMPLING, choose_output, timing_outputs
from f5serve.cli.text_input import read_text
from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.settings import Settings
from f5serve.startup.select import QUALITY_STEPS
from f5serve.text.cue_files import format_of
from f5serve.text.spoken import AUTO, OFF, ON, check_normalize
from f5serve.types import AudioFormat

MAX_TEXT_CHARS = 1_000_000
"""Read of standard input; the server knows how much it takes."""

MODEL = "tts-1"
"""What a server of OpenAI's contract calls the model it has."""

RESULT_FIELDS = (
    *("job_id", "duration", "sample_rate", "seed", "text", "spoken_text", "voice", "model"),
    *("warnings", "worker"),
)
WORD_TIMING_FIELDS = ("word_timings", "timing_method", "timing_confidence", "word_count")
"""What the server's own answer adds to that."""

_OF_THIS_MACHINE = ("engine", "weights", "ckpt", "vocab", "arch", "vocoder", "device", "dtype")
_HERE_ALONE = (*_OF_THIS_MACHINE, "threads", "ref_text", "ref_text_file", "config")
"""Options about a model, recordings or a script file on this machine."""

_WAITS = (0.1, 0.4, 1.5)
"""Pauses before the records of a job are asked for again, which may come a moment later."""


class _Files(NamedTuple):
    """What is written, and where."""

    output: Output
    format: AudioFormat
    timings: dict[SubtitleFormat, Output]

    @classmethod
    def of(cls, args: argparse.Namespace) -> _Files:
        """As the options say."""
        output, format = choose_output(args)
        return cls(output, format, timing_outputs(args, output))


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Have a server synthesize, write what it sends, and print what was done."""
    refuse_what_stays_here(args)
    server = ServerClient(args.server, args.key or settings.server_key)
    files = _Files.of(args)
    body = request_body(args, files.format)
    began = time.monotonic()
    with server.post("/v1/audio/speech", body) as response:
        files.output.write_parts(response.parts(), patch_lengths)
    job_id = response.header("X-F5-Job-Id")
    first_at = response.first_part_at or began
    took = {"first_audio_s": first_at - began, "total_s": time.monotonic() - began}
    return _report(args, server, job_id, files, took)


def run_dub(args: argparse.Namespace, settings: Settings, subtitles: str) -> int:
    """As `run`, for subtitles, which a server speaks as a job."""
    refuse_what_stays_here(args)
    server = ServerClient(args.server, args.key or settings.server_key)
    files = _Files.of(args)
    body = {
        "subtitles": subtitles,
        "subtitles_format": format_of(args.file) or None,
        "max_speed": args.max_speed,
        "model": args.model or None,
        "return_word_timings": bool(args.timings),
        **speech_fields(args, files.format),
    }
    began = time.monotonic()
    with server.post("/v1/dubs", body) as response:
        job_id = str(json.loads(b"".join(response.parts()))["job_id"])
    print(f"job {job_id} at {server.url}", file=sys.stderr)
    with show_utterances() as on_progress:
        _wait(server, job_id, on_progress)
    with server.open(f"{_path(job_id)}/audio") as response:
        files.output.write_parts(response.parts())
    took = {"total_s": time.monotonic() - began}
    return _report(args, server, job_id, files, took)


def _wait(server: ServerClient, job_id: str, on_progress: Callable[[int, int], None]) -> None:
    """Ask for a job's status until it is done.

    Raises:
        InvalidRequest: it failed or was cancelled, with the code of its record.
        StorageFailed: it failed, and may succeed if it is sent again.
    """
    while True:
        with server.open(_path(job_id)) as response:
            status = json.loads(b"".join(response.parts()))
            pause_s = response.header("Retry-After")
        if status["status"] == "COMPLETED":
            return
        if status["status"] not in ("QUEUED", "PROCESSING"):
            failure = status.get("failure") or {}
            kind = StorageFailed if failure.get("retryable") else InvalidRequest
            raise kind(
                failure.get("message") or f"The job {job_id} was cancelled.",
                code=failure.get("code") or "JOB_CANCELLED",
                hint=failure.get("hint") or "Send it again.",
            )
        progress = status.get("progress") or {}
        if progress.get("total"):
            on_progress(progress.get("done") or 0, progress["total"])
        time.sleep(float(pause_s) if pause_s.isdecimal() else _WAITS[-1])


def _report(
    args: argparse.Namespace,
    server: ServerClient,
    job_id: str,
    files: _Files,
    took: dict[str, float],
) -> int:
    """Fetch what the job's record says besides the sound, and print what was done."""
    result = _result(server, job_id) if job_id else {}
    written = _write_timings(server, job_id, files.timings)
    if args.json:
        fields = RESULT_FIELDS + (WORD_TIMING_FIELDS if files.timings else ())
        answer = {name: result[name] for name in fields if name in result}
        print(json.dumps(as_dict(server, files.output, files.format, took) | answer | written))
        return 0
    print(_summary(server, files.output, result, took), file=sys.stderr)
    for warning in result.get("warnings", []):
        print(f"note: {warning}", file=sys.stderr)
    return 0


def refuse_what_stays_here(args: argparse.Namespace) -> None:
    """Refuse options that a server can do nothing with.

    Raises:
        InvalidRequest: BAD_OPTION, RECORDING_NOT_SENT.
    """
    refuse_here_alone(args, _HERE_ALONE)
    if args.takes != 1:
        raise InvalidRequest(
            "Takes are files of a job, but --server streams one speech.",
            code="BAD_OPTION",
            hint="Send takes to POST /v1/jobs, or leave --server out.",
        )
    refuse_recording(args.voice, "a text")


def refuse_here_alone(args: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse options that need this machine.

    Raises:
        InvalidRequest: BAD_OPTION, for the first of `names` that was given.
    """
    for name in names:
        if getattr(args, name):
            raise InvalidRequest(
                f"--{name.replace('_', '-')} applies to this machine, but --server uses another.",
                code="BAD_OPTION",
                hint="Leave one of them out.",
            )


def refuse_recording(voice: str, sent: str) -> None:
    """Refuse a voice that is a file of this machine.

    Args:
        sent: what a recording is not sent with, as "a text".

    Raises:
        InvalidRequest: RECORDING_NOT_SENT.
    """
    if Path(voice).is_file():
        raise InvalidRequest(
            f"{voice[-100:]!r} is a recording on this machine, which is not sent with {sent}.",
            code="RECORDING_NOT_SENT",
            hint="Make a voice of it once, on the server's page or by POST /v1/audio/voices; then "
            "give its name with -v.",
        )


def request_body(args: argparse.Namespace, format: AudioFormat) -> dict[str, Any]:
    """OpenAI's fields, and of ours those that were given."""
    text = read_text(args.text, MAX_TEXT_CHARS)
    return {"model": args.model or MODEL, "input": text, **speech_fields(args, format)}


def speech_fields(args: argparse.Namespace, format: AudioFormat) -> dict[str, Any]:
    """The fields that say how to speak, of those options that were given."""
    given = {name: value for name in SAMPLING if (value := getattr(args, name)) is not None}
    if args.quality and "nfe_step" not in given:
        given["nfe_step"] = QUALITY_STEPS[args.quality]
    flags: dict[str, Any] = {n: True for n in ("remove_silence", "verify") if getattr(args, n)}
    if args.output != STDOUT:  # no listener is waiting, and the sound is as without a server
        flags["quick_start"] = False
    words = {"return_word_timings": True, "timing_format": args.timings} if args.timings else {}
    return {
        "voice": args.voice,
        "response_format": format,
        "cross_fade_s": args.cross_fade_s,
        **given,
        **flags,
        **words,
        **reading_fields(args),
    }


def reading_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The fields that say how a text is read, of those options that were given.

    Raises:
        InvalidRequest: BAD_OPTION, BAD_LEXICON, or the file of rules cannot be read.
    """
    fields: dict[str, Any] = {}
    if args.language:
        fields["language"] = args.language
    if args.normalize:
        value = check_normalize(args.normalize)
        fields["normalize"] = value if value in (AUTO, ON, OFF) else value.split(",")
    if args.lexicon:
        fields["lexicon"] = [rule.as_dict() for rule in read_rule_file(args.lexicon)]
    options = {"style": args.style, "ssml": args.ssml, "duration_s": args.duration}
    fields |= {name: value for name, value in options.items() if value}
    return fields if args.markup == "auto" else {**fields, "markup": args.markup}


def _result(server: ServerClient, job_id: str) -> dict[str, Any]:
    """The job's record on the server; nothing where it cannot be read."""
    for pause_s in (*_WAITS, None):
        try:
            found = json.loads(server.get(f"{_path(job_id)}/result"))
            return found if isinstance(found, dict) else {}
        except F5Error as error:
            if error.code != "JOB_NOT_COMPLETE" or pause_s is None:
                return {"warnings": [f"The server does not report more: {error.message}"]}
            time.sleep(pause_s)
        except ValueError:
            return {}
    return {}


def _write_timings(server: ServerClient, job_id: str, files: dict[Any, Output]) -> dict[str, Any]:
    """Fetch word times beside the sound; nothing where the server could not find any."""
    if files and not job_id:
        raise F5Error(
            "The server sends no word timings.",
            code="NO_TIMINGS",
            hint="Leave --timings out, or use a server that runs f5serve.",
        )
    written = {}
    for format, file in files.items():
        try:
            file.write(server.get(f"{_path(job_id)}/timings/{format}"))
            written[format] = file.name
        except F5Error as error:
            if error.code != "NO_TIMINGS":
                raise
    return {"timing_files": written} if files else {}


def as_dict(
    server: ServerClient, output: Output, format: AudioFormat, took: dict[str, float]
) -> dict[str, Any]:
    """What is known here of the answer for machines, with the names that a job's answer has."""
    return {
        "status": "COMPLETED",
        "path": output.name,
        "format": format,
        "server": server.url,
        "metrics": {name: round(seconds, 4) for name, seconds in took.items()},
    }


def _summary(
    server: ServerClient, output: Output, result: dict[str, Any], took: dict[str, float]
) -> str:
    duration = result.get("duration")
    first_s = took.get("first_audio_s")
    made = f"{duration:.1f} s of speech" if isinstance(duration, int | float) else "written"
    return " · ".join(
        [
            f"{output.name}: {made}",
            *([f"first sound after {first_s:.1f} s"] if first_s is not None else []),
            f"all after {took['total_s']:.1f} s",
            f"{result['model']} at {server.url}" if result.get("model") else server.url,
        ]
    )


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
