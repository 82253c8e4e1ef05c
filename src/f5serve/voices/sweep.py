"""Recordings and words in the store that no voice refers to any more, and their removal.

A store flows in, what went flows out. A recording that was replaced, or whose voice was removed by
a process that died half-way, lies there without a record that names it. Two sweepers do no harm.
What voices are is not known here.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import names
from f5serve.voices.records import MAX_AUDIO_BYTES, MAX_RECORD_BYTES, VoiceRecord, load_record

_log = logging.getLogger(__name__)

GRACE_S: Final = 3_600.0
"""Younger recordings stay, and those of a voice that was changed since: somebody may be about to
read or to name them."""

_BLOB = re.compile(r"([^/]+)/([0-9a-f]{64})\.(wav|txt)")


@dataclass(slots=True)
class SweptVoices:
    """What went, or would go: files of recordings and words, and their bytes."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """How to sweep.

    Attributes:
        grace_s: see GRACE_S.
        dry_run: count only.
        on_file: told the key of each file that goes.
        should_stop: asked before each voice.
    """

    grace_s: float = GRACE_S
    dry_run: bool = False
    on_file: Callable[[str], None] | None = None
    should_stop: Callable[[], bool] = lambda: False


def sweep_blobs(
    store: ObjectStore, known: Mapping[str, VoiceRecord], options: SweepOptions
) -> SweptVoices:
    """Remove what no record has referred to for the time of grace.

    Costs a listing of all records and all recordings. A sweep that is cut short leaves nothing
    wrong; the next one goes on.

    Args:
        known: all records by folded name, as of now.

    Raises:
        StorageFailed: the store's own code.
    """
    swept = SweptVoices()
    before = store.now() - options.grace_s
    changed = {
        name: entry.modified.timestamp()
        for entry in store.list(names.RECORDS)
        if (name := names.name_of_record(entry.key))
    }
    for name, blobs in _by_name(store).items():
        if options.should_stop():
            return swept
        if name in changed and (name not in known or changed[name] >= before):
            continue  # its record cannot be read, or was changed a moment ago
        named = _named_by(known.get(name))
        old = [b for b in blobs if b.key not in named and b.modified.timestamp() < before]
        try:
            for blob in old:
                _sweep_one(store, name, blob, swept, options)
        except StorageFailed as error:
            _log.warning("the recordings of %s are not swept: %s", name, error.message)
    return swept


def _sweep_one(
    store: ObjectStore, name: str, blob: StoredObject, swept: SweptVoices, options: SweepOptions
) -> None:
    """Remove a blob; whoever named it at that very moment gets it back."""
    if blob.key in _named_by(_read(store, name)):
        return
    if not options.dry_run:
        try:
            data = store.get(blob.key, MAX_AUDIO_BYTES)
        except KeyMissing:  # another sweeper was faster
            return
        store.delete(blob.key)
        if blob.key in _named_by(_read(store, name)):
            store.put(blob.key, data, "audio/wav" if blob.key.endswith(".wav") else "text/plain")
            return
    swept.files += 1
    swept.bytes += blob.size
    if options.on_file is not None:
        options.on_file(blob.key)


def _by_name(store: ObjectStore) -> dict[str, list[StoredObject]]:
    """The blobs in the store by the folded name of their voice."""
    found: defaultdict[str, list[StoredObject]] = defaultdict(list)
    for entry in store.list(names.BLOBS):
        match = _BLOB.fullmatch(entry.key.removeprefix(names.BLOBS))
        if match:
            found[match[1]].append(entry)
    return dict(sorted(found.items()))


def _named_by(record: VoiceRecord | None) -> set[str]:
    if record is None:
        return set()
    keys = {names.audio_key(record.name, record.audio.sha256)}
    return keys | {names.text_key(record.name, record.text.sha256)} if record.text else keys


def _read(store: ObjectStore, name: str) -> VoiceRecord | None:
    try:
        return load_record(name, store.get(names.record_key(name), MAX_RECORD_BYTES))
    except KeyMissing:
        return None
