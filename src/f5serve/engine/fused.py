"""Operations of a step by the project's own Triton kernels, and the trial that they have to pass.

    folder of compiled kernels, Triton with a C compiler -> a Launch, or one sentence why not

Each operation reads and writes what it must once, in one launch. The kernels look the modulation of
each token up, so mixed time points cost what one does; convolutions know where their sequence ends,
and need no padding. A step of two short sequences is computed with plain operations and with
kernels, at one time point and at two. Only where both agree are kernels used; else a log line says
why.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import sysconfig
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from f5serve.engine.compiled_kernels import LIBRARY, Driver, Gpu, load
from f5serve.engine.config import N_MELS
from f5serve.engine.cuda_graphs import TOLERANCE
from f5serve.engine.kernel_files import FOLDER, KernelsUnusable, source_hash
from f5serve.engine.kernels import CONV_TOKENS, Kernel, Kernels, Launch, compiling
from f5serve.engine.model_runner import ModelRunner
from f5serve.engine.ops import PLAIN, Branch, Normed, PlainOps, set_ops
from f5serve.engine.packing import BatchLayout
from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.types import SamplingOptions

log = logging.getLogger(__name__)

C_COMPILERS = ("gcc", "clang")
"""Those that Triton looks for, to build its own launcher."""
FRAMES = 40, 33
"""Of the sequences of a trial; more than one program of a convolution works on."""
Provide = Callable[[Iterable[Kernel], torch.device], Launch]
"""Makes kernels ready for a device; raises with a reason where it cannot."""


@dataclass(frozen=True, slots=True, eq=False)
class FusedOps:
    """See `Ops`.

    Attributes:
        kernels: of the model.
    """

    kernels: Kernels
    launch: Launch
    name: str = "fused"
    _taps: dict[nn.Conv1d, Tensor] = field(default_factory=dict, init=False)

    def modulation(self, vectors: Tensor, index: Tensor | None) -> tuple[Tensor, ...]:
        """One [d], or all that the kernel chooses from [t d]."""
        return vectors.unbind(-2)

    def modulate(
        self, x: Tensor, branch: Branch | None, scale: Tensor, shift: Tensor, index: Tensor | None
    ) -> Normed:
        """See `Ops`."""
        kernel = self.kernels.norm_modulate[branch is not None, index is not None]
        out = torch.empty_like(x)
        whole = x if branch is None else torch.empty_like(x)
        delta, gate = (x, scale) if branch is None else branch
        stride = 0 if index is None else scale.stride(0)
        places = x if index is None else index
        arguments = x, delta, gate, scale, shift, places, whole, out, stride
        self.launch(kernel, (len(x), 1), *arguments)
        return whole, out

    def rms_norm(self, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> Normed:
        """See `Ops`; `eps` is in the kernel."""
        kernel = self.kernels.norm_rms[branch is not None]
        out = torch.empty_like(x)
        whole = x if branch is None else torch.empty_like(x)
        delta = x if branch is None else branch
        self.launch(kernel, (len(x), 1), x, delta, weight, whole, out)
        return whole, out

    def rotate(self, qkv: Tensor, rotary: Tensor, heads: int) -> None:
        """See `Ops`; `heads` is in the kernel."""
        self.launch(self.kernels.rotate, (len(qkv), 1), qkv, torch.view_as_real(rotary))

    def conv_position(
        self, x: Tensor, convs: tuple[nn.Conv1d, nn.Conv1d], layout: BatchLayout
    ) -> Tensor:
        """See `Ops`."""
        first, second = convs
        y = self._conv(x, first, x, layout, residual=False)
        return self._conv(y, second, x, layout, residual=True)

    def _conv(
        self, x: Tensor, conv: nn.Conv1d, behind: Tensor, layout: BatchLayout, residual: bool
    ) -> Tensor:
        if conv not in self._taps:  # once, before anything is recorded
            self._taps[conv] = _taps_first(conv)
        out = torch.empty_like(x)
        grid = -(-len(x) // CONV_TOKENS), conv.groups
        arguments = x, self._taps[conv], conv.bias, behind
        where = layout.mel.seq_ids, layout.mel.cu_seqlens
        self.launch(self.kernels.conv_mish[residual], grid, *arguments, *where, out, len(x))
        return out

    def up(self, x: Tensor, linear: nn.Module, gelu: nn.Module) -> Tensor:
        """See `Ops`: on GPUs the product's own kernel computes the GELU, in its tanh form."""
        if x.device.type != "cuda" or not isinstance(linear, nn.Linear):
            return PLAIN.up(x, linear, gelu)
        weight = linear.weight.t()
        y: Tensor = torch.ops.aten._addmm_activation(linear.bias, x, weight, use_gelu=True)
        return y


