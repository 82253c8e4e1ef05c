"""Utterances in, waves out: the engine that clones a voice, and its loading.

    Utterance -> Sequence -> Scheduler, ModelRunner: packed sequences, step by step -> mel -> Wave

A sequence owns its noise and its text; nothing of a request is kept once its waves are returned.
Device, precision and thread count are decided in `load`, and nowhere else.
"""

from __future__ import annotations

import logging
import math
import sys
from collections import abc
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from f5serve.engine import attention, checkpoint, cpu, ops
from f5serve.engine.config import preset
from f5serve.engine.cuda import GraphCapturer, GraphLimits
from f5serve.engine.cuda_graphs import FP8_TOLERANCE
from f5serve.engine.device import SharedDevice
from f5serve.engine.fused import Provide, provide, use_kernels
from f5serve.engine.model_runner import ModelRunner
from f5serve.engine.modules import memory_of
from f5serve.engine.ops import set_ops
from f5serve.engine.quantize import QUANTISED, fp8_works, quantize_blocks
from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.engine.schedule import ScheduleCache
from f5serve.engine.vocos import Vocos
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.errors import EngineFailed, InvalidRequest, ModelUnavailable
from f5serve.number_formats import FP8_FAILS, cpu_flags, lack_of_cpu, lack_of_gpu
from f5serve.process import usable_threads
from f5serve.settings import limit_onednn_cache
from f5serve.text.markup import without_emoji
from f5serve.text.plan import spoken_ref_text
from f5serve.text.tokens import Vocab, tokenize
from f5serve.text.treatment import AS_WRITTEN, TextTreatment
from f5serve.types import MAX_DURATION_FRAMES, OnDone, SamplingOptions, Utterance, Wave

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


