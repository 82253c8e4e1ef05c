"""Files that a person dropped into the store, taken up as voices.

A name flows in; the record made of the files of that name flows out. A record wins over files that
it knows of and gives way to any others: whoever drops files means them to be used. No clock is
asked which is newer. Who wants the voice is not known here.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from f5serve.errors import BadAudio, InvalidRequest, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import dropped
from f5serve.voices.dropped import DroppedFiles
from f5serve.voices.intake import Intake, Recording
from f5serve.voices.names import Dropped, fold
from f5serve.voices.options import LibraryOptions
from f5serve.voices.presence import Presence
from f5serve.voices.records import Seen, VoiceRecord
from f5serve.voices.shelf import Shelf

_log = logging.getLogger(__name__)

MOST: Final = 4_096
"""Names of which is remembered when their files were looked at."""

_MOST_REFUSED: Final = 1_000

SEARCHES: Final = 8
"""Unknown names that are looked for side by side."""

SEARCH_WAIT_S: Final = 1.0
"""Longest wait for one of them: where the store's listings hang, callers who ask for what does not
exist must not hold the threads of those who ask for what does."""

ADOPT_WAIT_S: Final = 30.0
"""Longest wait for another thread that takes up the files of the same voice."""


class Adoption:
    """Takes up dropped files when their voice is asked for.

    Args:
        files: all files that were dropped, as of the last seconds.
    """

    def __init__(
        self,
        store: ObjectStore,
        shelf: Shelf,
        intake: Intake,
        files: Callable[[], Sequence[StoredObject]],
        options: LibraryOptions,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._intake = intake
        self._files = files
        self._look_again_s = options.look_again_s
        self._without = Presence(options.unknown_s)
        self._searches = threading.BoundedSemaphore(SEARCHES)
        self._lock = threading.Lock()  # never held while the store is asked
        self._at_it: dict[str, tuple[threading.Lock, int]] = {}
        self._looked_at: OrderedDict[str, float] = OrderedDict()
        self._refused: OrderedDict[str, Seen] = OrderedDict()

    def adopt(self, name: str) -> VoiceRecord | None:
        """A record made of the files of that name, None without any; two requests at most then.

        Raises:
            InvalidRequest, BadAudio, StorageFailed: as `VoiceLibrary.get`; BUSY.
        """
        if self._without.get(fold(name)) is False:
            return None
        item = self._find(name)
        if item is None:
            self._without.put(fold(name), False)
            return None
        with self._alone(fold(name)):
            record = self._shelf.read(name)  # of whoever was here before
            if record is not None:
                return record
            files = dropped.look(self._store, item)
            self._is_due(name)  # this was a look
            return self._keep(item, files, None) if files else None

    def has_files(self, name: str) -> bool:
        """Whether a recording was dropped under this name, as it is spelled here; one request."""
        with self._searching():
            return bool(dropped.find_all(dropped.beside(self._store, name), name))

    def renewed(self, record: VoiceRecord) -> VoiceRecord:
        """The record, or a new one where other files than it knows of were dropped.

        Files that cannot be used are warned about, once; the voice stays as it was.
        """
        if not self._is_due(record.name):
            return record
        files = None
        try:
            files = self._changed(record)
            if files is None:
                return record
            _log.warning("the files of the voice %s were changed by hand", record.name)
            return self._keep(Dropped(record.name, files.seen.ending), files, record) or record
        except (BadAudio, InvalidRequest) as error:
            _log.warning("the files of %s are not used: %s", record.name, error.message)
            if files is not None:
                self._refuse(record.name, files.seen)
        except StorageFailed as error:
            _log.warning("the files of %s are not read: %s", record.name, error.message)
        return record

    def seen(self, name: str) -> Seen | None:
        """What lies there now, for a record that takes its place."""
        self._without.forget(fold(name))
        item = dropped.find(dropped.beside(self._store, name), name)
        files = dropped.look(self._store, item) if item else None
        return files.seen if files else None

    def files_of(self, name: str, record: VoiceRecord | None) -> list[str]:
        """The keys of all files of a voice, however they are spelled."""
        spellings = {name, record.name if record else name, fold(name)}
        listed = [
            *self._files(),
            *(f for one in spellings for f in dropped.beside(self._store, one)),
        ]
        there = {file.key for file in listed}
        found = dropped.find_all(listed, name)
        keys = {key for item in found for key in (item.audio_key, item.text_key)}
        for spelling in spellings:
            item = Dropped(spelling, "wav")
            keys |= {item.audio_key, item.text_key}
        # Listings may be late, so the likely names are looked for one by one.
        return sorted(key for key in keys if key in there or self._store.exists(key))

    def _find(self, name: str) -> Dropped | None:
        with self._searching():
            beside = dropped.find(dropped.beside(self._store, name), name)
            return beside or dropped.find(self._files(), name)  # in other capitals

    @contextlib.contextmanager
    def _searching(self) -> Iterator[None]:
        if not self._searches.acquire(timeout=SEARCH_WAIT_S):
            raise StorageFailed(
                f"{SEARCHES} other names are being looked for in the store.",
                code="BUSY",
                hint="Send it again in a few seconds.",
                retryable=True,
            )
        try:
            yield
        finally:
            self._searches.release()

    @contextlib.contextmanager
    def _alone(self, folded: str) -> Iterator[None]:
        """Work at one name in one thread at a time; other names do not wait.

        Raises:
            StorageFailed: VOICE_CHANGING, where somebody else is at it for too long.
        """
        with self._lock:
            lock, waiting = self._at_it.get(folded, (threading.Lock(), 0))
            self._at_it[folded] = (lock, waiting + 1)
        is_mine = False
        try:
            is_mine = lock.acquire(timeout=ADOPT_WAIT_S)
            if not is_mine:
                raise StorageFailed(
                    f"The files of the voice {folded!r} are still being taken up.",
                    code="VOICE_CHANGING",
                    hint="Try again in a moment.",
                    retryable=True,
                )
            yield
        finally:
            if is_mine:
                lock.release()
            with self._lock:
                lock, waiting = self._at_it.pop(folded)
                if waiting > 1:
                    self._at_it[folded] = (lock, waiting - 1)

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        with self._lock:
            before = self._looked_at.get(fold(name))
            if before is not None and now - before < self._look_again_s:
                return False
            self._looked_at[fold(name)] = now
            self._looked_at.move_to_end(fold(name))
            if len(self._looked_at) > MOST:
                self._looked_at.popitem(last=False)
            return True

    def _refuse(self, name: str, seen: Seen) -> None:
        with self._lock:
            self._refused[fold(name)] = seen
            if len(self._refused) > _MOST_REFUSED:
                self._refused.popitem(last=False)

    def _changed(self, record: VoiceRecord) -> DroppedFiles | None:
        """Files beside a record that it does not know of."""
        known = record.seen.ending if record.seen else "wav"
        for ending in dict.fromkeys(("wav", known)):
            item = Dropped(record.name, ending)
            files = dropped.look(self._store, item, needs_text=True)
            if files is not None:
                is_new = files.seen not in (record.seen, self._refused.get(fold(record.name)))
                return files if is_new else None
        return None

    def _keep(
        self, item: Dropped, files: DroppedFiles, before: VoiceRecord | None
    ) -> VoiceRecord | None:
        settled = dropped.look_again(self._store, item, files)
        if settled is None:
            return None
        recording = Recording(item.name, settled.audio, settled.ref_text)
        record, _ = self._intake.keep(recording, before, settled.seen)
        return record
