"""Which version of a model the store holds now.

A store and a model id flow in, a `Manifest` that is what its hash says flows out, or None. It costs
two small reads. This module must not know disks.
"""

from __future__ import annotations

import hashlib
import time

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.models import manifest
from f5serve.models.manifest import Manifest
from f5serve.store.base import ObjectStore

TRIES = 3
PAUSE_S = 0.2


def read_current(store: ObjectStore, model_id: str) -> Manifest | None:
    """The version that counts; None when there is none, or none that this program can use.

    A manifest that is not there yet, or not whole, is looked for again, with the pointer: another
    machine may have written both a moment ago, and some stores show such writes one by one.

    Raises:
        ModelUnavailable: MODEL_CORRUPT.
        InvalidRequest: BAD_MODEL_ID.
        StorageFailed: the store's own code.
    """
    problem = ""
    for attempt in range(TRIES):
        time.sleep(PAUSE_S * attempt)
        try:
            pointer = _read(store, manifest.pointer_key(model_id), model_id)
        except KeyMissing:
            return None
        sha256 = manifest.read_pointer(pointer, model_id)
        if sha256 is None:
            return None
        try:
            data = _read(store, manifest.manifest_key(model_id, sha256), model_id)
        except KeyMissing:
            problem = "its manifest is missing"
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return manifest.read(data, model_id)
        problem = "its manifest does not have the hash it is named by"
    raise manifest.corrupt(model_id, problem)


def _read(store: ObjectStore, key: str, model_id: str) -> bytes:
    try:
        return store.get(key, manifest.MAX_BYTES)
    except StorageFailed as error:
        if error.code != "OBJECT_TOO_LARGE":
            raise
        raise manifest.corrupt(model_id, f"{key} is larger than it can be") from error


def published_ids(store: ObjectStore) -> list[str]:
    """Ids of the models that the store holds some version of; one listing."""
    name = "current.json"
    keys = (entry.key.split("/") for entry in store.list("models/"))
    return sorted(parts[1] for parts in keys if len(parts) == 3 and parts[2] == name)
