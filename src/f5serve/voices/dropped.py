"""Recordings that a person put into the store by hand, beside a transcript.

A store and a name flow in, the bytes and words of both files flow out. They may change at any
moment, so they are believed once two looks have seen the same. What becomes of them is not known
here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from f5serve.audio.decode import DecodeLimits
from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import names
from f5serve.voices.names import Dropped
from f5serve.voices.records import Blob, Seen, VoiceRecord
from f5serve.voices.transcripts import MAX_TRANSCRIPT_BYTES, decode_text

_LOOKS = 4
_MAX_BESIDE = 1_000  # "a." is the beginning of "a.b.wav", too


@dataclass(frozen=True, slots=True)
class DroppedFiles:
    """Both files as they were read; `text` is empty when there is no transcript."""

    name: str
    audio: bytes
    text: bytes
    seen: Seen

    @property
    def ref_text(self) -> str:
        """The transcript.

        Raises:
            InvalidRequest: code NOT_TEXT.
        """
        return decode_text(self.text, f"The transcript {self.name}.txt")


def beside(store: ObjectStore, name: str) -> list[StoredObject]:
    """The files of one name as it is spelled here; one request, however many voices there are."""
    return list(islice(store.list(f"{names.ROOT}{name}.", deep=False), _MAX_BESIDE))


def look(store: ObjectStore, dropped: Dropped, needs_text: bool = False) -> DroppedFiles | None:
    """Both files as they are at this moment; None without a recording.

    Args:
        needs_text: None without a transcript as well, and the recording is not read then.
    """
    text = _read(store, dropped.text_key, MAX_TRANSCRIPT_BYTES)
    if text is None and needs_text:
        return None
    audio = _read(store, dropped.audio_key, DecodeLimits().max_bytes)
    if audio is None:
        return None
    text = text or b""
    heard, read = (hashlib.sha256(data).hexdigest() for data in (audio, text))
    return DroppedFiles(dropped.name, audio, text, Seen(dropped.ending, heard, read))


def look_again(
    store: ObjectStore, dropped: Dropped, first: DroppedFiles | None
) -> DroppedFiles | None:
    """Both files, once they are the same as at the look before.

    Raises:
        StorageFailed: code VOICE_CHANGING when they never are.
    """
    for _ in range(_LOOKS):
        again = look(store, dropped)
        if again is None or (first is not None and again.seen == first.seen):
            return again
        first = again
    raise StorageFailed(
        f"The files of the voice {dropped.name!r} are being written.",
        code="VOICE_CHANGING",
        hint="Try again in a moment.",
        retryable=True,
    )


def find(entries: Iterable[StoredObject], name: str) -> Dropped | None:
    """The recording for a name, however its capitals are written; wav goes before other formats."""
    found = find_all(entries, name)
    return min(found, key=lambda item: (item.name != name, *_preference(item)), default=None)


def find_all(entries: Iterable[StoredObject], name: str) -> list[Dropped]:
    """As `find`, all of them."""
    found = [item for entry in entries if (item := names.read_dropped(entry.key))]
    return [item for item in found if names.fold(item.name) == names.fold(name)]


def unrecorded(entries: Iterable[StoredObject], known: Iterable[str]) -> list[VoiceRecord]:
    """A record for each recording whose folded name is not among `known`; nothing is read."""
    by_key = {entry.key: entry for entry in entries}
    found = [item for key in by_key if (item := names.read_dropped(key))]
    taken = set(known)
    records = []
    for item in sorted(found, key=lambda item: (item.name, *_preference(item))):
        if names.fold(item.name) not in taken:
            taken.add(names.fold(item.name))
            records.append(_unread(item, by_key))
    return records


def _read(store: ObjectStore, key: str, max_bytes: int) -> bytes | None:
    try:
        return store.get(key, max_bytes)
    except KeyMissing:
        return None


def _unread(item: Dropped, entries: dict[str, StoredObject]) -> VoiceRecord:
    audio, text = entries[item.audio_key], entries.get(item.text_key)
    modified = audio.modified.isoformat(timespec="seconds")
    return VoiceRecord(
        name=item.name,
        revision="",
        audio=Blob("", audio.size),
        text=Blob("", text.size) if text else None,
        created_at=modified,
        updated_at=modified,
        needs_review=text is None,
    )


def _preference(item: Dropped) -> tuple[int, str]:
    return names.AUDIO_ENDINGS.index(item.ending.lower()), item.ending
