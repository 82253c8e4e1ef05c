"""Voices of the library as ElevenLabs shows them; searches, new names, joined recordings."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.http.elevenlabs.schemas import ElevenLabsVoice
from f5serve.http.errors import BadField
from f5serve.http.voice_schemas import Voice
from f5serve.types import MAX_REFERENCE_S, SAMPLE_RATE, Wave, s_to_samples
from f5serve.voices.catalog import MAX_PAGE
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import DEFAULT_NAME, MAX_NAME_CHARS, casefold
from f5serve.voices.records import VoiceRecord

Category = Literal["premade", "cloned", "generated", "professional", "famous", "high_quality"]
VoiceType = Literal["personal", "community", "default", "workspace", "non-default", "saved",
                    "non-community"]  # fmt: skip

JOIN_S = 0.4
"""Silence between joined recordings: a pause, in which the whole may be cut."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_TOKEN = re.compile(r"([\w:.+-]{1,40})~([\w.-]{1,64})", re.ASCII)
_MAX_SAME = 1_000


def show_voice(voice: Voice, server: str, voice_id: str = "", name: str = "") -> ElevenLabsVoice:
    """A voice as ElevenLabs shows it.

    Args:
        server: its URL, without a slash at the end.
        voice_id, name: by which it was asked for; "" for its own.
    """
    return ElevenLabsVoice(
        voice_id=voice_id or voice.id,
        name=name or voice.name,
        category="premade" if voice.builtin else "cloned",
        labels={"language": voice.language} if voice.language else {},
        preview_url=f"{server}/v1/audio/voices/{voice.id}/sample",
        created_at_unix=voice.created_at or None,
        is_owner=not voice.builtin,
    )


def _each_record(voices: VoiceLibrary) -> Iterator[VoiceRecord]:
    """All voices of the library in the order of their names; blocks."""
    after, has_more = "", True
    while has_more:
        page = voices.page(after, MAX_PAGE)
        yield from page.records
        has_more = page.has_more and bool(page.records)
        after = page.records[-1].name if page.records else ""


class Candidate(NamedTuple):
    """A voice that a search looks at; `record` is None for the one that comes with f5serve."""

    id: str
    language: str
    created_at: str
    record: VoiceRecord | None


def each_candidate(voices: VoiceLibrary) -> Iterator[Candidate]:
    """All voices; blocks."""
    builtin = voices.get(None)
    yield Candidate(DEFAULT_NAME, builtin.language, "", None)
    for record in _each_record(voices):
        yield Candidate(record.voice, record.language, record.created_at, record)


@dataclass(frozen=True, slots=True)
class VoiceSearch:
    """Which voices are wanted, and in which order.

    Attributes:
        token: `next_token` of the page before; "" for the first.
    """

    text: str = ""
    category: Category | None = None
    voice_type: VoiceType | None = None
    language: str = ""
    ids: frozenset[str] = frozenset()
    by_time: bool = False
    descending: bool = False
    token: str = ""

    def find(self, found: Iterable[Candidate]) -> list[Candidate]:
        """Those that are wanted, in order."""
        wanted = [voice for voice in found if self._has(voice)]
        return sorted(wanted, key=self._key, reverse=self.descending)

    def page(self, wanted: Sequence[Candidate], size: int) -> tuple[Sequence[Candidate], str]:
        """The page that the token begins, and the token of the next; "" for the last.

        Raises:
            BadField: BAD_CURSOR.
        """
        start = 0
        if self.token:
            begins_behind = self._read_token()
            is_behind = _greater if not self.descending else _less
            start = sum(not is_behind(self._key(voice), begins_behind) for voice in wanted)
        shown = wanted[start : start + size]
        if start + size >= len(wanted):
            return shown, ""
        rank, name = self._key(shown[-1])
        return shown, f"{rank}~{name}"

    def _has(self, voice: Candidate) -> bool:
        is_builtin = voice.record is None
        category = "premade" if is_builtin else "cloned"
        kinds = ("default", "saved") if is_builtin else (
            "personal", "workspace", "non-default", "saved", "non-community")  # fmt: skip
        language = voice.language.partition("-")[0].lower()
        return (
            (not self.text or casefold(self.text) in casefold(voice.id))
            and self.category in (None, category)
            and (self.voice_type is None or self.voice_type in kinds)
            and (not self.language or self.language.lower() == language)
            and (not self.ids or voice.id in self.ids)
        )

    def _key(self, voice: Candidate) -> tuple[str, str]:
        if self.by_time:  # ISO 8601 in UTC sorts as the times do
            return voice.created_at or "0", casefold(voice.id)
        return "0" if voice.record is None else "1", casefold(voice.id)

    def _read_token(self) -> tuple[str, str]:
        found = _TOKEN.fullmatch(self.token)
        if found is None:
            raise BadField(
                f"next_page_token is {self.token[:40]!r}.",
                code="BAD_CURSOR",
                hint="Send the one that the page before has, or none for the first page.",
                param="next_page_token",
            )
        return found[1], found[2]


def _greater(left: tuple[str, str], right: tuple[str, str]) -> bool:
    return left > right


def _less(left: tuple[str, str], right: tuple[str, str]) -> bool:
    return left < right


def name_to_id(name: str, is_taken: Callable[[str], bool]) -> str:
    """A name of the library for a name in any words, such as "Ana-Perez" for "Ana Pérez".

    Args:
        is_taken: whether there is a voice of a name; then a number is added.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    base = _NOT_IN_NAMES.sub("-", plain).strip("-._")[: MAX_NAME_CHARS - 5] or "voice"
    names = (base, *(f"{base}-{number}" for number in range(2, _MAX_SAME)))
    return next((one for one in names if not is_taken(one)), base)


def is_name_of(name: str, voice_id: str) -> bool:
    """Whether `name_to_id` may have made this id of the name."""
    base = name_to_id(name, lambda _: False)
    return re.fullmatch(rf"{re.escape(base)}(-\d+)?", voice_id, re.IGNORECASE) is not None


def read_labels(labels: str) -> dict[str, str]:
    """The labels of a form, an object of texts; empty for none.

    Raises:
        BadField: BAD_OPTION.
    """
    try:
        read = json.loads(labels or "null")
    except (ValueError, RecursionError):
        read = labels
    if read is None:
        return {}
    if not isinstance(read, dict) or not all(isinstance(one, str) for one in read.values()):
        raise BadField(
            f"labels is {labels[:40]!r}.",
            code="BAD_OPTION",
            hint='It takes a JSON object of texts, such as {"language": "en"}.',
            param="labels",
        )
    return read


def join_recordings(recordings: Sequence[bytes]) -> bytes:
    """One recording of several, in their order, as far as a reference reaches; blocks.

    Raises:
        BadAudio: as `decode`.
    """
    if len(recordings) == 1:
        return recordings[0]
    pause = np.zeros(s_to_samples(JOIN_S), np.float32)
    parts: list[np.ndarray] = []
    samples = 0
    for recording in recordings:
        wave = decode(recording)
        parts += [wave.samples] if not parts else [pause, wave.samples]
        samples += len(wave.samples)
        if samples >= s_to_samples(MAX_REFERENCE_S):
            break
    return encode(Wave(np.concatenate(parts), SAMPLE_RATE), "wav")