def _taps_first(conv: nn.Conv1d) -> Tensor:
    """The weight [d d/groups taps] as [groups taps in out]."""
    outputs, inner, taps = conv.weight.shape
    return (
        conv.weight.view(conv.groups, outputs // conv.groups, inner, taps)
        .permute(0, 3, 2, 1)
        .contiguous()
    )


def provide(kernels: Iterable[Kernel], device: torch.device, folder: Path = FOLDER) -> Launch:
    """A launch of these kernels on a GPU; the log says which.

    Raises:
        KernelsUnusable: they are neither compiled nor can be compiled here.
    """
    began = time.monotonic()
    try:
        launch = ahead(kernels, device, folder)
    except KernelsUnusable as reason:
        why_not = cannot_compile()
        if why_not:
            raise KernelsUnusable(f"{reason} {why_not}") from None
        log.warning("%s Triton compiles them now, which takes seconds.", reason)
        return compiling()
    log.info("compiled kernels loaded in %.0f ms", 1000 * (time.monotonic() - began))
    return launch


def ahead(kernels: Iterable[Kernel], device: torch.device, folder: Path) -> Launch:
    """A launch of the compiled kernels in a folder.

    Raises:
        KernelsUnusable: see `load`.
    """
    torch.cuda.synchronize(device)  # makes the device's context that of this thread
    try:
        driver = Driver.open()
    except OSError as error:
        raise KernelsUnusable(f"{LIBRARY} cannot be opened: {error}.") from None
    gpu = Gpu(torch.cuda.get_device_capability(device), driver, current_stream(device))
    return load(folder, source_hash(), kernels, gpu)


def current_stream(device: torch.device) -> Callable[[], int]:
    """Returns the handle of torch's current stream, without making an object of it where it can."""
    index = torch.cuda.current_device() if device.index is None else device.index
    raw: Callable[[int], int] | None = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    if raw is None:
        return lambda: torch.cuda.current_stream(index).cuda_stream
    return lambda: raw(index)


def cannot_compile() -> str:
    """Why Triton cannot compile kernels here; one sentence, or "" when it can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed."
    if not any(map(shutil.which, C_COMPILERS)):
        return "Triton needs a C compiler, and there is none."
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Triton needs Python's headers for C, and there are none."
    return ""


def use_kernels(runner: ModelRunner, plain: PlainOps, provide: Provide) -> bool:
    """Let the backbone compute with kernels where they agree with plain operations."""
    began = time.monotonic()
    where = runner.schedules
    try:
        kernels = Kernels.of(where.config, where.dtype)
        fused = FusedOps(kernels, provide(kernels, where.device))
        off = max(_difference(runner, plain, fused, points) for points in (1, 2))
    except Exception as error:  # noqa: BLE001 - whatever it is, steps are computed without
        reason = (str(error) or repr(error)).splitlines()[0]
    else:
        if off <= TOLERANCE[where.dtype]:
            set_ops(runner.backbone, fused)
            log.info("fused kernels are used: %.1f s, off by %.1e", time.monotonic() - began, off)
            return True
        reason = f"they are off by {off:.1e}"
    finally:
        runner.clear_batch()
    set_ops(runner.backbone, plain)
    log.warning(
        "fused kernels are not used, which costs speed alone: %s. F5_FUSED_KERNELS=off avoids "
        "the try.",
        reason.rstrip("."),
    )
    return False


def _difference(runner: ModelRunner, plain: PlainOps, fused: FusedOps, points: int) -> float:
    """Relative, of a step of sequences at so many time points."""
    set_ops(runner.backbone, plain)
    expected = _moved(runner, points)
    set_ops(runner.backbone, fused)
    off = (_moved(runner, points) - expected).norm() / expected.norm()
    return float(off) if bool(torch.isfinite(off)) else float("inf")


def _moved(runner: ModelRunner, points: int) -> Tensor:
    """By how much a step moves two sequences: [n N_MELS]."""
    batch = [_sequence(runner, frames) for frames in FRAMES]
    for i, seq in enumerate(batch):
        runner.start(seq)
        seq.step = i % points
    before = torch.cat([seq.x for seq in batch])
    runner.step(batch)
    return torch.cat([seq.x for seq in batch]) - before


def _sequence(runner: ModelRunner, frames: int) -> Sequence:
    """Noise to noise, and without CFG, which would add one rounding to another."""
    drawn = torch.Generator().manual_seed(frames)
    most = runner.schedules.config.vocab_size - 1
    token_ids = torch.randint(most, (frames // 2,), generator=drawn).tolist()
    mel = torch.randn(frames // 2, N_MELS, generator=drawn)
    options = SamplingOptions(cfg_strength=0.0)
    return Sequence(ReferencePrompt.from_mel(mel), token_ids, frames, frames, options)
