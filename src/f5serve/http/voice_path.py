"""Voices in the paths of routes: `{voice_id:voice}` takes `ana` and `public/ana`."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor

from f5serve.voices.names import PUBLIC_PREFIX


class VoiceConvertor(Convertor[str]):
    """The name of a voice; the slash of a public one may be percent-encoded or not."""

    regex = f"(?:{PUBLIC_PREFIX})?[^/]+"

    def convert(self, value: str) -> str:
        """The name in a path."""
        return value

    def to_string(self, value: str) -> str:
        """The path of a name."""
        return value


register_url_convertor("voice", VoiceConvertor())

VOICE_ID = "{voice_id:voice}"
VOICES_PATH = "/v1/audio/voices"
VOICE_PATH = f"{VOICES_PATH}/{VOICE_ID}"
