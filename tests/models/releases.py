"""A small model in several versions, and the stores that it is published into."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from f5serve.models import manifest as documents
from f5serve.models.installed import LocalFile, ModelFiles, find_installed
from f5serve.models.local import find_damage
from f5serve.models.manifest import ARTIFACT_API, Description
from f5serve.models.publish import UploadPlan
from f5serve.store.base import ObjectStore, Progress
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.store.s3 import S3Limits, S3Store
from tests.store import servers

MODEL = "pinned"
SIZES = {"weights": 200_000, "vocab": 900, "vocoder": 50_000}
NAMES = {"weights": "weights.safetensors", "vocab": "vocab.txt", "vocoder": "vocoder.bin"}
TOTAL = sum(SIZES.values())


def content(role: str, version: int) -> bytes:
    return random.Random(f"{role} {version}").randbytes(SIZES[role])


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob(role: str, version: int = 1) -> str:
    return documents.blob_key(sha(content(role, version)))


def release(folder: Path, version: int = 1, model: str = MODEL) -> UploadPlan:
    """A version of the model as files in a folder of their own."""
    home = folder / f"made-{version}"
    home.mkdir(parents=True, exist_ok=True)
    for role, name in NAMES.items():
        if not (home / name).exists():
            (home / name).write_bytes(content(role, version))
    files = tuple(LocalFile(role, home / name) for role, name in NAMES.items())
    about = Description(model, ARTIFACT_API, "F5TTS_v1_Base", "MIT", True, "o/r", "c" * 40)
    return UploadPlan(about, files)


def intact(folder: Path) -> ModelFiles | None:
    """The synced model, when every hash is right."""
    found = find_installed(MODEL, folder)
    return found.files if found and not find_damage(found.files, folder) else None


def version_of(files: ModelFiles) -> int | None:
    """Which version all three files belong to; None for a mix and for anything else."""
    found = {role: getattr(files, role).read_bytes() for role in SIZES}
    versions = [n for n in range(20) if all(found[r] == content(r, n) for r in SIZES)]
    return versions[0] if versions else None


class CountingStore(MemoryStore):
    """Remembers what was asked of it, in order; `hook` is called before each call."""

    def __init__(self, hook: Callable[[str, str], None] = lambda call, key: None) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.hook = hook

    def note(self, call: str, key: str) -> None:
        self.calls.append((call, key))
        self.hook(call, key)

    def count(self, call: str) -> int:
        return Counter(name for name, _ in self.calls)[call]

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        if "/_blobs/" not in key:  # those are downloaded, which counts there
            self.note("get", key)
        return super().get(key, max_bytes)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        self.note("put", key)
        super().put(key, data, content_type)

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self.note("download", key)
        super().download(key, to, size, sha256, on_progress)


@contextlib.contextmanager
def store_of(kind: str, folder: Path) -> Iterator[ObjectStore]:
    """An empty store of a kind: memory, folder, rclone or juicefs."""
    if kind == "memory":
        yield MemoryStore()
    elif kind == "folder":
        yield LocalStore(folder / "store")
    else:
        with {"rclone": servers.rclone, "juicefs": servers.juicefs}[kind](folder / kind) as options:
            limits = S3Limits(part_bytes=64 << 10, pause_s=0.02)
            prefix = f"t/{uuid.uuid4().hex}"
            yield S3Store(dataclasses.replace(options, prefix=prefix, limits=limits))
