"""What the doctor says: findings, each with its reason and its fix.

`what`, `why` and `fix` hold no path, host or secret, so that they may be told over a network;
`value` is for whoever sits at the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "info", "warning", "fatal"]
LEVELS: tuple[Level, ...] = ("ok", "info", "warning", "fatal")

Section = Literal[
    "python",
    "torch",
    "gpu",
    "flash-attn",
    "environment",
    "memory",
    "disk",
    "store",
    "voices",
    "models",
    "ports",
    "build",
]

SETTING, MODEL, STORAGE, DEVICE = 3, 4, 5, 6
"""Exit codes, as those of the classes in `errors`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: fatal ends a worker before its first job; warning costs something; info is good to
            know; ok is as it should be.
        code: stable name.
        what: a sentence; of an ok finding the thing that was looked at.
        value: what was found, for whoever sits at the machine.
        why: why it matters; a sentence, or "".
        fix: what to do; a sentence, or "".
        exit_code: of a process that ends because of it; 0 unless fatal.
    """

    level: Level
    section: Section
    code: str
    what: str
    value: str = ""
    why: str = ""
    fix: str = ""
    exit_code: int = 0

    def as_dict(self) -> dict[str, str | int]:
        """Everything, for --json."""
        told: dict[str, str | int] = {
            "level": self.level,
            "section": self.section,
            "code": self.code,
            "what": self.what,
            "value": self.value,
            "why": self.why,
            "fix": self.fix,
        }
        return told | ({"exit_code": self.exit_code} if self.exit_code else {})

    def public(self) -> dict[str, str]:
        """What may be told over a network."""
        return {"level": self.level, "code": self.code, "what": self.what, "fix": self.fix}


def ok(section: Section, what: str, value: str) -> Finding:
    """Something as it should be."""
    return Finding("ok", section, section.upper().replace("-", "_"), what, value)


def above_ok(findings: Iterable[Finding]) -> list[Finding]:
    """The ones that say something, worst first, otherwise in their order."""
    said = [finding for finding in findings if finding.level != "ok"]
    return sorted(said, key=lambda finding: -LEVELS.index(finding.level))


def fatal(findings: Iterable[Finding]) -> Finding | None:
    """The first fatal one, or None."""
    return next((finding for finding in findings if finding.level == "fatal"), None)


def exit_code(findings: Iterable[Finding]) -> int:
    """0, or what the first fatal finding says."""
    worst = fatal(findings)
    return worst.exit_code if worst else 0
