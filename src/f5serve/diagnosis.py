"""The doctor's whole visit: gathers what any room knows of this machine and judges it.

    Settings, Sources -> Facts -> [Finding] -> Report

`quick` takes what can be known without a network, a child process or torch, in a fraction of a
second: a worker runs it before anything else. `full` tries everything. Neither changes anything.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from f5serve import build
from f5serve.diagnosis_store import try_store_of
from f5serve.doctor.checks_environ import check_environment, uses_bucket
from f5serve.doctor.checks_flash import FLASH_BROKEN, advice, check_flash, misfit
from f5serve.doctor.checks_gpu import check_gpu
from f5serve.doctor.checks_machine import check_disks, check_memory, check_ports
from f5serve.doctor.checks_python import check_python, check_torch
from f5serve.doctor.checks_rooms import (
    check_build,
    check_jobs,
    check_models,
    check_store,
    check_voices,
)
from f5serve.doctor.commands import Commands
from f5serve.doctor.environ import read_leniently, shown
from f5serve.doctor.facts import (
    BuildFacts,
    Facts,
    KernelFacts,
    ModelFacts,
    ModelFile,
    Sources,
    StoreFacts,
)
from f5serve.doctor.findings import LEVELS, Finding, above_ok, exit_code, fatal
from f5serve.doctor.machine import (
    look_at_disk,
    look_at_gpu,
    look_at_memory,
    look_at_ports,
    this_python,
)
from f5serve.doctor.packages import installed, read_torch
from f5serve.engine import kernel_files
from f5serve.engine.threads import usable_threads
from f5serve.errors import EngineFailed, F5Error, InvalidRequest, ModelUnavailable, StorageFailed
from f5serve.models.cleanup import quarantined
from f5serve.models.disk import unreadable
from f5serve.models.registry import PUBLISHED, check_license
from f5serve.models.verify import known_hashes
from f5serve.settings import (
    Settings,
    on_runpod,
    process_environ,
    secret_values,
    unknown_names,
)
from f5serve.startup.select import EngineSpec, select_engine

_SHORTEST_SECRET = 4
"""Of what is masked in findings; a word too much masked does no harm here."""

_CLASSES: dict[int, type[F5Error]] = {
    kind.exit_code: kind for kind in (InvalidRequest, ModelUnavailable, StorageFailed, EngineFailed)
}

Check = Callable[[Facts], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    check_python,
    check_environment,
    check_torch,
    check_gpu,
    check_flash,
    check_memory,
    check_disks,
    check_store,
    check_jobs,
    check_voices,
    check_models,
    check_ports,
    check_build,
)
"""In the order in which one explains the next."""


@dataclass(frozen=True, slots=True)
class Report:
    """A visit's result.

    Attributes:
        environment: the variables that matter, secrets masked.
        seconds: that it took.
    """

    facts: Facts
    findings: tuple[Finding, ...]
    environment: dict[str, str]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0, or that of the first fatal finding."""
        return exit_code(self.findings)

    @property
    def above_ok(self) -> list[Finding]:
        """What there is to say, worst first."""
        return above_ok(self.findings)

    def check(self) -> None:
        """Refuse a machine with a fatal finding.

        Raises:
            F5Error: with its code and fix, of the class that its exit code belongs to.
        """
        worst = fatal(self.findings)
        if worst is not None:
            value = f" ({worst.value})" if worst.value else ""
            kind = _CLASSES.get(worst.exit_code, F5Error)
            raise kind(f"{worst.what}{value}", code=worst.code, hint=worst.fix)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for --json."""
        counts: dict[str, int] = dict.fromkeys(LEVELS, 0)
        for finding in self.findings:
            counts[finding.level] += 1
        return {
            "exit_code": self.exit_code,
            "counts": counts,
            "findings": [finding.as_dict() for finding in self.findings],
            "models": [
                {"path": str(file.path), "state": file.state, "sha256": file.sha256}
                for file in (self.facts.models.files if self.facts.models else ())
            ],
            "environment": self.environment,
            "seconds": round(self.seconds, 3),
        }


def this_machine() -> Sources:
    """Where the facts of this process and machine are."""
    environ = process_environ()
    temp = Path(tempfile.gettempdir())
    return Sources(environ, Commands(environ), this_python(), temp)


def quick(sources: Sources | None = None, *, listens: bool = False) -> Report:
    """What can be known at once: for a worker before it imports anything heavy, and for health.

    Args:
        listens: this process listens already, so that its ports are taken by itself.
    """
    sources = sources or this_machine()
    began = time.perf_counter()
    return _report(sources, _look(sources, listens=listens), began)


def full(sources: Sources | None = None) -> Report:
    """Everything: torch, flash-attn and hashing in child processes, the store by a small object."""
    from f5serve.doctor.trials import try_flash, try_torch

    sources = sources or this_machine()
    began = time.perf_counter()
    facts = _look(sources)
    facts = replace(facts, gpu=look_at_gpu(sources, ask=True))
    if facts.torch is not None:
        facts = replace(facts, torch_run=try_torch(sources))
    facts = replace(facts, kernels=look_at_kernels(facts, sources))
    if facts.flash_installs:
        abi = facts.torch_run.cxx11_abi if facts.torch_run else None
        facts = replace(facts, flash_run=try_flash(sources, abi))
    store, library, jobs = try_store_of(facts)
    models = _hashed(facts, sources) if facts.models else None
    facts = replace(facts, store=store, voices=library, jobs=jobs, models=models)
    facts = replace(facts, build=look_at_build(sources.package))
    return _report(sources, facts, began)


def flash_advice(sources: Sources | None = None) -> dict[str, str]:
    """See `checks_flash.advice`; torch is asked for its ABI in a process of its own."""
    from f5serve.doctor.trials import try_torch

    sources = sources or this_machine()
    facts = _look(sources)
    if facts.torch is not None and facts.torch.cuda:  # without CUDA there is no wheel anyway
        facts = replace(facts, torch_run=try_torch(sources))
    return advice(facts)


def guard_flash_attn(report: Report, sources: Sources | None = None) -> Finding | None:
    """Try an installed flash-attn and hide it from this process when it does not work.

    Returns:
        The finding about it, when it was hidden.
    """
    from f5serve.doctor.trials import hide_flash, try_flash

    facts = report.facts
    if not facts.flash_installs:
        return None
    if not misfit(facts):  # what cannot load by its name needs no trial
        facts = replace(facts, flash_run=try_flash(sources or this_machine()))
    broken = next((f for f in check_flash(facts) if f.code in FLASH_BROKEN), None)
    if broken is not None:
        hide_flash()
    return broken


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Every finding about these facts; pure."""
    found = [finding for check in CHECKS for finding in check(facts)]
    settings_are_wrong = any(f.level == "fatal" and f.section == "environment" for f in found)
    return tuple(
        finding
        for finding in found
        # The store cannot be opened on settings that were called wrong just above.
        if not (settings_are_wrong and finding.section == "store" and finding.code == "BAD_SETTING")
    )


