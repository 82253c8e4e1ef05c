"""Pulling from a hub that works: local files first, verified, installed with a manifest."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from f5serve.errors import F5Error, InvalidRequest, ModelUnavailable
from f5serve.models.disk import Progress
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.installed import find_installed
from f5serve.models.local import find
from tests.models.conftest import COMMIT, OPEN_COMMIT, REGISTRY, VOCAB, VOCOS, WEIGHTS, convert, sha
from tests.models.hub_standin import Hub


def test_a_model_comes_with_its_vocabulary_and_vocoder(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    steps: list[Progress] = []
    files = pull("pinned", source, models_dir, steps.append, REGISTRY)
    assert files.weights.read_bytes() == WEIGHTS
    assert files.vocab.read_bytes() == VOCAB
    assert files.vocoder.read_bytes() == VOCOS
    assert (files.arch, files.revision, files.commercial) == ("F5TTS_v1_Base", COMMIT, False)
    assert files == find("pinned", models_dir, registry=REGISTRY)
    last = {(s.path, s.phase): s.done for s in steps}
    assert last[("base/model.safetensors", "download")] == len(WEIGHTS)
    assert last[("base/model.safetensors", "verify")] == len(WEIGHTS)


def test_the_second_pull_asks_nobody(hub: Hub, source: HubSource, models_dir: Path) -> None:
    first = pull("pinned", source, models_dir, registry=REGISTRY)
    hub.requests.clear()
    assert pull("pinned", source, models_dir, registry=REGISTRY) == first
    assert hub.requests == []


def test_what_was_pulled_is_a_version_with_a_manifest(source: HubSource, models_dir: Path) -> None:
    files = pull("pinned", source, models_dir, registry=REGISTRY)
    version = find_installed("pinned", models_dir)
    assert version is not None
    assert version.files == files
    assert [f.sha256 for f in version.manifest.files] == [sha(WEIGHTS), sha(VOCAB), sha(VOCOS)]
    assert (version.manifest.about.model_api, version.is_converted) == ("published", False)
    assert {path.name for path in (models_dir / "installed" / "pinned").iterdir()} == {
        version.folder.name,
        "current.json",
    }


def test_models_share_the_vocoder(hub: Hub, source: HubSource, models_dir: Path) -> None:
    first = pull("pinned", source, models_dir, registry=REGISTRY)
    hub.requests.clear()
    second = pull("borrows", source, models_dir, registry=REGISTRY)
    assert second.vocoder.samefile(first.vocoder)
    assert not [r for r in hub.requests if "vocos" in r.path]
    first.vocoder.write_bytes(b"?" + VOCOS[1:])  # of both, as they are one file
    assert pull("borrows", source, models_dir, registry=REGISTRY).vocoder.read_bytes() == VOCOS
    assert pull("pinned", source, models_dir, registry=REGISTRY).vocoder.read_bytes() == VOCOS


def test_a_converted_model_stays_in_use(source: HubSource, models_dir: Path) -> None:
    pull("pinned", source, models_dir, registry=REGISTRY).vocab.read_bytes()
    weights = convert(models_dir)
    published = pull("pinned", source, models_dir, registry=REGISTRY)
    assert published.weights.read_bytes() == WEIGHTS
    published.weights.unlink()
    assert pull("pinned", source, models_dir, registry=REGISTRY) == published
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert found.weights == weights
    newer = convert(models_dir, b"converted again")
    assert not weights.exists()
    assert newer.read_bytes() == b"converted again"
    assert published.weights.exists()


def test_an_unknown_revision_is_resolved_once_and_kept(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    files = pull("open", source, models_dir, registry=REGISTRY)
    assert files.revision == OPEN_COMMIT
    assert files.weights.name == "weights.pt"
    version = find_installed("open", models_dir)
    assert version is not None
    assert version.manifest.about.revision == OPEN_COMMIT

    files.vocab.unlink()
    newer = hub.repos["owner/open"]
    newer.sha, newer.older = "d" * 40, {OPEN_COMMIT}
    assert pull("open", source, models_dir, registry=REGISTRY).revision == OPEN_COMMIT


def test_a_repository_with_two_checkpoints_is_not_guessed(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    hub.repos["owner/open"].files["model_first.pt"] = b"?"
    with pytest.raises(ModelUnavailable, match=r"model_first\.pt, model_last\.pt") as caught:
        pull("open", source, models_dir, registry=REGISTRY)
    assert caught.value.code == "AMBIGUOUS_FILES"


def test_a_file_of_another_repository_is_pulled_along(source: HubSource, models_dir: Path) -> None:
    files = pull("borrows", source, models_dir, registry=REGISTRY)
    assert files.vocab.read_bytes() == VOCAB
    assert files.revision == COMMIT


def test_only_what_is_missing_is_fetched(hub: Hub, source: HubSource, models_dir: Path) -> None:
    pull("pinned", source, models_dir, registry=REGISTRY).vocab.unlink()
    hub.requests.clear()
    pull("pinned", source, models_dir, registry=REGISTRY)
    assert {r.path for r in hub.requests} == {f"/owner/pinned/resolve/{COMMIT}/base/vocab.txt"}


def test_a_broken_file_on_disk_is_replaced(hub: Hub, source: HubSource, models_dir: Path) -> None:
    files = pull("pinned", source, models_dir, registry=REGISTRY)
    damaged = bytearray(WEIGHTS)
    damaged[1000] ^= 1
    files.weights.write_bytes(damaged)
    assert pull("pinned", source, models_dir, registry=REGISTRY).weights.read_bytes() == WEIGHTS


def test_a_broken_file_of_another_program_is_left_alone(
    source: HubSource, models_dir: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere.safetensors"
    other.write_bytes(b"x" * len(WEIGHTS))
    snapshot = models_dir / "hub/models--owner--pinned/snapshots" / COMMIT / "base"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(other)
    (snapshot / "vocab.txt").write_bytes(VOCAB)
    files = pull("pinned", source, models_dir, registry=REGISTRY)
    assert files.weights.read_bytes() == WEIGHTS
    assert other.read_bytes() == b"x" * len(WEIGHTS)
    assert (snapshot / "model.safetensors").is_symlink()


def test_the_token_goes_to_the_hub_and_nothing_else_about_us(hub: Hub, models_dir: Path) -> None:
    hub.token = "hf_secret"
    pull("open", HubSource(hub.endpoint, "hf_secret"), models_dir, registry=REGISTRY)
    agents = {r.headers["user-agent"] for r in hub.requests}
    assert len(agents) == 1
    assert agents.pop().startswith("f5serve/")
    assert "hf_secret" not in repr(HubSource(hub.endpoint, "hf_secret"))


def test_a_large_file_on_another_host_is_fetched_without_the_token(
    hub: Hub, models_dir: Path
) -> None:
    hub.token, hub.faults.to_another_host, hub.faults.cuts = "hf_secret", True, [100_000]
    source = HubSource(hub.endpoint, "hf_secret", timeout_s=2)
    files = pull("pinned", source, models_dir, registry=REGISTRY)
    assert files.weights.read_bytes() == WEIGHTS
    elsewhere = [r for r in hub.requests if r.path.startswith("/elsewhere/")]
    assert [r.headers.get("range") for r in elsewhere] == [None, "bytes=100000-", None]
    assert not any("authorization" in r.headers for r in elsewhere)


def test_the_vocoder_is_not_a_model(source: HubSource, models_dir: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        pull("vocos", source, models_dir, registry=REGISTRY)
    assert caught.value.code == "NOT_A_MODEL"


def _pull_in_a_process(endpoint: str, models_dir: Path) -> None:
    files = pull("pinned", HubSource(endpoint, timeout_s=5), models_dir, registry=REGISTRY)
    assert files.weights.read_bytes() == WEIGHTS


def test_a_pull_that_was_killed_is_gone_on_with(hub: Hub, models_dir: Path) -> None:
    hub.faults.hang, hub.faults.hang_at = "BODY", 200_000
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_pull_in_a_process, args=(hub.endpoint, models_dir))
    process.start()
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        if [p for p in models_dir.rglob("*.incomplete") if p.stat().st_size == 200_000]:
            break
        time.sleep(0.02)
    process.kill()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
    assert find("pinned", models_dir, registry=REGISTRY) is None
    hub.faults.hang = ""
    _pull_in_a_process(hub.endpoint, models_dir)
    assert hub.ranges == ["bytes=200000-"]


def test_offline_mode_of_the_library_is_named(hub: Hub, models_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from f5serve.errors import F5Error\n"
        "from f5serve.models.hub import pull\n"
        "from f5serve.models.hub_client import HubSource\n"
        "try: pull('german', HubSource(sys.argv[1]), Path(sys.argv[2]))\n"
        "except F5Error as error: print(error.code, error.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, hub.endpoint, str(models_dir)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("HUB_UNREACHABLE")
    assert "HF_HUB_OFFLINE" in done.stdout
    assert hub.requests == []


def test_two_processes_at_once_download_once(hub: Hub, models_dir: Path) -> None:
    hub.faults.pause_s = 0.03
    spawn = multiprocessing.get_context("spawn")
    both = [
        spawn.Process(target=_pull_in_a_process, args=(hub.endpoint, models_dir)) for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert hub.count("GET") == 3
    assert find_installed("pinned", models_dir) is not None


def test_the_lock_is_touched_once_a_second(source: HubSource, models_dir: Path) -> None:
    lock = models_dir / "installed" / "pull.lock"
    signs: list[int] = []
    began = time.monotonic()
    pull(
        "pinned",
        source,
        models_dir,
        lambda _: signs.append(lock.stat().st_mtime_ns),
        registry=REGISTRY,
    )
    assert len(signs) > 10
    assert len(set(signs)) <= 2 + (time.monotonic() - began)


def test_parts_of_processes_that_are_gone_are_swept(source: HubSource, models_dir: Path) -> None:
    home = models_dir / "installed" / "elsewhere"
    for name, age_s in (("-0123abcd/a", 7200), ("-0123abce/b", 60), ("/c", 7200)):
        part = home / f"incoming{name}.incomplete"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"x")
        os.utime(part, (time.time() - age_s,) * 2)
    pull("pinned", source, models_dir, registry=REGISTRY)
    assert sorted(p.name for p in home.rglob("*.incomplete")) == ["b.incomplete", "c.incomplete"]


def test_a_pull_that_died_while_it_installed_fetches_nothing_again(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    files = pull("open", source, models_dir, registry=REGISTRY)
    (files.weights.parent / "manifest.json").unlink()
    (files.weights.parent.parent / "current.json").unlink()
    incoming = files.weights.parent.parent / "incoming"
    incoming.mkdir()
    files.weights.rename(incoming / files.weights.name)
    hub.requests.clear()
    assert pull("open", source, models_dir, registry=REGISTRY) == files
    assert hub.count("GET") == 1  # the newest commit


def test_without_a_lock_a_pull_leaves_nothing(
    hub: Hub, source: HubSource, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    hub.faults.cuts = [100] * 9
    with pytest.raises(F5Error):
        pull("pinned", source, models_dir, registry=REGISTRY)
    assert not [path for path in models_dir.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert pull("pinned", source, models_dir, registry=REGISTRY).weights.read_bytes() == WEIGHTS
