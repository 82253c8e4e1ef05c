"""A strict JSON parser for untrusted documents in a store or on a disk."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 32
MAX_DIGITS = 20
MAX_ITEMS = 100_000
"""Values in one document; each takes many times its bytes in memory."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


class InvalidDocument(ValueError):
    """Bytes are not an acceptable JSON object, or a field of it is wrong; the text says what."""


def parse_object(data: bytes, max_items: int = MAX_ITEMS) -> dict[str, Any]:
    """The JSON object in `data`, which can be written again as UTF-8.

    Args:
        max_items: values that it may hold.

    Raises:
        InvalidDocument: `data` is not UTF-8, not JSON or not an object; it is deeper than
            MAX_DEPTH or holds too many values, a number that is infinite, NaN or longer than
            MAX_DIGITS, or half of a surrogate pair.
    """
    if data.count(b",") > max_items and _STRING.sub(b"", data).count(b",") > max_items:
        raise InvalidDocument(f"it holds more than {max_items:,} values")
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
    except InvalidDocument:
        raise
    except UnicodeDecodeError:
        raise InvalidDocument("it is no text in UTF-8") from None
    except RecursionError:
        raise InvalidDocument("it is too deep") from None
    except ValueError:
        raise InvalidDocument("it is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidDocument("it is no JSON object")
    if not _is_plain(value, MAX_DEPTH):
        raise InvalidDocument("it is too deep, or holds half of a surrogate pair")
    return value


def is_sendable(value: str) -> bool:
    """Whether a text holds no half of a surrogate pair, so that it can be written as UTF-8."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def canonical_json(value: Any) -> bytes:
    """`value` as sorted, compact, ASCII JSON: equal values give equal bytes.

    Raises:
        ValueError: it holds an infinite number or NaN.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidDocument(f"{text} is no number")


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise InvalidDocument(f"a number has {len(text)} digits")
    return int(text)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidDocument("a number is too large")
    return value


def _is_plain(value: Any, levels: int) -> bool:
    """Whether nothing is deeper than `levels` and every text can be written as UTF-8."""
    if isinstance(value, str):
        return is_sendable(value)
    if isinstance(value, dict):
        return levels > 0 and all(
            is_sendable(name) and _is_plain(inner, levels - 1) for name, inner in value.items()
        )
    if isinstance(value, list):
        return levels > 0 and all(_is_plain(inner, levels - 1) for inner in value)
    return True
