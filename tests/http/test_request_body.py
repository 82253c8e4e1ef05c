"""Bodies that are JSON: what is refused, where that is said to be, and that nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import F5Error
from f5serve.http.request_body import MAX_DEPTH, MAX_VALUES, check_shape, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Everything that looks like structure, and what hides it.
    | st.text()
    | st.text('"\\[]{},:ab', max_size=40),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\[]{},a'), inner),
    max_leaves=60,
)


def refused(body: bytes) -> F5Error:
    with pytest.raises(F5Error) as error:
        parse(body)
    return error.value


@given(VALUES, st.booleans())
def test_a_body_within_bounds_is_what_it_says(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.lists(st.text('"\\[]{},:a', max_size=30), min_size=1, max_size=5))
def test_too_many_values_are_counted_whatever_texts_hold(texts: list[str]) -> None:
    body = json.dumps(texts * (MAX_VALUES // len(texts) + 1)).encode()
    assert refused(body).code == "BODY_TOO_COMPLEX"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_bounded(opening: str) -> None:
    def nested(depth: int) -> bytes:
        closing = "]" if opening == "[" else "}"
        return (opening * depth + "1" + closing * depth).encode()

    parse(nested(MAX_DEPTH))
    assert refused(nested(MAX_DEPTH + 1)).code == "BODY_TOO_COMPLEX"


def test_as_many_values_as_are_taken() -> None:
    parse(json.dumps([1] * MAX_VALUES).encode())
    parse(json.dumps({"input": "[,{" * 100_000, "voice": "a"}).encode())
    check_shape(b"]" * 100_000)  # no JSON; the parser sees so at once


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"model":"tts-1","voice":"default","input":}', "line 1, column 44: expecting value"),
        (b'{\n  "input": "a"\n  "voice": "b"}', "line 3, column 3"),
        (b"{'input': 'a'}", "line 1, column 2"),
        (b'{"input": "a"', "line 1, column 14"),
        (b"", "line 1, column 1"),
        (b'{"speed": NaN}', "NaN is no number in JSON"),
        (b'{"speed": -Infinity}', "-Infinity is no number"),
        (b'{"speed": 1e400}', "the number 1e400 is too large"),
        (b'{"seed": ' + b"9" * 5_000 + b"}", "5,000 digits"),
        (b'{"input": "\xff"}', "byte 12 is not UTF-8"),
        ('{"input": "a"}'.encode("utf-16"), "byte 1 is not UTF-8"),
        (b'{"input": "\xed\xa0\x80"}', "byte 12 is not UTF-8"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(body: bytes, said: str) -> None:
    error = refused(body)
    assert error.code == "INVALID_JSON"
    assert said in error.message


@pytest.mark.parametrize(
    "body",
    [r'{"voice": "\ud800"}', r'{"a": [{"b": "\udfff x"}]}', r'{"\ud83d": 1}', r'"\ud83d"'],
)
def test_half_a_surrogate_pair_is_no_character(body: str) -> None:
    assert refused(body.encode()).code == "BAD_UNICODE"


def test_whole_pairs_and_a_mark_of_order_pass() -> None:
    assert parse(b'\xef\xbb\xbf{"input": "\\ud83d\\ude00"}') == {"input": "\U0001f600"}
