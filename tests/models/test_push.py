"""Which files are published, and the way of a model from one machine to another by command line."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from f5serve.errors import F5Error
from f5serve.models.bucket import current_manifest
from f5serve.models.compatibility import (
    download_from_s3,
    sync_models_from_s3,
    upload_models_to_s3,
    upload_to_s3,
)
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.installed import LocalFile, install
from f5serve.models.local import describe, find
from f5serve.models.manifest import ARTIFACT_API
from f5serve.models.publish import collect_files, precision_of
from f5serve.models.registry import PUBLISHED, Role
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from tests.engine.test_checkpoint import published, small
from tests.models.conftest import (
    OPEN_COMMIT,
    REGISTRY,
    VOCAB,
    VOCOS,
    VOCOS_COMMIT,
    WEIGHTS,
    convert,
)
from tests.models.test_cli_models import models


def artifact(dtype: str = "F16", fmt: str = "f5serve-1", size: int = 2000) -> bytes:
    """A file with the header of a converted one."""
    tensors = {
        "blocks": {"dtype": dtype, "shape": [1], "data_offsets": [0, size - 100]},
        "schedule.7": {"dtype": "F32", "shape": [1], "data_offsets": [size - 100, size]},
    }
    header = json.dumps({"__metadata__": {"format": fmt}, **tensors}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def write_artifact(weights: Path, out: Path, form: str) -> None:
    assert weights.read_bytes() == WEIGHTS
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(artifact({"fp16": "F16", "fp32": "F32"}[form]))


@pytest.fixture
def pulled(source: HubSource, models_dir: Path) -> Path:
    pull("pinned", source, models_dir, registry=REGISTRY)
    return models_dir


@pytest.fixture
def converted(pulled: Path) -> Path:
    convert(pulled, artifact())
    return pulled


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (artifact("F16"), "fp16"),
        (artifact("F32"), "fp32"),
        (artifact("BF16"), None),
        (artifact(fmt="f5serve-9"), None),
        (artifact()[:40], None),
        (b"", None),
        (b"\xff" * 64, None),
        (struct.pack("<Q", 2) + b"[]", None),
        (struct.pack("<Q", 10) + b'{"a": "b"}', None),
    ],
)
def test_the_form_is_read_off_the_header(tmp_path: Path, data: bytes, form: str | None) -> None:
    (tmp_path / "file").write_bytes(data)
    assert precision_of(tmp_path / "file") == form
    assert precision_of(tmp_path / "none") is None


def test_the_artifact_goes_with_the_hashes_that_are_known(converted: Path) -> None:
    release = collect_files("pinned", "fp16", converted, registry=REGISTRY)
    assert [file.name for file in release.files] == [
        "weights.safetensors",
        "vocab.txt",
        "vocoder.bin",
    ]
    assert [file.path.read_bytes() for file in release.files] == [artifact(), VOCAB, VOCOS]
    assert None not in [file.sha256 for file in release.files]
    assert (release.about.model_api, release.about.arch) == ("f5serve-1", "F5TTS_v1_Base")


def test_what_is_missing_is_converted_once(pulled: Path) -> None:
    made = collect_files("pinned", "fp16", pulled, write_artifact, REGISTRY).files[0]
    assert made.sha256 is not None
    assert collect_files("pinned", "fp16", pulled, registry=REGISTRY).files[0] == made
    other = collect_files("pinned", "fp32", pulled, write_artifact, REGISTRY).files[0]
    assert precision_of(other.path) == "fp32"
    assert other.path != made.path
    found = find("pinned", pulled, registry=REGISTRY)
    assert found is not None
    assert found.weights == made.path
    plain = collect_files("pinned", "published", pulled, write_artifact, REGISTRY)
    assert plain.files[0].path.read_bytes() == WEIGHTS
    assert plain.about.model_api == "published"


def test_what_cannot_be_published_has_a_sentence(pulled: Path, tmp_path: Path) -> None:
    for folder, code in ((tmp_path / "empty", "MODEL_NOT_PULLED"), (pulled, "MODEL_NOT_CONVERTED")):
        with pytest.raises(F5Error) as caught:
            collect_files("pinned", "fp16", folder, registry=REGISTRY)
        assert caught.value.code == code


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path) -> Settings:
    return Settings(models_dir=models_dir, store=(tmp_path / "store").as_uri())


def test_from_one_machine_to_another(
    converted: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models(settings, "push", "pinned") == 0
    said = capsys.readouterr()
    assert "in 3 files" in said.out
    assert "now current" in said.out
    assert "upload weights.safetensors" in said.err
    assert models(settings, "push", "pinned", "--json") == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["sent"], line["sent_bytes"], line["changed"]) == ([], 0, False)
    assert models(settings, "push", "pinned", "--again", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sent_bytes"] == line["size"]

    there = replace(settings, models_dir=tmp_path / "there")
    assert models(there, "sync", "pinned", "--json") == 0
    paths = json.loads(capsys.readouterr().out)
    assert Path(paths["weights"]).read_bytes() == artifact()
    assert models(there, "list", "--store", "--json") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["pinned"]["on_disk"], rows["pinned"]["in_store"]) == ("synced", True)
    assert (rows["open"]["on_disk"], rows["open"]["in_store"]) == (None, False)
    assert models(there, "list", "--store") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-3:] == ["synced", "yes", "yes"]

    assert models(there, "verify") == 0
    assert capsys.readouterr().out.count("ok ") == 3
    Path(paths["vocab"]).write_bytes(b"x" * len(VOCAB))
    assert models(there, "verify") == 4
    assert "changed " in capsys.readouterr().out


def test_an_artifact_that_was_changed_is_not_pushed(converted: Path, settings: Settings) -> None:
    path = convert(converted, artifact())
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(F5Error) as caught:
        models(settings, "push", "pinned")
    assert caught.value.code == "HASH_MISMATCH"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["push", "pinned"], "MODEL_NOT_PULLED"),
        (["push", "pined"], "UNKNOWN_MODEL"),
        (["push", "vocos"], "NOT_A_MODEL"),
        (["sync", "pinned"], "MODEL_NOT_IN_STORE"),
        (["sync", "vocos"], "NOT_A_MODEL"),
    ],
)
def test_push_and_sync_say_what_they_lack(settings: Settings, words: list[str], code: str) -> None:
    with pytest.raises(F5Error) as caught:
        models(settings, *words)
    assert caught.value.code == code


def test_push_converts_with_the_engine(
    models_dir: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocos = models_dir / "hub" / "models--owner--vocos" / "snapshots" / VOCOS_COMMIT
    opened = models_dir / "hub" / "models--owner--open" / "snapshots" / OPEN_COMMIT
    for folder in (vocos, opened):
        folder.mkdir(parents=True)
    (vocos / "pytorch_model.bin").write_bytes(VOCOS)
    (opened / "vocab.txt").write_bytes(VOCAB)
    save_file(published(small("F5TTS_v1_Base")), opened / "model.safetensors")
    assert models(settings, "push", "open", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sent_bytes"] > 0
    there = replace(settings, models_dir=tmp_path / "there")
    assert models(there, "sync", "open") == 0
    found = find("open", there.models_dir, registry=REGISTRY)
    assert found is not None
    assert precision_of(found.weights) == "fp16"
    assert found.revision == OPEN_COMMIT
    assert models(settings, "push", "open", "--dtype", "published") == 0
    assert models(there, "sync", "open") == 0
    found = find("open", there.models_dir, registry=REGISTRY)
    assert found is not None
    assert found.weights.read_bytes() == (opened / "model.safetensors").read_bytes()
    versions = found.weights.parent.parent
    assert len([path for path in versions.iterdir() if path.is_dir()]) == 2
    assert models(there, "sync", "open", "--remove-others") == 0
    assert [path for path in versions.iterdir() if path.is_dir()] == [found.weights.parent]


@pytest.mark.parametrize("action", ["push", "sync"])
def test_a_forbidding_licence_is_refused_first(settings: Settings, action: str) -> None:
    with pytest.raises(F5Error) as caught:
        models(replace(settings, require_commercial_license=True), action, "pinned")
    assert caught.value.code == "LICENSE_FORBIDS"


def test_the_old_names_work_over_a_real_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the published registry, as old scripts have no other."""
    store = LocalStore(tmp_path / "store")
    monkeypatch.setenv("HOME", str(tmp_path))  # where other programs may keep the model
    monkeypatch.setenv("F5_STORE", (tmp_path / "store").as_uri())
    (tmp_path / "file").write_bytes(b"words")
    assert upload_to_s3(tmp_path / "file", "output/x.txt") == store.url("output/x.txt")
    assert download_from_s3("output/x.txt", str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").read_bytes() == b"words"
    assert download_from_s3("output/none", tmp_path / "none") is False

    here, there = tmp_path / "here", tmp_path / "there"
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setenv("F5_MODELS_DIR", str(here))
    assert upload_models_to_s3() is False
    assert sync_models_from_s3() is False
    parts = {"weights.safetensors": artifact(), "vocab.txt": VOCAB, "vocoder.bin": VOCOS}
    for name, data in parts.items():
        (made / name).write_bytes(data)
    about = describe(PUBLISHED.get("F5TTS_v1_Base"), "", ARTIFACT_API)
    roles: tuple[Role, ...] = ("weights", "vocab", "vocoder")
    files = [LocalFile(role, made / name) for role, name in zip(roles, parts, strict=True)]
    install(about, files, here)
    assert upload_models_to_s3() is True
    assert current_manifest(store, "F5TTS_v1_Base") is not None
    monkeypatch.setenv("F5_MODELS_DIR", str(there))
    assert sync_models_from_s3("F5TTS_v1_Base") is True
    found = find("F5TTS_v1_Base", there)
    assert found is not None
    assert found.vocoder.read_bytes() == VOCOS
