"""Findings: what the doctor reports, each with reason and fix, from the table in findings.toml.

`what`, `why` and `fix` hold no path, host or secret, so that they may be sent over a network;
`value` is for the person at the machine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

Level = Literal["ok", "info", "warning", "fatal"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: fatal ends a worker before its first job; warning costs something; info is good to
            know; ok is as it should be.
        section: what it belongs to: gpu, store, models ...
        code: stable name.
        what: a sentence; of an ok finding the thing that was looked at.
        value: what was found, for the person at the machine.
        why: why it matters; a sentence, or "".
        fix: what to do; a sentence, or "".
        exit_code: of a process that ends because of it; 0 unless fatal.
    """

    level: Level
    section: str
    code: str
    what: str
    value: str = ""
    why: str = ""
    fix: str = ""
    exit_code: int = 0

    def as_dict(self) -> dict[str, str | int]:
        """Everything, for --json."""
        fields: dict[str, str | int] = asdict(self)
        return fields if self.exit_code else {k: v for k, v in fields.items() if k != "exit_code"}

    def public(self) -> dict[str, str]:
        """What may be sent over a network."""
        return {"level": self.level, "code": self.code, "what": self.what, "fix": self.fix}


@cache
def table() -> dict[str, dict[str, Any]]:
    """All rows of findings.toml by code, each with its section."""
    sections = tomllib.loads((Path(__file__).parent / "findings.toml").read_text())
    return {
        code: {"section": section, **row}
        for section, rows in sections.items()
        for code, row in rows.items()
    }


def finding(
    row_name: str,
    value: str = "",
    /,
    *,
    code: str = "",
    level: Level | None = None,
    **values: object,
) -> Finding:
    """A finding of the table.

    Args:
        code: where it is not the name of the row.
        level: where it is not that of the row.
        values: what stands in braces in the row's sentences.
    """
    row = table()[row_name]
    level = level or row["level"]
    what, why, fix = (row.get(key, "").format(**values) for key in ("what", "why", "fix"))
    exit_code = row["exit_code"] if level == "fatal" else 0
    return Finding(level, row["section"], code or row_name, what, value, why, fix, exit_code)


def ok(section: str, what: str, value: str) -> Finding:
    """Something as it should be."""
    return Finding("ok", section, section.upper().replace("-", "_"), what, value)


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """The ones above ok, worst first, otherwise in their order."""
    above_ok = [finding for finding in findings if finding.level != "ok"]
    return sorted(above_ok, key=lambda finding: -LEVELS.index(finding.level))


def first_fatal(findings: Iterable[Finding]) -> Finding | None:
    """The first fatal one, or None."""
    return next((finding for finding in findings if finding.level == "fatal"), None)
