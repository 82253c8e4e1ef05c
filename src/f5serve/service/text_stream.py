"""Speech of a text that is still being written: text comes in pieces, speech goes out in order.

    add -> IncrementalSplitter -> a job for what can be spoken -> events, while more text comes

Each job is a `tts` like any other, and speaks one segment of the text. While one speaks, what comes
meanwhile waits, and is spoken together by the next: sentences that are spoken together sound better
than one by one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from f5serve.errors import InvalidRequest
from f5serve.service.events import AudioChunk, Completed, DeliveryOptions
from f5serve.service.requests import TTSRequest
from f5serve.service.responses import word_of
from f5serve.service.service import SpeechService
from f5serve.text.clean import refuse_broken_unicode
from f5serve.text.incremental import IncrementalSplitter
from f5serve.types import Wave, WordTiming

JOB_BYTES = (120, 480)
"""Most that is spoken together, at first and in the end; it doubles from job to job. A long job
after a short one would be heard late."""

WAVES = 2
"""Events that wait for a slow listener before no new job begins."""

_DELIVERY = DeliveryOptions(chunks=True, accept_unstored=True, full_response=False)

Granularity = Literal["none", "sentence", "clause"]
"""Where a text may be split: nowhere, at ends of sentences, or also after its first clause."""


@dataclass(frozen=True, slots=True)
class SegmentStart:
    """A segment begins to be spoken; `text` as it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """All waves of a segment have come.

    Attributes:
        start_s, end_s: where it lies in the speech of the whole text, seconds.
        words: with times in the speech of the whole text; empty unless they were asked for.
    """

    start_s: float
    end_s: float
    words: tuple[WordTiming, ...] = ()


StreamEvent = SegmentStart | Wave | SegmentEnd


async def job_waves(
    operations: SpeechService, fields: Mapping[str, Any], owner: str = ""
) -> AsyncGenerator[Wave, None]:
    """The speech of one job; arguments and errors as `TextStream`, with the text in `fields`."""
    async with aclosing(_job_events(operations, fields, owner)) as events:
        async for event in events:
            if isinstance(event, Wave):
                yield event


