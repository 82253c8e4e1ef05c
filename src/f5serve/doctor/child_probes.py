"""Probes in a process of their own: torch and flash-attn are imported, files are hashed.

A crash, a hang or a damaged library ends that process alone; torch is never imported into this one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from f5serve.doctor.facts import CudaDevice, Explanation, FlashRun, TorchRun
from f5serve.doctor.flash_attn import explain
from f5serve.doctor.sources import Outcome, Sources

_TORCH = """
import json, torch
result = {
    "version": torch.__version__,
    "cuda": torch.version.cuda or "",
    "cudnn": torch.backends.cudnn.version() or 0,
    "cxx11_abi": bool(torch.compiled_with_cxx11_abi()),
    "architectures": torch.cuda.get_arch_list(),
    "devices": [],
    "trial": "",
}
if torch.cuda.is_available():
    try:
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
            result["devices"].append([name, capability, total, free])
        wave = torch.randn(1, 4, 64, device="cuda", dtype=torch.float16)
        layer = torch.nn.Conv1d(4, 4, 3, device="cuda", dtype=torch.float16)
        result["trial"] = "" if layer(wave).isfinite().all().item() else "the result is not finite"
    except RuntimeError as error:
        result["trial"] = str(error)
print("f5serve-doctor " + json.dumps(result))
"""  # noqa: E501

_FLASH = """
import json, torch
from flash_attn import flash_attn_varlen_func
result = {"on_gpu": torch.cuda.is_available(), "apart": 0.0}
if result["on_gpu"]:
    q, k, v = (torch.randn(24, 2, 64, device="cuda", dtype=torch.float16) for _ in range(3))
    ends = torch.tensor([0, 16, 24], device="cuda", dtype=torch.int32)
    fast = flash_attn_varlen_func(q, k, v, ends, ends, 16, 16)
    plain = torch.cat([
        torch.nn.functional.scaled_dot_product_attention(
            *(x[a:b].transpose(0, 1)[None] for x in (q, k, v)))[0].transpose(0, 1)
        for a, b in ((0, 16), (16, 24))])
    result["apart"] = (fast - plain).abs().max().item()
print("f5serve-doctor " + json.dumps(result))
"""
_MAX_DIFFERENCE = 1e-2

_HASH = """
import hashlib, json, sys
result = {}
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        result[path] = hashlib.file_digest(file, "sha256").hexdigest()
print("f5serve-doctor " + json.dumps(result))
"""


def probe_torch(sources: Sources) -> TorchRun:
    """Import torch and compute a little on the GPU, if it sees one."""
    outcome = sources.commands.run([sources.executable, "-c", _TORCH], sources.trial_s)
    answer = _answer(outcome)
    if answer is None:
        return TorchRun(error=_reason(outcome), timed_out=outcome.timed_out)
    devices = tuple(
        CudaDevice(name, (capability[0], capability[1]), total, free)
        for name, capability, total, free in answer["devices"]
    )
    return TorchRun(
        version=answer["version"],
        cuda=answer["cuda"],
        cudnn=answer["cudnn"],
        cxx11_abi=answer["cxx11_abi"],
        devices=devices,
        architectures=tuple(answer["architectures"]),
        trial=_first_line(answer["trial"]),
    )


def probe_flash_attn(sources: Sources, torch_abi: bool | None = None) -> FlashRun:
    """Import flash-attn and, on a GPU, compare a small call with SDPA.

    Args:
        torch_abi: C++ ABI of torch, where it is known, for the explanation.
    """
    outcome = sources.commands.run([sources.executable, "-c", _FLASH], sources.trial_s)
    answer = _answer(outcome)
    if answer is None:
        error = _reason(outcome)
        return FlashRun(False, error=error, explanation=_explain(outcome, torch_abi))
    if not answer["apart"] <= _MAX_DIFFERENCE:  # also not a number
        error = f"it differs from SDPA by {answer['apart']:.3g}"
        wrong = Explanation("other", "It computes something else than SDPA on this GPU.")
        return FlashRun(False, on_gpu=True, error=error, explanation=wrong)
    return FlashRun(True, on_gpu=answer["on_gpu"])


def hash_files(sources: Sources, paths: Sequence[Path]) -> tuple[dict[Path, str], str]:
    """The sha256 of each file, or none and why."""
    command = [sources.executable, "-c", _HASH, *map(str, paths)]
    outcome = sources.commands.run(command, sources.hash_s)
    answer = _answer(outcome)
    if answer is None:
        return {}, _reason(outcome)
    return {Path(path): str(sha256) for path, sha256 in answer.items()}, ""


def hide_flash_attn() -> None:
    """Make flash-attn impossible to import or to find in this process."""
    # None is the import system's own mark for a module that must not be found.
    sys.modules["flash_attn"] = None  # type: ignore[assignment]


def _answer(outcome: Outcome) -> dict[str, Any] | None:
    """The object that a probe printed, or None when it failed before."""
    for line in reversed(outcome.out.splitlines()):
        if outcome.code == 0 and line.startswith("f5serve-doctor "):
            try:
                return dict(json.loads(line.split(" ", 1)[1]))
            except ValueError:
                return None
    return None


def _reason(outcome: Outcome) -> str:
    if outcome.timed_out:
        return "it did not end in time"
    if outcome.code is not None and outcome.code < 0:
        return f"it was ended by signal {-outcome.code}"
    return outcome.last_line or f"it ended with {outcome.code}"


def _explain(outcome: Outcome, torch_abi: bool | None) -> Explanation:
    if outcome.timed_out:
        return Explanation("slow", "It does not come to an end.")
    if outcome.code is not None and outcome.code < 0:
        return Explanation("crashed", "It crashes.")
    return explain(outcome.last_line, torch_abi)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]
