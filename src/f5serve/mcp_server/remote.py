"""Speech by a server that is running elsewhere; nothing is loaded here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from f5serve.audio.decode import DecodeLimits
from f5serve.cli.client import ServerClient
from f5serve.download.url import FetchLimits, fetch_url
from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.mcp_server.backend import (
    MAX_VOICES,
    ClonedVoice,
    NewVoice,
    OnProgress,
    Save,
    TranscriptResult,
    VoiceEntry,
    VoicePage,
    describe_progress,
)

T = TypeVar("T")

POLL_S: Final = (0.1, 0.2, 0.4, 0.8)
"""Pauses between two looks at a job; the last one for all further looks."""


class RemoteBackend:
    """See `Backend`.

    Args:
        url: of the server.
        key: sent with each request; "" sends none.

    Raises:
        InvalidRequest: BAD_OPTION.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self.url = ServerClient(url, key).url

    async def say(
        self, fields: Mapping[str, Any], on_progress: OnProgress, save: Save
    ) -> Mapping[str, Any]:
        """See `Backend`."""
        accepting = asyncio.create_task(self._call(lambda server: _create_job(server, fields)))
        try:
            path = await asyncio.shield(accepting)
            await self._wait(path, on_progress)
        except asyncio.CancelledError:
            path = await accepting  # else the job would go on
            await self._call(lambda server: server.delete(path))
            raise

        def fetch(server: ServerClient) -> None:
            with server.open(f"{path}/audio") as audio:
                save(audio.parts())

        await self._call(fetch)
        return await self._get(f"{path}/result")

    async def _wait(self, path: str, on_progress: OnProgress) -> None:
        """Wait until a job is done.

        Raises:
            InvalidRequest: it failed or was cancelled, with the code of its record.
            StorageFailed: it failed, and may succeed if it is sent again.
        """
        pauses = iter(POLL_S)
        while True:
            status = await self._get(path)
            if status.get("status") == "COMPLETED":
                return
            if status.get("status") not in ("QUEUED", "PROCESSING"):
                raise _failure(status)
            progress = status.get("progress") or {}
            await on_progress(progress.get("percent") or 0, 100, describe_progress(progress))
            await asyncio.sleep(next(pauses, POLL_S[-1]))

    async def list_voices(self, after: str) -> VoicePage:
        """See `Backend`."""
        query = urlencode({"limit": MAX_VOICES} | ({"after": after} if after else {}))
        path = f"/v1/audio/voices?{query}"
        return await self._call(lambda server: _voice_page(json.loads(server.get(path))))

    async def clone(self, new: NewVoice) -> ClonedVoice:
        """See `Backend`."""
        audio = new.audio
        if isinstance(audio, str):
            limits = FetchLimits(max_bytes=DecodeLimits().max_bytes)
            audio = await asyncio.to_thread(fetch_url, audio, limits, what="voice")
        sent = {
            "name": new.name,
            "style": new.style,
            "ref_text": new.ref_text,
            "language": new.language,
            "consent": new.consent,
        }
        fields = {name: value for name, value in sent.items() if value}
        file = ("recording", audio)

        def upload(server: ServerClient) -> ClonedVoice:
            answer = server.upload("/v1/audio/voices", fields, "audio_sample", file)
            return _cloned_voice(json.loads(answer), new.style.lower())

        return await self._call(upload)

    async def transcribe(
        self, name: str, data: bytes, language: str, on_progress: OnProgress
    ) -> TranscriptResult:
        """See `Backend`."""
        fields = {"response_format": "verbose_json"} | ({"language": language} if language else {})

        def upload(server: ServerClient) -> TranscriptResult:
            answer = server.upload("/v1/audio/transcriptions", fields, "file", (name, data))
            found = json.loads(answer)
            return TranscriptResult(
                text=found["text"],
                language=found["language"] if found["text"] else None,
                duration_s=found["duration"],
            )

        return await self._call(upload)

    async def _get(self, path: str) -> Mapping[str, Any]:
        def get(server: ServerClient) -> Mapping[str, Any]:
            return dict(json.loads(server.get(path)))

        return await self._call(get)

    async def _call(self, call: Callable[[ServerClient], T]) -> T:
        """What a call returns; cancelled, it ends the connection.

        Raises:
            F5Error: as `ServerClient`; SERVER_REFUSED for an answer that is not f5serve's.
        """
        server = ServerClient(self._url, self._key)
        try:
            return await asyncio.to_thread(call, server)
        except asyncio.CancelledError:
            server.abort()
            raise
        except (ValueError, KeyError, TypeError):
            raise _not_ours(server.url) from None


def _create_job(server: ServerClient, fields: Mapping[str, Any]) -> str:
    """The path of a new job."""
    with server.post("/v1/jobs", fields) as answer:
        job_id = json.loads(b"".join(answer.parts()))["job_id"]
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _voice_page(page: Mapping[str, Any]) -> VoicePage:
    names = VoiceEntry.model_fields
    voices = [VoiceEntry(**{name: one[name] for name in names}) for one in page["voices"]]
    return VoicePage(voices=voices, has_more=page["has_more"])


def _cloned_voice(voice: Mapping[str, Any], style: str) -> ClonedVoice:
    found = [one for one in voice["style_recordings"] if one["style"] == style]
    kept = found[0] if found else voice
    return ClonedVoice(
        name=voice["name"],
        style=style,
        ref_text=kept["ref_text"] or "",
        duration_s=kept["duration_s"],
        language=kept["language"],
        needs_review=kept["needs_review"],
        warnings=kept["warnings"],
    )


def _failure(status: Mapping[str, Any]) -> F5Error:
    failure = status.get("failure") or {}
    kind = StorageFailed if failure.get("retryable") else InvalidRequest
    return kind(
        failure.get("message") or "The job was cancelled.",
        code=failure.get("code") or "JOB_CANCELLED",
        hint=failure.get("hint") or "Send it again.",
    )


def _not_ours(url: str) -> StorageFailed:
    return StorageFailed(
        f"{url} does not answer as f5serve does.",
        code="SERVER_REFUSED",
        hint="Check the address; the server must run f5serve.",
    )
