"""Pulling from a hub, over a network or onto a disk that does not do its part."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import find, verify
from tests.models.conftest import REGISTRY, VOCAB, WEIGHTS
from tests.models.hub_standin import Hub


def refused(
    source: HubSource, models_dir: Path, within_s: float = 40, model: str = "pinned"
) -> F5Error:
    """The error of a pull that must fail in time and leave nothing that could be taken for it."""
    start = time.monotonic()
    with pytest.raises(F5Error) as caught:
        pull(model, source, models_dir, registry=REGISTRY)
    assert time.monotonic() - start < within_s
    assert caught.value.hint
    assert caught.value.message.endswith(".")
    assert find(model, models_dir, registry=REGISTRY) is None
    return caught.value


def parts(models_dir: Path) -> list[int]:
    return [p.stat().st_size for p in models_dir.rglob("*.incomplete")]


def test_a_cut_is_mended_within_one_pull(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.cuts = [100_000, 50_000]
    files = pull("pinned", source, models_dir, registry=REGISTRY)
    assert files.weights.read_bytes() == WEIGHTS
    assert hub.ranges == ["bytes=100000-", "bytes=150000-"]


def test_a_hub_that_always_cuts_is_given_up(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.cuts = [1000] * 5
    error = refused(source, models_dir)
    assert (error.code, error.retryable) == ("HUB_CUT", True)
    assert parts(models_dir) == [5000]


def test_a_later_pull_goes_on_where_one_broke_off(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    hub.faults.hang, hub.faults.hang_at = "BODY", 120_000
    error = refused(source, models_dir)
    assert (error.code, error.retryable) == ("HUB_STALLED", True)
    assert parts(models_dir) == [120_000]
    hub.faults.hang = ""
    assert pull("pinned", source, models_dir, registry=REGISTRY).weights.read_bytes() == WEIGHTS
    assert hub.ranges == ["bytes=120000-"]


def test_a_hub_without_ranges_starts_over(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.cuts, hub.faults.ignore_range = [100_000], True
    assert pull("pinned", source, models_dir, registry=REGISTRY).weights.read_bytes() == WEIGHTS


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_hub_that_hangs_is_given_up(
    hub: Hub, source: HubSource, models_dir: Path, method: str
) -> None:
    hub.faults.hang = method
    model = "pinned" if method == "HEAD" else "open"  # which asks for the newest commit first
    error = refused(source, models_dir, within_s=4, model=model)
    assert (error.code, error.retryable) == ("HUB_STALLED", True)
    assert "1 s" in error.message


def test_a_hub_that_drips_is_given_up(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.drip_s = 0.05
    assert refused(source, models_dir, within_s=5).code == "HUB_STALLED"


@pytest.mark.parametrize(
    ("method", "model"),
    [("HEAD", "pinned"), ("GET", "open"), ("GET", "pinned")],
    ids=["file", "repository", "body"],
)
def test_an_answer_that_drips_is_given_up(
    hub: Hub, source: HubSource, models_dir: Path, method: str, model: str
) -> None:
    hub.faults.drip_head = method
    error = refused(source, models_dir, within_s=6, model=model)
    assert (error.code, error.retryable) == ("HUB_STALLED", True)
    assert "has not finished its answer" in error.message


def test_the_hub_is_asked_for_nothing_but_models(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own, as the library keeps what it has asked once."""
    work = (
        "import sys; from pathlib import Path\n"
        "from f5serve.models.hub_client import HubSource, file_metadata, newest_revision\n"
        f"source = HubSource({hub.endpoint!r}, timeout_s=5)\n"
        "commit, names = newest_revision(source, 'owner/open')\n"
        "file_metadata(source, 'owner/open', commit, names[0])\n"
    )
    environ = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.endpoint, "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", work], env=environ, check=True, timeout=60)
    assert [r.path for r in hub.requests if "owner/open" not in r.path] == []


def test_a_hub_that_is_down_is_named_at_once(models_dir: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    error = refused(HubSource(endpoint), models_dir, within_s=3)
    assert (error.code, error.retryable) == ("HUB_UNREACHABLE", True)
    assert endpoint in error.message
    assert "HF_ENDPOINT" in error.hint


@pytest.mark.parametrize("endpoint", ["htp://hub", "http://[::1", "http://no.such.host.invalid"])
def test_an_endpoint_that_is_none(endpoint: str, models_dir: Path) -> None:
    error = refused(HubSource(endpoint), models_dir, within_s=20)
    assert error.code in ("HUB_UNREACHABLE", "NOT_A_HUB")


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (401, "HUB_FORBIDDEN", False),
        (403, "HUB_FORBIDDEN", False),
        (404, "HUB_NOT_FOUND", False),
        (429, "HUB_FAILED", True),
        (500, "HUB_FAILED", True),
        (503, "HUB_FAILED", True),
    ],
)
def test_a_status_becomes_a_sentence(
    hub: Hub, source: HubSource, models_dir: Path, status: int, code: str, retryable: bool
) -> None:
    hub.faults.status = status
    error = refused(source, models_dir)
    assert (error.code, error.retryable) == (code, retryable)
    assert "owner/pinned/base/model.safetensors" in error.message
    if code == "HUB_FORBIDDEN":
        assert "HF_TOKEN" in error.hint


