"""What a cold start meets: a store and a hub behind lines of limited speed, and folders on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from f5serve.models.installed import LocalFile, install
from f5serve.models.manifest import ARTIFACT_API, Description
from f5serve.models.publish import UploadPlan, publish
from f5serve.models.registry import PUBLISHED
from f5serve.store.s3 import S3Store
from f5serve.store.s3_client import S3Options

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # the servers are those of the tests

MODEL = PUBLISHED.models[0]
WEIGHTS, VOCAB = (file.path for file in MODEL.files)
VOCODER_FILES = tuple(file.path for file in PUBLISHED.vocoder.files)
VOCAB_LINES = 2545


@dataclass(frozen=True)
class World:
    """Where everything is.

    Attributes:
        made: paths by name as `material.py` tells them, and the architecture.
        files: size and sha256 of each published file, by its path in its repository.
        hub: its URL behind the line.
        store: the bucket behind the line; `bare` is the same without a line.
    """

    made: dict[str, Any]
    files: dict[str, Any]
    baked: Path
    hub: str
    store: S3Options
    bare: S3Options


def make_material(work: Path, arch: str, small: bool) -> dict[str, Any]:
    """Random weights in a process of their own, so that this one never holds a model."""
    vocab = work / "made-vocab.txt"
    if not vocab.exists():
        characters = [chr(code) for code in (*range(0x20, 0x7F), *range(0x4E00, 0x6000))]
        vocab.write_text("".join(f"{line}\n" for line in characters[:VOCAB_LINES]))
    command = [sys.executable, str(HERE / "material.py"), "--work", str(work), "--arch", arch]
    command += ["--vocab", str(vocab), "--artifacts"] + ["--small"] * small
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
    return dict(json.loads(made.stdout.splitlines()[-1]))


@contextlib.contextmanager
def world(work: Path, made: dict[str, Any], s3_rate: float, hub_rate: float) -> Iterator[World]:
    """A store that holds the artifact and a hub that holds the published files; bytes a second."""
    from tests.models.hub_standin import Hub, Repo
    from tests.store.servers import rclone
    from tests.store.slow_link import SlowLink

    vocoder = Path(made["vocoder"])
    published = {
        MODEL.repo: {WEIGHTS: Path(made["published"]), VOCAB: Path(made["vocab"])},
        PUBLISHED.vocoder.repo: {name: vocoder / name for name in VOCODER_FILES},
    }
    repos = {
        name: Repo(
            str((MODEL if name == MODEL.repo else PUBLISHED.vocoder).revision),
            {path: source.read_bytes() for path, source in files.items()},
            {WEIGHTS, "pytorch_model.bin"},
            {"main"},
        )
        for name, files in published.items()
    }
    facts = {
        path: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for repo in repos.values()
        for path, data in repo.files.items()
    }
    with contextlib.ExitStack() as stack:
        options = stack.enter_context(rclone(work / "s3"))
        publish(S3Store(options), _release(made))
        hub = stack.enter_context(Hub(repos))
        store_line = stack.enter_context(SlowLink(options.endpoint_url, s3_rate))
        hub_line = stack.enter_context(SlowLink(hub.endpoint, hub_rate))
        behind = replace(options, endpoint_url=store_line.url)
        yield World(made, facts, _bake(work / "image", made), hub_line.url, behind, options)


def _release(made: dict[str, Any]) -> UploadPlan:
    sources = {
        "weights": Path(made["artifact-float16"]),
        "vocab": Path(made["vocab"]),
        "vocoder": Path(made["vocoder"]) / "pytorch_model.bin",
    }
    files = tuple(LocalFile(role, path) for role, path in sources.items())  # type: ignore[arg-type]
    about = Description(MODEL.id, ARTIFACT_API, MODEL.arch, MODEL.license, MODEL.commercial)
    return UploadPlan(about, files)


def _bake(folder: Path, made: dict[str, Any]) -> Path:
    """The folder that an image would carry."""
    plan = _release(made)
    install(plan.about, plan.files, folder)
    return folder
