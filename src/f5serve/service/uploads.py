"""A recording that somebody sends, by URL or in the request, to a voice of the library.

The input of `upload` flows in, a `VoiceRecord` flows out. Blocks: it downloads and decodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from f5serve.audio.decode import DecodeLimits
from f5serve.download.connection import NetworkPolicy
from f5serve.download.inline import decode_base64
from f5serve.download.url import FetchLimits, fetch_url
from f5serve.errors import InvalidRequest
from f5serve.service.parse import MAX_REF_TEXT_CHARS, Fields, parse_consent
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.records import VoiceRecord

MAX_AUDIO_BYTES = DecodeLimits().max_bytes
MAX_TEXT_BYTES = 100_000
_MAX_BASE64_CHARS = 2 * MAX_AUDIO_BYTES


class Uploads:
    """Takes uploads for one library.

    Args:
        allow_http: whether plain http URLs are let through.
        network: the way out; None is the real one.
    """

    def __init__(
        self, library: VoiceLibrary, allow_http: bool, network: NetworkPolicy | None = None
    ) -> None:
        self._library = library
        self._allow_http = allow_http
        self._network = network

    def take(
        self, payload: Mapping[str, Any], owner: str = ""
    ) -> tuple[VoiceRecord, tuple[str, ...]]:
        """Keep the voice in `payload`; returns its record and notes on its transcript.

        Args:
            owner: see `VoiceLibrary.put`.

        Raises:
            InvalidRequest: BAD_OPTION, or as `fetch_url`, `decode_base64` and `VoiceLibrary.put`.
            BadAudio: as `VoiceLibrary.put`.
            StorageFailed: as `fetch_url` and `VoiceLibrary.put`.
        """
        fields = Fields(payload)
        name = fields.text("voice_name")
        if not name:
            raise _missing("voice_name is required for upload.", "Send a name such as ana.wav.")
        consent = parse_consent(fields)
        language = fields.text("language", max_chars=16)
        audio = self._bytes(fields, "voice_file", "voice", MAX_AUDIO_BYTES)
        if audio is None:
            raise _missing(
                "Either voice_file or voice_file_url is required for upload.",
                "Send the recording's https URL as voice_file_url.",
            )
        words = self._ref_text(fields)
        record = self._library.put(name, audio, words, language, consent, owner)
        return record, self._library.get(record.name).warnings

    def _ref_text(self, fields: Fields) -> str:
        text = fields.text("ref_text", max_chars=MAX_REF_TEXT_CHARS)
        if text:
            return text
        data = self._bytes(fields, "text_file", "text", MAX_TEXT_BYTES)
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

    def _bytes(self, fields: Fields, name: str, what: str, max_bytes: int) -> bytes | None:
        """What `name`_url leads to, or what `name` holds; None when neither was sent."""
        url = fields.text(f"{name}_url")
        held = fields.text(name, max_chars=_MAX_BASE64_CHARS)
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


def _missing(message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(message, code="MISSING_FIELD", hint=hint)
