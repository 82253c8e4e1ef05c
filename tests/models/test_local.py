"""Looking on local disk: which of several places, which revision, and never a wrong file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.errors import ModelUnavailable
from f5serve.models.installed import LocalFile, install
from f5serve.models.local import describe, find, find_published
from f5serve.models.manifest import ARTIFACT_API, MODEL_ROLES
from f5serve.models.other_layouts import pick_files
from f5serve.models.registry import ANY_VOCAB, ModelFile
from tests.models.conftest import (
    COMMIT,
    OPEN_COMMIT,
    REGISTRY,
    VOCAB,
    VOCOS,
    VOCOS_COMMIT,
    WEIGHTS,
    spec,
)


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def put_model(cache: Path, commit: str = COMMIT, weights: bytes = WEIGHTS) -> Path:
    snapshot = cache / "models--owner--pinned" / "snapshots" / commit / "base"
    put(snapshot / "vocab.txt", VOCAB)
    return put(snapshot / "model.safetensors", weights)


def put_vocoder(cache: Path) -> Path:
    folder = cache / "models--owner--vocos" / "snapshots" / VOCOS_COMMIT
    return put(folder / "pytorch_model.bin", VOCOS)


def test_nothing_is_found_where_nothing_is(models_dir: Path) -> None:
    assert find("pinned", models_dir, registry=REGISTRY) is None
    assert not models_dir.exists()


def test_all_parts_must_be_there(models_dir: Path) -> None:
    weights = put_model(models_dir / "hub")
    assert find("pinned", models_dir, registry=REGISTRY) is None
    put_vocoder(models_dir / "hub")
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert (found.weights, found.revision) == (weights, COMMIT)
    (weights.parent / "vocab.txt").unlink()
    assert find("pinned", models_dir, registry=REGISTRY) is None


def test_what_is_converted_goes_first_and_what_is_installed_second(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cached = put_model(models_dir / "hub")
    parts = {
        "weights": cached,
        "vocab": cached.with_name("vocab.txt"),
        "vocoder": put_vocoder(models_dir / "hub"),
    }
    files = [LocalFile(role, parts[role]) for role in MODEL_ROLES]
    about = describe(REGISTRY.get("pinned"))
    published = install(about, files, models_dir)
    assert find("pinned", models_dir, registry=REGISTRY) == published.files
    small = put(tmp_path / "small.safetensors", b"small")
    files = [replace(file, path=small) if file.role == "weights" else file for file in files]
    converted = install(replace(about, model_api=ARTIFACT_API), files, models_dir)
    assert find("pinned", models_dir, registry=REGISTRY) == converted.files
    assert find_published("pinned", models_dir, registry=REGISTRY) == published.files
    assert cached.read_bytes() == WEIGHTS
    assert small.read_bytes() == b"small"


def test_the_parts_may_lie_in_different_caches(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    weights = put_model(tmp_path / ".cache" / "huggingface" / "hub")
    vocoder = put_vocoder(models_dir / "hub")
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert (found.weights, found.vocoder) == (weights, vocoder)


def test_the_pinned_revision_goes_before_another(models_dir: Path) -> None:
    hub = models_dir / "hub"
    put_vocoder(hub)
    other = put_model(hub, commit="0" * 40)
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert (found.weights, found.revision) == (other, "0" * 40)
    pinned = put_model(hub)
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert found.weights == pinned


@pytest.mark.parametrize("weights", [b"", WEIGHTS[:-1], WEIGHTS + b"!"])
def test_a_file_of_another_size_is_not_it(models_dir: Path, weights: bytes) -> None:
    put_vocoder(models_dir / "hub")
    put_model(models_dir / "hub", weights=weights)
    assert find("pinned", models_dir, registry=REGISTRY) is None


def test_files_without_known_names_are_picked_from_a_snapshot(models_dir: Path) -> None:
    hub = models_dir / "hub"
    put_vocoder(hub)
    snapshot = hub / "models--owner--open" / "snapshots" / OPEN_COMMIT
    weights = put(snapshot / "model_last.pt", WEIGHTS)
    put(snapshot / "vocab.txt", VOCAB)
    found = find("open", models_dir, registry=REGISTRY)
    assert found is not None
    assert found.weights == weights
    put(snapshot / "other.pt", WEIGHTS)
    assert find("open", models_dir, registry=REGISTRY) is None


def test_a_dangling_link_is_no_file(models_dir: Path) -> None:
    put_vocoder(models_dir / "hub")
    weights = put_model(models_dir / "hub")
    weights.unlink()
    weights.symlink_to(models_dir / "gone")
    assert find("pinned", models_dir, registry=REGISTRY) is None


def test_unknown_model(models_dir: Path) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        find("nonsense", models_dir)
    assert caught.value.code == "UNKNOWN_MODEL"


def test_looking_takes_milliseconds(models_dir: Path) -> None:
    put_vocoder(models_dir / "hub")
    put_model(models_dir / "hub")
    times = []
    for _ in range(10):
        start = time.perf_counter()
        assert find("pinned", models_dir, registry=REGISTRY)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05


def test_looking_loads_no_heavy_library() -> None:
    code = (
        "import sys; from pathlib import Path; from f5serve.models.local import find;"
        "find('F5TTS_v1_Base', Path('/nonexistent'));"
        "print(sorted({'torch', 'huggingface_hub', 'httpx2', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_picking_a_known_pattern_and_the_vocabulary_above_it() -> None:
    files = (ModelFile("weights", "S/EGY/model_*.safetensors"), ModelFile("vocab", ANY_VOCAB))
    names = [f"S/{one}/model_9.safetensors" for one in ("EGY", "MSA")]
    wanted = spec("habibi", files=files)
    for vocabs in (["S/EGY/vocab.txt", "S/MSA/vocab.txt", "vocab.txt"], ["S/vocab.txt"]):
        picked = pick_files(wanted, [*names, *vocabs])
        assert [file.path for file in picked] == ["S/EGY/model_9.safetensors", vocabs[0]]
    assert not wanted.names_its_files


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["a.safetensors", "a.pt", "vocab.txt"], "a.safetensors"),
        (["sub/model.pt", "sub/vocab.txt", "README.md"], "sub/model.pt"),
    ],
)
def test_picking(names: list[str], weights: str) -> None:
    assert pick_files(REGISTRY.get("open"), names)[0].path == weights


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["vocab.txt"],
        ["a.pt"],
        ["a.safetensors", "b.safetensors", "vocab.txt"],
        ["a.pt", "x/vocab.txt", "y/vocab.txt"],
    ],
)
def test_picking_what_cannot_be_told_apart(names: list[str]) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        pick_files(REGISTRY.get("open"), names)
    assert caught.value.code == "AMBIGUOUS_FILES"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_cache_that_may_not_be_read_is_passed_over(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    locked = tmp_path / ".cache" / "huggingface" / "hub"
    put_model(locked)
    locked.chmod(0)
    try:
        assert find("pinned", models_dir, registry=REGISTRY) is None
    finally:
        locked.chmod(0o700)
