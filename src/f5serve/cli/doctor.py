"""`f5serve doctor`: prints what is wrong with this machine, for people or as JSON."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterable

from f5serve.doctor.findings import Finding, problems
from f5serve.doctor.report import advise_flash_attn, full, quick
from f5serve.settings import Settings

_COLOURS = {"ok": "32", "info": "36", "warning": "33", "fatal": "31"}


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the findings; returns the exit code of the first fatal one, or 0."""
    logger = logging.getLogger("f5serve")
    before = logger.level
    if settings.log_level != "debug":  # what would be logged is among the findings
        logger.setLevel(logging.ERROR)
    try:
        return _flash_attn(as_json=args.json) if args.flash_attn else _findings(args)
    finally:
        logger.setLevel(before)


def _findings(args: argparse.Namespace) -> int:
    report = quick() if args.quick else full()
    if args.json:
        print(json.dumps(report.as_dict(), indent=1))
        return report.exit_code
    colour = sys.stdout.isatty()
    for line in lines(report.findings, colour):
        print(line)
    return report.exit_code


def _flash_attn(*, as_json: bool) -> int:
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
    found = problems(findings)
    if not found:
        return f"All {len(findings)} things looked at are as they should be."
    counts = [
        f"{sum(f.level == level for f in found)} {level}"
        for level in ("fatal", "warning", "info")
        if any(f.level == level for f in found)
    ]
    return f"{len(findings)} things looked at: {', '.join(counts)}."