def _report(sources: Sources, facts: Facts, began: float) -> Report:
    secrets = secret_values(sources.variables, _SHORTEST_SECRET)
    findings = tuple(_without(secrets, finding) for finding in judge(facts))
    seconds = time.perf_counter() - began
    return Report(facts, findings, shown(sources.variables), seconds)


def _without(secrets: tuple[str, ...], finding: Finding) -> Finding:
    """The finding with secrets masked, wherever a message of another program has repeated one."""
    texts = {name: getattr(finding, name) for name in ("what", "value", "why", "fix")}
    for secret in secrets:
        texts = {name: text.replace(secret, "***") for name, text in texts.items()}
    return replace(finding, **texts)


def _look(sources: Sources, *, listens: bool = False) -> Facts:
    """All that needs neither a network nor another process."""
    settings, refused = read_leniently(sources.variables)
    at_runpod = on_runpod(sources.variables)
    cores = usable_threads(sources.root / "sys/fs/cgroup/cpu.max")
    volume = sources.root / "runpod-volume"
    folders = {
        "temp": sources.temp,
        "data": settings.data_dir,
        "models": settings.models_dir,
        "cache": settings.cache_dir,
        "root": sources.root,
        "volume": volume if volume.is_dir() else None,
    }
    ports = ("PORT", "PORT_HEALTH") if settings.mode == "serve" and not listens else ()
    facts = Facts(
        settings=settings,
        variables=sources.variables,
        python=sources.python,
        packages=installed(sources),
        torch=read_torch(sources),
        gpu=look_at_gpu(sources, ask=False),
        memory=look_at_memory(sources, cores),
        disks=tuple(look_at_disk(sources, role, path) for role, path in folders.items() if path),
        on_runpod=at_runpod,
        bad_settings=tuple((name, error.message, error.hint) for name, error in refused),
        unknown_settings=tuple(unknown_names(sources.variables)),
        ports=look_at_ports(ports, sources),
        store=StoreFacts(is_shared=uses_bucket(settings)),
    )
    return replace(facts, models=_look_at_models(facts))


