"""The grammar of keys: a valid key names one file inside the folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.store.base import check_key, check_prefix, is_key

GOOD = [
    "a",
    "voices/Kim.wav",
    "voices/_blobs/" + "0" * 64 + ".wav",
    "jobs/3f-u1/failed-1.json",
    "_meta/probe/x",
    "A_b-c.d/e",
    "a" * 200,
]
BAD = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/..",
    "a/./b",
    "a..b",
    ".hidden",
    "a/.f5-0.tmp",
    "-rf",
    "a.",
    "a./b",
    "a b",
    "a\nb",
    "a\n",
    "a\x00b",
    "a\\b",
    "C:\\x",
    "%2e%2e/a",
    "a?b",
    "a#b",
    "ä",
    "voices/\u202egpj.wav",
    "Ａ",
    "a" * 201,
    "/".join(["a"] * 400),
    "~/a",
    "$HOME",
    "a;b",
    "\ud800",
]


@pytest.mark.parametrize("key", GOOD)
def test_keys_that_are_taken(key: str) -> None:
    assert check_key(key) == key
    assert check_prefix(key + "/") == key + "/"


@pytest.mark.parametrize("key", BAD, ids=ascii)
def test_keys_that_are_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_key(key)
    assert caught.value.code == "BAD_KEY"
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    assert not is_key(key)


def test_prefixes() -> None:
    for prefix in ("", "a.", "a/b."):
        assert check_prefix(prefix) == prefix
    for prefix in ("/", "a//", "../", "..", "a/../", ".", "a..", "a/.", "a./"):
        with pytest.raises(InvalidRequest):
            check_prefix(prefix)


@given(st.text(alphabet=st.sampled_from("ab_.-/\\\n\x00%~ äA"), max_size=12) | st.text(max_size=60))
def test_no_key_climbs_out(key: str) -> None:
    if is_key(key):
        path = PurePosixPath("/root") / key
        assert path.is_relative_to("/root")
        assert str(path) == f"/root/{key}"  # nothing was folded: two keys are two files
        assert Path(path).resolve() == Path(path)
        assert key.isascii()
        assert key.isprintable()
