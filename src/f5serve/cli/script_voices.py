"""The voices of a script file, by the names that tags in its text have for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from f5serve.cli.script_file import ScriptFile
from f5serve.errors import F5Error, InvalidRequest
from f5serve.text.script import MAIN, VoiceNames
from f5serve.text.script_parser import PAUSES_S
from f5serve.types import Voice

PAUSE_TAGS = tuple(PAUSES_S)
"""Words in brackets that are no voice."""

MAX_NAMES = 1_000
"""Different words in brackets of one text; for each the voices may have to be searched."""

_NAMED = 5
_TAG = re.compile(r"(?<!\\)\[(voice:)?(\w{1,64}+)\]")

Prepare = Callable[[str, Path, str], Voice]
"""Name, recording and transcript, which may be "", to a voice."""


class VoiceSource(VoiceNames, Protocol):
    """Voices that tags may name, and the voices themselves."""

    def get(self, voice: str, style: str) -> Voice:
        """The voice of a name and style that `styles` knows; "" as there."""
        ...


class ScriptVoices:
    """The voices of a script file, then those of a library; each is prepared once, when needed.

    Args:
        main: the voice of the request, which tags call main.
        prepare: makes a voice of a recording.
        library: voices for names that the file does not have.
    """

    def __init__(
        self, file: ScriptFile, main: Voice, prepare: Prepare, library: VoiceSource | None = None
    ) -> None:
        self._file = file
        self._main = main
        self._prepare = prepare
        self._library = library
        self._entries = {entry.name.casefold(): entry for entry in file.voices}
        self._prepared: dict[str, Voice] = {}

    def styles(self, voice: str) -> frozenset[str] | None:
        """As `VoiceNames.styles`; recordings of a file have no styles but the one they are in."""
        if _is_main(voice) or voice.casefold() in self._entries:
            return frozenset()
        return self._library.styles(voice) if self._library else None

    def similar(self, voice: str) -> Sequence[str]:
        """As `VoiceNames.similar`; names of the file come first."""
        spelled = {name: entry.name for name, entry in self._entries.items()} | {MAIN: MAIN}
        near = difflib.get_close_matches(voice.casefold(), spelled, 3)
        found = [spelled[name] for name in near]
        return [*found, *(self._library.similar(voice) if self._library else ())]

    def speed(self, voice: str) -> float | None:
        """The speed that the file gives a voice; None leaves it to the request."""
        entry = self._entries.get(voice.casefold())
        return entry.speed if entry else None

    def get(self, voice: str, style: str = "") -> Voice:
        """The voice of a name: of the file, else of the library.

        Raises:
            InvalidRequest: UNKNOWN_VOICE, UNKNOWN_STYLE, or as `prepare_voice`.
            BadAudio: as `prepare_voice`, naming the voice.
        """
        entry = self._entries.get(voice.casefold())
        if not (_is_main(voice) or entry) and self._library:
            return self._library.get(voice, style)
        if style:
            raise InvalidRequest(
                f"The voice {voice or MAIN} of {self._file.source.name} has no style {style!r}.",
                code="UNKNOWN_STYLE",
                hint="Give each style of a speaker a table of its own: [voices.NAME].",
            )
        if _is_main(voice):
            return self._main
        if entry is None:
            raise InvalidRequest(
                f"{self._file.source.name} has no voice {voice!r}.",
                code="UNKNOWN_VOICE",
                hint=f"It has {', '.join(e.name for e in self._file.voices) or 'main alone'}.",
            )
        if entry.name not in self._prepared:
            try:
                made = self._prepare(entry.name, entry.ref_audio, entry.ref_text)
            except F5Error as error:
                error.message = f"Voice {entry.name}: {error.message}"
                raise
            self._prepared[entry.name] = made
        return self._prepared[entry.name]


def _is_main(voice: str) -> bool:
    return voice.casefold() in ("", MAIN)


def leave_out_unknown(text: str, voices: VoiceNames) -> tuple[str, tuple[str, ...]]:
    """The text without `[word]` for words that are neither a voice nor a style nor a pause.

    Upstream speaks no words in brackets. It goes on with main behind an unknown one, which is
    seldom meant: here the voice stays.

    Returns:
        The text, and a warning for words that were left out.

    Raises:
        InvalidRequest: TOO_MANY_TAGS.
    """
    tags = list(dict.fromkeys(match.groups() for match in _TAG.finditer(text)))
    if len(tags) > MAX_NAMES:
        raise InvalidRequest(
            f"The text has {len(tags):,} different words in brackets.",
            code="TOO_MANY_TAGS",
            hint=f"{MAX_NAMES:,} are the most; write \\[ for a bracket that is no tag.",
        )
    found = {word: voices.styles(word) for _, word in tags if word.casefold() not in PAUSE_TAGS}
    known = frozenset(voices.styles("") or ()).union(*filter(None, found.values()))
    unknown = [
        word
        for prefix, word in tags
        if not prefix and word in found and found[word] is None and word.casefold() not in known
    ]

    def keep(match: re.Match[str]) -> str:
        return "" if not match[1] and match[2] in unknown_words else match[0]

    unknown_words = frozenset(unknown)
    warnings = [_warning(word, voices) for word in unknown[:_NAMED]]
    if len(unknown) > _NAMED:
        warnings.append(f"{len(unknown) - _NAMED} more words in brackets are not spoken.")
    return _TAG.sub(keep, text), tuple(warnings)


def _warning(word: str, voices: VoiceNames) -> str:
    near = voices.similar(word)
    meant = f" Did you mean [{near[0]}]?" if near else ""
    return f"[{word}] is no voice and is not spoken.{meant}"
