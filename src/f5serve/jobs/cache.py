"""Result cache: the outputs of a finished job, found again by the hash of an equal request.

An entry names the output of the job that made it. Using an entry keeps that output from being
removed for as long as the new job is kept.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from f5serve.errors import StorageFailed
from f5serve.jobs.record_reader import RecordReader, UnreadableRecords
from f5serve.jobs.records import Record, encode, folder_of
from f5serve.jobs.schema import CACHED
from f5serve.store.base import ObjectStore
from f5serve.store.json_documents import canonical_json

_log = logging.getLogger(__name__)

DAY_S = 86_400.0


class ResultCache:
    """Stories of results by what decided them.

    Args:
        retention_days: of results; 0 is for ever.
        damage: where entries that cannot be read are noted; None makes one.
    """

    def __init__(
        self, store: ObjectStore, retention_days: int, damage: UnreadableRecords | None = None
    ) -> None:
        self._store = store
        self._reader = RecordReader(store, damage)
        self._retention_days = retention_days

    def find(self, sha256: str) -> Record | None:
        """The result kept under a key, if its output is still there; one read without a hit.

        Args:
            sha256: `sha256_of` all that decides the result.

        A store that fails, or an entry that cannot be read, is logged and costs no more
        than the work anew.
        """
        try:
            entry = self._reader.find(_key(sha256), CACHED)
            return self._use(entry) if entry is not None else None
        except StorageFailed as error:
            _log.warning("the result cache cannot be read: %s", error.message)
            return None

    def keep(self, sha256: str, job_id: str, result: Mapping[str, Any]) -> None:
        """Keep the result of a job that has just made its output."""
        entry = {"job_id": job_id, "at": self._store.now(), "story": dict(result)}
        with contextlib.suppress(StorageFailed):  # nothing is lost but time
            self._store.put(_key(sha256), encode(entry), "application/json")

    def _use(self, entry: Record) -> Record | None:
        result: Record = entry["story"]
        source = entry["job_id"]
        if not self._lives(self._store.now() - entry["at"]):
            return None
        mark = f"output/{folder_of(source)}/used.json"
        self._store.put(mark, canonical_json({"at": self._store.now()}), "application/json")
        gone = [part for part in result["outputs"] if not self._store.exists(part["key"])]
        return None if gone else result

    def _lives(self, age_s: float) -> bool:
        """Whether the output is still far from being swept, so that no sweep can race with us."""
        margin_s = min(DAY_S, self._retention_days * DAY_S / 2)
        return not self._retention_days or age_s < self._retention_days * DAY_S - margin_s


def _key(sha256: str) -> str:
    return f"cache/{sha256}.json"