def _look_at_models(facts: Facts) -> ModelFacts:
    """What `startup.load` would select here, and whether it would download weights first."""
    settings = facts.settings
    may_fetch = _would_fetch(facts)
    known = ModelFacts(kind="", model=settings.model, may_fetch=may_fetch)
    known = replace(
        known,
        needs=_needed(settings.model),
        engine_installed=facts.torch is not None,
        put_aside=tuple(quarantined(settings.models_dir)),
    )
    try:
        spec = select_engine(settings)
        if may_fetch:
            check_license(PUBLISHED.get(settings.model), settings.require_commercial_license)
    except F5Error as error:
        return _refused(known, error)
    except OSError as error:  # a folder or name that cannot even be looked at
        return _refused(known, unreadable(settings.ckpt or settings.models_dir, error))
    if spec.files is not None:
        here = _known_files(spec, settings)
        return replace(known, kind="f5", model=spec.model, files=here)
    if may_fetch:
        return replace(known, kind="f5", code="MODEL_MISSING")
    speaks = facts.package("onnxruntime") is not None
    return replace(known, kind="standin", engine_installed=speaks)


def _refused(known: ModelFacts, error: F5Error) -> ModelFacts:
    return replace(
        known,
        code=error.code,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
        may_fetch=known.may_fetch and error.code == "MODEL_MISSING",
    )


def _would_fetch(facts: Facts) -> bool:
    """As `startup.weights.should_download`, for the machine that is looked at."""
    settings = facts.settings
    own = settings.ckpt or settings.vocab or settings.arch
    if own or settings.engine == "standin" or settings.fetch_models == "never":
        return False
    asked = settings.fetch_models == "always" or settings.engine == "f5" or facts.on_runpod
    return asked and facts.torch is not None


def _needed(model: str) -> int:
    """Bytes of a model and its vocoder as published; 0 when they are not known."""
    try:
        files = (*PUBLISHED.get(model).files, *PUBLISHED.vocoder.files)
    except F5Error:
        return 0
    return sum(file.size or 0 for file in files)


def _hashed(facts: Facts, sources: Sources) -> ModelFacts:
    """The model's files with the hashes that they have."""
    from f5serve.doctor.trials import hash_files

    models = facts.models
    assert models is not None
    if not models.files:
        return models
    found, error = hash_files(sources, [file.path for file in models.files])
    files = tuple(replace(file, sha256=found.get(file.path, "")) for file in models.files)
    return replace(models, files=files, hash_error=error)


def _known_files(spec: EngineSpec, settings: Settings) -> tuple[ModelFile, ...]:
    """Files of the model with the hashes that they must have, where those are known."""
    files = spec.files
    if files is None:
        return ()
    known: dict[Path, str | None] = dict.fromkeys((files.weights, files.vocab, files.vocoder))
    if settings.ckpt is None:
        known = known_hashes(files, settings.models_dir)
    return tuple(ModelFile(path, sha256 or "") for path, sha256 in known.items())


def look_at_kernels(facts: Facts, sources: Sources) -> KernelFacts | None:
    """Whether the GPU that torch has found gets kernels; None without one."""
    run = facts.torch_run
    if run is None or not run.devices:
        return None
    path = facts.variables.get("PATH")
    compilers = any(shutil.which(name, path=path) for name in ("gcc", "clang"))
    can_compile = compilers and facts.package("triton") is not None
    folder = sources.kernels or kernel_files.FOLDER
    try:
        kernel_files.choose(folder, kernel_files.source_hash(), (), run.devices[0].capability)
    except kernel_files.KernelsUnusable as reason:
        return KernelFacts(str(reason), can_compile)
    return KernelFacts("", can_compile)


def look_at_build(package: Path = build.PACKAGE) -> BuildFacts:
    """The stamp of a copy, and which of its files and libraries are not the ones it was built of.

    A checkout is meant to be changed, so nothing of it is compared.
    """
    try:
        stamp = build.stamp(package)
    except F5Error as error:
        return BuildFacts("", "", error=error.message)
    if package.parent.name == "src":
        return BuildFacts(str(stamp), stamp.commit, is_checkout=True)
    return BuildFacts(
        str(stamp),
        stamp.commit,
        dirty=bool(stamp.dirty),
        differing=tuple(str(one) for one in build.verify_files(stamp, package)),
        libraries=tuple(build.verify_libraries(stamp)),
    )
