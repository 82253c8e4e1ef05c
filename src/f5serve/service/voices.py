"""Operations on voices: upload, list, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from f5serve.audio.decode import DecodeLimits
from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits, decode_base64, fetch_url
from f5serve.errors import InvalidRequest
from f5serve.service import responses
from f5serve.service.erasure import erase_voice
from f5serve.service.executor import Pools
from f5serve.service.fields import Flag, Name, Request
from f5serve.service.request_errors import (
    MAX_BASE64_CHARS,
    MAX_LANGUAGE_CHARS,
    MAX_REF_TEXT_CHARS,
    bad_option,
)
from f5serve.service.speech_fields import ConsentFields
from f5serve.store.base import ObjectStore
from f5serve.text.spoken import check_normalize
from f5serve.text_kinds import VALUES
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import check_new_style
from f5serve.voices.records import Consent
from f5serve.voices.storage import MAX_CONSENT_CHARS

MAX_AUDIO_BYTES = DecodeLimits().max_bytes
MAX_TEXT_BYTES = 100_000


class VoiceDeletion(Request):
    """A voice, or one style of it, that is to go; with its results, if they are to go too."""

    voice_name: Name | None = None
    style: Name | None = None
    with_results: Flag | None = None


ConsentId = Annotated[str, Field(strict=True, max_length=MAX_CONSENT_CHARS)]
"""The id of a recorded consent; other texts say who agrees."""


def _check_normalize(value: Any) -> Any:
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in given):
        raise bad_option("normalize", value, VALUES)
    check_normalize(value)
    return value


class VoiceUpload(Request):
    """A voice or a style to keep: a recording and its words, inline or under URLs."""

    voice_name: Name | None = None
    style: Name | None = None
    consent: ConsentFields | ConsentId | None = None
    language: Annotated[str, Field(strict=True, max_length=MAX_LANGUAGE_CHARS)] | None = None
    normalize: Annotated[str | list[str], BeforeValidator(_check_normalize)] | None = None
    voice_file_url: Name | None = None
    voice_file: Annotated[str, Field(strict=True, max_length=MAX_BASE64_CHARS)] | None = None
    ref_text: Annotated[str, Field(strict=True, max_length=MAX_REF_TEXT_CHARS)] | None = None
    text_file_url: Name | None = None
    text_file: Annotated[str, Field(strict=True, max_length=MAX_BASE64_CHARS)] | None = None


class VoiceOperations:
    """What is asked of one library.

    Args:
        allow_http: whether plain http URLs are let through.
        network: the way out; None is the real one.
    """

    def __init__(
        self,
        voices: VoiceLibrary,
        pools: Pools,
        store: ObjectStore,
        allow_http: bool,
        network: NetworkPolicy | None = None,
    ) -> None:
        self._voices = voices
        self._pools = pools
        self._store = store
        self._allow_http = allow_http
        self._network = network

    async def upload(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Keep a recording as a voice, for the holder of the key `owner`.

        Raises:
            InvalidRequest: BAD_OPTION, or as `fetch_url`, `decode_base64` and `VoiceLibrary.put`.
            BadAudio: as `VoiceLibrary.put`.
            StorageFailed: as `fetch_url` and `VoiceLibrary.put`.
        """
        return await self._pools.recordings.run(self._upload, payload, owner)

    async def list(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """All voices."""
        return await self._pools.listings.run(self._list)

    async def delete(self, payload: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
        """Remove one voice, or one style; a voice with its results, where `with_results` is true.

        Raises:
            InvalidRequest: MISSING_FIELD, BAD_OPTION, or as `VoiceLibrary.delete`.
        """
        deletion = VoiceDeletion.parse(payload)
        name = deletion.voice_name
        if not name:
            raise _missing("voice_name is required.", "Send a name of list_voices.")
        style = None if deletion.style is None else check_new_style(deletion.style)
        if style is not None and deletion.with_results:
            raise with_results_of_style()
        what = f"Style '{style}' of the voice '{name}'" if style else f"Voice '{name}'"
        reply = {"status": f"{what} deleted."}
        if not deletion.with_results:
            await self._pools.lookups.run(self._voices.delete, name, style)
            return reply
        erased = await self._pools.upkeep.run(erase_voice, self._voices, self._store, name)
        return {**reply, "results": asdict(erased)}

    def _list(self) -> dict[str, Any]:
        return responses.voices_response(self._voices.list(), self._voices.all_styles())

    def _upload(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        upload = VoiceUpload.parse(payload)
        if not upload.voice_name:
            raise _missing("voice_name is required for upload.", "Send a name such as ana.wav.")
        consent = self._consent(upload)
        audio = self._bytes(upload, "voice_file", "voice", MAX_AUDIO_BYTES)
        if audio is None:
            raise _missing(
                "Either voice_file or voice_file_url is required for upload.",
                "Send the recording's https URL as voice_file_url.",
            )
        words = self._ref_text(upload)
        record = self._voices.put(
            *(upload.voice_name, audio, words, upload.language or "", consent, owner),
            normalize=upload.normalize or "",
            style=upload.style or "",
        )
        voice = self._voices.get(record.voice, record.style)
        styles = self._voices.styles(record.voice)
        return responses.upload_response(record, voice.warnings, styles)

    def _consent(self, upload: VoiceUpload) -> Consent | None:
        if isinstance(upload.consent, str):
            return self._voices.consents.attested(upload.consent)
        return upload.consent.consent() if upload.consent else None

    def _ref_text(self, upload: VoiceUpload) -> str:
        if upload.ref_text:
            return upload.ref_text
        data = self._bytes(upload, "text_file", "text", MAX_TEXT_BYTES)
        if data is None:
            return ""
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidRequest(
                "The text file is not text in UTF-8.",
                code="NOT_TEXT",
                hint="Save it as plain text in UTF-8.",
            ) from None

    def _bytes(self, upload: VoiceUpload, name: str, what: str, max_bytes: int) -> bytes | None:
        """What `name`_url leads to, or what `name` holds; None when neither was sent."""
        url, held = getattr(upload, f"{name}_url"), getattr(upload, name)
        if url and held:
            raise InvalidRequest(
                f"Both {name} and {name}_url were sent.",
                code="BAD_OPTION",
                hint="Send one of them.",
            )
        if url:
            limits = FetchLimits(max_bytes=max_bytes, allow_http=self._allow_http)
            return fetch_url(url, limits, what=what, network=self._network)
        return decode_base64(held, max_bytes, name) if held else None


def with_results_of_style() -> InvalidRequest:
    """The error for results of one style, which are not told from those of its voice."""
    return InvalidRequest(
        "Results are not removed by style.",
        code="BAD_OPTION",
        hint="Leave with_results out, or leave style out to remove the voice and all its results.",
    )


def _missing(message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(message, code="MISSING_FIELD", hint=hint)
