"""bf16 and 8 bit: how far from float32 they are, and where they are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from f5serve.engine import checkpoint
from f5serve.engine import engine as loading
from f5serve.engine.convert import convert
from f5serve.engine.cpu import OneDnnLinear
from f5serve.engine.engine import EngineOptions, F5Engine, load
from f5serve.engine.quantize import Fp8Linear, fp8_works
from f5serve.engine.weight_map import random_tensors
from f5serve.errors import InvalidRequest
from tests.parity.cases import row, small
from tests.parity.ours import CPU, engine_of, error, sequence_of

V1, V0, E2 = "F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"
BF16 = torch.bfloat16
E4M3 = torch.float8_e4m3fn
NEEDS_FP8 = pytest.mark.skipif(
    not fp8_works(CPU), reason="this torch multiplies no fp8 with a scale per token on CPUs"
)


def mels(engine: F5Engine, name: str) -> Tensor:
    case = row(small(name), "x", 96)
    return engine.runner.sample([sequence_of(case)])[0]


def engine_in(dtype: str, name: str) -> F5Engine:
    case = row(small(name), "x", 96)
    engine = engine_of(case, torch.float32 if dtype == "fp32" else BF16)
    if dtype == "fp8":
        engine.quantize("fp8")
    return engine


@pytest.mark.parametrize(
    ("dtype", "name", "bound"),
    [
        ("bf16", V1, 8e-3),
        ("bf16", V0, 1e-2),
        ("bf16", E2, 1e-2),
        pytest.param("fp8", V1, 3e-2, marks=NEEDS_FP8),
        pytest.param("fp8", V0, 3e-2, marks=NEEDS_FP8),
        pytest.param("fp8", E2, 7e-2, marks=NEEDS_FP8),
    ],
)
def test_the_mel_stays_near_that_of_float32(dtype: str, name: str, bound: float) -> None:
    engine = engine_in(dtype, name)
    assert {"bf16": "bfloat16", "fp8": "fp8"}[dtype] in engine.description
    mel = mels(engine, name)
    assert mel.dtype is torch.float32
    assert 1e-3 < error(mel, mels(engine_in("fp32", name), name)) < bound


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="oneDNN computes no bf16 on this processor",
)
def test_bf16_takes_gelu_into_the_product_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("f5serve.engine.cpu.cpu_flags", lambda _: frozenset({"avx512_bf16"}))
    monkeypatch.setattr("f5serve.engine.cpu.onednn_works", lambda _: True)
    engine = engine_in("bf16", V1)
    plain = mels(engine, V1)
    engine.use_fast_linear()
    kinds = {type(module) for module in engine.runner.backbone.blocks.modules()}
    assert OneDnnLinear in kinds
    assert torch.nn.Linear not in kinds
    assert error(mels(engine, V1), plain) < 8e-3


def plain_fp8(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What a product of fp8 numbers with a scale per row is, written out in float32."""

    loudest = x.abs().amax(1, keepdim=True) / 256  # in bf16, as x is
    scale = weight.float().abs().amax(1, keepdim=True) / 256
    tokens = (x / loudest).to(E4M3).float() * loudest.float()
    channels = (weight.float() / scale).to(E4M3).float() * scale
    return tokens @ channels.t() + bias.float()


@NEEDS_FP8
def test_a_product_in_fp8_is_that_of_rounded_numbers_scaled_by_token_and_channel() -> None:
    generator = torch.Generator().manual_seed(1)
    linear = torch.nn.Linear(256, 96, dtype=BF16).requires_grad_(False)
    weight = torch.randn(96, 256, generator=generator) * torch.logspace(-3, 2, 96)[:, None]
    linear.weight.copy_(weight)
    loudness = torch.logspace(-4, 4, 33)[:, None]
    x = (torch.randn(33, 256, generator=generator) * loudness).to(BF16)
    linear.bias.zero_()
    y = Fp8Linear(linear)(x)
    assert y.dtype is BF16
    rounding = (y.float() - plain_fp8(x, linear.weight, linear.bias)) / loudness
    exact = (x.float() @ linear.weight.float().t()) / loudness
    off = y.float() / loudness - exact
    for part in (0, 1):  # no token and no channel may drown in another
        assert (rounding.norm(dim=part) / exact.norm(dim=part)).max() < 0.005
        assert (off.norm(dim=part) / exact.norm(dim=part)).max() < 0.08


@NEEDS_FP8
def test_silence_is_the_bias_and_what_is_not_finite_stays_in_its_row() -> None:
    linear = torch.nn.Linear(64, 32, dtype=BF16).requires_grad_(False)
    x = torch.randn(5, 64, dtype=BF16, generator=torch.Generator().manual_seed(2))
    x[1], x[2, 3], x[3, 9] = 0, float("nan"), float("inf")
    layer = Fp8Linear(linear)
    y = layer(x)
    assert torch.equal(y[1], linear.bias)
    assert not torch.isfinite(y[2:4]).any()
    assert torch.equal(y[[0, 4]], layer(x[[0, 4]]))


