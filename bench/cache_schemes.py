"""Two ways to keep a model in a store, for cache_kills.py: ours, and the usual one as its control.

The model is small and of random bytes; each file begins with the number of its version and all
versions have equal sizes, so a reader can tell what it got, and cannot tell it by size.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from f5serve.errors import F5Error
from f5serve.models.bucket import sync
from f5serve.models.installed import LocalFile, ModelFiles, find_installed
from f5serve.models.local import find_damage
from f5serve.models.manifest import ARTIFACT_API, Description
from f5serve.models.publish import UploadPlan, publish
from f5serve.store.base import ObjectStore

MODEL = "small"
SIZES = {"weights": 1_500_000, "vocab": 14_000, "vocoder": 400_000}
NAMES = {"weights": "weights.safetensors", "vocab": "vocab.txt", "vocoder": "vocoder.bin"}
Paths = Mapping[str, Path]


def content(role: str, version: int) -> bytes:
    """What a file of a version holds."""
    noise = random.Random(f"{role} {version}").randbytes(SIZES[role] - 8)
    return version.to_bytes(8, "big") + noise


@lru_cache(64)
def name_of(role: str, version: int) -> str:
    """Hash of that."""
    return hashlib.sha256(content(role, version)).hexdigest()


def make(folder: Path, version: int) -> Path:
    """The files of a version, as a publisher has them."""
    home = folder / f"made-{version}"
    home.mkdir()
    for role, name in NAMES.items():
        (home / name).write_bytes(content(role, version))
    return home


def verdict(paths: Paths) -> str:
    """`sound`: files of one version, each whole; `gone`: removed meanwhile; else `broken`."""
    try:
        found = {role: path.read_bytes() for role, path in paths.items()}
    except FileNotFoundError:
        return "gone"
    versions = {data[:8] for data in found.values()}
    if len(versions) != 1:
        return "broken"
    version = int.from_bytes(versions.pop(), "big")
    if version > 1 << 32:  # noise, not a number
        return "broken"
    hashes = {role: hashlib.sha256(data).hexdigest() for role, data in found.items()}
    wanted = {role: name_of(role, version) for role in found}
    return "sound" if hashes == wanted else "broken"


class Scheme(Protocol):
    """How models are put into a store, brought onto a disk and found there."""

    @property
    def store(self) -> ObjectStore: ...

    def publish(self, made: Path) -> None:
        """Make the files of `made` the model that counts."""
        ...

    def pull(self, folder: Path) -> Paths:
        """Bring the model that counts into a folder."""
        ...

    def find(self, folder: Path) -> Paths | None:
        """The model in a folder, without looking closely."""
        ...


@dataclass(frozen=True)
class Manifests:
    """Ours."""

    store: ObjectStore
    model: str = MODEL

    def publish(self, made: Path) -> None:
        files = tuple(LocalFile(role, made / name) for role, name in NAMES.items())
        about = Description(self.model, ARTIFACT_API, "F5TTS_v1_Base", "MIT", True)
        publish(self.store, UploadPlan(about, files))

    def pull(self, folder: Path) -> Paths:
        return _paths(sync(self.store, self.model, folder))

    def find(self, folder: Path) -> Paths | None:
        found = find_installed(self.model, folder)
        return _paths(found.files) if found else None

    def verified(self, folder: Path) -> Paths | None:
        """As `find`, after hashing everything."""
        found = find_installed(self.model, folder)
        intact = found is not None and not find_damage(found.files, folder)
        return _paths(found.files) if found and intact else None


@dataclass(frozen=True)
class FixedKeys:
    """The control: a key for each file, overwritten; what has the right size is taken."""

    store: ObjectStore

    def publish(self, made: Path) -> None:
        for name in NAMES.values():
            self.store.put_file(self.key(name), made / name)

    def pull(self, folder: Path) -> Paths:
        for role, name in NAMES.items():
            self.store.download(self.key(name), folder / name, SIZES[role])
        return {role: folder / name for role, name in NAMES.items()}

    def find(self, folder: Path) -> Paths | None:
        paths = {role: folder / name for role, name in NAMES.items()}
        try:
            right = all(paths[role].stat().st_size == SIZES[role] for role in SIZES)
        except FileNotFoundError:
            return None
        return paths if right else None

    def key(self, name: str) -> str:
        """Where a file is."""
        return f"models/{MODEL}/{name}"


def attempt(scheme: Scheme, folder: Path) -> str:
    """Pull once: `sound`, `broken`, `gone`, or the code of the refusal."""
    try:
        return verdict(scheme.pull(folder))
    except F5Error as error:
        return error.code


def fresh(folder: Path) -> Path:
    """A folder that is not there yet."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _paths(files: ModelFiles) -> Paths:
    return {"weights": files.weights, "vocab": files.vocab, "vocoder": files.vocoder}
