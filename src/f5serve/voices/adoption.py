"""Files that a person dropped into the store, taken up as voices.

A name flows in; the record made of the files of that name flows out. A record wins over files that
it knows of and gives way to any others: whoever drops files means them to be used. No clock is
asked which is newer. Who wants the voice is not known here.
"""

from __future__ import annotations

import logging
import threading
import time

from f5serve.errors import BadAudio, InvalidRequest, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.voices import dropped
from f5serve.voices.dropped import DroppedFiles
from f5serve.voices.intake import Intake, Recording
from f5serve.voices.names import Dropped, fold
from f5serve.voices.records import Seen, VoiceRecord
from f5serve.voices.shelf import Shelf

_log = logging.getLogger(__name__)

_STRIPES = 16


class Adoption:
    """Takes up dropped files when their voice is asked for.

    Args:
        look_again_s: least time between two looks at the files of one voice.
    """

    def __init__(
        self, store: ObjectStore, shelf: Shelf, intake: Intake, look_again_s: float
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._intake = intake
        self._look_again_s = look_again_s
        self._adopting = tuple(threading.Lock() for _ in range(_STRIPES))
        self._lock = threading.Lock()
        self._looked_at: dict[str, float] = {}
        self._refused: dict[str, Seen] = {}

    def adopt(self, name: str) -> VoiceRecord | None:
        """A record made of the files of that name, None without any.

        Raises:
            InvalidRequest, BadAudio, StorageFailed: as `VoiceLibrary.get`.
        """
        with self._adopting[hash(fold(name)) % _STRIPES]:
            record = self._shelf.read(name)  # of whoever was here before
            if record is not None:
                return record
            item = self._find(name)
            files = dropped.look(self._store, item) if item else None
            self._is_due(name)  # this was a look
            return self._keep(item, files, None) if item and files else None

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
                self._refused[fold(record.name)] = files.seen
        except StorageFailed as error:
            _log.warning("the files of %s are not read: %s", record.name, error.message)
        return record

    def seen(self, name: str) -> Seen | None:
        """What lies there now, for a record that takes its place."""
        item = self._find(name)
        files = dropped.look(self._store, item) if item else None
        return files.seen if files else None

    def files_of(self, name: str, record: VoiceRecord | None) -> list[str]:
        """The keys of all files of a voice, however they are spelled."""
        found = dropped.find_all(dropped.listing(self._store), name)
        keys = {key for item in found for key in (item.audio_key, item.text_key)}
        for spelling in {name, record.name if record else name}:  # listings may be late
            item = Dropped(spelling, "wav")
            keys |= {item.audio_key, item.text_key}
        return sorted(key for key in keys if self._store.exists(key))

    def _find(self, name: str) -> Dropped | None:
        plain = Dropped(name, "wav")
        if self._store.exists(plain.audio_key):
            return plain
        return dropped.find(dropped.listing(self._store), name)

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        with self._lock:
            before = self._looked_at.get(fold(name))
            if before is not None and now - before < self._look_again_s:
                return False
            self._looked_at[fold(name)] = now
            return True

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
