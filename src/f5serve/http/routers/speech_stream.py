"""WebSocket /v1/audio/speech/stream: text in as it is written, speech out (vllm-omni's protocol).

    session.config, input.text ..., input.done -> audio.start, sound ..., audio.done, session.done

Texts follow one another on a socket; each is spoken while it comes, segment by segment.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.websockets import WebSocket

from f5serve.audio.encode_stream import open_encoder
from f5serve.errors import F5Error, InvalidRequest
from f5serve.http.routers.speech import error_param, resolve_names
from f5serve.http.scopes import needs
from f5serve.http.sockets import PART_BYTES, SocketEnd, SocketSession, problem, read
from f5serve.http.sound_encoder import SoundEncoder, parts_of
from f5serve.http.stream_schemas import (
    AudioChunkMessage,
    AudioDone,
    AudioStart,
    InputText,
    SessionConfig,
    SessionDone,
    StreamError,
)
from f5serve.http.word_timestamps import WordTimestamp
from f5serve.secrets import SPEAK
from f5serve.service.text_stream import (
    SegmentEnd,
    SegmentStart,
    StreamEvent,
    TextOptions,
    TextStream,
)
from f5serve.types import SAMPLE_RATE, Wave

router = APIRouter()


@router.websocket("/v1/audio/speech/stream")
@needs(SPEAK)
async def stream_speech(websocket: WebSocket) -> None:
    """Speak texts while they are written; see docs/reference/websockets.md."""
    await SpeechStreamSession(websocket).run()


@dataclass(slots=True)
class _Config:
    """A session.config and the job that it means."""

    config: SessionConfig
    fields: dict[str, Any]

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate or SAMPLE_RATE


class SpeechStreamSession(SocketSession):
    """One socket."""

    takes_files = True

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self._config: _Config | None = None
        self._text: _SpokenText | None = None
        self._is_refused = False  # what still comes of the text is dropped
        self._count = 0

    @property
    def is_speaking(self) -> bool:
        """Whether there is anything to speak or to send."""
        return self._text is not None and not self._text.is_waiting

    @property
    def has_text(self) -> bool:
        """Whether a text is open."""
        return self._text is not None

    async def answer(self, message: dict[str, Any]) -> None:
        """Answer one message; see `SocketSession.answer`."""
        kind = message.get("type")
        if kind == "session.config":
            await self._configure(message)
        elif self._config is None:
            raise _out_of_order(f"{str(kind)[:40]!r} came before session.config")
        elif kind == "input.text":
            await self._add(self._config, read(InputText, message).text)
        elif kind == "input.done":
            await self._finish()
        elif kind == "session.close":
            raise SocketEnd(1000)
        else:
            raise _out_of_order(f"The type {str(kind)[:40]!r} is not known")

    async def report(self, error: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        """Send an error."""
        await self.send(StreamError.of(error))

    async def abandon(self) -> None:
        """Stop the text that is being spoken."""
        if self._text is not None:
            await self._text.stop()
            self._text = None

    async def _configure(self, message: dict[str, Any]) -> None:
        if self._text is not None or self._is_refused:
            raise _out_of_order("session.config came within a text")
        if self._config is None:
            key = message.get("api_key")
            self.authenticate(key if isinstance(key, str) else None)
            await self.enter()
        config = read(SessionConfig, message)
        config.check()
        meant = await resolve_names(config, config.model or "", self.state)
        # Words come with the segments; the text is spoken as it is written.
        fields = config.job_fields(*meant.args) | {"markup": "off"}
        fields.pop("return_word_timings")
        self._config = _Config(config, fields)
        self.has_started = True

    async def _add(self, config: _Config, text: str) -> None:
        if self._is_refused:
            return
        if self._text is None:
            try:
                self._text = _SpokenText(self, config, self._count)
            except F5Error:
                self._is_refused = True
                raise
        await self._text.add(text)

    async def _finish(self) -> None:
        text, sentences = self._text, 0
        self._is_refused = False
        if text is not None:
            sentences = await text.end()
            self._text = None
        await self.send(SessionDone(utterance_index=self._count, total_sentences=sentences))
        self._count += 1
        self.note_idle()


class _SpokenText:
    """One text: spoken while it comes, and sent."""

    def __init__(self, session: SpeechStreamSession, config: _Config, index: int) -> None:
        self._session, self._config, self._index = session, config, index
        self._admitted = ExitStack()
        self._admitted.enter_context(session.admitted())
        state = session.state
        self._stream = TextStream(
            state.operations,
            config.fields,
            state.settings.max_text_chars,
            TextOptions(
                session.owner,
                config.config.split_granularity,
                bool(config.config.word_timestamps),
            ),
        )
        self._segment: _SegmentSender | None = None
        self._sentences = 0
        self._speaking = asyncio.create_task(self._speak())

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for text."""
        return self._speaking.done() or (self._stream.is_waiting and self._segment is None)

    async def add(self, text: str) -> None:
        """Take the next part; after an error it is dropped.

        Raises:
            InvalidRequest: TEXT_TOO_LONG, BAD_UNICODE, which end the text.
        """
        if self._speaking.done():
            return
        try:
            self._stream.add(text)
        except InvalidRequest:
            await self.stop()
            if self._segment is not None:
                await self._segment.end(error=True)
                self._segment = None
            raise

    async def end(self) -> int:
        """Speak the rest; returns how many segments there were."""
        self._stream.end()
        await asyncio.wait({self._speaking})
        return self._sentences

    async def stop(self) -> None:
        """Stop the device at its next step."""
        self._speaking.cancel()
        await asyncio.wait({self._speaking})
        self._admitted.close()

    async def _speak(self) -> None:
        session = self._session
        try:
            async with aclosing(self._stream.events()) as events:
                async for event in events:
                    await self._send(event)
        except F5Error as error:
            shown = problem(error)
            await session.report({**shown, "param": error_param(error) or shown["param"]}, {})
            if self._segment is not None:
                await self._segment.end(error=True)
                self._segment = None
        except Exception as error:  # noqa: BLE001 - a caller who left, or a fault of ours
            session.fail(error)
        finally:
            self._admitted.close()

    async def _send(self, event: StreamEvent) -> None:
        if isinstance(event, SegmentStart):
            place = {"utterance_index": self._index, "sentence_index": self._sentences}
            self._sentences += 1
            self._segment = _SegmentSender(self._session, self._config, place)
            await self._segment.begin(event.text)
            return
        assert self._segment is not None
        if isinstance(event, Wave):
            await self._segment.add(event)
        else:
            await self._segment.finish(event)
            self._segment = None


