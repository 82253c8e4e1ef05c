"""Speech with times of characters, sent while it is made: a JSON object in each line."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import aclosing
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
        self._written = CharacterAligner(text)
        self._spoken: CharacterAligner | None = None
        self._words: list[WordTiming] = []
        self._count = 0

    async def _without_words(self, events: SpeechEvents) -> SpeechEvents:
        """The events, without the words, which are kept for the next line."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, SpokenWords):
                    self._spoken = self._spoken or CharacterAligner(event.spoken_text)
                    self._words += event.words
                    self._count += len(event.words)
                else:
                    yield event

    def _framed(self, data: bytes) -> bytes:
        words, self._words = self._words, []
        audio = base64.b64encode(data).decode()
        if self._spoken is None or not words:
            return _line(audio)
        return _line(audio, self._written.take(words), self._spoken.take(words))

    def _word_events(self) -> Iterator[bytes]:
        response = self._response
        words = read_words(response["word_timings"])
        if not words:
            return
        spoken = self._spoken or CharacterAligner(response["spoken_text"])
        rest = [*self._words, *words[self._count :]]
        while len(rest) > WORDS_PER_LINE:
            some, rest = rest[:WORDS_PER_LINE], rest[WORDS_PER_LINE:]
            yield _line("", self._written.take(some), spoken.take(some))
        duration_s = float(response["duration"] or 0.0)
        yield _line("", self._written.rest(rest, duration_s), spoken.rest(rest, duration_s))

    def _last_event(self) -> bytes:
        return b""

    async def _send_failure(self, send: Send, body: Mapping[str, Any]) -> None:
        pass


def _line(
    audio: str,
    alignment: CharacterAlignment | None = None,
    normalized: CharacterAlignment | None = None,
) -> bytes:
    if alignment or normalized:  # readers take one in place of the other where that is null
        none = CharacterAlignment(
            characters=[], character_start_times_seconds=[], character_end_times_seconds=[]
        )
        alignment, normalized = alignment or none, normalized or none
    line = TimedSpeechLine(audio_base64=audio, alignment=alignment, normalized_alignment=normalized)
    return f"{line.model_dump_json()}\n".encode()
