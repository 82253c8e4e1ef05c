"""What a variable may hold: its text flows in, a value flows out.

What it cannot be is a ValueError whose sentence says what the variable takes. `setting` makes a
field of a variable. Settings themselves are not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def setting(
    env: str, default: T, parse: Callable[[str], T], doc: str, *, secret: bool = False
) -> T:
    """A field of settings that is read from the variable `env`; secrets are not in its repr."""
    metadata = {"env": env, "parse": parse, "doc": doc}
    value: T = field(default=default, metadata=metadata, repr=not secret)
    return value


def one_of(*choices: str) -> Callable[[str], str]:
    """One of `choices`, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text.lower()

    return parse


def flag(text: str) -> bool:
    """1 or 0, or a word for them."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("1 or 0")


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within these bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def seconds(text: str) -> float:
    """Seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("a number of seconds above 0")
    return value


def share(text: str) -> float:
    """A part of the whole, 0..1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return value


def path(text: str) -> Path:
    """A path, `~` being the home folder."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # of somebody whom this system does not know
        raise ValueError("a path; ~ stands for the home folder") from None


def pairs(text: str) -> str:
    """`name=value` pairs with commas between, each name once; see `read_pairs`."""
    read_pairs(text)
    return text


def read_pairs(text: str) -> dict[str, str]:
    """What each name of `name=value,name=value` stands for."""
    read: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in read:
            raise ValueError("pairs such as alloy=ana,*=default, each name once")
        read[name] = value
    return read
