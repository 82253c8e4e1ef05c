"""Results of requests that were asked before.

What decides a result flows in as a JSON value, the story of an earlier job flows out. An entry
names the output of that job; using it keeps the output from being swept for as long as the new job
is kept. What a story says is not known here.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from f5serve.errors import StorageFailed
from f5serve.jobs.reading import Damage, Record
from f5serve.jobs.records import Reader, encode, folder_of, sha256_of
from f5serve.jobs.shapes import CACHED
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
        self, store: ObjectStore, retention_days: int, damage: Damage | None = None
    ) -> None:
        self._store = store
        self._reader = Reader(store, damage)
        self._retention_days = retention_days

    def find(self, identity: Mapping[str, Any]) -> Record | None:
        """The story kept for `identity`, if its output is still there; one read without a hit.

        A store that fails, or an entry that cannot be read, is told in the log and costs no more
        than the work anew.
        """
        try:
            entry = self._reader.find(_key(identity), CACHED)
            return self._use(entry) if entry is not None else None
        except StorageFailed as error:
            _log.warning("the result cache cannot be read: %s", error.message)
            return None

    def keep(self, identity: Mapping[str, Any], job_id: str, story: Mapping[str, Any]) -> None:
        """Keep the story of a job that has just made its output."""
        entry = {"job_id": job_id, "at": self._store.now(), "story": dict(story)}
        with contextlib.suppress(StorageFailed):  # nothing is lost but time
            self._store.put(_key(identity), encode(entry), "application/json")

    def _use(self, entry: Record) -> Record | None:
        story: Record = entry["story"]
        source = entry["job_id"]
        if not self._lives(self._store.now() - entry["at"]):
            return None
        mark = f"output/{folder_of(source)}/used.json"
        self._store.put(mark, canonical_json({"at": self._store.now()}), "application/json")
        gone = [part for part in story["outputs"] if not self._store.exists(part["key"])]
        return None if gone else story

    def _lives(self, age_s: float) -> bool:
        """Whether the output is still far from being swept, so that no sweep can race with us."""
        margin_s = min(DAY_S, self._retention_days * DAY_S / 2)
        return not self._retention_days or age_s < self._retention_days * DAY_S - margin_s


def _key(identity: Mapping[str, Any]) -> str:
    return f"cache/{sha256_of(identity)}.json"
