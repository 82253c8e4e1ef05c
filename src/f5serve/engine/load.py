"""Loading: weights from disk, or random ones, and options become a ready engine.

The one place where device, precision and thread count are decided.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from f5serve.engine import checkpoint, cpu, kernel_choice
from f5serve.engine.checkpoint import CheckpointFile
from f5serve.engine.config import preset
from f5serve.engine.engine import F5Engine
from f5serve.engine.quantize import QUANTISED, fp8_works
from f5serve.engine.threads import usable_threads
from f5serve.engine.vocos import Vocos
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.number_formats import FP8_FAILS, cpu_flags, lack_of_cpu, lack_of_gpu
from f5serve.settings import limit_onednn_cache
from f5serve.text.tokens import Vocab

log = logging.getLogger(__name__)

_AUTO = {"cpu": torch.float32, "cuda": torch.float16}
_DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.float32,  # these two: of what is not quantised
    "fp8": torch.bfloat16,
}

GPU_SWITCH_S = 0.0005
"""How long a thread keeps the interpreter while another waits for it, beside a GPU."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine runs.

    Attributes:
        device: "auto", "cpu" or "cuda".
        dtype: one of `number_formats.FORMATS`; "auto" is fp16 on GPUs, fp32 on CPUs.
        threads: CPU threads, 0 for what the container may use.
        model: id that callers get; the architecture's name when empty.
        original: published checkpoint of a converted one, for schedules that it does not carry.
        batch_frames: most mel frames of a step; 0 goes by the device's memory.
        cuda_graphs: whether steps may be recorded and replayed on a GPU.
        fused_kernels: whether steps may be computed with the project's own kernels on a GPU.
    """

    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    model: str = ""
    original: Path | None = None
    batch_frames: int = 0
    cuda_graphs: bool = True
    fused_kernels: bool = True


def load(weights: Path, vocab: Path, vocoder: Path, arch: str, options: EngineOptions) -> F5Engine:
    """The engine on weights from disk.

    Args:
        weights: published checkpoint or converted artifact of architecture `arch`.
        vocab: vocab.txt of the checkpoint.
        vocoder: Vocos weights.

    Raises:
        ModelUnavailable, InvalidRequest: see `checkpoint.load`.
    """
    placement = _placement(options)
    backbone, schedules = checkpoint.load(weights, arch, placement, options.original)
    with CheckpointFile.inspect(vocoder).open() as tensors:
        vocos = Vocos.from_tensors(tensors, placement.device)
    words = Vocab.from_file(vocab)
    _check_vocab(words, schedules.config.vocab_size - 1)
    return _finish(F5Engine(backbone, schedules, vocos, words, options.model or arch), options)


def load_random(arch: str, options: EngineOptions, seed: int = 0) -> F5Engine:
    """The engine on random weights of the real shapes: for tests and benchmarks, it speaks noise.

    Its vocabulary is printable ASCII, so that any English sentence passes through all of it.
    """
    placement = _placement(options)
    backbone, schedules = checkpoint.load_random(preset(arch), placement, seed)
    vocab = Vocab([chr(code) for code in range(ord(" "), ord("~") + 1)])
    vocos = Vocos.from_tensors(random_vocos(seed), placement.device)
    name = options.model or f"random:{arch}"
    return _finish(F5Engine(backbone, schedules, vocos, vocab, name), options)


def _placement(options: EngineOptions) -> checkpoint.DeviceAndDtype:
    limit_onednn_cache()
    has_gpu = torch.cuda.is_available()
    name = options.device if options.device != "auto" else ("cuda" if has_gpu else "cpu")
    if name == "cuda" and not has_gpu:
        raise InvalidRequest(
            "There is no CUDA device that this torch can use.",
            code="NO_GPU",
            hint="Use --device cpu, or install a torch built for the driver of this machine.",
        )
    device = torch.device(name)
    _check_format(options.dtype, device)
    if device.type == "cpu":
        torch.set_num_threads(options.threads or usable_threads())
        if options.dtype == "fp16":
            log.warning("fp16 is slow on CPUs; fp32 or int8 are several times faster")
    prepare_process(device)
    dtype = _DTYPES.get(options.dtype, _AUTO[device.type])
    turned = options.dtype in QUANTISED or cpu.mkl_is_supported(device, dtype)
    return checkpoint.DeviceAndDtype(device, dtype, in_place=not turned)


def _check_format(dtype: str, device: torch.device) -> None:
    """Raises InvalidRequest, code BAD_OPTION, where the device does not compute in this format."""
    if device.type == "cpu":
        lack = lack_of_cpu(dtype, cpu_flags())
    else:
        lack = lack_of_gpu(dtype, torch.cuda.get_device_capability(device))
        if lack is None and dtype == "fp8" and not fp8_works(device):
            lack = FP8_FAILS
    if lack is not None:
        raise InvalidRequest(lack.message, code="BAD_OPTION", hint=lack.hint)


def prepare_process(device: torch.device) -> None:
    """Settings of the whole process that the device needs."""
    # cuDNN rounds float32 to TF32 unless that is switched off: an error of 1e-4 in each step.
    torch.backends.cudnn.allow_tf32 = False
    if device.type == "cuda":
        # The thread that feeds the GPU needs the interpreter every few microseconds; another one
        # that computes in Python keeps it for so long each time.
        sys.setswitchinterval(min(sys.getswitchinterval(), GPU_SWITCH_S))


def _finish(engine: F5Engine, options: EngineOptions) -> F5Engine:
    if options.fused_kernels and engine.runner.device.type == "cuda":
        # Before layers are quantised, which would make every difference larger.
        engine.use_kernels(kernel_choice.provide)
    if options.dtype in QUANTISED:
        engine.quantize(options.dtype)
    else:
        engine.use_fast_linear()
    if options.batch_frames:
        engine.scheduler.resize(options.batch_frames)
    if options.cuda_graphs:
        engine.use_graphs()
    log.info("%s ready: %s", engine.model, engine.description)
    return engine


def _check_vocab(vocab: Vocab, expected: int) -> None:
    """The embedding has a row for each line of the vocabulary, and one for the filler."""
    if len(vocab) != expected:
        raise ModelUnavailable(
            f"The vocabulary has {len(vocab)} lines, the checkpoint was trained with {expected}.",
            code="CHECKPOINT_MISMATCH",
            hint="Use the vocab.txt that was published with this checkpoint.",
        )
