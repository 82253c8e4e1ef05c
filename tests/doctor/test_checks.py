"""Findings from captured facts: what cannot be planted everywhere, and what goes with what."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.doctor import report as doctor
from f5serve.doctor.facts import Disk, Facts, FlashRun, Package, TorchFiles, TorchRun, VoiceFacts
from f5serve.doctor.findings import LEVELS, Finding, first_fatal
from f5serve.doctor.report import check_all
from f5serve.errors import EngineFailed, InvalidRequest, ModelUnavailable, StorageFailed
from tests.doctor import faults
from tests.doctor.machines import GIB, Machine, cpu_box, gpu_box, runpod_worker


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def codes(facts: Facts) -> set[str]:
    return {f.code for f in check_all(facts) if f.level in ("warning", "fatal")}


def disk(role: str, **changes: object) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        disks = [replace(d, **changes) if d.role == role else d for d in facts.disks]
        return replace(facts, disks=tuple(disks))

    return change


CHANGES: dict[str, tuple[Callable[[Facts], Facts], str]] = {
    "no bytecode in a read-only image": (
        lambda f: replace(f, torch=replace(f.torch, has_bytecode=False, can_compile=False)),
        "BYTECODE_MISSING",
    ),
    "few open files": (
        lambda f: replace(f, memory=replace(f.memory, open_files=64)),
        "FILES_LIMIT_LOW",
    ),
    "a quota that statvfs does not tell": (
        disk("data", error="Disk quota exceeded"),
        "NO_SPACE",
    ),
    "a full disk that df calls free": (disk("temp", error="No space left on device"), "NO_SPACE"),
    "temp on a read-only root": (disk("temp", error="Read-only file system"), "TEMP_NOT_WRITABLE"),
    "a slow store": (
        lambda f: replace(f, store=replace(f.store, tried=True, seconds=25.0)),
        "STORE_SLOW",
    ),
    "voices cannot be listed": (
        lambda f: replace(f, voices=VoiceFacts(code="S3_FORBIDDEN", message="m", hint="h")),
        "S3_FORBIDDEN",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_captured_misconfiguration_is_named(name: str, tmp_path: Path) -> None:
    facts = doctor.full(cpu_box(tmp_path / "machine").sources()).facts
    assert codes(facts) == set()
    change, code = CHANGES[name]
    assert codes(change(facts)) == {code}


def test_a_full_disk_is_told_with_what_is_needed_and_where_it_would_fit(tmp_path: Path) -> None:
    facts = doctor.quick(cpu_box(tmp_path / "machine").sources()).facts
    small = disk("temp", free=150 << 20, total=150 << 20)(facts)
    (told,) = [finding for finding in doctor.check_all(small) if finding.code == "NO_SPACE"]
    assert "no room for the 256 MiB that are needed" in told.what
    roomy = max((one for one in small.disks if one.role != "temp"), key=lambda one: one.free)
    assert f": 150 MiB of 150 free; it would fit below {roomy.path}: " in told.value
    assert "Set TMPDIR to a folder with 256 MiB free" in told.fix
    for role in {one.role for one in small.disks}:
        small = disk(role, free=150 << 20, total=150 << 20)(small)
    (told,) = [finding for finding in doctor.check_all(small) if finding.code == "NO_SPACE"]
    assert told.value.endswith(": 150 MiB of 150 free")


def test_read_only_models_are_good_when_they_are_there(tmp_path: Path) -> None:
    facts = doctor.quick(cpu_box(tmp_path / "machine").sources()).facts
    read_only = disk("models", error="Read-only file system")(facts)
    assert codes(read_only) == set()
    models = replace(facts.models, kind="f5", files=(), code="MODEL_MISSING", may_fetch=True)
    assert codes(replace(read_only, models=models)) == {"MODELS_NOT_WRITABLE"}


@pytest.mark.parametrize(
    ("value", "found"), [("http", {"BAD_SETTING"}), ("99999", {"BAD_SETTING"}), ("0", set())]
)
def test_ports_of_a_server(value: str, found: set[str], tmp_path: Path) -> None:
    machine: Machine = cpu_box(tmp_path / "machine")
    machine.variables |= {"F5_MODE": "serve", "PORT": value}
    assert codes(doctor.quick(machine.sources()).facts) == found


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    machine = cpu_box(tmp_path / "machine")
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        machine.variables |= {"F5_MODE": "serve", "PORT": str(other.getsockname()[1])}
        assert codes(doctor.quick(machine.sources()).facts) == {"PORT_TAKEN"}
        assert codes(doctor.quick(machine.sources(), listens=True).facts) == set()
    assert codes(doctor.quick(machine.sources()).facts) == set()


@pytest.mark.parametrize(
    ("change", "exit_with", "kind"),
    [
        ({"F5_THREADS": "-1"}, 3, InvalidRequest),
        ({"F5_MODEL": "nobody"}, 4, ModelUnavailable),
        ({"F5_DATA_DIR": "/proc/x"}, 5, StorageFailed),
    ],
)
def test_a_fatal_finding_is_an_error_of_its_class(
    change: dict[str, str], exit_with: int, kind: type[Exception], tmp_path: Path
) -> None:
    machine = cpu_box(tmp_path / "machine")
    machine.variables |= change
    report = doctor.quick(machine.sources())
    assert report.exit_code == exit_with
    with pytest.raises(kind) as caught:
        report.raise_if_fatal()
    assert caught.value.exit_code == exit_with
    assert caught.value.hint


def test_memory_is_the_devices_fault(tmp_path: Path) -> None:
    machine = runpod_worker(tmp_path / "machine")
    machine.write("root/proc/meminfo", "MemTotal: 2800000 kB\nMemAvailable: 2000000 kB\n")
    with pytest.raises(EngineFailed):
        doctor.quick(machine.sources()).raise_if_fatal()
    machine.variables["RUNPOD_MIN_MEMORY_GB"] = "1"
    assert codes(doctor.quick(machine.sources()).facts) == {"MEMORY_SMALL"}
    machine.variables["F5_ENGINE"] = "standin"
    machine.variables["RUNPOD_SKIP_AUTO_SYSTEM_CHECKS"] = "true"
    assert codes(doctor.quick(machine.sources()).facts) == set()


def test_what_is_asked_for_is_fatal_and_what_is_not_is_a_warning(tmp_path: Path) -> None:
    machine = gpu_box(tmp_path / "machine")
    facts = doctor.quick(machine.sources()).facts
    cpu_torch = replace(facts, torch=TorchFiles("2.13.0+cpu", ""))
    for device, level in (("auto", "warning"), ("cuda", "fatal"), ("cpu", None)):
        settings = replace(facts.settings, device=device)
        found = [f for f in check_all(replace(cpu_torch, settings=settings)) if f.level != "ok"]
        assert [f.level for f in found] == ([level] if level else [])


def test_facts_in_any_mixture_are_judged(tmp_path: Path) -> None:
    """No check relies on what another one has looked at."""
    facts = doctor.full(gpu_box(tmp_path / "machine").sources()).facts
    package = Package("flash-attn", "2.8.3", "/x")
    for changes in (
        {"torch": None},
        {"torch_run": None},
        {"torch_run": TorchRun(error="gone", timed_out=True)},
        {"torch_run": TorchRun(version="x", devices=())},
        {"packages": (package,), "flash_run": None},
        {"packages": (package,), "flash_run": FlashRun(False, error="?")},
        {"torch": None, "packages": (package, package)},
        {"disks": ()},
        {"disks": (Disk("temp", Path("/x"), GIB, GIB, None),)},
        {"models": None, "store": None, "voices": None, "build": None},
    ):
        found = check_all(replace(facts, **changes))
        assert found
        assert {f.level for f in found} <= set(LEVELS)
        worst = first_fatal(found)
        assert worst is None or worst.exit_code in (3, 4, 5, 6)
        assert all(isinstance(f, Finding) and f.what for f in found)


def test_what_a_container_has_used_is_not_available(tmp_path: Path) -> None:
    machine = runpod_worker(tmp_path / "machine")
    group = "root/sys/fs/cgroup"
    machine.write(f"{group}/memory.max", f"{16 * GIB}\n")
    machine.write(f"{group}/memory.current", f"{14 * GIB}\n")
    machine.write(f"{group}/memory.stat", f"anon 1\ninactive_file {10 * GIB}\nfile 2\n")
    facts = doctor.quick(machine.sources()).facts
    assert (facts.memory.total, facts.memory.available) == (16 * GIB, 12 * GIB)
    machine.write(f"{group}/memory.stat", "inactive_file 0\n")
    assert codes(doctor.quick(machine.sources()).facts) == {"MEMORY_BELOW_SDK_MINIMUM"}


def test_a_secret_that_another_program_repeats_is_masked(tmp_path: Path) -> None:
    machine = cpu_box(tmp_path / "machine")
    machine.variables["HF_TOKEN"] = "hf_canary0123456789"
    machine.says("torch", error="ImportError: hf_canary0123456789 is no library", code=1)
    report = doctor.full(machine.sources())
    told = next(f for f in report.findings if f.code == "TORCH_BROKEN")
    assert told.value == "ImportError: *** is no library"
    assert "canary" not in str(report.as_dict())


def test_kernels_that_triton_can_compile_are_no_warning(tmp_path: Path) -> None:
    machine = gpu_box(tmp_path / "machine")
    machine.have_kernels(source="0" * 64)
    machine.install("triton", "3.7.1")
    machine.program("gcc", "")
    found = doctor.full(machine.sources()).findings
    (told,) = [finding for finding in found if finding.code == "KERNELS_NOT_COMPILED"]
    assert told.level == "info"
    assert "Triton compiles them" in told.why
    assert "another f5serve" in told.value


def test_kernels_that_are_off_need_not_be_compiled(tmp_path: Path) -> None:
    machine = gpu_box(tmp_path / "machine")
    machine.have_kernels(90)
    machine.variables["F5_FUSED_KERNELS"] = "off"
    found = doctor.full(machine.sources()).findings
    assert "KERNELS_NOT_COMPILED" not in [finding.code for finding in found]
    assert "off, by F5_FUSED_KERNELS" in [finding.value for finding in found]


def test_an_older_gpu_for_which_no_kernels_are_made_is_no_warning(tmp_path: Path) -> None:
    machine = gpu_box(tmp_path / "machine")
    faults.torch_says(faults.TORCH_GPU, devices=[["Tesla T4", [7, 5], *faults.RTX[2:]]])(machine)
    found = doctor.full(machine.sources()).findings
    assert "KERNELS_NOT_COMPILED" not in [finding.code for finding in found]
    assert "none for GPUs below capability 8.0" in [finding.value for finding in found]
