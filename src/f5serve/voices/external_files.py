"""Imports recordings that a person put into the store by hand, beside a transcript.

A record has the hashes of the files that it was made from, or that it replaced. Files with other
hashes are newer: they replace the voice. Modification times are not compared. Files may change
while they are read, so they are read until two readings agree.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final
from weakref import WeakValueDictionary

from f5serve.audio.decode import DecodeLimits
from f5serve.errors import BadAudio, InvalidRequest, KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import names
from f5serve.voices.caches import TtlCache
from f5serve.voices.names import ExternalFile, casefold
from f5serve.voices.records import Blob, ImportedFiles, VoiceRecord
from f5serve.voices.storage import VoiceBuilder, VoiceStorage, VoiceUpload
from f5serve.voices.transcripts import MAX_TRANSCRIPT_BYTES, decode_text

_log = logging.getLogger(__name__)

MAX_CHECKED: Final = 4_096
"""Names whose last check for changed files is remembered."""

MAX_SEARCHES: Final = 8
"""Concurrent searches for unknown names. If listings of the store hang, requests for voices that
do not exist must not take all threads from requests for voices that do."""

SEARCH_TIMEOUT_S: Final = 1.0
IMPORT_TIMEOUT_S: Final = 30.0
"""Longest wait for another thread that imports the same voice."""

_MAX_READS: Final = 4
_MAX_SAME_PREFIX: Final = 1_000  # "a." is also the prefix of "a.b.wav"


@dataclass(frozen=True, slots=True)
class FileContents:
    """A recording and its transcript as they were read; `text` is empty without a transcript."""

    audio: bytes
    text: bytes
    hashes: ImportedFiles


class ExternalFiles:
    """Imports the external files of a voice when the voice is asked for.

    Args:
        list_files: all external files, as of the last seconds.
        refresh_s: least time between two checks of one voice for changed files.
        missing_ttl_s: how long it is remembered that a name has no files.
    """

    def __init__(  # noqa: PLR0913 - wired once, by the library
        self,
        store: ObjectStore,
        storage: VoiceStorage,
        builder: VoiceBuilder,
        list_files: Callable[[], Sequence[StoredObject]],
        refresh_s: float,
        missing_ttl_s: float,
    ) -> None:
        self._store = store
        self._storage = storage
        self._builder = builder
        self._list_files = list_files
        self._refresh_s = refresh_s
        self._exists = TtlCache[bool](missing_ttl_s)
        self._searches = threading.BoundedSemaphore(MAX_SEARCHES)
        self._lock = threading.Lock()  # never held during a call of the store
        self._imports = WeakValueDictionary[str, threading.Lock]()
        self._checked: OrderedDict[str, float] = OrderedDict()  # least recently checked first
        self._rejected: dict[str, ImportedFiles] = {}  # of names in `_checked`

    def import_voice(self, name: str) -> VoiceRecord | None:
        """A record made from the files of a name; None if there are none, by two requests at most.

        Raises:
            InvalidRequest, BadAudio, StorageFailed: as `VoiceLibrary.get`; BUSY.
        """
        if self._exists.get(casefold(name)) is False:
            return None
        with self._search_slot():
            file = _best(self._list_spelling(name), name)
            file = file or _best(self._list_files(), name)  # in other capitals
        if file is None:
            self._exists.put(casefold(name), False)
            return None
        with self._import_lock(casefold(name)):
            record = self._storage.read(name)  # of the thread that had the lock before
            if record is not None:
                return record
            contents = _read_files(self._store, file)
            self._is_check_due(name)  # this was one
            return self._create(file, contents, None) if contents else None

    def exist(self, name: str) -> bool:
        """Whether there is a recording under this name, as it is spelled; one request."""
        with self._search_slot():
            return bool(_matching(self._list_spelling(name), name))

    def refresh(self, record: VoiceRecord) -> VoiceRecord:
        """The record, or a new one if its external files have changed.

        Files that cannot be used are logged once; the voice stays as it was.
        """
        if not self._is_check_due(record.name):
            return record
        contents = None
        try:
            contents = self._read_changed(record)
            if contents is None:
                return record
            _log.warning("the files of the voice %s were changed by hand", record.name)
            file = ExternalFile(record.name, contents.hashes.ending)
            return self._create(file, contents, record) or record
        except (BadAudio, InvalidRequest) as error:
            _log.warning("the files of %s are not used: %s", record.name, error.message)
            if contents is not None:
                self._rejected[casefold(record.name)] = contents.hashes
        except StorageFailed as error:
            _log.warning("the files of %s are not read: %s", record.name, error.message)
        return record

    def read_hashes(self, name: str) -> ImportedFiles | None:
        """Hashes of the files of a name, for a record that replaces them; None without files."""
        self._exists.evict(casefold(name))
        file = _best(self._list_spelling(name), name)
        contents = _read_files(self._store, file) if file else None
        return contents.hashes if contents else None

    def keys(self, name: str, record: VoiceRecord | None) -> list[str]:
        """The keys of all files of a voice, in any capitals."""
        spellings = {name, record.name if record else name, casefold(name)}
        listed = [*self._list_files()]
        for spelling in spellings:
            listed += self._list_spelling(spelling)
        there = {file.key for file in listed}
        # Listings may be late, so the likely names are looked up one by one.
        files = [*_matching(listed, name), *(ExternalFile(one, "wav") for one in spellings)]
        keys = {key for file in files for key in (file.audio_key, file.text_key)}
        return sorted(key for key in keys if key in there or self._store.exists(key))

    def _list_spelling(self, name: str) -> list[StoredObject]:
        """The files of a name as it is spelled; one request."""
        listed = self._store.list(f"{names.ROOT}{name}.", recursive=False)
        return list(islice(listed, _MAX_SAME_PREFIX))

    @contextlib.contextmanager
    def _search_slot(self) -> Iterator[None]:
        """One of the few concurrent searches.

        Raises:
            StorageFailed: BUSY, after waiting for one.
        """
        if not self._searches.acquire(timeout=SEARCH_TIMEOUT_S):
            raise StorageFailed(
                f"{MAX_SEARCHES} other names are being searched in the store.",
                code="BUSY",
                hint="Send it again in a few seconds.",
                retryable=True,
            )
        try:
            yield
        finally:
            self._searches.release()

    @contextlib.contextmanager
    def _import_lock(self, name: str) -> Iterator[None]:
        """A lock for one name; other names do not wait.

        Raises:
            StorageFailed: VOICE_CHANGING, if another thread has it for too long.
        """
        with self._lock:
            lock = self._imports.setdefault(name, threading.Lock())
        if not lock.acquire(timeout=IMPORT_TIMEOUT_S):
            raise StorageFailed(
                f"The files of the voice {name!r} are still being imported.",
                code="VOICE_CHANGING",
                hint="Try again in a moment.",
                retryable=True,
            )
        try:
            yield
        finally:
            lock.release()

    def _is_check_due(self, name: str) -> bool:
        """Whether a voice was not checked for `refresh_s`; if so, it counts as checked now."""
        now = time.monotonic()
        with self._lock:
            before = self._checked.get(casefold(name))
            if before is not None and now - before < self._refresh_s:
                return False
            self._checked[casefold(name)] = now
            self._checked.move_to_end(casefold(name))
            if len(self._checked) > MAX_CHECKED:
                self._rejected.pop(self._checked.popitem(last=False)[0], None)
            return True

    def _read_changed(self, record: VoiceRecord) -> FileContents | None:
        """The files of a voice with a transcript, if they are neither imported nor rejected."""
        extension = record.seen.ending if record.seen else "wav"
        for each in dict.fromkeys(("wav", extension)):
            contents = _read_files(self._store, ExternalFile(record.name, each), needs_text=True)
            if contents is not None:
                known = (record.seen, self._rejected.get(casefold(record.name)))
                return contents if contents.hashes not in known else None
        return None

    def _create(
        self, file: ExternalFile, contents: FileContents, before: VoiceRecord | None
    ) -> VoiceRecord | None:
        stable = _read_stable(self._store, file, contents)
        if stable is None:
            return None
        ref_text = decode_text(stable.text, f"The transcript {file.name}.txt")
        upload = VoiceUpload(file.name, stable.audio, ref_text)
        self._builder.check(upload, before)
        record, _ = self._builder.create(upload, before, stable.hashes)
        return record


def unimported_records(files: Iterable[StoredObject], known: Iterable[str]) -> list[VoiceRecord]:
    """Records of external recordings that were not imported yet; nothing is read.

    Args:
        files: a listing.
        known: case-folded names that have a record.
    """
    by_key = {file.key: file for file in files}
    found = [file for key in by_key if (file := names.parse_external_key(key))]
    taken = set(known)
    records = []
    for file in sorted(found, key=lambda file: (file.name, *_preference(file))):
        if casefold(file.name) in taken:
            continue
        taken.add(casefold(file.name))
        audio, text = by_key[file.audio_key], by_key.get(file.text_key)
        modified = audio.modified.isoformat(timespec="seconds")
        record = VoiceRecord(
            name=file.name,
            revision="",
            audio=Blob("", audio.size),
            text=Blob("", text.size) if text else None,
            created_at=modified,
            updated_at=modified,
            needs_review=text is None,
        )
        records.append(record)
    return records


def _read_files(
    store: ObjectStore, file: ExternalFile, needs_text: bool = False
) -> FileContents | None:
    """A recording and its transcript; None without a recording.

    Args:
        needs_text: None without a transcript too; the recording is not read then.
    """
    text = _get(store, file.text_key, MAX_TRANSCRIPT_BYTES)
    if text is None and needs_text:
        return None
    audio = _get(store, file.audio_key, DecodeLimits().max_bytes)
    if audio is None:
        return None
    text = text or b""
    audio_sha256, text_sha256 = (hashlib.sha256(data).hexdigest() for data in (audio, text))
    hashes = ImportedFiles(file.extension, audio_sha256, text_sha256)
    return FileContents(audio, text, hashes)


def _read_stable(
    store: ObjectStore, file: ExternalFile, contents: FileContents
) -> FileContents | None:
    """The files, once two readings agree; None if the recording is gone.

    Args:
        contents: the first reading.

    Raises:
        StorageFailed: code VOICE_CHANGING if no two readings agree.
    """
    for _ in range(_MAX_READS):
        again = _read_files(store, file)
        if again is None or again.hashes == contents.hashes:
            return again
        contents = again
    raise StorageFailed(
        f"The files of the voice {file.name!r} are being written.",
        code="VOICE_CHANGING",
        hint="Try again in a moment.",
        retryable=True,
    )


def _matching(files: Iterable[StoredObject], name: str) -> list[ExternalFile]:
    """The recordings of a name, in any capitals."""
    found = [file for entry in files if (file := names.parse_external_key(entry.key))]
    return [file for file in found if casefold(file.name) == casefold(name)]


def _best(files: Iterable[StoredObject], name: str) -> ExternalFile | None:
    """The recording of a name: in the same capitals if there is one, by preferred extension."""
    found = _matching(files, name)
    return min(found, key=lambda file: (file.name != name, *_preference(file)), default=None)


def _get(store: ObjectStore, key: str, max_bytes: int) -> bytes | None:
    try:
        return store.get(key, max_bytes)
    except KeyMissing:
        return None


def _preference(file: ExternalFile) -> tuple[int, str]:
    return names.AUDIO_EXTENSIONS.index(file.extension.lower()), file.extension
