"""One connection of a Wyoming client: its events, and the speech that they ask for.

    describe -> info        ping -> pong
    synthesize -> audio-start, audio-chunk ..., audio-stop
    synthesize-start, -chunk ..., -stop -> the same while the text comes, synthesize-stopped

Unknown events are dropped, as the protocol says. An error is an event and ends the connection:
Home Assistant waits for the end of the audio, whatever else is sent. A caller who leaves stops
the device at its next step.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from f5serve.audio.encode import to_pcm16
from f5serve.errors import F5Error, InvalidRequest
from f5serve.service import SpeechService
from f5serve.service.request_errors import MAX_TIMEOUT_S
from f5serve.service.text_stream import TextStream, job_waves
from f5serve.settings import Settings
from f5serve.types import Wave
from f5serve.voices.library import VoiceLibrary
from f5serve.wyoming.protocol import FRAME_CODES, Channel, Event, error_event
from f5serve.wyoming.voices import describe, tag_of, voice_for

_log = logging.getLogger(__name__)

CHUNK_SAMPLES = 4_096
"""Of one audio-chunk, so that a slow reader is felt: 0.17 s."""

EVENTS = 16
"""Events that are read ahead while speech is sent; more wait in the network."""

SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Speaker:
    """What sessions speak with."""

    operations: SpeechService
    voices: VoiceLibrary
    settings: Settings


@dataclass(slots=True)
class _Stream:
    """Speech whose text is still coming; `text` is that of SSML, which is read as a whole."""

    fields: dict[str, Any]
    stream: TextStream | None
    speaking: asyncio.Task[None] | None
    text: str = ""


class Session:
    """Answers one connection; `run` it once."""

    def __init__(self, channel: Channel, speaker: Speaker) -> None:
        self._channel, self._speaker = channel, speaker
        self._events: asyncio.Queue[Event] = asyncio.Queue(EVENTS)
        self._stream: _Stream | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_answering = self._is_stopping = False
        self._last_event_at = time.monotonic()

    async def run(self) -> None:
        """Answer until the caller leaves, makes an error, or `stop`."""
        reading = asyncio.create_task(self._read_all())
        answering = asyncio.create_task(self._answer_all())
        error: BaseException | None = None
        try:
            tasks = {reading, answering, self._failed}
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # The error of a request goes before that of the bytes behind it.
            found = [one.exception() for one in (self._failed, answering, reading) if one in done]
            error = next((one for one in found if one is not None), None)
        finally:
            await self._cancel(reading, answering)
        await self._end(error)

    def stop(self) -> None:
        """Close the connection when nothing is being answered, now or later."""
        self._is_stopping = True
        if self.is_idle and not self._failed.done():
            self._failed.set_result(None)

    def abort(self) -> None:
        """Close it at once."""
        self._channel.abort()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return not self._is_answering and self._stream is None

    @property
    def quiet_since(self) -> float | None:
        """Since when it waits for an event, by `time.monotonic`; None while it answers."""
        return None if self._is_answering else self._last_event_at

    async def _read_all(self) -> None:
        while (event := await self._channel.read()) is not None:
            self._last_event_at = time.monotonic()
            await self._events.put(event)

    async def _answer_all(self) -> None:
        handlers = {
            "describe": self._describe,
            "ping": self._pong,
            "synthesize": self._synthesize,
            "synthesize-start": self._start,
            "synthesize-chunk": self._add,
            "synthesize-stop": self._finish,
        }
        while not (self._is_stopping and self.is_idle):
            event = await self._events.get()
            if handler := handlers.get(event.type):
                self._is_answering = True
                await handler(event.data)
                self._is_answering = False
                self._last_event_at = time.monotonic()

    async def _describe(self, data: Mapping[str, Any]) -> None:
        speaker = self._speaker
        info = await describe(speaker.operations, speaker.voices, speaker.settings)
        await self._channel.write(Event("info", info))

    async def _pong(self, data: Mapping[str, Any]) -> None:
        text = data.get("text")
        await self._channel.write(Event("pong", {"text": text if isinstance(text, str) else None}))

    async def _synthesize(self, data: Mapping[str, Any]) -> None:
        if self._stream is not None:
            return  # the whole text again, which clients send for servers that do not stream
        fields = await self._fields(data)
        waves = job_waves(self._speaker.operations, {**fields, "text": _text_of(data)})
        await self._send(waves)

    async def _start(self, data: Mapping[str, Any]) -> None:
        if self._stream is not None:
            raise _out_of_turn("synthesize-start came within a stream of text")
        fields = await self._fields(data)
        if "ssml" in fields:
            self._stream = _Stream(fields, None, None)
            return
        settings = self._speaker.settings
        stream = TextStream(self._speaker.operations, fields, settings.max_text_chars)
        speaking = asyncio.create_task(self._send(stream.waves()))
        speaking.add_done_callback(self._note_failure)
        self._stream = _Stream(fields, stream, speaking)

    async def _add(self, data: Mapping[str, Any]) -> None:
        open_stream, text = self._open_stream("synthesize-chunk"), _text_of(data)
        if open_stream.stream is not None:
            open_stream.stream.add(text)
            return
        open_stream.text += text
        if len(open_stream.text) > self._speaker.settings.max_text_chars:
            raise InvalidRequest(
                f"The SSML has {len(open_stream.text):,} characters and goes on.",
                code="TEXT_TOO_LONG",
                hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
            )

    async def _finish(self, data: Mapping[str, Any]) -> None:
        open_stream = self._open_stream("synthesize-stop")
        if open_stream.stream is None or open_stream.speaking is None:
            fields = {**open_stream.fields, "text": open_stream.text}
            await self._send(job_waves(self._speaker.operations, fields))
        else:
            open_stream.stream.end()
            await open_stream.speaking
        self._stream = None
        await self._channel.write(Event("synthesize-stopped"))

    def _open_stream(self, event: str) -> _Stream:
        if self._stream is None:
            raise _out_of_turn(f"{event} came without synthesize-start")
        return self._stream

    async def _fields(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a request for speech, but for its text.

        Raises:
            InvalidRequest: BAD_EVENT, BAD_OPTION.
        """
        timeout_s = int(self._speaker.settings.request_timeout_s)
        fields: dict[str, Any] = {"timeout_s": max(1, min(timeout_s, MAX_TIMEOUT_S))}
        if data.get("text_format") == "ssml":
            fields["ssml"] = True
        else:
            fields["markup"] = "off"
        wanted = data.get("voice") or {}
        if not isinstance(wanted, Mapping):
            raise _out_of_turn("voice is no JSON object")
        name, language, style = (_name_in(wanted, key) for key in ("name", "language", "speaker"))
        if name:
            fields["voice"] = name
        elif language:
            tag = tag_of(language)
            pool = self._speaker.operations.pools.voices
            fields |= {
                "language": tag,
                "voice": await pool.run(voice_for, tag, self._speaker.voices),
            }
        if style:
            fields["style"] = style
        return fields

    async def _send(self, waves: AsyncGenerator[Wave, None]) -> None:
        """The speech as events; nothing where there is none."""
        form: dict[str, int] = {}
        at = 0
        async with aclosing(waves):
            async for wave in waves:
                if not form:
                    form = {"rate": wave.sample_rate, "width": SAMPLE_BYTES, "channels": 1}
                    await self._channel.write(Event("audio-start", {**form, "timestamp": 0}))
                for start in range(0, len(wave.samples), CHUNK_SAMPLES):
                    part = wave.samples[start : start + CHUNK_SAMPLES]
                    timing = {**form, "timestamp": at * 1000 // wave.sample_rate}
                    pcm = to_pcm16(part).tobytes()
                    await self._channel.write(Event("audio-chunk", timing, pcm))
                    at += len(part)
        if form:
            await self._channel.write(Event("audio-stop", {"timestamp": at * 1000 // form["rate"]}))

    def _note_failure(self, speaking: asyncio.Task[None]) -> None:
        error = None if speaking.cancelled() else speaking.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _cancel(self, *tasks: asyncio.Task[None]) -> None:
        self._failed.cancel()
        stream = self._stream
        running = {*tasks, stream.speaking} if stream and stream.speaking else {*tasks}
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        for task in running:
            if not task.cancelled():
                task.exception()  # it was sent, or came too late

    async def _end(self, error: BaseException | None) -> None:
        if isinstance(error, TimeoutError):
            _log.warning("a reader took nothing for too long and was cut off")
        elif error is not None and not isinstance(error, ConnectionError):
            reported = error if isinstance(error, F5Error) else _unexpected(error)
            level = logging.DEBUG if reported.code in FRAME_CODES else logging.INFO
            _log.log(level, "refused: %s %s", reported.code, reported.message)
            try:
                await self._channel.write(error_event(reported))
            except (OSError, TimeoutError):  # the caller has left
                self.abort()
            await self._channel.close()
            return
        elif self._is_stopping and error is None:
            await self._channel.close()
        self.abort()


def _text_of(data: Mapping[str, Any]) -> str:
    text = data.get("text")
    if not isinstance(text, str):
        raise _out_of_turn("text is no string")
    return text


def _name_in(wanted: Mapping[str, Any], key: str) -> str:
    value = wanted.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    raise _out_of_turn(f"{key} of voice is no string")


def _out_of_turn(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}.",
        code="BAD_EVENT",
        hint="Send synthesize, or synthesize-start, its chunks and synthesize-stop.",
    )


def _unexpected(error: BaseException) -> F5Error:
    trace = secrets.token_hex(6)
    _log.error("trace %s: %s", trace, type(error).__name__, exc_info=error)
    return F5Error(
        "Something unexpected failed.",
        code="INTERNAL",
        hint=f"Report it with the trace id {trace}, under which the server's log tells more.",
    )
