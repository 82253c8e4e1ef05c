"""When each word of an answer is heard: a header of a whole file, or events behind its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

HEADER = "X-Word-Timestamps"

MAX_HEADER_BYTES = 4_096
"""Longest value of the header; clients and proxies take 8 KiB of headers, some less."""

EVENT_BYTES = 16_000
"""Words of one event, about; some clients take no line of 64 KiB."""


class WordTimestamp(BaseModel):
    """When a word is heard, in milliseconds from the beginning of the speech."""

    word: str
    start_ms: int
    end_ms: int


class SpeechWords(BaseModel):
    """When the next words are heard; all words come behind the last part of the file."""

    type: Literal["speech.audio.word_timestamps"] = "speech.audio.word_timestamps"
    word_timestamps: list[WordTimestamp]


def word_timestamps(words: Sequence[Mapping[str, Any]]) -> list[WordTimestamp]:
    """The words of a job's result."""
    return [
        WordTimestamp(
            word=word["word"],
            start_ms=round(1000 * word["start_time"]),
            end_ms=round(1000 * word["end_time"]),
        )
        for word in words
    ]


def word_header(words: Sequence[WordTimestamp]) -> str:
    """The header's value, a list in JSON in ASCII; "" without words and beyond the limit."""
    if not words:
        return ""
    value = json.dumps([word.model_dump() for word in words], separators=(",", ":"))
    return value if len(value) <= MAX_HEADER_BYTES else ""


def word_events(words: Sequence[WordTimestamp]) -> Iterator[SpeechWords]:
    """The words as events, each of a bounded size."""
    some: list[WordTimestamp] = []
    size = 0
    for word in words:
        length = len(word.model_dump_json().encode()) + 1
        if some and size + length > EVENT_BYTES:
            yield SpeechWords(word_timestamps=some)
            some, size = [], 0
        some.append(word)
        size += length
    if some:
        yield SpeechWords(word_timestamps=some)