class F5Engine:
    """F5-TTS or E2-TTS with Vocos; see `types.Engine`."""

    kind = "f5"
    clones_voice = True
    voices = ()
    warnings: tuple[str, ...] = ()
    concurrent = True
    max_text_bytes = 4 * MAX_DURATION_FRAMES

    def __init__(  # noqa: PLR0913 - wired once, by what loads it
        self,
        backbone: checkpoint.Backbone,
        schedules: ScheduleCache,
        vocoder: Vocos,
        vocab: Vocab,
        model: str,
        shared: SharedDevice | None = None,
        text: TextTreatment = AS_WRITTEN,
    ) -> None:
        device, dtype = schedules.device, schedules.dtype
        self.model = model
        self.shared = shared or SharedDevice(device)
        self._vocab = vocab
        self._text = text
        self._schedules = schedules
        self._attention, attend = attention.choose(device, dtype)
        self._plain = ops.choose(device, dtype)
        self._fused = False
        self._precision = str(dtype).removeprefix("torch.")
        set_ops(backbone, self._plain)
        self.runner = ModelRunner(
            backbone,
            schedules,
            attend,
            vocoder,
            self.shared.parallel_cfg,
            self.shared.run_ahead,
            self.shared.side_stream,
        )
        self.loop, self.scheduler = self.shared.loop, self.shared.loop.scheduler
        self.loop.add_model(self.runner)

    def use_kernels(self, provide: Provide) -> None:
        """Compute steps with the project's own kernels, where a trial agrees.

        Raises:
            EngineFailed: code DEVICE_BROKEN, when the trial has ended all work on the device.
        """
        self._fused = use_kernels(self.runner, self._plain, provide)
        if not self._fused and not self.runner.is_healthy():
            raise EngineFailed(
                "The GPU stopped responding when its kernels were tested.",
                code="DEVICE_BROKEN",
                hint="Set F5_FUSED_KERNELS=off: steps are then computed with torch's own kernels.",
            )

    def use_graphs(self) -> None:
        """Capture steps in pauses and replay them, on a GPU whose attention allows it."""
        if self._attention == "varlen":
            device = self.runner.device
            tolerance = FP8_TOLERANCE if self._precision == "fp8" else None
            self.runner.enable_cuda_graphs(GraphCapturer(device), GraphLimits.of(device), tolerance)
            assert self.runner.graphs is not None
            self.runner.graphs.request_usual()

    def use_fast_linear(self) -> None:
        """Compute the blocks' linear layers by oneDNN, or packed for MKL, where that is faster."""
        device, dtype = self._schedules.device, self._schedules.dtype
        if cpu.onednn_is_supported(device, dtype):
            cpu.enable_onednn(self.runner.backbone)
        elif cpu.mkl_is_supported(device, dtype):
            cpu.enable_mkl(self.runner.backbone)

    def quantize(self, dtype: str = "int8") -> None:
        """Quantise the blocks' linear layers to int8 or fp8, in place."""
        quantize_blocks(self.runner.backbone, dtype)
        self._precision = dtype

    @property
    def description(self) -> str:
        """Device, precision, attention and whether its own kernels compute, for a log line."""
        threads = f", {torch.get_num_threads()} threads" if self.runner.device.type == "cpu" else ""
        kernels = ", fused kernels" if self._fused else ""
        return f"{self.runner.device.type}, {self._precision}, {self._attention}{kernels}{threads}"

    @property
    def broken(self) -> bool:
        """Whether the device has failed for good."""
        return self.loop.broken

    def unspeakable(self, text: str) -> list[str]:
        """Characters of `text` that the vocabulary lacks, in order, each once."""
        return self._text.as_written(self._vocab.missing(self._text.spell(text)), text)

    def check_options(self, options: SamplingOptions) -> None:
        """See `types.Engine.check_options`."""
        self._schedules.check(options.nfe_step, options.sway_sampling_coef)

    def generate(
        self,
        utterances: abc.Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """One wave for each utterance, 24 kHz, the reference cut off.

        May be called from several threads; see `types.Engine.generate`.

        Raises:
            EngineFailed: codes OUT_OF_MEMORY, DEVICE_BROKEN (both retryable), NOT_FINITE and
                STEP_FAILED.
            InvalidRequest: as `check_options`.
        """
        for options in {(u.options.nfe_step, u.options.sway_sampling_coef) for u in utterances}:
            self._schedules.prepare(*options)  # here, as others wait for the device
        waves: dict[int, Wave] = {}
        due = math.inf if deadline is None else deadline
        with closing(self.loop.run(self._sequences(utterances), check, due)) as finished:
            for index, wave in finished:
                waves[index] = wave
                if on_done is not None:
                    on_done(index, wave)
        return [waves[index] for index in range(len(utterances))]

    def estimate_s(self, utterances: abc.Sequence[Utterance]) -> float | None:
        """Seconds that the device needs for these alone; None before anything was measured."""
        return self.loop.estimate_s(self._sequences(utterances))

    def close(self) -> None:
        """Leave the device to other models; nothing may be under way, and nothing comes again."""
        self.loop.remove_model(self.runner)
        self.runner.clear_batch()
        self.runner.release_memory()

    def memory(self) -> dict[int, int]:
        """Bytes of each piece of memory that holds weights, by its address: models share some."""
        return memory_of(self.runner.backbone, self.runner.vocoder)

    def counters(self) -> Mapping[str, float]:
        """See `types.Engine.counters`; of all models on the device."""
        return {**self.loop.counters(), "fused_kernels": float(self._fused)}

    def _sequences(self, utterances: abc.Sequence[Utterance]) -> list[Sequence]:
        prompts = {u.voice.revision: u.voice for u in utterances}
        made = {revision: ReferencePrompt.of(voice) for revision, voice in prompts.items()}
        return [
            Sequence.of(u, made[u.voice.revision], self._token_ids(text), self.runner)
            for u in utterances
            for text in [without_emoji(spoken_ref_text(u.voice) + u.text)]
        ]

    def _token_ids(self, text: str) -> list[int]:
        """Of the reference's text and the utterance's, as the model expects them."""
        tokens = tokenize(self._text.spell(text))
        return self._vocab.ids([self._text.prefix, *tokens] if self._text.prefix else tokens)


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
        shared: of another engine, whose device this one works on as well.
        text: how the model expects its text.
    """

    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    model: str = ""
    original: Path | None = None
    batch_frames: int = 0
    cuda_graphs: bool = True
    fused_kernels: bool = True
    shared: SharedDevice | None = None
    text: TextTreatment = AS_WRITTEN


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
    words = Vocab.from_file(vocab)
    _check_vocab(words, schedules.config.vocab_size - 1, options.text.prefix)
    shared = options.shared or SharedDevice(placement.device)
    vocos = shared.vocoder(vocoder)
    name = options.model or arch
    engine = F5Engine(backbone, schedules, vocos, words, name, shared, options.text)
    return _finish(engine, options)


def load_random(arch: str, options: EngineOptions, seed: int = 0) -> F5Engine:
    """The engine on random weights of the real shapes: for tests and benchmarks, it speaks noise.

    Its vocabulary is printable ASCII, so that any English sentence passes through all of it.
    """
    placement = _placement(options)
    backbone, schedules = checkpoint.load_random(preset(arch), placement, seed)
    vocab = Vocab([chr(code) for code in range(ord(" "), ord("~") + 1)])
    vocos = Vocos.from_tensors(random_vocos(seed), placement.device)
    name = options.model or f"random:{arch}"
    return _finish(F5Engine(backbone, schedules, vocos, vocab, name, options.shared), options)


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
    # Where others were loaded, steps are under way with their threads.
    if device.type == "cpu" and options.shared is None:
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
    try:
        _accelerate(engine, options)
    except BaseException:
        engine.close()
        raise
    log.info("%s ready: %s", engine.model, engine.description)
    return engine


def _accelerate(engine: F5Engine, options: EngineOptions) -> None:
    if options.fused_kernels and engine.runner.device.type == "cuda":
        # Before layers are quantised, which would make every difference larger.
        engine.use_kernels(provide)
    if options.dtype in QUANTISED:
        engine.quantize(options.dtype)
    else:
        engine.use_fast_linear()
    if options.batch_frames:
        engine.scheduler.resize(options.batch_frames)
    else:
        engine.shared.fit_batches()
    if options.cuda_graphs:
        engine.use_graphs()


def _check_vocab(vocab: Vocab, expected: int, prefix: str = "") -> None:
    """The embedding has a row for each line, of which the prefix is one, and one for the filler."""
    if prefix and prefix not in vocab:
        raise ModelUnavailable(
            f"The vocabulary has no line {prefix!r}, which is to stand before each text.",
            code="CHECKPOINT_MISMATCH",
            hint="Register the model again with the prefix that its page names.",
        )
    if len(vocab) != expected:
        raise ModelUnavailable(
            f"The vocabulary has {len(vocab)} lines, the checkpoint was trained with {expected}.",
            code="CHECKPOINT_MISMATCH",
            hint="Use the vocab.txt that was published with this checkpoint.",
        )