@NEEDS_FP8
def test_no_row_is_too_loud_or_too_quiet() -> None:
    """Beyond 464 a conversion to e4m3 gives NaN, below its least number 0."""
    linear = torch.nn.Linear(64, 32, bias=False, dtype=BF16).requires_grad_(False)
    x = torch.randn(400, 64, generator=torch.Generator().manual_seed(3))
    x = (x * torch.logspace(-9, 30, 400)[:, None]).to(BF16)
    exact = linear(x).double()
    off = (Fp8Linear(linear)(x).double() - exact).norm(dim=1) / exact.norm(dim=1)
    assert off.max() < 0.08


@NEEDS_FP8
def test_fp8_comes_out_of_every_file(tmp_path: Path) -> None:
    """Published in fp32 and fp16, converted in fp32 and fp16: the same but for their rounding."""
    tensors = {f"ema_model.transformer.{k}": v for k, v in random_tensors(small(V1), 11).items()}
    save_file(tensors, tmp_path / "m32.safetensors")
    save_file({k: v.half() for k, v in tensors.items()}, tmp_path / "m16.safetensors")
    convert(tmp_path / "m32.safetensors", V1, tmp_path / "a16.safetensors")
    convert(tmp_path / "m32.safetensors", V1, tmp_path / "a32.safetensors", dtype="float32")
    exact, stub = mels(engine_in("fp32", V1), V1), engine_in("fp32", V1)
    for file in ("m32", "m16", "a16", "a32"):
        placement = checkpoint.DeviceAndDtype(CPU, BF16)
        model = checkpoint.load(tmp_path / f"{file}.safetensors", V1, placement)
        engine = F5Engine(*model, stub.runner.vocoder, stub._vocab, "x")
        engine.quantize("fp8")
        kinds = {m.weight.dtype for m in engine.runner.backbone.blocks.modules()
                 if isinstance(m, Fp8Linear)}  # fmt: skip
        assert kinds == {E4M3}
        assert 1e-3 < error(mels(engine, V1), exact) < 3e-2, file


def refused(options: EngineOptions, tmp_path: Path) -> InvalidRequest:
    """Loading files that are not there: the setting is found wrong before anybody looks."""
    none = tmp_path / "none"
    with pytest.raises(InvalidRequest) as caught:
        load(none, none, none, V1, options)
    assert caught.value.code == "BAD_OPTION"
    assert caught.value.hint
    return caught.value


def test_a_cpu_without_bf16_refuses_it_before_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "cpu_flags", lambda: frozenset({"avx2"}))
    assert "no instructions for bf16" in refused(EngineOptions("cpu", "bf16"), tmp_path).message
    monkeypatch.setattr(loading, "cpu_flags", lambda: frozenset({"avx2", "amx_bf16"}))
    assert loading._placement(EngineOptions("cpu", "bf16", threads=1)).dtype is BF16
    assert "GPUs only" in refused(EngineOptions("cpu", "fp8"), tmp_path).message


@pytest.mark.parametrize(
    ("dtype", "capability", "works", "said"),
    [
        ("bf16", (7, 5), True, "7.5, and bf16 needs 8.0"),
        ("fp8", (8, 6), True, "8.6, and fp8 needs 8.9"),
        ("fp8", (9, 0), False, "fails on this GPU"),
        ("int8", (9, 0), True, "CPUs only"),
    ],
)
def test_a_gpu_refuses_what_it_lacks(
    dtype: str,
    capability: tuple[int, int],
    works: bool,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_gpu(monkeypatch, capability, works)
    assert said in refused(EngineOptions("cuda", dtype), tmp_path).message


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("auto", torch.float16), ("bf16", BF16), ("fp8", BF16), ("fp32", torch.float32)],
)
def test_parameters_on_a_gpu(
    dtype: str, kept: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_gpu(monkeypatch, (9, 0), works=True)
    assert loading._placement(EngineOptions("auto", dtype)).dtype is kept


def a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], works: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(loading, "fp8_works", lambda _: works)
    monkeypatch.setattr(loading, "prepare_process", lambda _: None)


def test_a_torch_whose_product_is_wrong_does_not_pass_the_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(a: Tensor, b: Tensor, *_: Any, out_dtype: torch.dtype, **__: Any) -> Tensor:
        return (a.float() @ b.float()).to(out_dtype)  # the scales are forgotten

    def lacking(*_: Any, **__: Any) -> Tensor:
        raise RuntimeError("no kernel image is available")

    for product in (wrong, lacking):
        monkeypatch.setattr(torch, "_scaled_mm", product)
        assert not fp8_works(CPU)
