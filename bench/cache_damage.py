"""Damage to a model, in the store and on the disk, for cache_kills.py: is any of it taken for good?

Each case changes one thing: a bit is flipped, the end is cut off, or it is swapped with that of
another version or model. Then a reader tries. Afterwards all is put right again.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from cache_schemes import (
    MODEL,
    NAMES,
    FixedKeys,
    Manifests,
    attempt,
    content,
    fresh,
    make,
    name_of,
    verdict,
)
from f5serve.models import manifest as documents
from f5serve.models.bucket import current_manifest
from f5serve.store.base import ObjectStore

Damage = Callable[[bytes, bytes, random.Random], bytes]


def flip(data: bytes, other: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def cut(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def swap(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return other


DAMAGES = (flip, cut, swap)


def survey(store: ObjectStore, folder: Path, count: int, seed: int) -> dict[str, int]:
    """`count` cases in turn, half of them in the store and half on the disk.

    Returns:
        cases; `accepted`: damaged models that were taken for good; `unhealed`: models that stayed
        unusable after the damage was undone, or could not be fetched anew.
    """
    chance = random.Random(seed)
    ours = Manifests(store)
    for version, scheme in ((1, ours), (3, Manifests(store, "another")), (2, ours)):
        scheme.publish(make(folder, version))
    cases = itertools.cycle(
        itertools.chain.from_iterable(zip(_in_store(store), _on_disk(), strict=True))
    )
    found = Counter(cases=0, accepted=0, unhealed=0)
    for case in itertools.islice(cases, count):
        before, after = case(ours, fresh(folder / "case"), chance)
        found["cases"] += 1
        found["accepted"] += before == "broken"
        found["unhealed"] += after != "sound"
    return dict(found)


def survey_control(store: ObjectStore, folder: Path, count: int, seed: int) -> dict[str, int]:
    """The same in the store under fixed keys."""
    chance = random.Random(seed)
    control = FixedKeys(store)
    control.publish(make(folder, 2))
    found = Counter(cases=0, accepted=0)
    for role, damage in itertools.islice(itertools.cycle(itertools.product(NAMES, DAMAGES)), count):
        key, data = control.key(NAMES[role]), content(role, 2)
        store.put(key, damage(data, content(role, 1), chance))
        found["cases"] += 1
        found["accepted"] += attempt(control, fresh(folder / "case")) == "broken"
        store.put(key, data)
    return dict(found)


Case = Callable[[Manifests, Path, random.Random], tuple[str, str]]


def _in_store(store: ObjectStore) -> Iterator[Case]:
    """A case for each document and blob, and each kind of damage."""
    right, other = current_manifest(store, MODEL), current_manifest(store, "another")
    assert right is not None
    assert other is not None
    pairs = {documents.blob_key(name_of(r, 2)): documents.blob_key(name_of(r, 1)) for r in NAMES}
    pairs[documents.pointer_key(MODEL)] = documents.pointer_key("another")
    own = documents.manifest_key(MODEL, right.sha256)
    pairs[own] = documents.manifest_key("another", other.sha256)
    for damage, (key, swapped) in itertools.product(DAMAGES, pairs.items()):
        yield _store_case(key, store.get(key), store.get(swapped), damage)


def _store_case(key: str, data: bytes, other: bytes, damage: Damage) -> Case:
    def case(ours: Manifests, folder: Path, chance: random.Random) -> tuple[str, str]:
        ours.store.put(key, damage(data, other, chance))
        before = attempt(ours, folder)
        found = ours.find(folder)
        if found is not None:
            before = verdict(found)
        ours.store.put(key, data)
        return before, attempt(ours, folder)

    return case


def _on_disk() -> Iterator[Case]:
    """As `_in_store`, of what a sync has left."""
    names = (*NAMES.values(), "manifest.json", "current.json")
    for damage, name in itertools.product(DAMAGES, names):
        yield _disk_case(name, damage)


def _disk_case(name: str, damage: Damage) -> Case:
    roles = {name: role for role, name in NAMES.items()}

    def case(ours: Manifests, folder: Path, chance: random.Random) -> tuple[str, str]:
        ours.pull(folder)
        another = Manifests(ours.store, "another")
        another.pull(folder)
        home, beside = (folder / "installed" / model for model in (MODEL, "another"))
        path, other = next(home.rglob(name)), next(beside.rglob(name))
        swapped = content(roles[name], 1) if name in roles else other.read_bytes()
        path.write_bytes(damage(path.read_bytes(), swapped, chance))
        found = ours.verified(folder)
        return verdict(found) if found else "absent", attempt(ours, folder)

    return case