async def _job_events(
    operations: SpeechService, fields: Mapping[str, Any], owner: str, words: bool = False
) -> AsyncGenerator[Wave | tuple[WordTiming, ...], None]:
    """The waves of one job, and its words at the end."""
    fields = {"return_word_timings": words, **fields}
    if fields.get("ref_audio"):  # a recording is hashed, which may take a tenth of a second
        request = await operations.pools.voices.run(TTSRequest.parse, fields)
    else:
        request = TTSRequest.parse(fields)
    delivery = replace(_DELIVERY, words=words)
    handle = await operations.submit(request, uuid.uuid4().hex, delivery, owner=owner)
    async with aclosing(handle.events()) as events:
        async for event in events:
            if isinstance(event, AudioChunk):
                yield await operations.pools.encoders.run(event.read)
            elif isinstance(event, Completed) and words:
                yield tuple(map(word_of, event.response["word_timings"]))


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How a text is taken and told.

    Attributes:
        owner: as for `SpeechService.submit`.
        granularity: where the text may be split.
        words: whether segments tell when their words are heard.
    """

    owner: str = ""
    granularity: Granularity = "clause"
    words: bool = False


class TextStream:
    """The speech of one text; used within the event loop of the operations.

    Args:
        fields: of `TTSRequest`, but for the text, which has no markup.
        max_chars: longest text in all.
    """

    def __init__(
        self,
        operations: SpeechService,
        fields: Mapping[str, Any],
        max_chars: int,
        options: TextOptions | None = None,
    ) -> None:
        options = options or TextOptions()
        self._operations, self._fields = operations, dict(fields)
        self._max_chars, self._options = max_chars, options
        language = str(fields.get("language") or "").partition("-")[0]
        self._is_whole = options.granularity == "none"
        self._splitter = IncrementalSplitter(language, clauses=options.granularity == "clause")
        self._pieces: list[str] = []
        self._rest: list[str] = []
        self._news = asyncio.Event()
        self._has_ended = self._has_spoken = False
        self._is_waiting = True
        self._chars = 0
        self._spoken_s = 0.0
        self._job_bytes, self._most_bytes = JOB_BYTES

    @property
    def is_waiting(self) -> bool:
        """Whether it has nothing to speak, and waits for text."""
        return self._is_waiting

    def add(self, text: str) -> None:
        """Take the next part of the text, words or less.

        Raises:
            InvalidRequest: TEXT_TOO_LONG, BAD_UNICODE.
        """
        self._chars += len(text)
        if self._chars > self._max_chars:
            raise InvalidRequest(
                f"The text has {self._chars:,} characters and goes on; {self._max_chars:,} is the "
                "limit of one request.",
                code="TEXT_TOO_LONG",
                hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
            )
        refuse_broken_unicode(text)
        if self._is_whole:
            self._rest.append(text)
        else:
            self._put(self._splitter.add(text))

    def flush(self) -> None:
        """Have all that has come spoken, whether its last sentence has ended or not."""
        rest = "".join(self._rest) + self._splitter.flush()
        self._rest.clear()
        self._put([rest] if rest else [])

    def end(self) -> None:
        """Note that no more text comes; `waves` ends when all is spoken."""
        self.flush()
        self._has_ended = True
        self._news.set()

    async def waves(self) -> AsyncGenerator[Wave, None]:
        """As `events`, the speech alone."""
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Wave):
                    yield event

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """The speech, in order; iterate it once. Closing it stops the device at its next step.

        Raises:
            F5Error: as `JobHandle.events`, from the first job that fails.
        """
        made: asyncio.Queue[StreamEvent | None] = asyncio.Queue(WAVES)
        speaking = asyncio.create_task(self._speak_all(made))
        try:
            while (event := await made.get()) is not None:
                yield event
            await speaking
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
            if not speaking.cancelled():
                speaking.exception()  # it was raised, or its caller has left

    def _put(self, pieces: list[str]) -> None:
        if pieces:
            self._pieces += pieces
            self._news.set()

    async def _speak_all(self, made: asyncio.Queue[StreamEvent | None]) -> None:
        try:
            while text := await self._next_text():
                await made.put(SegmentStart(text))
                start_s, words = self._spoken_s, tuple[WordTiming, ...]()
                async with aclosing(self._speak(text)) as events:
                    async for event in events:
                        if isinstance(event, Wave):
                            self._spoken_s += event.duration_s
                            await made.put(event)
                        else:
                            words = tuple(_later(word, start_s) for word in event)
                await made.put(SegmentEnd(start_s, self._spoken_s, words))
        finally:
            if not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                await made.put(None)

    def _speak(self, text: str) -> AsyncGenerator[Wave | tuple[WordTiming, ...], None]:
        # Only its first words have to come early; what is cut short sounds worse.
        fields: dict[str, Any] = {"quick_start": False} if self._has_spoken else {}
        self._has_spoken = True
        fields |= {**self._fields, "text": text}
        return _job_events(self._operations, fields, self._options.owner, self._options.words)

    async def _next_text(self) -> str:
        """What is to be spoken together, once there is something; "" at the end of all."""
        while True:
            self._news.clear()
            if text := self._take():
                self._is_waiting = False
                return text
            self._is_waiting = True
            if self._has_ended:
                return ""
            await self._news.wait()

    def _take(self) -> str:
        """Pieces that wait, as many as may be spoken together, and at least one that has words.

        Marks alone, such as a line of stars, go with the words behind them; at the very end they
        are left out, unless there was nothing else.
        """
        text, count = "", 0
        for count, piece in enumerate(self._pieces, 1):
            text += piece
            following = self._pieces[count] if count < len(self._pieces) else ""
            if _has_words(text) and _bytes(text) + _bytes(following) > self._job_bytes:
                break
        if not _has_words(text) and not (self._has_ended and not self._has_spoken):
            return ""
        del self._pieces[:count]
        self._job_bytes = min(2 * self._job_bytes, self._most_bytes)
        return text


def _later(word: WordTiming, by_s: float) -> WordTiming:
    return replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s)


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
