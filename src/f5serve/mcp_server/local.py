"""Speech by the model, the voices and the recogniser of this machine."""

from __future__ import annotations

import asyncio
import base64
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from typing import Any

from f5serve.errors import F5Error
from f5serve.mcp_server.backend import (
    MAX_VOICES,
    PART_BYTES,
    ClonedVoice,
    NewVoice,
    OnProgress,
    Save,
    TranscriptResult,
    VoiceEntry,
    VoicePage,
    describe_progress,
)
from f5serve.service import SpeechService
from f5serve.service.events import AudioFile, Completed, DeliveryOptions, Progress
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.transcription import (
    TranscribedPiece,
    TranscriptionOptions,
    transcribe_pieces,
)
from f5serve.synthesis.verification import recognizer_missing
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import DEFAULT_NAME, casefold, check_name, is_default, is_public


class LocalBackend:
    """See `Backend`; the model is loaded when speech is asked for first."""

    def __init__(
        self, operations: SpeechService, voices: VoiceLibrary, recognition: SpeechRecognition | None
    ) -> None:
        self._operations = operations
        self._voices = voices
        self._recognition = recognition

    async def say(
        self, fields: Mapping[str, Any], on_progress: OnProgress, save: Save
    ) -> Mapping[str, Any]:
        """See `Backend`."""
        file: AudioFile | None = None
        response: dict[str, Any] = {}
        delivery = DeliveryOptions(whole_files=True)
        events = self._operations.events(fields, uuid.uuid4().hex, delivery)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Progress):
                    await on_progress(event.percent, 100, describe_progress(event.as_dict()))
                elif isinstance(event, AudioFile):
                    file = event
                elif isinstance(event, Completed):
                    response = event.response
        assert file is not None  # every job that is completed has one
        await asyncio.to_thread(save, _parts(file))
        return response

    async def list_voices(self, after: str) -> VoicePage:
        """See `Backend`."""
        return await self._operations.work("list_voices", self._list, after)

    def _list(self, after: str) -> VoicePage:
        begins_behind = "" if not after or is_default(after) else after
        if begins_behind and not is_public(begins_behind):
            begins_behind = check_name(begins_behind)
        limit = MAX_VOICES if after else MAX_VOICES - 1  # behind the packaged one
        page = self._voices.page(begins_behind, limit)
        styles = self._voices.all_styles()
        found = [
            VoiceEntry(
                name=record.voice,
                styles=list(styles.get(casefold(record.voice), ())),
                language=record.language or None,
                duration_s=record.duration_s or None,
                needs_review=record.needs_review,
            )
            for record in page.records
        ]
        if not after:
            packaged = self._voices.get(None)
            first = VoiceEntry(
                name=DEFAULT_NAME,
                styles=[],
                language=packaged.language or None,
                duration_s=round(packaged.wave.duration_s, 3),
                needs_review=False,
            )
            found = [first, *found]
        return VoicePage(voices=found, has_more=page.has_more)

    async def clone(self, new: NewVoice) -> ClonedVoice:
        """See `Backend`."""
        fields: dict[str, Any] = {
            "endpoint": "upload",
            "voice_name": new.name,
            "style": new.style or None,
            "ref_text": new.ref_text or None,
            "language": new.language or None,
            "consent": new.consent or None,
        }
        if isinstance(new.audio, str):
            fields["voice_file_url"] = new.audio
        else:
            fields["voice_file"] = base64.b64encode(new.audio).decode()
        answer = await self._operations.answer(fields, uuid.uuid4().hex)
        voice = answer["voice"]
        name, style = check_name(voice["name"]), voice["style"] or ""
        kept = await self._operations.work("get_voice", self._voices.get, name, style)
        return ClonedVoice(
            name=kept.name,
            style=kept.style,
            ref_text=kept.ref_text,
            duration_s=voice["duration_s"],
            language=voice["language"] or None,
            needs_review=voice["needs_review"],
            warnings=answer["warnings"],
        )

    async def transcribe(
        self, name: str, data: bytes, language: str, on_progress: OnProgress
    ) -> TranscriptResult:
        """See `Backend`."""
        stopped = threading.Event()
        loop = asyncio.get_running_loop()
        ends_s: asyncio.Queue[float | None] = asyncio.Queue()  # of pieces; None is the end

        def check() -> None:
            if stopped.is_set():
                raise F5Error("The caller has cancelled it.", code="CANCELLED")

        def work() -> list[TranscribedPiece]:
            checker = self._recognition.open() if self._recognition else None
            if checker is None or self._recognition is None:
                raise recognizer_missing()
            pieces = []
            for piece in transcribe_pieces(
                *(checker.recogniser, self._recognition.aligners(), data),
                *(TranscriptionOptions(language), check),
            ):
                pieces.append(piece)
                loop.call_soon_threadsafe(ends_s.put_nowait, piece.end_s)
            return pieces

        with self._operations.track("transcribe"):
            working = asyncio.create_task(self._operations.pools.transcriptions.run(work))
            working.add_done_callback(lambda _: ends_s.put_nowait(None))
            try:
                while (end_s := await ends_s.get()) is not None:
                    await on_progress(
                        end_s, None, f"{end_s:.0f} s of the recording are transcribed"
                    )
                pieces = await working
            finally:
                stopped.set()
                working.cancel()
        segments = [segment.text for piece in pieces for segment in piece.segments]
        spoken = next((piece.language for piece in pieces if piece.segments), "")
        return TranscriptResult(
            text="".join(segments), language=spoken or None, duration_s=round(pieces[-1].end_s, 3)
        )


def _parts(file: AudioFile) -> Iterator[bytes]:
    for start in range(0, file.size, PART_BYTES):
        yield file.read(start, min(PART_BYTES, file.size - start))
