"""A worker on a machine that is not fit ends at once, with one line; health tells what is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from f5serve.doctor.report import guard_flash_attn, quick
from tests.doctor.machines import TORCH_GPU, Machine, gpu_box
from tests.worker.processes import PASSED_ON, ROOT

MOST_S = 10.0
"""For a busy machine; alone it takes 0.2 s, and 2 s are promised."""

UNFIT = {
    "NO_GPU": ({"F5_DEVICE": "cuda", "F5_ENGINE": "f5"}, 3, "Set F5_DEVICE=auto"),
    "BAD_SETTING": ({"F5_CONCURRENCY": "many"}, 3, "It takes a whole number"),
    "MODEL_MISSING": (
        {"F5_ENGINE": "f5", "F5_FETCH_MODELS": "never"},
        4,
        "Run: f5serve models pull",
    ),
    "DATA_NOT_WRITABLE": ({"F5_DATA_DIR": "/proc/data"}, 5, "Set F5_DATA_DIR to a folder"),
    "S3_KEYS_HALF_SET": ({"S3_BUCKET": "b", "AWS_ACCESS_KEY_ID": "canary-key"}, 3, "Set both."),
}


@pytest.mark.parametrize("code", UNFIT)
def test_an_unfit_worker_ends_with_one_line_before_torch(
    code: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    settings, exit_code, fix = UNFIT[code]
    # A torch that comes before the real one and tells when it is imported.
    fake = tmp_path / "path" / "torch"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environ |= {"HOME": str(tmp_path), "F5_DATA_DIR": str(tmp_path / "data"), **settings}
    environ |= {
        "PYTHONPATH": str(tmp_path / "path"),
        "RUNPOD_WEBHOOK_GET_JOB": "http://x/job-take/",
    }
    began = time.monotonic()
    command = [sys.executable, "-m", "f5serve.runpod.worker"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, timeout=60)
    seconds = time.monotonic() - began
    record_property("seconds", seconds)
    first, *rest = [json.loads(line) for line in done.stderr.splitlines()]
    assert first["message"].startswith("f5serve worker: version ")
    assert [line["level"] for line in rest] == ["ERROR"]
    assert rest[0]["message"].startswith(f"{code}: ")
    assert fix in rest[0]["message"]
    assert (done.returncode, done.stdout) == (exit_code, b"")
    assert not (tmp_path / "imported").exists()
    assert b"canary" not in done.stderr
    assert seconds < MOST_S


def test_a_broken_flash_attn_is_hidden_from_the_process_and_a_good_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    for name, said, error in (
        ("good", {"on_gpu": True, "apart": 0.0}, ""),
        ("bad", None, "x.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationESs"),
    ):
        machine = gpu_box(tmp_path / name)
        machine.torch(TORCH_GPU)
        machine.install("flash-attn", "2.8.3")
        machine.says("flash", said, error=error, code=1 if error else 0)
        sources = machine.sources()
        hidden = guard_flash_attn(quick(sources), sources)
        assert (hidden is None) is (name == "good")
        assert ("flash_attn" in sys.modules) is (name == "bad")
    assert hidden is not None
    assert hidden.code == "FLASH_ATTN_OTHER_ABI"
    assert "cxx11abiFALSE" in hidden.what
    with pytest.raises(ImportError):
        import flash_attn  # noqa: F401
    monkeypatch.delitem(sys.modules, "flash_attn")


def test_quick_is_quick_and_starts_no_program(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    machine: Machine = gpu_box(tmp_path / "machine")
    machine.have_gpu(script=f"touch {tmp_path}/started")
    machine.says("torch", script=f"touch {tmp_path}/started")
    sources = machine.sources()
    seconds = min(quick(sources).seconds for _ in range(5))
    record_property("seconds", seconds)
    assert seconds < 0.3
    assert not (tmp_path / "started").exists()
