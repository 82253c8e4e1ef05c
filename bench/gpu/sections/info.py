"""What machine this is, its two ceilings, what a launch costs, and the products of a step."""

from __future__ import annotations

import shutil
import subprocess
from itertools import cycle
from typing import Any

import torch
import torch.nn.functional as F

import machine
import worker
from f5serve.build import UNKNOWN, stamp
from f5serve.engine.attention import choose, sdpa, varlen
from f5serve.engine.packing import PackedSequences
from gpu.common import ROOT, Run, error

QUERY = "driver_version,clocks.sm,clocks.max.sm,power.limit"
TOKENS = (1124, 1600, 3000, 6400, 12_800, 25_600)
MIXES = ([300] * 2, [800] * 2, [1500] * 2, [800] * 32, [700, 800, 900, 760] * 4)
"""Frames of the sequences that attention sees."""
SETS = 8
"""Operands take turns, so that they come from memory as in a step."""


def measure(run: Run) -> None:
    """Facts first, so that they are told whatever fails later."""
    run.tell("machine", **facts(run))
    ceilings(run)
    if run.on_gpu:
        launches(run)
    for tokens in (64,) if run.small else TOKENS:
        products(run, tokens)
    for lengths in ([30, 20],) if run.small else MIXES:
        attention(run, lengths)


def facts(run: Run) -> dict[str, Any]:
    """Versions, cores, and the card."""
    told = machine.describe() | worker.device_facts(run.device)
    told |= {"commit": _commit(), "version": stamp().version, "compiler": shutil.which("gcc")}
    told |= {"cudnn": torch.backends.cudnn.version(), "attention": choose(_where(run), run.half)[0]}
    if not run.on_gpu:
        return told | {"gpu": "none: a rehearsal on a CPU"}
    card = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    return told | {
        "processors": card.multi_processor_count,
        "capability": list(torch.cuda.get_device_capability()),
        "memory_gb": total / 1e9,
        "free_gb": free / 1e9,
        "l2_mb": card.L2_cache_size / 2**20,
        "driver": _smi(),
    }


def _commit() -> str:
    """Of git, or what `pack.py` has written."""
    told, packed = stamp().commit, ROOT / "build" / "gpu-kit" / "commit.txt"
    return packed.read_text() if told == UNKNOWN and packed.exists() else told


def _smi() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "no nvidia-smi"
    command = [tool, f"--query-gpu={QUERY}", "--format=csv,noheader"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return told.stdout.strip()


def _where(run: Run) -> torch.device:
    return torch.device(run.device)


def ceilings(run: Run) -> None:
    """Peak rate of a large product, and of a copy: bytes read and written."""
    n, size = (256, 1 << 20) if run.small else (8192, 1 << 31)
    a, b = (torch.randn(n, n, device=run.device, dtype=run.half) for _ in range(2))
    run.tell("ceiling of products", tflops=2 * n**3 / run.ms(lambda: a @ b) / 1e9)
    big = torch.zeros(size, dtype=torch.uint8, device=run.device)
    other = torch.empty_like(big)
    run.tell("ceiling of copies", gb_per_s=2 * size / run.ms(lambda: other.copy_(big)) / 1e6)


def launches(run: Run) -> None:
    """Microseconds that the host, and the device, need for a kernel that does nothing."""
    x, count = torch.ones(64, device=run.device), 2000

    def many() -> None:
        for _ in range(count):
            x.add_(1)

    many()
    run.sync()
    host_us = worker.timed(many, "cpu")["wall"] / count * 1e6
    both_us = run.once_ms(many) / count * 1e3
    run.tell("launch", host_us=host_us, host_and_device_us=both_us)


def products(run: Run, tokens: int) -> None:
    """The four products of a block, in the step's precision and in fp8; GELU within one."""
    d = 128 if run.small else 1024
    for what, k, n in (("qkv", d, 3 * d), ("out", d, d), ("up", d, 2 * d), ("down", 2 * d, d)):
        operands = [_operands(run, tokens, k, n) for _ in range(SETS)]
        turn = cycle(operands)
        ms = run.ms(lambda turn=turn: F.linear(*next(turn)))
        found = {
            "tokens": tokens,
            "product": what,
            "ms": ms,
            "tflops": 2 * tokens * k * n / ms / 1e9,
        }
        if run.on_gpu and what == "up":
            found |= _gelu(run, operands)
        if run.on_gpu and torch.cuda.get_device_capability() >= (8, 9):
            found |= _fp8(run, operands)
        run.tell("product", **found)


def _operands(run: Run, tokens: int, k: int, n: int) -> tuple[torch.Tensor, ...]:
    where = {"device": run.device, "dtype": run.half}
    x, bias = torch.randn(tokens, k, **where), torch.randn(n, **where)
    return x, torch.randn(n, k, **where) * k**-0.5, bias


def _gelu(run: Run, operands: list[tuple[torch.Tensor, ...]]) -> dict[str, float]:
    """The activation as part of the product, beside one of its own."""
    turn = cycle(operands)

    def together() -> torch.Tensor:
        x, weight, bias = next(turn)
        return torch._addmm_activation(bias, x, weight.t(), use_gelu=True)

    apart_ms = run.ms(lambda: F.gelu(F.linear(*next(turn)), approximate="tanh"))
    together_ms, x = run.ms(together), operands[0]
    exact = F.gelu(F.linear(*x).float(), approximate="tanh")
    off = error(torch._addmm_activation(x[2], x[0], x[1].t(), use_gelu=True), exact)
    return {"gelu_within_ms": together_ms, "gelu_apart_ms": apart_ms, "gelu_error": off}


def _fp8(run: Run, operands: list[tuple[torch.Tensor, ...]]) -> dict[str, Any]:
    """The same product of e4m3 operands with one scale each."""
    kind, one = torch.float8_e4m3fn, torch.ones((), device=run.device)
    eight = [((x * 8).to(kind), (w * 64).to(kind), b) for x, w, b in operands]

    def scaled(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        scales = {"scale_a": one / 8, "scale_b": one / 64}
        return torch._scaled_mm(x, w.t(), bias=bias, out_dtype=run.half, **scales)

    try:
        turn = cycle(eight)
        ms = run.ms(lambda: scaled(*next(turn)))
        return {"fp8_ms": ms, "fp8_error": error(scaled(*eight[0]), F.linear(*operands[0]))}
    except (RuntimeError, TypeError) as problem:
        return {"fp8": str(problem)[:160]}


def attention(run: Run, lengths: list[int]) -> None:
    """The backend that is chosen, and SDPA by runs of equal length."""
    packing = PackedSequences.of(tuple(lengths), _where(run))
    qkv = torch.randn(sum(lengths), 3, 16, 64, device=run.device, dtype=run.half)
    found: dict[str, Any] = {"sequences": len(lengths), "frames": lengths[0]}
    with torch.inference_mode():
        found["sdpa_ms"] = run.ms(lambda: sdpa(qkv, packing))
        if run.on_gpu:
            ms = run.ms(lambda: varlen(qkv, packing))
            flop = sum(4 * n * n * 1024 for n in lengths)
            found |= {"varlen_ms": ms, "varlen_tflops": flop / ms / 1e9}
            found["difference"] = error(varlen(qkv, packing), sdpa(qkv, packing))
    run.tell("attention", **found)