def test_what_the_hub_does_not_have(hub: Hub, source: HubSource, models_dir: Path) -> None:
    assert refused(source, models_dir, model="nowhere").code == "HUB_NOT_FOUND"
    del hub.repos["owner/open"]
    error = refused(source, models_dir, model="open")
    assert error.code == "HUB_NOT_FOUND"
    assert "owner/open" in error.message


def test_a_busy_hub_is_asked_again(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.fail_first = 2
    assert pull("pinned", source, models_dir, registry=REGISTRY).weights.read_bytes() == WEIGHTS


def test_something_else_than_a_hub(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.no_etag = True
    assert refused(source, models_dir).code == "NOT_A_HUB"


def flipped(data: bytes) -> bytes:
    return data[:500] + bytes([data[500] ^ 1]) + data[501:] if len(data) > 500 else data


def test_a_wrong_published_hash_is_refused(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.tamper = flipped
    error = refused(source, models_dir)
    assert isinstance(error, ModelUnavailable)
    assert error.code == "HASH_MISMATCH"
    assert parts(models_dir) == []
    assert not list(models_dir.rglob("model.safetensors"))


def test_another_file_is_refused_before_its_first_byte(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    hub.repos["owner/pinned"].files["base/model.safetensors"] = WEIGHTS[::-1]
    assert refused(source, models_dir).code == "HASH_MISMATCH"
    assert hub.count("GET") == 0


def test_a_hash_that_only_the_hub_knows_is_checked(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    hub.faults.tamper = flipped
    error = refused(source, models_dir, model="open")  # the registry has no hash of it
    assert error.code == "HASH_MISMATCH"
    assert "announced" in error.message


def test_a_small_file_is_checked_by_its_git_name(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    hub.faults.tamper = lambda data: b"?" + data[1:] if data == VOCAB else data
    assert refused(source, models_dir).code == "HASH_MISMATCH"


def test_a_damaged_part_is_fetched_again(hub: Hub, source: HubSource, models_dir: Path) -> None:
    hub.faults.hang, hub.faults.hang_at = "BODY", 120_000
    refused(source, models_dir)
    hub.faults.hang = ""
    part = next(models_dir.rglob("*.incomplete"))
    part.write_bytes(b"\0" * 120_000)
    assert pull("pinned", source, models_dir, registry=REGISTRY).weights.read_bytes() == WEIGHTS


def test_what_was_accepted_at_first_may_not_change(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    files = pull("open", source, models_dir, registry=REGISTRY)
    files.weights.unlink()
    hub.repos["owner/open"].files["model_last.pt"] = WEIGHTS[::-1]  # with a hash that is right
    error = refused(source, models_dir, model="open")
    assert error.code == "HASH_MISMATCH"
    assert "accepted at first" in error.message


def test_verify_tells_what_changed(hub: Hub, source: HubSource, models_dir: Path) -> None:
    assert {c.state for c in verify("open", models_dir, registry=REGISTRY)} == {"missing"}
    files = pull("open", source, models_dir, registry=REGISTRY)
    assert {c.state for c in verify("open", models_dir, registry=REGISTRY)} == {"ok"}
    files.weights.write_bytes(b"changed")
    files.vocab.unlink()
    states = {c.path.name: c.state for c in verify("open", models_dir, registry=REGISTRY)}
    assert states == {
        "weights.pt": "changed",
        "vocab.txt": "missing",
        "vocoder.bin": "ok",
    }


def test_more_than_was_announced_is_not_written(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    spec_size = len(WEIGHTS)

    def grown(data: bytes) -> bytes:
        return data + b"!" * 200_000 if len(data) == spec_size and hub.count("GET") else data

    hub.faults.tamper = grown
    error = refused(source, models_dir)
    assert error.code == "HUB_FAILED"
    assert parts(models_dir) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    import subprocess

    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "f5serve-test", str(folder)]
    try:
        made = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if made.returncode:
        pytest.skip(f"mounting a tmpfs needs root: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_too_little_room_is_told_before_the_first_byte(
    hub: Hub, source: HubSource, small_disk: Path
) -> None:
    hub.repos["owner/open"].files["model_last.pt"] = WEIGHTS * 20
    error = refused(source, small_disk / "models", model="open")
    assert isinstance(error, StorageFailed)
    assert error.code == "NO_SPACE"
    assert "6.05 MB are needed" in error.message
    assert str(small_disk) in error.message
    assert "F5_MODELS_DIR" in error.hint
    assert not [r for r in hub.requests if r.method == "GET" and "/resolve/" in r.path]


def test_room_that_was_reserved_cannot_be_taken(
    hub: Hub, source: HubSource, small_disk: Path
) -> None:
    hub.repos["owner/open"].files["model_last.pt"] = WEIGHTS * 4
    filler = small_disk / "filler"

    def fill(_: object) -> None:
        if not filler.exists():
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                except OSError:
                    pass

    files = pull("open", source, small_disk / "models", fill, REGISTRY)
    assert files.weights.read_bytes() == WEIGHTS * 4
    assert filler.exists()


def test_a_disk_that_fills_on_the_way_is_told_and_left_clean(
    hub: Hub, source: HubSource, small_disk: Path
) -> None:
    hub.repos["owner/open"].files["model_last.pt"] = WEIGHTS * 20
    hub.faults.no_length = True
    error = refused(source, small_disk / "models", model="open")
    assert error.code == "NO_SPACE"
    assert parts(small_disk) == []


def test_a_folder_that_cannot_be_written(source: HubSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = refused(source, tmp_path / "file" / "models")
    assert error.code == "NOT_WRITABLE"
