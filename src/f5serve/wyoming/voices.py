"""What `describe` is answered with: the voices of the library, their styles and languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from f5serve import __version__
from f5serve.models.own_models import known_models
from f5serve.service import SpeechService
from f5serve.settings import Settings
from f5serve.text.language import canonical_tag
from f5serve.voices.catalog import MAX_PAGE
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import DEFAULT_NAME, casefold

LANGUAGES = ("en",)
"""Of models whose languages are not known; the stand-in speaker is one."""

URL = "https://github.com/SWivid/F5-TTS"

MAX_VOICES = MAX_PAGE
"""Most voices of an answer; others can be asked for by name all the same."""

VoiceList = Sequence[tuple[str, str, Sequence[str]]]
"""Name, BCP 47 tag or "", and styles of each voice."""


async def describe(
    operations: SpeechService, voices: VoiceLibrary, settings: Settings
) -> dict[str, Any]:
    """The data of the event `info`.

    Raises:
        F5Error: the voices cannot be listed.
    """
    found = await operations.work("list_voices", list_voices, voices)
    model = str(operations.model.get("name") or "")
    is_standin = operations.model.get("engine") == "standin"
    known = await operations.work(
        "list_models", languages_of, model or settings.model, is_standin, settings
    )
    program = {
        **_artifact("f5serve", f"Voice cloning, {model}" if model else "Voice cloning"),
        "voices": [_voice(name, tag, styles, known) for name, tag, styles in found],
        "supports_synthesize_streaming": True,
    }
    empty = dict.fromkeys(("asr", "handle", "intent", "wake", "mic", "snd"), ())
    return {"tts": [program], **empty}


def list_voices(voices: VoiceLibrary) -> VoiceList:
    """The voices of an answer; the one that comes with f5serve is the first. Blocks.

    Raises:
        StorageFailed: the store's own code.
    """
    styles = voices.all_styles()
    records = voices.page("", MAX_VOICES - 1).records
    return [
        (DEFAULT_NAME, "", ()),
        *((one.voice, one.language, styles.get(casefold(one.voice), ())) for one in records),
    ]


def voice_for(language: str, voices: VoiceLibrary) -> str:
    """The first voice of a language, else the default one; blocks.

    Args:
        language: as `canonical_tag` returns them.

    Raises:
        StorageFailed: the store's own code.
    """
    found = [(name, tag) for name, tag, _ in list_voices(voices) if tag]
    exact = [name for name, tag in found if tag == language]
    near = [name for name, tag in found if _base(tag) == _base(language)]
    return next(iter((*exact, *near)), DEFAULT_NAME)


def languages_of(model: str, is_standin: bool, settings: Settings) -> tuple[str, ...]:
    """Languages that a model speaks, ISO 639-1. Blocks."""
    registered = {spec.id: spec.languages for spec in known_models(settings).models}
    return LANGUAGES if is_standin else registered.get(model) or LANGUAGES


def tag_of(language: str) -> str:
    """A BCP 47 tag for a language as clients name it: `en_US`, `en-us` or `en`.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    return canonical_tag(language.replace("_", "-"))


def _voice(name: str, tag: str, styles: Sequence[str], known: Sequence[str]) -> Mapping[str, Any]:
    speakers = [{"name": style} for style in styles]
    return {
        **_artifact(name, name),
        "languages": [tag] if tag else list(known),
        "speakers": speakers or None,
    }


def _artifact(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "attribution": {"name": "F5-TTS", "url": URL},
        "installed": True,
        "description": description,
        "version": __version__,
    }


def _base(tag: str) -> str:
    return tag.partition("-")[0]
