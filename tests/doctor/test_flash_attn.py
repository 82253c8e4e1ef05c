"""Which flash-attn wheel fits: every combination, the pins that went wrong, and the reasons."""

from __future__ import annotations

import itertools
import re

import pytest

from f5serve.doctor.flash_attn import (
    NOT_RECORDED,
    NoWheel,
    Platform,
    Wheel,
    abi_of,
    choose_wheel,
    explain,
    incompatibilities,
)
from f5serve.doctor.flash_attn import parse_wheel as parse

PYTHONS = [(3, minor) for minor in range(9, 14)]
TORCHES = [f"2.{minor}.0" for minor in range(2, 14)]
CUDAS = ["11.8", "12.1", "12.4", "12.6", "12.8", "13.0", "13.2", ""]
PLATFORMS = [
    ("linux_x86_64", "glibc"),
    ("linux_aarch64", "glibc"),
    ("linux_x86_64", "musl"),
    ("win_amd64", "unknown libc"),
    ("macosx_11_0_arm64", "unknown libc"),
]
COMBINATIONS = [
    Platform(python, torch, cuda, abi, platform, libc)
    for python, torch, cuda, abi, (platform, libc) in itertools.product(
        PYTHONS, TORCHES, CUDAS, (True, False), PLATFORMS
    )
]


def is_published(on: Platform) -> bool:
    """The rule, written down a second time: CUDA 12, glibc, and what the releases built."""
    torch, python = int(on.torch.split(".")[1]), on.python[1]
    if on.cuda_major != "12" or on.libc != "glibc":
        return False
    if torch == 9:
        linux = on.platform in ("linux_x86_64", "linux_aarch64")
        return linux and python == 12 and on.cxx11_abi
    return on.platform == "linux_x86_64" and torch <= 8 and (torch >= 5 or python <= 12)


def test_every_combination_gets_its_wheel_or_a_reason() -> None:
    counts = {"wheel": 0, "none": 0}
    for on in COMBINATIONS:
        chosen = choose_wheel(on)
        assert isinstance(chosen, Wheel) is is_published(on), on
        if isinstance(chosen, NoWheel):
            counts["none"] += 1
            assert re.fullmatch(r"[A-Zf].{30,}\.", chosen.reason)
            continue
        counts["wheel"] += 1
        assert incompatibilities(chosen, on) == []
        assert parse(chosen.name) == chosen
        assert parse(chosen.url) == chosen
        assert chosen.url == (
            "https://github.com/Dao-AILab/flash-attention/releases/download/"
            f"v{chosen.version}/{chosen.name.replace('+', '%2B')}"
        )
        assert chosen.seen is (chosen.sha256 != NOT_RECORDED) is (chosen.version == "2.8.3")
        assert re.fullmatch(r"[0-9a-f]{64}|not recorded", chosen.sha256)
    assert sum(counts.values()) == len(COMBINATIONS) == 4800
    assert counts["wheel"] == 4 * (2 * 5 * 7 - 2 * 3) + 4 * 2


