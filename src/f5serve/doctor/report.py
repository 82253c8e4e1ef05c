"""The doctor: collects facts about this machine, checks them and reports the findings.

    Sources -> Facts -> [Finding] -> Report

`quick` takes what can be known without a network, a child process or torch, in a fraction of a
second: a worker runs it before anything else. `full` tries everything. Neither changes anything.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from f5serve.doctor.checks_gpu import check_gpu
from f5serve.doctor.checks_machine import (
    check_build,
    check_disks,
    check_memory,
    check_ports,
    check_python,
    check_torch,
)
from f5serve.doctor.checks_services import check_jobs, check_models, check_store, check_voices
from f5serve.doctor.checks_settings import check_settings, uses_bucket
from f5serve.doctor.facts import Facts, StoreFacts
from f5serve.doctor.findings import LEVELS, Finding, first_fatal, problems
from f5serve.doctor.flash_attn import (
    FLASH_BROKEN,
    check_flash_attn,
    flash_attn_wheel,
    install_incompatibilities,
)
from f5serve.doctor.probes import (
    hide_flash_attn,
    probe_disk,
    probe_flash_attn,
    probe_gpu,
    probe_memory,
    probe_packages,
    probe_ports,
    probe_torch,
    probe_torch_files,
    this_python,
)
from f5serve.doctor.service_probes import (
    hash_models,
    probe_build,
    probe_kernels,
    probe_models,
    probe_services,
)
from f5serve.doctor.sources import Commands, Sources
from f5serve.errors import EngineFailed, F5Error, InvalidRequest, ModelUnavailable, StorageFailed
from f5serve.process import usable_threads
from f5serve.secrets import MASK, bare_url, is_secret
from f5serve.settings import (
    on_runpod,
    process_environ,
    read_leniently,
    secret_values,
    unknown_names,
)

_SHOWN = re.compile(
    r"(?:F5|AWS|S3|BUCKET|HF|RUNPOD|CUDA|NVIDIA|TORCH|PYTORCH|OMP|MKL)_\w+"
    r"|PORT|PORT_HEALTH|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|PYTHONPATH|\w+_proxy",
    re.IGNORECASE,
)

_SHORTEST_SECRET = 4
"""Of what is masked in findings; masking a word too much does no harm here."""

_CLASSES: dict[int, type[F5Error]] = {
    kind.exit_code: kind for kind in (InvalidRequest, ModelUnavailable, StorageFailed, EngineFailed)
}

Check = Callable[[Facts], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    check_python,
    check_settings,
    check_torch,
    check_gpu,
    check_flash_attn,
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
    """What the doctor found.

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
        fatal = first_fatal(self.findings)
        return fatal.exit_code if fatal else 0

    @property
    def problems(self) -> list[Finding]:
        """The findings above ok, worst first."""
        return problems(self.findings)

    def raise_if_fatal(self) -> None:
        """Refuse a machine with a fatal finding.

        Raises:
            F5Error: with its code and fix, of the class that its exit code belongs to.
        """
        fatal = first_fatal(self.findings)
        if fatal is not None:
            value = f" ({fatal.value})" if fatal.value else ""
            kind = _CLASSES.get(fatal.exit_code, F5Error)
            raise kind(f"{fatal.what}{value}", code=fatal.code, hint=fatal.fix)

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
    return _report(sources, _probe(sources, listens=listens), began)


def full(sources: Sources | None = None) -> Report:
    """Everything: torch, flash-attn and hashing in child processes, the store by a small object."""
    sources = sources or this_machine()
    began = time.perf_counter()
    facts = _probe(sources)
    facts = replace(facts, gpu=probe_gpu(sources, ask=True))
    if facts.torch is not None:
        facts = replace(facts, torch_run=probe_torch(sources))
    if facts.flash_installs:
        abi = facts.torch_run.cxx11_abi if facts.torch_run else None
        facts = replace(facts, flash_run=probe_flash_attn(sources, abi))
    facts = replace(
        probe_services(facts),
        kernels=probe_kernels(facts, sources),
        models=hash_models(facts.models, sources) if facts.models else None,
        build=probe_build(sources.package),
    )
    return _report(sources, facts, began)


