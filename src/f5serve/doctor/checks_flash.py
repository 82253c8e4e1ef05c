"""Judges flash-attn, which f5serve never needs: at worst it fills a disk or breaks other programs.

Facts flow in, findings flow out.
"""

from __future__ import annotations

from collections.abc import Iterator

from f5serve.doctor.checks_python import version_of
from f5serve.doctor.facts import Facts
from f5serve.doctor.findings import Finding, ok
from f5serve.doctor.wheels import NoWheel, Platform, choose_wheel, misfits, parse_wheel

_CODES = {
    "abi": "FLASH_ATTN_OTHER_ABI",
    "torch": "FLASH_ATTN_OTHER_TORCH",
    "python": "FLASH_ATTN_OTHER_PYTHON",
    "cuda": "FLASH_ATTN_OTHER_CUDA",
    "libc": "FLASH_ATTN_OTHER_LIBC",
    "damaged": "FLASH_ATTN_DAMAGED",
    "crashed": "FLASH_ATTN_CRASHES",
    "slow": "FLASH_ATTN_HANGS",
}
FLASH_BROKEN = {*_CODES.values(), "FLASH_ATTN_BROKEN", "FLASH_ATTN_DISAGREES", "FLASH_ATTN_MISFIT"}
"""Codes of an install that nothing can use."""

_FIX = (
    "Run: pip uninstall flash-attn. f5serve does not use it; for other programs, "
    "f5serve doctor --flash-attn names the wheel that fits."
)
_NOT_NEEDED = "f5serve does not need it: torch's own attention computes the same."
_HIDDEN = "The worker hides it, so nothing in it meets the error; torch's own attention computes."


def check_flash(facts: Facts) -> Iterator[Finding]:
    """How often it is installed, and whether it works."""
    installs = facts.flash_installs
    if len(installs) > 1:
        size = sum(install.size for install in installs)
        yield Finding(
            "warning",
            "flash-attn",
            "FLASH_ATTN_TWICE",
            f"flash-attn is installed {len(installs)} times.",
            "; ".join(f"{one.version} in {one.folder}" for one in installs)
            + (f"; {size / 10**9:.1f} GB" if size else ""),
            "One of them is never used, and each takes hundreds of MB.",
            "Run pip uninstall flash-attn until it finds none; f5serve does not use it.",
        )
    problem = _broken(facts)
    if problem is not None:
        yield problem
    elif not installs:
        yield ok("flash-attn", "flash-attn", "not installed, not needed")
    elif len(installs) == 1:
        run = facts.flash_run
        proof = "not tried" if run is None else "agrees with SDPA" if run.on_gpu else "imports"
        yield ok("flash-attn", "flash-attn", f"{installs[0].version}, {proof}; not used")


def misfit(facts: Facts) -> list[str]:
    """Why the installed wheel cannot load, as far as its name and torch's files tell."""
    on = platform_of(facts)
    wheels = (parse_wheel(install.wheel) for install in facts.flash_installs)
    if on is None:
        return []
    return next((found for wheel in wheels if wheel and (found := misfits(wheel, on))), [])


def platform_of(facts: Facts) -> Platform | None:
    """This machine, as a wheel has to fit it; None without torch."""
    run, files = facts.torch_run, facts.torch
    version = (run.version if run else "") or (files.version if files else "")
    if not version:
        return None
    abi = run.cxx11_abi if run else None
    device = run.devices[0] if run and run.devices else None
    return Platform(
        python=facts.python.version[:2],
        torch=version,
        cuda=run.cuda if run and run.version else (files.cuda if files else ""),
        cxx11_abi=guess_abi(version) if abi is None else abi,
        platform=facts.python.platform,
        libc=facts.python.libc,
        capability=device.capability if device else None,
    )


def guess_abi(torch_version: str) -> bool:
    """The C++ ABI of torch's published builds: the new one since 2.7, and in 2.6 for CUDA 12.6."""
    version, local = version_of(torch_version), torch_version.partition("+")[2]
    return version >= (2, 7) or (version == (2, 6) and local == "cu126")


def _broken(facts: Facts) -> Finding | None:
    run = facts.flash_run
    if run is not None and run.works:
        return None
    if run is not None and run.explanation is not None:
        code = _CODES.get(run.explanation.kind, "FLASH_ATTN_BROKEN")
        if run.on_gpu:
            code = "FLASH_ATTN_DISAGREES"
        what = f"flash-attn is installed and cannot be used. {run.explanation.sentence}"
        value = run.error
    else:
        reasons = misfit(facts)
        if not reasons:
            return None
        code, what = "FLASH_ATTN_MISFIT", "flash-attn is installed and does not fit this machine."
        value = "; ".join(reasons)
    return Finding("warning", "flash-attn", code, what, value, _HIDDEN, _FIX)


def advice(facts: Facts) -> dict[str, str]:
    """What `doctor --flash-attn` tells: the wheel for this machine, or why there is none."""
    on = platform_of(facts)
    if on is None:
        told = {"wheel": "none: it is built against one torch, and none is installed"}
        return told | {"note": _NOT_NEEDED}
    abi = str(on.cxx11_abi).upper()
    major, minor = on.python
    here = (
        f"Python {major}.{minor}, torch {on.torch}, CUDA {on.cuda or 'none'}, C++ ABI {abi}, "
        f"{on.platform}"
    )
    wheel = choose_wheel(on)
    if isinstance(wheel, NoWheel):
        return {"machine": here, "wheel": f"none: {wheel.reason}", "note": _NOT_NEEDED}
    told = {"machine": here, "wheel": wheel.name, "url": wheel.url, "sha256": wheel.sha256}
    if not wheel.seen:
        told["source"] = "named by the release's build workflow; the file itself was not seen"
    return told | {"note": _NOT_NEEDED}
