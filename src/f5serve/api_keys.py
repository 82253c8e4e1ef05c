"""Keys of the HTTP server's callers: made, read from a setting and found by what was sent.

A key itself is never kept, only its digest.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

PREFIX = "f5-"
MIN_CHARS = 16
"""Shortest key that is taken in clear text; a key that can be guessed protects nothing."""

_HASHED = re.compile(r"([A-Za-z0-9_.-]{1,64}):([0-9a-fA-F]{64})")
_NEARLY = re.compile(r"[A-Za-z0-9_.-]{1,64}:[0-9a-fA-F]{20,}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TAKES = (
    "what `f5serve keys new` prints, name:sha256 with 64 hexadecimal digits, or keys of at least "
    f"{MIN_CHARS} printable ASCII characters; separated by commas, each name and key once"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that callers may use.

    Attributes:
        name: whose it is; names its limits and its jobs, and is logged.
        sha256: digest of the key.
        was_clear: whether the setting held the key itself.
    """

    name: str
    sha256: bytes = field(repr=False)
    was_clear: bool = False

    @property
    def owner(self) -> str:
        """A stable id of who holds the key, for what is written for him: its name. A key in clear
        text has none but its place in the setting, so a digest of its digest stands for it."""
        if not self.was_clear:
            return self.name
        return f"clear-{hashlib.sha256(self.sha256).hexdigest()[:24]}"

    def __str__(self) -> str:
        return f"{self.name}:{self.sha256.hex()}"


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of F5_API_KEYS; those in clear text are named key-1, key-2 ... by their place.

    Raises:
        ValueError: what it takes; the text is not repeated.
    """
    items = [item.strip() for item in text.split(",")]
    keys = tuple(_parse(item, place) for place, item in enumerate(items, 1) if item)
    if len({key.name for key in keys}) < len(keys) or len({key.sha256 for key in keys}) < len(keys):
        raise ValueError(_TAKES)
    return keys


def _parse(item: str, place: int) -> ApiKey:
    hashed = _HASHED.fullmatch(item)
    if hashed:
        return ApiKey(hashed[1], bytes.fromhex(hashed[2]))
    printable = item.isascii() and item.isprintable() and " " not in item
    if len(item) < MIN_CHARS or not printable or _NEARLY.fullmatch(item):
        raise ValueError(_TAKES)
    return ApiKey(f"key-{place}", digest(item.encode()), was_clear=True)


def new_key() -> str:
    """A key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def is_name(text: str) -> bool:
    """Whether a key may be called so."""
    return _NAME.fullmatch(text) is not None


def digest(key: bytes) -> bytes:
    """What is kept of a key. It is long and random, so one round without salt is enough."""
    return hashlib.sha256(key).digest()


def find_key(keys: Sequence[ApiKey], sent: bytes) -> ApiKey | None:
    """The key that was sent, or None; takes equally long for every key."""
    given = digest(sent)
    found = None
    for key in keys:
        if hmac.compare_digest(given, key.sha256):
            found = key
    return found