def advise_flash_attn() -> dict[str, str]:
    """See `flash_attn_wheel`; torch is asked for its ABI in a process of its own."""
    sources = this_machine()
    facts = _probe(sources)
    if facts.torch is not None and facts.torch.cuda:  # without CUDA there is no wheel anyway
        facts = replace(facts, torch_run=probe_torch(sources))
    return flash_attn_wheel(facts)


def guard_flash_attn(report: Report, sources: Sources | None = None) -> Finding | None:
    """Try an installed flash-attn and hide it from this process when it does not work.

    Returns:
        The finding about it, when it was hidden.
    """
    facts = report.facts
    if not facts.flash_installs:
        return None
    if not install_incompatibilities(facts):  # what cannot load by its name needs no trial
        facts = replace(facts, flash_run=probe_flash_attn(sources or this_machine()))
    broken = next((f for f in check_flash_attn(facts) if f.code in FLASH_BROKEN), None)
    if broken is not None:
        hide_flash_attn()
    return broken


def check_all(facts: Facts) -> tuple[Finding, ...]:
    """Every finding about these facts; pure."""
    found = [finding for check in CHECKS for finding in check(facts)]
    settings_are_wrong = any(f.level == "fatal" and f.section == "environment" for f in found)
    return tuple(
        finding
        for finding in found
        # The store cannot be opened on settings that were reported just above.
        if not (settings_are_wrong and finding.section == "store" and finding.code == "BAD_SETTING")
    )


def _report(sources: Sources, facts: Facts, began: float) -> Report:
    secrets = secret_values(sources.variables, _SHORTEST_SECRET)
    findings = tuple(_without(secrets, finding) for finding in check_all(facts))
    seconds = time.perf_counter() - began
    return Report(facts, findings, _shown_variables(sources.variables), seconds)


def _without(secrets: tuple[str, ...], finding: Finding) -> Finding:
    """The finding with secrets masked: a message of another program may repeat one."""
    texts = {name: getattr(finding, name) for name in ("what", "value", "why", "fix")}
    for secret in secrets:
        texts = {name: text.replace(secret, "***") for name, text in texts.items()}
    return replace(finding, **texts)


def _probe(sources: Sources, *, listens: bool = False) -> Facts:
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
        packages=probe_packages(sources),
        torch=probe_torch_files(sources),
        gpu=probe_gpu(sources, ask=False),
        memory=probe_memory(sources, cores),
        disks=tuple(probe_disk(sources, role, path) for role, path in folders.items() if path),
        on_runpod=at_runpod,
        bad_settings=tuple((name, error.message, error.hint) for name, error in refused),
        unknown_settings=tuple(unknown_names(sources.variables)),
        ports=probe_ports(ports, sources),
        store=StoreFacts(is_shared=uses_bucket(settings)),
    )
    return replace(facts, models=probe_models(facts))


def _shown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Name -> value of variables that matter here, with keys and passwords masked."""
    return {name: _mask(name, environ[name]) for name in sorted(environ) if _SHOWN.fullmatch(name)}


def _mask(name: str, value: str) -> str:
    if is_secret(name):
        return f"{MASK} ({len(value)} characters)" if value else "(empty)"
    return bare_url(value)


def health_summary(report: Report) -> dict[str, Any]:
    """What `health` reports: `doctor`, the findings above ok, worst first, each with level, code,
    what and fix; `disk`, free and total bytes by what a folder is used for.
    """
    return {
        "doctor": [finding.public() for finding in report.problems],
        "disk": {
            disk.role: {"free_bytes": disk.free, "total_bytes": disk.total}
            for disk in report.facts.disks
        },
    }
