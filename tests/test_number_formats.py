"""Which processors have which number formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from f5serve.number_formats import FORMATS, cpu_flags, lack_of_cpu, lack_of_gpu
from f5serve.settings import Settings

PLAIN = frozenset({"avx2", "avx512f", "avx512_vnni"})


@pytest.mark.parametrize(
    ("dtype", "flags", "computes"),
    [
        ("bf16", PLAIN, False),
        ("bf16", PLAIN | {"avx512_bf16"}, True),
        ("bf16", PLAIN | {"amx_bf16"}, True),
        ("bf16", frozenset(), False),
        ("fp8", PLAIN | {"amx_bf16", "avx512_bf16"}, False),
        *((dtype, PLAIN, True) for dtype in ("auto", "fp32", "fp16", "int8")),
    ],
)
def test_a_cpu_goes_by_its_flags(dtype: str, flags: frozenset[str], computes: bool) -> None:
    lack = lack_of_cpu(dtype, flags)
    assert (lack is None) is computes
    assert lack is None or (lack.message.endswith(".") and lack.hint)


@pytest.mark.parametrize(
    ("dtype", "capability", "computes"),
    [
        ("bf16", (7, 5), False),
        ("bf16", (8, 0), True),
        ("fp8", (8, 6), False),
        ("fp8", (8, 9), True),
        ("fp8", (9, 0), True),
        ("fp8", (12, 0), True),
        ("int8", (9, 0), False),
        *((dtype, (7, 5), True) for dtype in ("auto", "fp32", "fp16")),
    ],
)
def test_a_gpu_goes_by_its_capability(
    dtype: str, capability: tuple[int, int], computes: bool
) -> None:
    lack = lack_of_gpu(dtype, capability)
    assert (lack is None) is computes
    assert lack is None or (lack.message.endswith(".") and lack.hint)


def test_the_flags_of_a_cpu_are_read(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(
        "processor\t: 0\nmodel name\t: X\nflags\t\t: fpu avx2 amx_bf16\n\nflags\t: no\n"
    )
    assert cpu_flags(file) == {"fpu", "avx2", "amx_bf16"}
    assert cpu_flags(tmp_path / "none") == frozenset()


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_setting_takes_every_format_and_changes_none_by_itself(dtype: str) -> None:
    assert Settings.from_environ({"F5_DTYPE": dtype}).dtype == dtype
    assert Settings.from_environ({}).dtype == "auto"
