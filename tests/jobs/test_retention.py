"""What is old goes, what is in use and what is not ours stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from f5serve.cli.main import run
from f5serve.jobs.history import key_of
from f5serve.jobs.records import Lease, Status
from f5serve.jobs.retention import DAY_S, GcReport, collect_garbage
from f5serve.jobs.store import JobStore
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from tests.jobs.clock import Clock
from tests.voices.material import CountingStore

SHA = "1" * 64
FOREIGN = [
    "output/old.wav",
    "timings/a.srt",
    "timings/old.er.srt",
    "voices/ana.wav",
    "jobs/notes.txt",
    "cache/x.json",
]


def work(store: MemoryStore | LocalStore, job_id: str, finish: bool = True) -> None:
    board = JobStore(store, "w")
    lease = board.claim(job_id, SHA)
    assert isinstance(lease, Lease)
    key = f"output/{job_id}/x.wav"
    store.put(key, b"12345")
    line = {"role": "audio", "key": key, "size": 5, "sha256": "0" * 64, "mime": "audio/wav"}
    if finish:
        board.complete(lease, {"outputs": [line]})


class Lists(MemoryStore):
    """Notes the order in which keys are deleted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.deleted: list[str] = []

    def delete(self, key: str) -> None:
        self.deleted.append(key)
        super().delete(key)


def test_old_jobs_go_whole_and_younger_ones_stay_whole() -> None:
    clock = Clock()
    store = Lists(clock)
    work(store, "old")
    store.put("timings/old.srt", b"1")
    work(store, "stuck", finish=False)
    for key in FOREIGN:
        store.put(key, b"mine")
    store.put(f"cache/{SHA}.json", b"{}")
    clock.tick(20 * DAY_S)
    work(store, "young")
    clock.tick(11 * DAY_S)
    assert collect_garbage(store, 0) == GcReport()
    assert collect_garbage(store, 30, dry_run=True).jobs == 2
    assert not store.deleted

    told: list[str] = []
    swept = collect_garbage(store, 30, on_job=told.append)
    assert (swept.jobs, swept.files, swept.cache_entries) == (2, 9, 1)
    assert sorted(told) == ["old", "stuck"]
    of_old = [key for key in store.deleted if "old" in key]
    assert (of_old[0], of_old[-2]) == ("jobs/old/done.json", "jobs/old/state.json")
    assert of_old[-1].startswith("index/jobs/")
    assert {entry.key for entry in store.list()} == {
        *FOREIGN,
        "index/jobs-built.json",
        key_of("young", clock() - 11 * DAY_S),
        "jobs/young/done.json",
        "jobs/young/state.json",
        "output/young/x.wav",
    }
    assert collect_garbage(store, 30) == GcReport()


def test_a_job_that_is_touched_during_the_sweep_stays() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    work(store, "a")
    work(store, "b")
    clock.tick(31 * DAY_S)
    touch = lambda job: store.put("output/b/used.json", b"{}")  # noqa: E731
    swept = collect_garbage(store, 30, on_job=touch, relist_s=0)
    assert swept.jobs == 1
    assert store.exists("output/b/x.wav")


def test_a_sweep_lists_each_folder_once_whatever_goes() -> None:
    clock = Clock()
    store = CountingStore(MemoryStore(clock))
    for number in range(300):
        board = JobStore(store, "w")
        lease = board.claim(f"j{number}", SHA)
        assert isinstance(lease, Lease)
    clock.tick(31 * DAY_S)
    assert collect_garbage(store, 30).jobs == 300
    assert store.total("list") == 6  # index, jobs, output, timings, cache, queue
    assert store.total("delete") == 600
    assert [entry.key for entry in store.list()] == ["index/jobs-built.json"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setenv("F5_STORE", tmp_path.as_uri())
    return LocalStore(tmp_path)


def test_the_command_line_shows_a_job(
    folder: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    work(folder, "a")
    work(folder, "b", finish=False)
    assert run(["jobs", "show", "a"]) == 0
    said = capsys.readouterr().out
    assert "a: COMPLETED" in said
    assert "audio: 5 bytes, file:///" in said
    assert run(["jobs", "show", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "PROCESSING"
    assert run(["jobs", "show", "c"]) == 3
    assert "Invalid job_id: c" in capsys.readouterr().err


def test_the_command_line_shows_why_a_job_failed(
    folder: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    board = JobStore(folder, "w")
    lease = board.claim("a", SHA)
    assert isinstance(lease, Lease)
    board.fail(lease, {"message": "It failed.", "code": "X", "hint": "", "retryable": True})
    assert board.snapshot("a").status is Status.FAILED
    assert run(["jobs", "show", "a"]) == 0
    assert "failure: It failed. (X)" in capsys.readouterr().out


def test_the_command_line_removes_what_is_old(
    folder: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    work(folder, "a")
    assert run(["jobs", "gc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == 0
    assert run(["jobs", "gc", "--days", "0"]) == 0
    assert "nothing is ever removed" in capsys.readouterr().out
    assert run(["jobs", "gc", "--days", "-1"]) == 3
    assert folder.exists("output/a/x.wav")
