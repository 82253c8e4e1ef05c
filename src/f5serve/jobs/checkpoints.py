"""Checkpoints: finished parts of speech, reused by a later attempt or a later job.

    jobs/<id>/chunk-<sha32>.bin             of a job: 32 bytes SHA-256 of the rest, then the part
    books/<book>/utterances/<sha32>.bin     of all jobs of a book, likewise

Names are hashes of what a part is made from, so a part that is there is the right one. Those of a
job lie beside its records and are removed with them, or as soon as the job is done.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.jobs.record_reader import unreadable
from f5serve.jobs.records import folder_of, sha256_of
from f5serve.store.base import ObjectStore

_log = logging.getLogger(__name__)

_HASH_BYTES = 32
MAX_PART_BYTES = 64_000_000
"""More than the longest utterance has."""


class CheckpointStore:
    """The parts of one job or one book.

    Every call blocks and raises StorageFailed as the store does.

    Args:
        start: how the keys of all parts begin.
    """

    def __init__(self, store: ObjectStore, start: str) -> None:
        self._store = store
        self._start = start

    @classmethod
    def of_job(cls, store: ObjectStore, job_id: str) -> CheckpointStore:
        """The parts of a job."""
        return cls(store, f"jobs/{folder_of(job_id)}/chunk-")

    def key_of(self, made_from: Mapping[str, Any]) -> str:
        """Where the part lies that this JSON value decides."""
        return f"{self._start}{sha256_of(made_from)[:32]}.bin"

    def keys(self) -> set[str]:
        """Parts that are there, as far as the store's listing is fresh."""
        folder = self._start[: self._start.rfind("/") + 1]
        return {
            entry.key for entry in self._store.list(folder) if entry.key.startswith(self._start)
        }

    def read(self, key: str) -> bytes | None:
        """The part, or None where it is missing or damaged."""
        try:
            data = self._store.get(key, MAX_PART_BYTES)
        except KeyMissing:
            return None
        except StorageFailed as error:
            if unreadable(error, key) is None:
                raise
            data = b""
        digest, part = data[:_HASH_BYTES], data[_HASH_BYTES:]
        if hashlib.sha256(part).digest() == digest:
            return part
        _log.warning("%s is damaged and is made again", key)
        return None

    def write(self, key: str, part: bytes) -> None:
        """Keep the part."""
        digest = hashlib.sha256(part).digest()
        self._store.put(key, digest + part, "application/octet-stream")

    def remove(self, keys: Iterable[str]) -> None:
        """Drop these parts."""
        for key in keys:
            self._store.delete(key)
