"""ElevenLabs' WebSockets: stream-input for one text, multi-stream-input for several at a time.

    {"text": " "}, {"text": "Hello "} ..., {"text": ""} -> {"audio"} ..., {"alignment"}, {"isFinal"}

A context is one text; it is spoken while it comes, beside the others.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.websockets import WebSocket

from f5serve.errors import F5Error, InvalidRequest
from f5serve.http.elevenlabs.alignment import align_characters
from f5serve.http.elevenlabs.fields import SpeechOptions
from f5serve.http.elevenlabs.formats import OutputFormat, parse_output_format
from f5serve.http.elevenlabs.stream_schemas import (
    MAX_IDLE_S,
    AudioOutput,
    ContextOutput,
    StreamAlignment,
    StreamMessage,
    StreamProblem,
    StreamQuery,
)
from f5serve.http.errors import BadField
from f5serve.http.routers.elevenlabs_speech import OWN_MODELS, resolve_voice_id
from f5serve.http.routers.models import resolve_model
from f5serve.http.routers.speech import error_param
from f5serve.http.scopes import needs
from f5serve.http.sockets import (
    PART_BYTES,
    SocketEnd,
    SocketSession,
    problem,
    read,
)
from f5serve.http.sound_encoder import SoundEncoder, parts_of
from f5serve.http.voice_path import VOICE_ID
from f5serve.secrets import SPEAK
from f5serve.service.request_errors import MAX_TIMEOUT_S
from f5serve.service.text_stream import (
    SegmentEnd,
    SegmentStart,
    StreamEvent,
    TextOptions,
    TextStream,
)
from f5serve.types import Wave

MAX_CONTEXTS = 5
"""Of one socket, as ElevenLabs has it."""

DEFAULT_CONTEXT = "default"
"""Of messages that name none."""

REMEMBERED = 32
"""Contexts that have failed; what still comes for them is dropped."""

_PATH = f"/v1/text-to-speech/{VOICE_ID}"

router = APIRouter()


@router.websocket(_PATH + "/stream-input")
@needs(SPEAK)
async def stream_input(websocket: WebSocket, voice_id: str) -> None:
    """Speak one text while it is written; see docs/reference/websockets.md."""
    await StreamInputSession(websocket, voice_id, is_multi=False).run()


@router.websocket(_PATH + "/multi-stream-input")
@needs(SPEAK)
async def multi_stream_input(websocket: WebSocket, voice_id: str) -> None:
    """Speak several texts while they are written; see docs/reference/websockets.md."""
    await StreamInputSession(websocket, voice_id, is_multi=True).run()


class StreamInputSession(SocketSession):
    """One socket of either kind.

    Raises:
        RequestValidationError: the first parameter that is wrong.
        BadField: BAD_OPTION.
    """

    def __init__(self, websocket: WebSocket, voice_id: str, is_multi: bool) -> None:
        super().__init__(websocket)
        self.query = read(StreamQuery, dict(websocket.query_params))
        self.query.check()
        self.output = parse_output_format(self.query.output_format)
        self.is_multi, self.ends_on_error = is_multi, not is_multi
        self._voice_id = voice_id
        idle_s = min(self.query.inactivity_timeout, MAX_IDLE_S, self.limits.idle_s)
        self.limits = replace(self.limits, idle_s=idle_s)
        self._open: dict[str, _Context] = {}
        self._all: set[_Context] = set()
        self._failed_ids: deque[str] = deque(maxlen=REMEMBERED)
        self._is_closing = False

    @property
    def is_speaking(self) -> bool:
        """Whether a context has anything to speak or to send."""
        return any(not context.is_waiting for context in self._all)

    @property
    def has_text(self) -> bool:
        """Whether a context is open."""
        return bool(self._all)

    async def answer(self, message: dict[str, Any]) -> None:
        """Answer one message; see `SocketSession.answer`."""
        found = read(StreamMessage, message)
        if not self.has_started:
            self.authenticate(found.key)
            await self.enter()
            self.has_started = True
        if self._is_closing:
            return
        if self.is_multi and found.close_socket:
            await self._close()
            return
        name = (found.context_id or DEFAULT_CONTEXT) if self.is_multi else DEFAULT_CONTEXT
        if self.is_multi and found.close_context:
            await self._close_context(name)
            return
        await self._take(name, found)

    async def report(self, error: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        """Send an error."""
        name = message.get("context_id") or message.get("contextId")
        name = name if self.is_multi and isinstance(name, str) else None
        await self.send(StreamProblem.of(error, name))

    async def abandon(self) -> None:
        """Stop all contexts."""
        speaking = {context.stop() for context in self._all}
        if speaking:
            await asyncio.wait(speaking)

    def ended(self, context: _Context) -> None:
        """A context has ended."""
        self._all.discard(context)
        if self._open.get(context.name) is context:
            del self._open[context.name]
        if self._is_closing and not self._all:
            self.fail(SocketEnd(1000))
        self.note_idle()

    async def end_context(self, context: _Context, error: F5Error) -> None:
        """Send the error that a context ends with; a stream-input ends with it."""
        self._failed_ids.append(context.name)
        shown = problem(error)
        shown["param"] = error_param(error) or shown["param"]
        await self.send(StreamProblem.of(shown, context.name if self.is_multi else None))
        if self.ends_on_error:
            self.fail(SocketEnd(shown["close_code"], f"{shown['code']}: {shown['message']}"))

    async def _take(self, name: str, message: StreamMessage) -> None:
        """The next text of a context, the first of which opens it."""
        text, context = message.text or "", self._open.get(name)
        if context is None:
            if name in self._failed_ids and text != " ":
                return
            if not text:
                if not self.is_multi and message.text is not None:
                    raise SocketEnd(1000)  # nothing was to be spoken
                return
            try:
                context = await self._begin(name, message)
            except (F5Error, RequestValidationError):
                self._failed_ids.append(name)
                raise
        elif message.voice_settings and message.voice_settings != context.voice_settings:
            raise BadField(
                "voice_settings differs from that of the first message.",
                code="BAD_OPTION",
                hint="Send it with the first message of a context, and open another to change it.",
                param="voice_settings",
            )
        try:
            context.add(text)
        except F5Error:
            context.stop()
            self._failed_ids.append(name)
            raise
        if message.flush:
            context.flush()
        if not self.is_multi and message.text == "":
            self._is_closing = True
            context.close()

    async def _begin(self, name: str, message: StreamMessage) -> _Context:
        if len(self._all) >= MAX_CONTEXTS:
            raise InvalidRequest(
                f"{len(self._all)} contexts of this socket are not closed.",
                code="TOO_MANY_CONTEXTS",
                hint=f"{MAX_CONTEXTS} may be at a time; close one with close_context.",
            )
        try:
            options = self.query.options(message)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from None
        fields = await self._fields(options)
        context = self._open[name] = _Context(self, name, fields, message.voice_settings)
        self._all.add(context)
        if name in self._failed_ids:
            self._failed_ids.remove(name)
        return context

    async def _fields(self, options: SpeechOptions) -> dict[str, Any]:
        """The fields of a `tts` job but for its text."""
        state, model = self.state, options.model_id or ""
        timeout_s = int(state.settings.request_timeout_s)
        voice = await resolve_voice_id(state, self._voice_id)
        model = "" if model.startswith(OWN_MODELS) else resolve_model(state, model)
        return {
            **self.output.fields,
            **options.fields(),
            **({"model": model} if model else {}),
            "voice": voice,
            "markup": "off",
            "timeout_s": max(1, min(timeout_s, MAX_TIMEOUT_S)),
        }

    async def _close_context(self, name: str) -> None:
        context = self._open.pop(name, None)
        if context is None:  # it may be speaking what was flushed
            for each in list(self._all):
                if each.name == name:
                    await each.cancel()
        elif context.has_unflushed:
            await context.cancel()
        else:
            context.close()

    async def _close(self) -> None:
        for name in list(self._open):
            await self._close_context(name)
        self._is_closing = True
        if not self._all:
            raise SocketEnd(1000)


class _Context:
    """One text: spoken while it comes, and sent.

    Attributes:
        has_unflushed: whether text has come since the last flush.
    """

    def __init__(
        self,
        session: StreamInputSession,
        name: str,
        fields: Mapping[str, Any],
        voice_settings: Any,
    ) -> None:
        self.name, self.voice_settings = name, voice_settings
        self.has_unflushed = False
        self._session = session
        self._admitted = ExitStack()
        self._admitted.enter_context(session.admitted())
        state = session.state
        options = TextOptions(session.owner, words=True)
        max_chars = state.settings.max_text_chars
        self._stream = TextStream(state.operations, fields, max_chars, options)
        output: OutputFormat = session.output
        self._encoder = SoundEncoder(state.operations.pools.encoders, output.open_encoder)
        self._text = ""
        self._is_sending = self._has_ended = False
        self._speaking = asyncio.create_task(self._speak())
        self._speaking.add_done_callback(self._on_end)  # it may be stopped before it begins

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for text."""
        return self._speaking.done() or (self._stream.is_waiting and not self._is_sending)

    def add(self, text: str) -> None:
        """Take the next part.

        Raises:
            InvalidRequest: TEXT_TOO_LONG, BAD_UNICODE.
        """
        if not text.strip() and not self.has_unflushed:
            return
        self.has_unflushed = True
        self._stream.add(text)
        if self._session.query.auto_mode:
            self._stream.flush()

    def flush(self) -> None:
        """Speak all that has come."""
        self.has_unflushed = False
        self._stream.flush()

    def close(self) -> None:
        """Speak all that has come, then end."""
        self._stream.end()

    def stop(self) -> asyncio.Task[None]:
        """Stop the device at its next step; the task ends when it has stopped."""
        self._has_ended = True
        self._speaking.cancel()
        return self._speaking

    async def cancel(self) -> None:
        """Stop it, and say so."""
        if not self._has_ended:
            self.stop()
            await self._send_output(None, is_final=True)

    async def _speak(self) -> None:
        try:
            async with aclosing(self._stream.events()) as events:
                async for event in events:
                    await self._take(event)
            await self._send_sound(await self._encoder.end())
            self._has_ended = True
            await self._send_output(None, is_final=True)
        except F5Error as error:
            self._has_ended = True
            await self._session.end_context(self, error)

    def _on_end(self, speaking: asyncio.Task[None]) -> None:
        self._has_ended = True
        self._admitted.close()
        self._session.ended(self)
        if not speaking.cancelled() and (failure := speaking.exception()) is not None:
            self._session.fail(failure)  # a caller who left, or a fault of ours

    async def _take(self, event: StreamEvent) -> None:
        if isinstance(event, SegmentStart):
            self._is_sending, self._text = True, event.text
        elif isinstance(event, Wave):
            await self._send_sound(await self._encoder.add(event))
        else:
            await self._send_times(event)
            self._is_sending = False

    async def _send_sound(self, data: bytes) -> None:
        for part in parts_of(data, PART_BYTES):
            await self._send_output(base64.b64encode(part).decode())

    async def _send_times(self, segment: SegmentEnd) -> None:
        start_s = segment.start_s
        words = [
            replace(word, start_s=word.start_s - start_s, end_s=word.end_s - start_s)
            for word in segment.words
        ]
        # As ElevenLabs sends it: to clients a word is complete where a space follows.
        text = self._text if self._text[-1:].isspace() else f"{self._text} "
        found = align_characters(text, words, segment.end_s - start_s)
        if found is not None:
            offset_s = start_s if self._session.query.sync_alignment else 0.0
            await self._send_output("", StreamAlignment.of(found, offset_s))

    async def _send_output(
        self, audio: str | None, alignment: StreamAlignment | None = None, is_final: bool = False
    ) -> None:
        fields: dict[str, Any] = {
            "audio": audio,
            "isFinal": is_final or None,
            "alignment": alignment,
            "normalizedAlignment": alignment,
        }
        if self._session.is_multi:
            await self._session.send(ContextOutput(**fields, contextId=self.name))
        else:
            await self._session.send(AudioOutput(**fields))
