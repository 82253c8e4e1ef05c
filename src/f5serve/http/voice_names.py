"""What a name in a request means: a voice of the library, or OpenAI's name for a voice.

A name of OpenAI's is a voice of the library, else what F5_OPENAI_VOICES says, else a voice of the
engine, else the default voice. Names are not spread over a library by themselves: one would change
its voice whenever another voice is added, and a clone would speak that was not asked for.
"""

from __future__ import annotations

from functools import lru_cache

from f5serve.errors import InvalidRequest
from f5serve.http.state import AppState
from f5serve.settings import read_pairs
from f5serve.voices.names import DEFAULT_NAME, casefold, is_url

OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx"),
    *("nova", "sage", "shimmer", "verse", "marin", "cedar"),
)

OTHERS = "*"
"""In F5_OPENAI_VOICES: all other names of OpenAI's."""


async def resolve_voice(state: AppState, name: str) -> str:
    """The voice that a request means by this name.

    Raises:
        InvalidRequest: BAD_VOICE_NAME for a URL; or as `VoiceLibrary.exists`.
        F5Error: as `SpeechService.ready`, for a name of OpenAI's.
    """
    if is_url(name):
        raise InvalidRequest(
            f"{name[:80]!a} is a URL; /v1/audio/speech takes the name of a voice.",
            code="BAD_VOICE_NAME",
            hint="Send the URL as ref_audio, or upload the recording to /v1/audio/voices.",
        )
    pairs = state.settings.openai_voices
    stands_for = alias_of(pairs, name)
    has_own = not pairs and casefold(name) in OPENAI_VOICES
    if stands_for is None and not has_own:
        return name
    if await state.operations.pools.voices.run(state.voices.exists, name):
        return name
    if stands_for is None:  # which it is, only the model says
        engine = await state.operations.ready()
        stands_for = casefold(name) if casefold(name) in engine.voices else DEFAULT_NAME
    return stands_for


@lru_cache(maxsize=256)
def alias_of(pairs: str, name: str) -> str | None:
    """What a name stands for by F5_OPENAI_VOICES, where no voice of the library has it."""
    named = {casefold(key): voice for key, voice in read_pairs(pairs).items()}
    others = named.pop(OTHERS, None)
    return named.get(casefold(name), others if casefold(name) in OPENAI_VOICES else None)
