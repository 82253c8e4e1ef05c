"""Keys of callers: made, written down as digests, recognised."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.cli import main as cli
from f5serve.errors import InvalidRequest
from f5serve.secrets import SCOPES, ApiKey, digest, find_key, new_key, parse_keys
from f5serve.settings import Settings

CLEAR = "0123456789-abcdef"


def test_a_new_key_is_long_and_never_the_same() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("f5-") and len(key) >= 46 for key in keys)


def test_what_is_printed_is_what_the_setting_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["keys", "new", "--name", "ana", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (key,) = parse_keys(told["api_keys"])
    assert (key.name, key.was_clear) == ("ana", False)
    assert find_key([key], told["key"].encode()) == key


def test_a_key_is_hashed_from_standard_input(capsys: pytest.CaptureFixture[str]) -> None:
    sys_stdin, sys.stdin = sys.stdin, io.StringIO(f"{CLEAR}\n")
    try:
        assert cli.run(["keys", "hash", "--name", "ben"]) == 0
    finally:
        sys.stdin = sys_stdin
    assert capsys.readouterr().out == f"ben:{hashlib.sha256(CLEAR.encode()).hexdigest()}\n"


@pytest.mark.parametrize(
    "given", ["", "short", "has a space in it", "two-of-them-here,and-another-one"]
)
def test_what_is_no_key_is_not_hashed(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    sys_stdin, sys.stdin = sys.stdin, io.StringIO(given)
    try:
        assert cli.run(["keys", "hash"]) == 3
    finally:
        sys.stdin = sys_stdin
    assert "WEAK_KEY" not in capsys.readouterr().out


def test_no_key_stays_in_settings() -> None:
    settings = Settings.from_environ({"F5_API_KEYS": f" {CLEAR} ,ana:{'ab' * 32},"})
    assert [key.name for key in settings.api_keys] == ["key-1", "ana"]
    assert [key.was_clear for key in settings.api_keys] == [True, False]
    assert settings.api_keys[0].sha256 == digest(CLEAR.encode())
    assert CLEAR not in repr(settings)
    assert CLEAR not in repr(settings.api_keys)
    assert digest(CLEAR.encode()).hex() not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        "tooshort",
        "sch\xf6ner-langer-schl\xfcssel",
        "with a space inside",
        f"ana:{'ab' * 31}",
        f"ana:{'ab' * 32},ana:{'cd' * 32}",
        f"ana:{'ab' * 32},ben:{'ab' * 32}",
        f"{CLEAR},{CLEAR}",
    ],
)
def test_what_cannot_be_keys_is_refused_unseen(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Settings.from_environ({"F5_API_KEYS": text})
    assert refused.value.code == "BAD_SETTING"
    assert text not in str(refused.value.as_dict())


@given(st.lists(st.text("abcDEF0189-_.", min_size=16, max_size=80), min_size=1, unique=True))
def test_each_key_is_recognised_and_no_other(sent: list[str]) -> None:
    keys = [ApiKey(f"key-{place}", digest(key.encode())) for place, key in enumerate(sent)]
    for key, clear in zip(keys, sent, strict=True):
        assert find_key(keys, clear.encode()) == key
        assert find_key(keys, clear.encode() + b"x" * 17) is None
        assert find_key(keys, clear.encode()[:-1]) is None
    assert find_key(keys, b"") is None


HASH = "ab" * 32


@pytest.mark.parametrize(
    ("text", "tenant", "scopes", "last_day"),
    [
        (f"ana:{HASH}", "", SCOPES, None),
        (f"acme/laptop:{HASH}", "acme", ("speak", "voices"), None),
        (f"acme/laptop:{HASH}:speak", "acme", ("speak",), None),
        (f"ana:{HASH}:admin+speak:2027-06-30", "", ("speak", "admin"), date(2027, 6, 30)),
        (f"acme/laptop:{HASH}::2028-02-29", "acme", ("speak", "voices"), date(2028, 2, 29)),
    ],
)
def test_a_key_has_a_tenant_scopes_and_an_end(
    text: str, tenant: str, scopes: tuple[str, ...], last_day: date | None
) -> None:
    (key,) = parse_keys(text)
    assert (key.tenant, key.last_day) == (tenant, last_day)
    assert [scope for scope in SCOPES if key.may(scope)] == list(scopes)
    assert parse_keys(str(key)) == (key,)
    assert key.owner == text.partition(":")[0]


@pytest.mark.parametrize(
    "text",
    [
        f"Acme/ana:{HASH}",
        f"a/b/c:{HASH}",
        f"../ana:{HASH}",
        f"/ana:{HASH}",
        f"ana:{HASH}:fly",
        f"ana:{HASH}:speak+",
        f"ana:{HASH}:speak:soon",
        f"ana:{HASH}::2027-02-29",
        f"ana:{HASH}::2027-06-30:more",
        f"acme/ana:{HASH},acme/ana:{'cd' * 32}",
    ],
)
def test_a_key_that_is_nearly_right_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="scopes"):
        parse_keys(text)


def test_the_last_day_is_valid_to_its_end() -> None:
    (key,) = parse_keys(f"ana:{HASH}::2027-06-30")
    end = datetime(2027, 7, 1, tzinfo=UTC).timestamp()
    assert key.seconds_left(end - 1) == 1
    assert key.seconds_left(end) == 0
    assert parse_keys(f"ana:{HASH}")[0].seconds_left(end) == float("inf")


def test_options_of_keys_are_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scope", "speak", "--scope", "voices", "--expires", "2027-06-30"]
    assert cli.run(["keys", "new", "--name", "acme/laptop", *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    sha256 = hashlib.sha256(told["key"].encode()).hexdigest()
    assert told["api_keys"] == f"acme/laptop:{sha256}:speak+voices:2027-06-30"
    for wrong in (["--name", "Acme/laptop"], ["--expires", "tomorrow"]):
        assert cli.run(["keys", "new", *wrong]) == 3