@pytest.mark.parametrize(
    ("on", "name", "sha256"),
    [
        (
            Platform((3, 11), "2.7.1+cu128", "12.8", True),
            "flash_attn-2.8.3+cu12torch2.7cxx11abiTRUE-cp311-cp311-linux_x86_64.whl",
            "cd1a45ebfc1731a13e55ad68e0c9ad92390ddfffba306f9222be67c6d5a805af",
        ),
        (
            Platform((3, 12), "2.9.1+cu128", "12.8", True, "linux_aarch64"),
            "flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_aarch64.whl",
            "db81083bcc579753140c647fecfb082919b0cce746f9c355af4e37e965e9c224",
        ),
        (
            Platform((3, 10), "2.3.1+cu121", "12.1", False),
            "flash_attn-2.7.4.post1+cu12torch2.3cxx11abiFALSE-cp310-cp310-linux_x86_64.whl",
            NOT_RECORDED,
        ),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_known_wheels(on: Platform, name: str, sha256: str) -> None:
    wheel = choose_wheel(on)
    assert isinstance(wheel, Wheel)
    assert (wheel.name, wheel.sha256) == (name, sha256)


OLD_PIN = "flash_attn-2.8.2+cu12torch2.6cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"
OTHER_OLD_PIN = "flash_attn-2.8.0.post2+cu12torch2.6cxx11abiFALSE-cp310-cp310-linux_x86_64.whl"


@pytest.mark.parametrize(
    ("pin", "on", "reasons", "instead"),
    [
        (OLD_PIN, Platform((3, 11), "2.4.0+cu124", "12.4", False), ["torch 2.6, here is 2.4"],
         "flash_attn-2.8.3+cu12torch2.4cxx11abiFALSE-cp311"),
        (OLD_PIN, Platform((3, 11), "2.6.0+cu126", "12.6", True), ["C++ ABI FALSE, here is TRUE"],
         "flash_attn-2.8.3+cu12torch2.6cxx11abiTRUE-cp311"),
        (OLD_PIN, Platform((3, 11), "2.6.0+cu124", "12.4", False), [],
         "flash_attn-2.8.3+cu12torch2.6cxx11abiFALSE-cp311"),
        (OTHER_OLD_PIN, Platform((3, 10), "2.6.0+cu126", "12.6", True),
         ["C++ ABI FALSE, here is TRUE"], "flash_attn-2.8.3+cu12torch2.6cxx11abiTRUE-cp310"),
        (OTHER_OLD_PIN, Platform((3, 11), "2.7.1+cu128", "12.8", True),
         ["Python cp310, here is cp311", "torch 2.6, here is 2.7", "C++ ABI FALSE, here is TRUE"],
         "flash_attn-2.8.3+cu12torch2.7cxx11abiTRUE-cp311"),
    ],
)  # fmt: skip
def test_the_pins_that_went_wrong(pin: str, on: Platform, reasons: list[str], instead: str) -> None:
    wheel = parse(pin)
    assert wheel is not None
    assert incompatibilities(wheel, on) == [f"it is for {reason}" for reason in reasons]
    chosen = choose_wheel(on)
    assert isinstance(chosen, Wheel)
    assert chosen.name.startswith(instead)


@pytest.mark.parametrize(
    ("on", "why"),
    [
        (Platform((3, 11), "2.13.0+cpu", "", True), "without CUDA"),
        (Platform((3, 11), "2.13.0+cu130", "13.0", True), "CUDA 12 only"),
        (Platform((3, 11), "2.9.0+cu128", "12.8", True), "torch 2.9 with Python 3.11"),
        (Platform((3, 13), "2.4.0+cu124", "12.4", True), "torch 2.4 with Python 3.13"),
        (Platform((3, 11), "2.7.0", "12.6", True, capability=(7, 5)), "capability 8.0"),
        (Platform((3, 11), "2.3.0", "12.1", True, capability=(10, 0)), "torch 2.3"),
        (Platform((3, 11), "2.7.0", "12.6", True, libc="musl"), "glibc"),
    ],
)
def test_why_there_is_none(on: Platform, why: str) -> None:
    chosen = choose_wheel(on)
    assert isinstance(chosen, NoWheel)
    assert why in chosen.reason


@pytest.mark.parametrize(
    "name", ["", "flash_attn-2.8.3.tar.gz", "flash_attn-2.8.3-py3-none-any.whl"]
)
def test_other_names_are_no_wheel(name: str) -> None:
    assert parse(name) is None


@pytest.mark.parametrize(
    ("symbol", "abi"),
    [
        ("_ZN3c105ErrorC2ENS_14SourceLocationESs", False),
        ("_ZNK3c105Error4whatEv", None),
        ("_ZN3c105ErrorC2E", None),  # cut short, as people quote it
        ("_ZN3c104ClassSsE", False),
        ("_ZN3c107ClassSsE", None),  # the letters belong to a name
        ("_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
         True),
    ],
)  # fmt: skip
def test_the_abi_is_in_the_symbol(symbol: str, abi: bool | None) -> None:
    assert abi_of(symbol) is abi


@pytest.mark.parametrize(
    ("symbol", "torch_abi", "kind"),
    [
        ("_ZN3c105ErrorC2ENS_14SourceLocationESs", True, "abi"),
        ("_ZN3c105ErrorC2ENS_14SourceLocationESs", None, "abi"),
        ("_ZN3c105ErrorC2ENS_14SourceLocationESs", False, "torch"),
        ("_ZN3c105ErrorC2E", True, "torch"),
        ("_ZN2at4_ops5zeros4callE", True, "torch"),
        ("_ZNK5torch8autograd4Node4nameEv", True, "torch"),
        ("_PyObject_NextNotImplemented", True, "python"),
        ("PyUnicode_AsUTF8String", True, "python"),
        ("cublasGemmGroupedBatchedEx", True, "other"),
    ],
)
def test_a_missing_symbol_is_explained(symbol: str, torch_abi: bool | None, kind: str) -> None:
    message = f"ImportError: /x/flash_attn_2_cuda.so: undefined symbol: {symbol}"
    assert explain(message, torch_abi).kind == kind
