"""Speech with times of characters, sent while it is made: a JSON object in each line."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import zip_longest
from typing import Any

from starlette.types import Send

from f5serve.http.elevenlabs.alignment import (
    CharacterAligner,
    CharacterAlignment,
    read_words,
)
from f5serve.http.elevenlabs.schemas import TimedSpeechLine
from f5serve.http.streaming import SpeechEvents, SpeechResponse, StreamOptions
from f5serve.service.events import SpokenWords
from f5serve.types import WordTiming

NDJSON = "application/x-ndjson"

WORDS_PER_LINE = 100
"""Some clients take no line of 64 KiB."""


class TimedSpeechResponse(SpeechResponse):
    """Sends parts of the file as they are made, and the characters as soon as they have times.

    An error after the first part cuts the answer short, as with a file.
    """

    def __init__(self, events: SpeechEvents, options: StreamOptions, text: str) -> None:
        super().__init__(self._without_words(events), options)
        self._is_file, self._content_type = False, NDJSON
        self._aligner = CharacterAligner(text)
        self._words: list[WordTiming] = []
        self._count = 0

    async def _without_words(self, events: SpeechEvents) -> SpeechEvents:
        """The events, without the words, which are kept for the next line."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, SpokenWords):
                    self._words += event.words
                    self._count += len(event.words)
                else:
                    yield event

    def _framed(self, data: bytes) -> bytes:
        words, self._words = self._words, []
        return _line(base64.b64encode(data).decode(), self._aligner.take(words))

    def _word_events(self) -> Iterator[bytes]:
        response = self._response
        words = read_words(response["word_timings"])
        if not words:
            return
        duration_s = float(response["duration"] or 0.0)
        rest = [*self._words, *words[self._count :]]
        spoken = CharacterAligner(response["spoken_text"])
        for alignment, normalized in zip_longest(
            aligned_parts(self._aligner, rest, duration_s),
            aligned_parts(spoken, words, duration_s),
        ):
            yield _line("", alignment, normalized)

    def _last_event(self) -> bytes:
        return b""

    async def _send_failure(self, send: Send, body: Mapping[str, Any]) -> None:
        pass


def aligned_parts(
    aligner: CharacterAligner, words: Sequence[WordTiming], duration_s: float
) -> Iterator[CharacterAlignment]:
    """All characters that are left, in parts of a bounded size."""
    for start in range(0, len(words), WORDS_PER_LINE):
        if part := aligner.take(words[start : start + WORDS_PER_LINE]):
            yield part
    if part := aligner.rest((), duration_s):
        yield part


def _line(
    audio: str,
    alignment: CharacterAlignment | None,
    normalized: CharacterAlignment | None = None,
) -> bytes:
    line = TimedSpeechLine(audio_base64=audio, alignment=alignment, normalized_alignment=normalized)
    return f"{line.model_dump_json()}\n".encode()
