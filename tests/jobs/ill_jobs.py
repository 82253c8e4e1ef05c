"""One job after another whose records nobody wrote properly, laid into a store's folder.

    good = GoodRecords.of(store, "good")       what a job that is done has left
    for ill in ill_jobs(good, store.root, count, seed): ...   ask about VICTIM

A victim has one of several stories, as its records are when it is done, at work, lost or waiting;
one record of it is ill.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f5serve.jobs.history import JobIndex
from f5serve.store.json_documents import canonical_json
from f5serve.store.local import LocalStore
from tests import mutations
from tests.mutations import Ill

VICTIM = "victim"
Records = dict[str, dict[str, Any]]
"""JSON records by key."""


@dataclass(frozen=True, slots=True)
class GoodRecords:
    """What is whole: the records of one job that is done, and an entry of the cache."""

    state: dict[str, Any]
    done: dict[str, Any]
    cached: dict[str, Any]
    cache_key: str

    @staticmethod
    def of(store: LocalStore, job_id: str) -> GoodRecords:
        """Those of a job that was made by this program; the only one in the cache."""
        (cached,) = store.list("cache/")
        return GoodRecords(
            json.loads(store.get(f"jobs/{job_id}/state.json")),
            json.loads(store.get(f"jobs/{job_id}/done.json")),
            json.loads(store.get(cached.key)),
            cached.key,
        )

    def stories(self, payload: dict[str, Any], sha256: str) -> list[Records]:
        """The records of VICTIM in each of its stories, and those of the cache."""
        at = f"jobs/{VICTIM}"
        now = time.time()
        base = {**self.state, "job_id": VICTIM, "request_sha256": sha256}
        failure = {"message": "It failed.", "code": "X", "hint": "", "retryable": True}
        lost = {**base, "heartbeat": now - 1e4, "phase": "speaking", "progress": {"percent": 5}}
        entry = {"schema": 1, "job_id": VICTIM, "request_sha256": sha256, "payload": payload}
        failed = {"schema": 1, "job_id": VICTIM, "attempt": 1, "failure": failure, "failed_at": now}
        cancel = {"schema": 1, "job_id": VICTIM, "by": "test", "at": now}
        return [
            {
                f"{at}/state.json": base,
                f"{at}/done.json": {**self.done, "job_id": VICTIM, "request_sha256": sha256},
            },
            {f"{at}/state.json": {**lost, "heartbeat": now}},
            {f"{at}/state.json": lost, f"{at}/failed-1.json": failed, f"{at}/cancel.json": cancel},
            {f"{at}/state.json": {**base, "phase": "failed", "failure": failure}},
            {
                f"{at}/state.json": {**base, "phase": "queued", "attempt": 0, "queued_at": now},
                f"queue/{VICTIM}.json": {**entry, "owner": "ana"},
            },
            {self.cache_key: self.cached},
        ]


def ill_jobs(
    good: GoodRecords, root: Path, asked: tuple[dict[str, Any], str], count: int, seed: int
) -> Iterator[str]:
    """Lay one ill job after another into the folder; tells what is wrong with it.

    Args:
        asked: payload and hash of the victim's request.
    """
    store = LocalStore(root)
    JobIndex(store).add(VICTIM, time.time())
    stories = good.stories(*asked)
    places = [(n, key) for n, story in enumerate(stories) for key in story]
    records = [stories[n][key] for n, key in places]
    for number, (at, ill) in enumerate(mutations.sample(records, count, seed, links=True)):
        if number % 100 == 99:  # each time that it is begun anew it has one more
            for extra in [entry.key for name, entry in JobIndex(store).all() if name == VICTIM][1:]:
                store.delete(extra)
        n, key = places[at]
        for other in {key for story in stories for key in story} - stories[n].keys():
            mutations.remove(root, other)
        for name, record in stories[n].items():
            mutations.put(root, name, ill if name == key else Ill("", canonical_json(record)))
            _make_old(root / name)
        yield f"{key}: {ill.what}"
    for name in {key for story in stories for key in story}:
        mutations.remove(root, name)


def _make_old(place: Path) -> None:
    """What waits for so long is looked at by every server."""
    if place.parent.name == "queue" and place.is_file() and not place.is_symlink():
        os.utime(place, (time.time() - 1e4,) * 2)
