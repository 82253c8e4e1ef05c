"""`f5serve doctor`: what this machine is and what is wrong with it, for a person or as JSON.

Arguments flow in, lines and an exit code flow out; what is looked at is in `doctor.report`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.doctor.findings import Finding

_COLOURS = {"ok": "32", "info": "36", "warning": "33", "fatal": "31"}


def add_parser(verbs: Any) -> None:
    """The options of `doctor`."""
    parser = verbs.add_parser(
        "doctor",
        help="look at this machine: what is missing, wrong or in the way, and how to mend it",
        description="Look at Python, torch, GPU, disks, memory, settings, store, voices and "
        "models. Nothing is changed; a small object is put into the store and removed. The exit "
        "code is 0 unless something is fatal: then 3 for a setting, 4 for an engine or model, 5 "
        "for a disk or the store, 6 for the device.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only what needs no network and no other process, as a worker does at its start",
    )
    parser.add_argument(
        "--flash-attn", action="store_true", help="name the flash-attn wheel that fits here"
    )
    parser.set_defaults(run=run, judges_settings=True)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the findings; returns the exit code of the first fatal one, or 0."""
    logger = logging.getLogger("f5serve")
    before = logger.level
    if settings.log_level != "debug":  # what rooms would log is among the findings
        logger.setLevel(logging.ERROR)
    try:
        return _flash_attn(as_json=args.json) if args.flash_attn else _findings(args)
    finally:
        logger.setLevel(before)


def _findings(args: argparse.Namespace) -> int:
    from f5serve.doctor.report import full, quick

    report = quick() if args.quick else full()
    if args.json:
        print(json.dumps(report.as_dict(), indent=1))
        return report.exit_code
    colour = sys.stdout.isatty()
    for line in lines(report.findings, colour):
        print(line)
    return report.exit_code


def _flash_attn(*, as_json: bool) -> int:
    from f5serve.doctor.report import advise_flash_attn

    advice = advise_flash_attn()
    if as_json:
        print(json.dumps(advice))
    else:
        for name, value in advice.items():
            print(f"{name}: {value}")
    return 0


def lines(findings: Iterable[Finding], colour: bool = False) -> list[str]:
    """One line for each finding, its reason and fix below those that are not ok, and a summary."""
    findings = list(findings)
    shown = []
    for finding in findings:
        mark = f"{finding.level:8}"
        if colour:
            mark = f"\x1b[{_COLOURS[finding.level]}m{mark}\x1b[0m"
        if finding.level == "ok":
            shown.append(f"{mark}{finding.what}: {finding.value}")
            continue
        value = f" ({finding.value})" if finding.value else ""
        shown.append(f"{mark}{finding.code}: {finding.what}{value}")
        shown += [f"        {text}" for text in (finding.why,) if text]
        shown += [f"        hint: {text}" for text in (finding.fix,) if text]
    return [*shown, "", _summary(findings)]


def _summary(findings: list[Finding]) -> str:
    from f5serve.doctor.findings import problems

    said = problems(findings)
    if not said:
        return f"All {len(findings)} things looked at are as they should be."
    counts = [
        f"{sum(f.level == level for f in said)} {level}"
        for level in ("fatal", "warning", "info")
        if any(f.level == level for f in said)
    ]
    return f"{len(findings)} things looked at: {', '.join(counts)}."
