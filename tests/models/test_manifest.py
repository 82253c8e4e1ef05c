"""What a manifest must be, and that nothing else is taken for one."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.engine.checkpoint import ARTIFACT_FORMAT
from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.models import manifest as documents
from f5serve.models.manifest import ARTIFACT_API, Description, StoredFile
from f5serve.store.json_documents import canonical_json

ABOUT = Description("m", ARTIFACT_API, "F5TTS_v1_Base", "MIT", True, "o/r", "c" * 40, "1.0", "abc")
FILES = (
    StoredFile("weights", "weights.safetensors", 3, "1" * 64),
    StoredFile("vocab", "vocab.txt", 2, "2" * 64),
    StoredFile("vocoder", "vocoder.bin", 1, "3" * 64),
)
WHOLE = documents.write(ABOUT, FILES)


def changed(**fields: Any) -> bytes:
    return canonical_json({**json.loads(WHOLE.data), **fields})


def with_file(index: int, **fields: Any) -> bytes:
    files = json.loads(WHOLE.data)["files"]
    files[index] |= fields
    return changed(files=files)


def test_the_layout_is_as_documented() -> None:
    assert documents.blob_key("0" * 64) == f"models/_blobs/{'0' * 64}"
    assert documents.manifest_key("m", "0" * 64) == f"models/m/manifests/{'0' * 64}.json"
    assert documents.pointer_key("m") == "models/m/current.json"
    assert documents.write_pointer("0" * 64) == b'{"manifest":"' + b"0" * 64 + b'","schema":1}'
    assert json.loads(WHOLE.data) == {
        "schema": 1,
        "model_api": "f5serve-1",
        "model": "m",
        "arch": "F5TTS_v1_Base",
        "license": "MIT",
        "commercial": True,
        "source": {"repo": "o/r", "revision": "c" * 40},
        "producer": {"version": "1.0", "commit": "abc"},
        "files": [
            {"role": "weights", "path": "weights.safetensors", "size": 3, "sha256": "1" * 64},
            {"role": "vocab", "path": "vocab.txt", "size": 2, "sha256": "2" * 64},
            {"role": "vocoder", "path": "vocoder.bin", "size": 1, "sha256": "3" * 64},
        ],
    }


def test_what_was_written_is_read() -> None:
    assert documents.read(WHOLE.data, "m") == WHOLE
    assert WHOLE.size == 6
    assert documents.read_pointer(documents.write_pointer(WHOLE.sha256), "m") == WHOLE.sha256


def test_the_engine_and_the_store_name_the_artifact_alike() -> None:
    assert ARTIFACT_API == ARTIFACT_FORMAT


def test_fields_and_roles_of_later_versions_are_passed_over_but_stay_part_of_the_hash() -> None:
    files = [*json.loads(WHOLE.data)["files"], {"role": "aligner", "url": "x"}]
    data = changed(files=files, note="new")
    manifest = documents.read(data, "m")
    assert manifest is not None
    assert manifest.files == FILES
    assert manifest.data == data
    assert manifest.sha256 != WHOLE.sha256


@pytest.mark.parametrize(
    "data", [changed(schema=2), changed(schema=0), changed(model_api="f5serve-9")]
)
def test_another_schema_or_api_counts_as_absent_with_a_line_in_the_log(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert documents.read(data, "m") is None
    assert "counts as absent" in caplog.text
    assert documents.read_pointer(canonical_json({"schema": 2, "target": "x"}), "m") is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"schema":1}',
        b'{"schema":true}',
        WHOLE.data[:-1],
        b"[" * 50_000,
        changed(model="other"),
        changed(arch=None),
        changed(files=None),
        changed(files=[]),
        changed(files=json.loads(WHOLE.data)["files"][:2]),
        changed(files=json.loads(WHOLE.data)["files"] * 2),
        with_file(0, path="../weights"),
        with_file(0, path="a/b"),
        with_file(0, path=""),
        with_file(0, path=7),
        with_file(0, path="Manifest.json"),
        with_file(0, path="VOCAB.txt"),
        with_file(0, path=".hidden"),
        with_file(0, size=-1),
        with_file(0, size=True),
        with_file(0, size="3"),
        with_file(0, sha256="A" * 64),
        with_file(0, sha256="1" * 63),
        with_file(0, sha256=None),
        with_file(0, role="vocab"),
    ],
)
def test_what_is_no_manifest_of_this_model_is_refused(data: bytes) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        documents.read(data, "m")
    assert caught.value.code == "MODEL_CORRUPT"
    assert "f5serve models push m --again" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b'{"schema":1}', b'{"schema":1,"manifest":"../x"}', b"\xff"])
def test_what_is_no_pointer_is_refused(data: bytes) -> None:
    with pytest.raises(ModelUnavailable, match="pointer"):
        documents.read_pointer(data, "m")


@given(st.integers(0, len(WHOLE.data) - 1), st.binary(max_size=3))
def test_damage_is_a_refusal_never_a_fault(at: int, instead: bytes) -> None:
    data = WHOLE.data[:at] + instead + WHOLE.data[at + 1 :]
    for read in (documents.read, documents.read_pointer):
        with contextlib.suppress(ModelUnavailable):
            read(data, "m")


@pytest.mark.parametrize("name", ["", "_blobs", "a/b", "..", ".x", "a\n", "x" * 600])
def test_an_id_that_is_no_folder_is_refused(name: str) -> None:
    for key in (documents.pointer_key, lambda n: documents.manifest_key(n, "0" * 64)):
        with pytest.raises(InvalidRequest) as caught:
            key(name)
        assert caught.value.code == "BAD_MODEL_ID"
