"""What the JSON parser accepts, and why it refuses the rest."""

from __future__ import annotations

import pytest

from f5serve.store.json_documents import (
    MAX_DEPTH,
    InvalidDocument,
    canonical_json,
    is_sendable,
    parse_object,
)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"null", "no JSON object"),
        (b'{"a": 1', "no JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 123456789012345678901}', "21 digits"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "too deep"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deep"),
        (b'{"a": [' + b"0," * 10 + b"0]}", "more than 5 values"),
    ],
)
def test_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidDocument, match=why):
        parse_object(data, max_items=5)


def test_commas_in_texts_are_no_values() -> None:
    assert parse_object(b'{"a": ",,,\\",,,,"}', max_items=5) == {"a": ',,,",,,,'}


def test_whole_characters_are_sendable() -> None:
    assert is_sendable("\U0001f600 é")
    assert not is_sendable("\ud83d")


def test_canonical_json_is_one_spelling_of_equal_values() -> None:
    assert canonical_json({"b": 1.5, "a": "é"}) == b'{"a":"\\u00e9","b":1.5}'
    assert parse_object(canonical_json({"b": [1, None]})) == {"b": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("inf"))
