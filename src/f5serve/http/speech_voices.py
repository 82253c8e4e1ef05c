"""Which voice of the library a request means: names of OpenAI's stand for others.

A name flows in, the name to ask `tts` for flows out. A voice of the library always wins over what
its name stands for. Whether any other name is a voice is found out when it is spoken in.
"""

from __future__ import annotations

from f5serve.errors import InvalidRequest
from f5serve.http.service import Service
from f5serve.setting_values import read_pairs
from f5serve.voices.names import casefold, is_url

OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx"),
    *("nova", "sage", "shimmer", "verse", "marin", "cedar"),
)
OTHERS = "*"
"""In F5_OPENAI_VOICES: those of OpenAI's names that it does not tell."""


async def resolve(service: Service, name: str) -> str:
    """The voice that a request means by this name.

    Raises:
        InvalidRequest: BAD_VOICE_NAME for a URL; or as `VoiceLibrary.has`.
    """
    if is_url(name):
        raise InvalidRequest(
            f"{name[:80]!a} is a URL, which the voice of /v1/audio/speech cannot be.",
            code="BAD_VOICE_NAME",
            hint="Upload the recording to /v1/audio/voices, or give the URL to /v1/jobs.",
        )
    stands_for = meaning(service.settings.openai_voices, name)
    if stands_for is None:
        return name
    found = await service.operations.pools.voices.run(service.voices.exists, name)
    return name if found else stands_for


def meaning(pairs: str, name: str) -> str | None:
    """What a name stands for by F5_OPENAI_VOICES, where no voice of the library has it."""
    named = {casefold(key): voice for key, voice in read_pairs(pairs).items()}
    others = named.pop(OTHERS, None)
    return named.get(casefold(name), others if casefold(name) in OPENAI_VOICES else None)