class _SegmentSender:
    """Sends one segment: binary frames, or JSON with word times."""

    def __init__(
        self, session: SpeechStreamSession, config: _Config, place: Mapping[str, Any]
    ) -> None:
        self._session, self._place = session, place
        self._config, self._rate = config.config, config.sample_rate
        pools = session.state.operations.pools
        opened = partial(
            open_encoder,
            self._config.format,
            output_rate=self._rate,
            bit_rate_kbps=self._config.bit_rate_kbps or 0,
        )
        self._encoder = SoundEncoder(pools.encoders, opened, not self._config.stream_audio)
        self._part_bytes = PART_BYTES if self._config.stream_audio else 1 << 30
        self._bytes = self._chunks = 0
        self._sent_s = self._made_s = 0.0

    async def begin(self, text: str) -> None:
        start = AudioStart(
            **self._place,
            sentence_text=text,
            format=self._config.format,
            sample_rate=self._rate,
            word_timestamps=bool(self._config.word_timestamps),
        )
        await self._session.send(start)

    async def add(self, wave: Wave) -> None:
        self._made_s += wave.duration_s
        await self._send(await self._encoder.add(wave))

    async def finish(self, segment: SegmentEnd) -> None:
        await self._send(await self._encoder.end())
        if self._config.word_timestamps:
            words = [
                WordTimestamp(
                    word=word.word,
                    start_ms=round(1000 * (word.start_s - segment.start_s)),
                    end_ms=round(1000 * (word.end_s - segment.start_s)),
                )
                for word in segment.words
            ]
            await self._send_chunk(b"", words)
        await self.end()

    async def end(self, error: bool = False) -> None:
        await self._session.send(AudioDone(**self._place, total_bytes=self._bytes, error=error))

    async def _send(self, data: bytes) -> None:
        for part in parts_of(data, self._part_bytes):
            self._bytes += len(part)
            if self._config.word_timestamps:
                await self._send_chunk(part)
            else:
                await self._session.send(part)

    async def _send_chunk(self, data: bytes, words: list[WordTimestamp] | None = None) -> None:
        end_s = self._made_s
        chunk = AudioChunkMessage(
            **self._place,
            chunk_id=self._chunks,
            chunk_start_ms=round(1000 * self._sent_s),
            chunk_end_ms=round(1000 * end_s),
            sample_rate=self._rate,
            audio_b64=base64.b64encode(data).decode(),
            timestamps=words,
        )
        self._sent_s = end_s
        self._chunks += 1
        await self._session.send(chunk)


def _out_of_order(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}.",
        code="BAD_MESSAGE",
        hint="Send session.config, then input.text and input.done for each text, and "
        "session.close at the end.",
    )
