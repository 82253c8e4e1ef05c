"""Whatever the environment holds, the doctor comes to an end and repeats no secret."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.cli import doctor as cli_doctor
from f5serve.doctor import report as doctor
from f5serve.doctor.findings import LEVELS
from f5serve.doctor.flash_attn import abi_of, explain, parse_wheel
from f5serve.doctor.sources import Sources
from f5serve.settings import Settings
from tests.conftest import IS_FULL
from tests.doctor.machines import RUNPOD, gpu_box

NAMES = sorted(
    {str(item.metadata["env"]) for item in fields(Settings)}
    | {*RUNPOD, "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "HF_HUB_OFFLINE", "PORT", "F5_UNKNOWN"}
    | {"RUNPOD_MIN_MEMORY_GB", "RUNPOD_MIN_DISK_PERCENT", "RUNPOD_LOG_LEVEL", "HOME"}
)
AWKWARD = st.sampled_from(
    [
        *("", " ", "~", "0", "1", "-1", "nan", "inf", "1e999", "cuda", "worker", "serve", "always"),
        *("https://[", "http://[::1", "https://a:b@h:x/p?q#f", "s3://", "s3://b/..", "file:///"),
        *("x" * 5000, "a/" * 3000, "~nobody/x", "/dev/null/x", "/proc/1/root/x"),
        *("\\", "'\"", "\u202e", "\x1b[31m", "\u00b2"),
    ]
)
VALUES = AWKWARD | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return gpu_box(tmp_path_factory.mktemp("any") / "machine").sources()


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_quick_judges_any_environment(machine: Sources, variables: dict[str, str]) -> None:
    canary = "canary-0123456789abcdef"
    both = {**machine.variables, "AWS_SECRET_ACCESS_KEY": canary, **variables}
    report = doctor.quick(replace(machine, variables=both))
    assert report.findings
    assert {finding.level for finding in report.findings} <= set(LEVELS)
    assert report.exit_code in (0, 3, 4, 5, 6)
    assert canary not in str(report.as_dict())


@pytest.mark.parametrize("name", NAMES)
def test_a_sign_that_is_a_digit_but_no_number_is_judged(machine: Sources, name: str) -> None:
    variables = {**machine.variables, name: "\u00b2"}
    assert doctor.quick(replace(machine, variables=variables)).findings


CANARIES = ("Zx7left", "Qw8mid", "Vb9right")
"""Parts of one password, with what may stand in one between them."""

SHAPES = (
    "http://user:{}@proxy.example:3128",
    "https://user:{}@proxy.example/path",
    "socks5h://user:{}@[::1]:1080/",
    "user:{}@proxy.example:3128",
    "s3://user:{}@bucket/prefix",
    "s3//user:{}@bucket",
    "ftp://user:{}@host.example",
    "https:/user:{}@host",
    "//user:{}@host",
    "https://user:{}@[broken",
)
QUERIES = ("https://host.example/path?sig={}", "https://host.example/x@y?sig={}#{}")


URLS = ("HTTPS_PROXY", "AWS_ENDPOINT_URL", "BUCKET_ENDPOINT_URL", "F5_STORE", "HF_ENDPOINT")


BETWEEN = ("/", "@", "?", "#", ":", "%40", " ", "/@", "@/", "&a=")


@pytest.mark.parametrize("between", BETWEEN)
def test_no_part_of_a_password_is_shown(machine: Sources, between: str) -> None:
    """Every variable with a shape; every shape comes at each variable that is a URL.

    F5_TEST_FULL=1 takes every shape at every variable.
    """
    password = between.join(CANARIES)
    for place, name in enumerate(sorted({*NAMES, *URLS, "TMPDIR"}), BETWEEN.index(between)):
        some = SHAPES if IS_FULL else SHAPES[place % len(SHAPES) :][:1]
        for shape in SHAPES + QUERIES if name in URLS else some:
            value = shape.replace("{}", password)
            report = doctor.quick(replace(machine, variables={**machine.variables, name: value}))
            told = [json.dumps(report.as_dict()), *cli_doctor.lines(report.findings)]
            assert not [part for part in CANARIES if part in "".join(told)], (name, value)


@given(st.text(max_size=200))
def test_any_message_is_explained(text: str) -> None:
    assert explain(text).sentence.endswith(".")
    assert explain(f"undefined symbol: _ZN3c10{text}").sentence.endswith(".")
    assert abi_of(text) in (True, False, None)
    parse_wheel(text)


def test_a_home_that_nobody_has_is_a_bad_setting(tmp_path: Path) -> None:
    machine = gpu_box(tmp_path / "machine")
    machine.variables["F5_DATA_DIR"] = "~nobody-at-all/x"
    codes = {f.code for f in doctor.quick(machine.sources()).problems}
    assert "BAD_SETTING" in codes
