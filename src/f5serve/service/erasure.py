"""Removes a voice with everything that was made with it.

    the voice -> its consents -> jobs/ read one by one -> jobs with this voice -> cache/ likewise

Nothing in the store lists jobs by voice, so every job and cache entry is read. This takes long
where there are many; `on_progress` tells how far it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from f5serve.errors import InvalidRequest
from f5serve.jobs.history import JobIndex
from f5serve.jobs.pending import entry_key
from f5serve.jobs.record_reader import RecordReader
from f5serve.jobs.records import JobRecords, Record, Status, record_key, resolve_status
from f5serve.jobs.retention import CACHE_ENTRY, deletion_order
from f5serve.jobs.schema import CACHED, DONE, STATE
from f5serve.service.book_store import BookStore
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.store.namespace import tenant_names, tenant_store
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import (
    VoiceNotFound,
    casefold,
    check_name,
    is_public,
    own_name,
    public_name,
)

T = TypeVar("T")

OnProgress = Callable[[int, int], None]
"""Told how many jobs were looked at, and how many of them went."""

_AT_A_TIME: Final = 8
_BATCH: Final = 500
_OF_A_JOB = re.compile(r"jobs/([^/]+)/[^/]+")


@dataclass(slots=True)
class ErasureReport:
    """What went.

    Attributes:
        voice: whether there was a voice of that name.
        consents: recorded ones, that no other voice names.
        jobs, cache_entries: that were made in it.
        books: whose utterances and files were removed; their texts stay.
        files: of these jobs and entries, results among them.
        bytes: of these files.
        at_work: jobs in it that are being made now and were left; ask again when they have ended.
        unreadable: jobs whose voice is unknown, as their records cannot be read.
    """

    voice: bool = False
    consents: int = 0
    jobs: int = 0
    cache_entries: int = 0
    books: int = 0
    files: int = 0
    bytes: int = 0
    at_work: int = 0
    unreadable: int = 0


def erase_voice(
    voices: VoiceLibrary,
    store: ObjectStore,
    name: str,
    on_progress: OnProgress = lambda looked, went: None,
    shared: ObjectStore | None = None,
) -> ErasureReport:
    """Remove a voice, its consents and every result that was made with it.

    Results of a voice that was removed before are found, too. An erasure that is cut short leaves
    nothing wrong: ask again.

    Args:
        shared: for a voice of the tenant `public`, the whole store: results that other tenants
            have made with it go as well.

    Raises:
        InvalidRequest: as `VoiceLibrary.delete`; VOICE_NOT_FOUND where there is no result either.
        StorageFailed: the store's own code.
    """
    erased = ErasureReport()
    missing: VoiceNotFound | None = None
    try:
        voices.delete(name)
        erased.voice = True
    except VoiceNotFound as error:
        missing = error
    erased.consents = voices.consents.delete_unused(check_name(name))
    _Eraser(store, casefold(check_name(name)), erased).run(on_progress)
    if shared is not None:
        name = public_name(casefold(check_name(name)))
        for tenant in ("", *tenant_names(shared)):
            _Eraser(tenant_store(shared, tenant), name, erased).run(on_progress)
    made = erased.jobs or erased.cache_entries or erased.books or erased.at_work
    if missing is not None and not (made or erased.consents):
        raise missing
    voices.collect_garbage()  # the index of voices still names it
    return erased


class _Eraser:
    """One run over one store, for one folded name."""

    def __init__(self, store: ObjectStore, name: str, erased: ErasureReport) -> None:
        self._store = store
        self._reader = RecordReader(store)
        self._name = name
        self._erased = erased
        self._now = store.now()
        self._indexed: dict[str, list[StoredObject]] = {}

    def run(self, on_progress: OnProgress) -> None:
        erased, looked = self._erased, 0
        for job, key in JobIndex(self._store).all():
            self._indexed.setdefault(job, []).append(key)
        with ThreadPoolExecutor(_AT_A_TIME, "erasure") as pool:
            for folders in _batches(self._folders()):
                for status, files in pool.map(self._erase_job, folders):
                    erased.jobs += status == "gone"
                    erased.at_work += status == "at work"
                    erased.unreadable += status == "unreadable"
                    self._count(files)
                looked += len(folders)
                on_progress(looked, erased.jobs)
            entries = (e for e in self._store.list("cache/") if CACHE_ENTRY.fullmatch(e.key))
            for some in _batches(entries):
                for gone in pool.map(self._erase_entry, some):
                    erased.cache_entries += len(gone)
                    self._count(gone)
        self._erase_from_books()

    def _erase_from_books(self) -> None:
        """Remove all speech of the books that were ever spoken in this voice."""
        books, after = BookStore(self._store), ""
        while True:
            page, after = books.page(after, _BATCH)
            for book in page:
                if self._name in map(_folded, book.voices):
                    gone = books.remove_speech(book.book_id)
                    self._erased.books += bool(gone)
                    self._count(gone)
            if not after:
                return

    def _folders(self) -> list[str]:
        """Names of the folders of all jobs: 100 bytes each."""
        found = (_OF_A_JOB.fullmatch(entry.key) for entry in self._store.list("jobs/"))
        return list(dict.fromkeys(match[1] for match in found if match))

    def _erase_job(self, folder: str) -> tuple[str, list[StoredObject]]:
        """What became of a job, and the files that went."""
        done = self._reader.find(record_key(folder, "done"), DONE)
        state = self._reader.find(record_key(folder, "state"), STATE)
        if done is None and state is None:
            return "unreadable", []
        if self._name not in _voices_of(done) | _voices_of(state):
            return "another's", []
        if resolve_status(JobRecords(done=done, state=state), self._now).status is Status.RUNNING:
            return "at work", []
        files = self._files(folder)
        for file in files:
            self._store.delete(file.key)
        return "gone", files

    def _erase_entry(self, entry: StoredObject) -> list[StoredObject]:
        record = self._reader.find(entry.key, CACHED)
        if record is None or self._name not in _voices_of(record["story"]):
            return []
        self._store.delete(entry.key)
        return [entry]

    def _files(self, folder: str) -> list[StoredObject]:
        """All that is kept of a job, in the order in which it goes."""
        found = [*self._store.list(f"queue/{folder}."), *self._store.list(f"jobs/{folder}/")]
        found += self._store.list(f"output/{folder}/")
        timing = re.compile(rf"timings/{re.escape(folder)}\.[a-z0-9]+")
        found += [e for e in self._store.list(f"timings/{folder}.") if timing.fullmatch(e.key)]
        found = [e for e in found if not e.key.startswith("queue/") or e.key == entry_key(folder)]
        return sorted(found, key=deletion_order) + self._indexed.get(folder, [])

    def _count(self, gone: list[StoredObject]) -> None:
        self._erased.files += len(gone)
        self._erased.bytes += sum(file.size for file in gone)


def _voices_of(record: Record | None) -> set[str]:
    """The folded names of the voices that a record speaks of."""
    if record is None:
        return set()
    voice, about = record.get("voice"), record.get("about")
    named: Mapping[str, Any] = voice if isinstance(voice, dict) else {}
    asked: Mapping[str, Any] = about if isinstance(about, dict) else {}
    others = record.get("voices")
    names = [named.get("name") or asked.get("voice"), *(others if isinstance(others, list) else [])]
    return {_folded(name) for name in names} - {""}


def _folded(voice: Any) -> str:
    try:
        if isinstance(voice, str) and is_public(voice):
            return public_name(casefold(check_name(own_name(voice))))
        return casefold(check_name(voice)) if isinstance(voice, str) else ""
    except InvalidRequest:
        return ""


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch
