"""Recorded consents of one store: creates, lists, renames and deletes them.

A voice names the consent that it was created with. The note of a use is written before the record
of the voice, and the consent is looked for once more after it; a deletion looks for uses before and
after it deletes the record. So of a deletion and an upload at the same time, one is refused.
docs/decisions/0009.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from f5serve import build
from f5serve.errors import InvalidRequest, KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.text.language import parse_tag
from f5serve.voices import consent_records, names
from f5serve.voices.consent_records import (
    AUDIO,
    ID_PREFIX,
    MAX_RECORD_BYTES,
    RECORDS,
    UNREADABLE,
    USES,
    ConsentNotFound,
    ConsentRecord,
    check_id,
    check_person,
    dump_consent,
    is_id,
    load_consent,
    parse_use_key,
    record_key,
    use_key,
)
from f5serve.voices.garbage import GcOptions, GcReport
from f5serve.voices.prepare import read_speech
from f5serve.voices.records import Blob, Consent, VoiceRecord
from f5serve.voices.storage import VoiceStorage

_log = logging.getLogger(__name__)

MAX_PAGE: Final = 100
_READERS: Final = 8
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class ConsentPage:
    """Some consents, the newest first; `has_more` if older ones follow."""

    records: list[ConsentRecord]
    has_more: bool


class VoiceConsents:
    """The recorded consents of one store; thread-safe. Raises StorageFailed as the store does.

    Args:
        storage: the voices of the same store.
    """

    def __init__(self, store: ObjectStore, storage: VoiceStorage) -> None:
        self._store = store
        self._storage = storage

    def create(self, name: str, language: str, data: bytes, owner: str = "") -> ConsentRecord:
        """Keep a recording in which a person agrees to be cloned.

        Args:
            name: of the person.
            language: BCP 47 tag of what is said.
            data: the recording, in any format that `decode` reads; kept as it is.
            owner: id of the API key, or "".

        Raises:
            InvalidRequest: BAD_CONSENT, BAD_OPTION.
            BadAudio: as `read_speech`.
        """
        name = check_person(name)
        parse_tag(language)
        wave = read_speech(data)
        now = self._store.now()
        record = ConsentRecord(
            consent_records.new_id(now),
            name,
            language,
            Blob(hashlib.sha256(data).hexdigest(), len(data)),
            round(wave.duration_s, 3),
            int(now),
            made_by=str(build.stamp()),
            owner=owner,
        )
        self._store.put(_audio_key(record), data, "application/octet-stream")
        self._write(record)
        return record

    def get(self, consent_id: str) -> ConsentRecord:
        """A consent, by one request.

        Raises:
            InvalidRequest: CONSENT_NOT_FOUND.
            StorageFailed: CONSENT_DAMAGED, CONSENT_TOO_NEW.
        """
        try:
            data = self._store.get(record_key(check_id(consent_id)), MAX_RECORD_BYTES)
        except KeyMissing:
            raise ConsentNotFound(consent_id) from None
        except StorageFailed as error:
            if error.code not in ("OBJECT_TOO_LARGE", "NOT_A_FILE"):
                raise
            raise consent_records.damaged_error(consent_id) from None
        return load_consent(consent_id, data)

    def page(self, after: str = "", limit: int = MAX_PAGE) -> ConsentPage:
        """Some consents, the newest first; those that cannot be read are left out and logged.

        Args:
            after: only older ones than this id, whether it exists or not; "" for all.
            limit: 1 to MAX_PAGE.

        Raises:
            InvalidRequest: CONSENT_NOT_FOUND if no consent can have the id `after`.
        """
        limit = min(max(limit, 1), MAX_PAGE)
        cursor = record_key(check_id(after)) if after else ""
        found: list[ConsentRecord] = []
        while len(found) <= limit:
            listed = self._store.page(RECORDS, cursor, limit + 1)
            found += self._read_all(filter(None, map(_id_of, listed)))
            if len(listed) <= limit:
                break
            cursor = listed[-1].key
        return ConsentPage(found[:limit], len(found) > limit)

    def rename(self, consent_id: str, name: str) -> ConsentRecord:
        """Give a consent another name; voices keep the one that they were created with.

        Raises:
            InvalidRequest: CONSENT_NOT_FOUND, BAD_CONSENT.
            StorageFailed: as `get`.
        """
        record = replace(self.get(consent_id), name=check_person(name))
        self._write(record)
        if not self._store.exists(_audio_key(record)):  # deleted meanwhile
            self._store.delete(record_key(consent_id))
            raise ConsentNotFound(consent_id)
        return record

    def delete(self, consent_id: str) -> None:
        """Delete a consent that no voice names, with its recording.

        Raises:
            InvalidRequest: CONSENT_NOT_FOUND, CONSENT_IN_USE.
            StorageFailed: the store's own code; the next call deletes what is left.
        """
        key = record_key(check_id(consent_id))
        self._check_unused(consent_id)
        try:
            record = self._store.get(key, MAX_RECORD_BYTES)
        except KeyMissing:
            record = None
        leftovers = [*self._keys(AUDIO, consent_id), *self._keys(USES, consent_id)]
        if record is None and not leftovers:
            raise ConsentNotFound(consent_id)
        self._store.delete(key)
        try:
            self._check_unused(consent_id)
        except InvalidRequest:  # a voice was created meanwhile
            if record is not None:
                self._store.put(key, record, "application/json")
            raise
        for leftover in leftovers:
            self._store.delete(leftover)
        self._store.delete(key)  # that was renamed meanwhile

    def attested(self, text: str) -> Consent:
        """The consent that a request names, by the id of a recording or in words.

        Raises:
            InvalidRequest: CONSENT_NOT_FOUND for what begins as an id.
            StorageFailed: as `get`.
        """
        return self.get(text).consent if text.startswith(ID_PREFIX) else Consent(text)

    def note_use(self, consent: Consent | None, record_name: str) -> None:
        """Note that a voice or style is about to be written with this consent."""
        if consent is not None and consent.id:
            self._store.put(use_key(check_id(consent.id), record_name), b"")

    def check_after_use(self, record: VoiceRecord, before: VoiceRecord | None) -> None:
        """Take back a record that was just written, if its consent was deleted meanwhile.

        Args:
            before: the record that it has replaced.

        Raises:
            InvalidRequest: code CONSENT_NOT_FOUND.
        """
        consent_id = record.consent.id if record.consent else ""
        if consent_id and not self._store.exists(record_key(consent_id)):
            self._storage.revert(record, before)
            raise ConsentNotFound(consent_id)

    def delete_unused(self, voice: str) -> int:
        """Delete the consents of a voice that is gone, if no other voice names them.

        Returns:
            Their number.
        """
        folded = names.casefold(voice)
        noted: dict[str, list[str]] = {}
        for entry in self._store.list(USES):
            use = parse_use_key(entry.key)
            if use is not None and names.split_record_name(use[1])[0] == folded:
                noted.setdefault(use[0], []).append(entry.key)
        deleted = 0
        for consent_id, keys in noted.items():
            try:
                self.delete(consent_id)
                deleted += 1
            except InvalidRequest:  # used by others, or already deleted
                for key in keys:
                    self._store.delete(key)
        return deleted

    def collect_garbage(self, options: GcOptions, report: GcReport) -> None:
        """Delete what killed processes left of consents without a record, after `grace_s`."""
        before = self._store.now() - options.grace_s
        # Recordings are listed first: a record is written after its recording.
        left = [entry for folder in (AUDIO, USES) for entry in self._store.list(folder)]
        known = set(filter(None, map(_id_of, self._store.list(RECORDS))))
        for entry in left:
            consent_id = entry.key.split("/")[2]
            if options.should_stop():
                return
            is_old = is_id(consent_id) and entry.modified.timestamp() < before
            if not is_old or consent_id in known:
                continue
            if self._store.exists(record_key(consent_id)):  # listings may be late
                continue
            if not options.dry_run:
                self._store.delete(entry.key)
            report.files += 1
            report.bytes += entry.size
            if options.on_file is not None:
                options.on_file(entry.key)

    def _check_unused(self, consent_id: str) -> None:
        """Refuse to delete a consent that a voice names.

        Raises:
            InvalidRequest: code CONSENT_IN_USE.
        """
        uses = filter(None, map(parse_use_key, self._keys(USES, consent_id)))
        named = (record_name for _, record_name in uses if self._is_used(consent_id, record_name))
        users = [names.describe(*names.split_record_name(name)) for name in named]
        if users:
            others = f" and {len(users) - _SHOWN} others" if len(users) > _SHOWN else ""
            raise InvalidRequest(
                f"The consent {consent_id} is that of the {', the '.join(users[:_SHOWN])}{others}.",
                code="CONSENT_IN_USE",
                hint="Delete these voices first, or upload them with another consent.",
            )

    def _is_used(self, consent_id: str, record_name: str) -> bool:
        """Whether the record of a voice or style names a consent, or cannot be read."""
        exists, record = self._storage.find(record_name)
        if not exists:
            return False
        return record is None or (record.consent is not None and record.consent.id == consent_id)

    def _keys(self, folder: str, consent_id: str) -> list[str]:
        return sorted(entry.key for entry in self._store.list(f"{folder}{consent_id}/"))

    def _write(self, record: ConsentRecord) -> None:
        self._store.put(record_key(record.id), dump_consent(record), "application/json")

    def _read_all(self, ids: Iterable[str]) -> Sequence[ConsentRecord]:
        with ThreadPoolExecutor(_READERS, "consents") as pool:
            return [record for record in pool.map(self._find, ids) if record is not None]

    def _find(self, consent_id: str) -> ConsentRecord | None:
        """A consent for a list; None if it cannot be read or was deleted meanwhile."""
        try:
            return self.get(consent_id)
        except ConsentNotFound:
            return None
        except StorageFailed as error:
            if error.code not in UNREADABLE:
                raise
            _log.warning("%s", error.message)
            return None


def _audio_key(record: ConsentRecord) -> str:
    return consent_records.audio_key(record.id, record.audio.sha256)


def _id_of(entry: StoredObject) -> str | None:
    return consent_records.parse_record_key(entry.key)
