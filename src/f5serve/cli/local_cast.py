"""Voices of a script that is spoken here: of a script file, the stand-in, the library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from f5serve.cli.script_voices import ScriptVoices
from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import own_voice, voice_names
from f5serve.settings import Settings
from f5serve.synthesis.script_request import (
    CastScript,
    CastVoice,
    ScriptSyntax,
    cast_text,
)
from f5serve.text.language import canonical_tag
from f5serve.text.lexicon import Lexicon
from f5serve.text.lexicon_files import MAX_FILE_BYTES, read_lexicon
from f5serve.text.lexicon_rules import LexiconRule
from f5serve.text.spoken import unnormalized_kinds
from f5serve.types import Voice
from f5serve.voices.bulk_import import read_file
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.prepare import default_voice


class LocalCast:
    """A `Cast`.

    Args:
        speaker: what the request calls its voice.
        main: that voice.
        has_standin: whether names of the stand-in's voices are voices.
        open_library: called once, if the library is needed.
        rules: the lexicon of a voice by its name; None for one without a name.
        reading: the kinds of text normalization that are not used for texts in a voice.
        file: voices of a script file, which come first.
    """

    def __init__(  # noqa: PLR0913 - wired once, by each command
        self,
        speaker: str,
        main: Voice,
        has_standin: bool,
        open_library: Callable[[], VoiceLibrary],
        rules: Callable[[str | None], Lexicon],
        reading: Callable[[Voice], frozenset[str]],
        file: ScriptVoices | None = None,
    ) -> None:
        self._speaker = speaker
        self._main = main
        self._has_standin = has_standin
        self._open_library = open_library
        self._rules = rules
        self._reading = reading
        self._file = file

    @cached_property
    def _library(self) -> VoiceLibrary:
        return self._open_library()

    def styles(self, voice: str) -> frozenset[str] | None:
        """As `VoiceNames.styles`."""
        name = voice or self._speaker
        if not voice and self._main.name != name:  # a recording
            return frozenset()
        if voice and self._file is not None and (found := self._file.styles(voice)) is not None:
            return found
        if self._has_standin and name in voice_names():
            return frozenset()
        try:
            return frozenset(self._library.styles(name)) if self._library.exists(name) else None
        except InvalidRequest:  # no name of a voice
            return None

    def similar(self, voice: str) -> Sequence[str]:
        """As `VoiceNames.similar`."""
        of_file = self._file.similar(voice) if self._file is not None else ()
        return [*of_file, *self._library.similar_names(voice)]

    def load(self, voice: str, style: str) -> CastVoice:
        """As `Cast.load`."""
        found = self._find(voice, style)
        name = (voice or self._speaker) if found.name == (voice or self._speaker) else None
        speed = None if self._file is None else self._file.speed(voice)
        return CastVoice(found, self._rules(name), self._reading(found), speed)

    def _find(self, voice: str, style: str) -> Voice:
        if not voice and style in ("", self._main.style):
            return self._main
        if voice and self._file is not None and self._file.styles(voice) is not None:
            return self._file.get(voice, style)
        if self._has_standin and voice in voice_names():
            return own_voice(voice, default_voice())
        return self._library.get(voice or self._speaker, style)


def local_cast(  # noqa: PLR0913 - all that finds voices
    args: argparse.Namespace,
    settings: Settings,
    voice: Voice,
    open_library: Callable[[], VoiceLibrary],
    has_standin: bool = False,
    file: ScriptVoices | None = None,
) -> LocalCast:
    """The voices that tags of a text may name; `voice` is the one of the request."""
    return LocalCast(
        *(args.voice, voice, has_standin, open_library),
        rules=lambda name: read_rules(args, settings, name),
        reading=lambda one: reading_of(args, one, settings),
        file=file,
    )


def read_parts(
    args: argparse.Namespace, text: str, cast: LocalCast, settings: Settings, speed: float
) -> CastScript:
    """The parts of a text with their voices; none where it has no tag.

    Raises:
        F5Error: as `cast_text`.
    """
    syntax = ScriptSyntax(args.markup, args.ssml, speed)
    return cast_text(text, cast, syntax, settings.max_text_chars)


def reading_of(args: argparse.Namespace, voice: Voice, settings: Settings) -> frozenset[str]:
    """Kinds of text normalization that are not used for texts in a voice."""
    return unnormalized_kinds(args.normalize or voice.normalize or settings.normalize)


def named_voice(args: argparse.Namespace) -> str | None:
    """The name of the voice, which may have a lexicon; None for a recording."""
    return None if Path(args.voice).is_file() else str(args.voice)


def read_reading(args: argparse.Namespace, voice: Voice, settings: Settings) -> dict[str, Any]:
    """How the text is read: options of the command line, then the voice, then the settings."""
    language = canonical_tag(args.language) if args.language else ""
    return {"language": language, "unnormalized": reading_of(args, voice, settings)}


def read_rules(args: argparse.Namespace, settings: Settings, voice: str | None) -> Lexicon:
    """Rules of pronunciation: of --lexicon, then of the voice, then of the library."""
    from f5serve.store.config import open_store
    from f5serve.voices.lexicons import LexiconLibrary
    from f5serve.voices.libraries import open_library

    own = Lexicon(read_rule_file(args.lexicon))
    library = open_library(settings, open_store(settings))
    stored = LexiconLibrary(library.store, library, voice_names()).for_voice(voice)
    for warning in stored.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return own.over(stored.lexicon)


def read_rule_file(path: str | None) -> tuple[LexiconRule, ...]:
    """The rules of --lexicon, a file in JSON or PLS; none without it."""
    return read_lexicon(read_file(Path(path), MAX_FILE_BYTES)) if path else ()
