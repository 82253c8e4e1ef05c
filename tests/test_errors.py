"""Errors keep what they say on the way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from f5serve.errors import EngineFailed, F5Error, InvalidRequest, KeyMissing


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("The text is empty.", code="EMPTY_TEXT", hint="Say something."),
        EngineFailed("Memory is short.", code="OUT_OF_MEMORY", retryable=True),
        KeyMissing("voices/Kim.wav"),
    ],
    ids=lambda error: error.code,
)
def test_an_error_travels_whole(error: F5Error) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error) == other.message
        assert other.as_dict() == error.as_dict()
        assert vars(other) == vars(error)
