"""Schedules: timesteps and what depends on them alone, the modulation, computed once and cached.

A modulation [s r d] holds, for each of s steps, the shift, scale and gate of every block and the
final norm (F5-TTS), or the time token (E2-TTS). It comes out of the checkpoint's time layers; the
converted artifact carries the modulation of 7, 16 and 32 steps instead of those layers. It is
computed in the threads of callers, and copied to the device by the device's own.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from f5serve.engine.config import TIME_FREQ_DIM, ModelConfig
from f5serve.engine.cuda import to_device
from f5serve.engine.dit import DiT
from f5serve.engine.weight_map import OpenTensors
from f5serve.errors import InvalidRequest, ModelUnavailable

log = logging.getLogger(__name__)

PRECOMPUTED_STEPS = (7, 16, 32)
PRECOMPUTED_SWAY = -1.0
CACHED_SCHEDULES = 8


EPSS_GRIDS = {
    5: (0, 2, 4, 8, 16, 32),
    6: (0, 2, 4, 6, 8, 16, 32),
    7: (0, 2, 4, 6, 8, 16, 24, 32),
    10: (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32),
    12: (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    16: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
}
"""Empirically pruned step sampling (arXiv 2505.19931): which of 32 even steps are kept."""


def timesteps(nfe_step: int, sway_sampling_coef: float) -> Tensor:
    """Time grid from 0 to 1: the EPSS one where it exists, even otherwise, then swayed.

    Sway sampling is arXiv 2410.06885: f(t) = t + s * (cos(pi/2 * t) - 1 + t).

    Returns:
        float32 [nfe_step + 1]
    """
    grid = EPSS_GRIDS.get(nfe_step)
    t = torch.tensor(grid) / 32 if grid else torch.linspace(0, 1, nfe_step + 1)
    return t + sway_sampling_coef * (torch.cos(math.pi / 2 * t) - 1 + t)


def compute_modulation(weights: Mapping[str, Tensor], config: ModelConfig, times: Tensor) -> Tensor:
    """Modulation at some time points, from published tensors, in float32.

    Args:
        weights: published names; read one at a time, so that a mapped file is not held whole.
        times: [s], the points at which steps begin.

    Returns:
        [s, 6 * depth + 2, d] for F5-TTS, [s 1 d] for E2-TTS.
    """

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float())

    half = TIME_FREQ_DIM // 2
    frequencies = torch.exp(torch.arange(half).float() * (-math.log(10_000) / (half - 1)))
    angles = 1000 * times[:, None] * frequencies
    t = torch.cat([angles.sin(), angles.cos()], dim=-1)  # [s TIME_FREQ_DIM]
    t = linear(F.silu(linear(t, "time_embed.time_mlp.0")), "time_embed.time_mlp.2")  # [s d]
    if config.backbone == "unett":
        return t[:, None]
    t = F.silu(t)
    vectors = [
        linear(t, f"transformer_blocks.{i}.attn_norm.linear").unflatten(-1, (6, config.dim))
        for i in range(config.depth)
    ]
    vectors.append(linear(t, "norm_out.linear").unflatten(-1, (2, config.dim)))
    return torch.cat(vectors, dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """A time grid as the model takes it.

    Attributes:
        dt: width of each step, [s].
        modulation: [s r d], on the device and in the precision of the model.
    """

    dt: tuple[float, ...]
    modulation: Tensor


@dataclass(slots=True)
class ScheduleCache:
    """Schedules of one model; the last few used are cached.

    Attributes:
        precomputed: modulations of the artifact, by number of steps, at `PRECOMPUTED_SWAY`.
        open_time_layers: opens the published time layers, or None where they are not to be had.
    """

    config: ModelConfig
    device: torch.device
    dtype: torch.dtype
    precomputed: Mapping[int, Tensor]
    open_time_layers: OpenTensors | None
    _cached: Callable[[int, float], Schedule] = field(init=False, repr=False)
    _modulations: OrderedDict[tuple[int, float], Tensor] = field(init=False, repr=False)
    _computing: threading.Lock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._cached = lru_cache(maxsize=CACHED_SCHEDULES)(self._place)
        self._modulations = OrderedDict()
        self._computing = threading.Lock()

    def check(self, nfe_step: int, sway_sampling_coef: float) -> None:
        """Refuse options whose modulation is not precomputed and cannot be computed; takes no time.

        Raises:
            InvalidRequest: code BAD_OPTION, naming what is possible.
        """
        if not self._is_precomputed(nfe_step, sway_sampling_coef) and self.open_time_layers is None:
            raise self._not_held(nfe_step, sway_sampling_coef)

    def prepare(self, nfe_step: int, sway_sampling_coef: float) -> Tensor:
        """The modulation of these options, computed so that `get` does not have to; in any thread.

        Returns:
            [s r d], float32, on the CPU, with one added to the scales.

        Raises:
            InvalidRequest: as `check`; also when the time layers cannot be read any more.
        """
        key = nfe_step, sway_sampling_coef
        modulation = self._modulations.get(key)
        if modulation is None:
            with self._computing:  # it reads hundreds of megabytes: one at a time, and once
                modulation = self._modulations.get(key)
                if modulation is None:
                    modulation = self._modulations[key] = self._compute(*key)
                    while len(self._modulations) > CACHED_SCHEDULES:
                        self._modulations.popitem(last=False)
        with contextlib.suppress(KeyError):  # gone meanwhile
            self._modulations.move_to_end(key)
        return modulation

    def get(self, nfe_step: int, sway_sampling_coef: float) -> Schedule:
        """The schedule of these options on the device; in the thread that owns it.

        Raises:
            InvalidRequest: as `prepare`.
        """
        return self._cached(nfe_step, sway_sampling_coef)

    def _place(self, nfe_step: int, sway: float) -> Schedule:
        modulation = self.prepare(nfe_step, sway)
        dt = tuple(timesteps(nfe_step, sway).diff().tolist())
        return Schedule(dt, to_device(self.device, modulation.to(self.dtype)))

    def _compute(self, nfe_step: int, sway: float) -> Tensor:
        self.check(nfe_step, sway)
        if self._is_precomputed(nfe_step, sway):
            modulation = self.precomputed[nfe_step].clone()
        else:
            modulation = self._from_layers(nfe_step, sway)
        if self.config.backbone == "dit":
            modulation[:, DiT.scale_indices(self.config.depth)] += 1.0
        return modulation

    def _from_layers(self, nfe_step: int, sway: float) -> Tensor:
        assert self.open_time_layers is not None
        try:
            with self.open_time_layers() as weights:
                return compute_modulation(weights, self.config, timesteps(nfe_step, sway)[:-1])
        except ModelUnavailable as error:  # the file was there when the engine was loaded
            if not self.precomputed:
                raise
            log.warning("no schedule can be computed: %s", error.message)
            raise self._not_held(nfe_step, sway) from error

    def _is_precomputed(self, nfe_step: int, sway: float) -> bool:
        return sway == PRECOMPUTED_SWAY and nfe_step in self.precomputed

    def _not_held(self, nfe_step: int, sway: float) -> InvalidRequest:
        *most, last = (str(steps) for steps in sorted(self.precomputed))
        steps = f"{', '.join(most)} or {last}" if most else last
        return InvalidRequest(
            f"The loaded weights cannot compute nfe_step {nfe_step} with sway_sampling_coef "
            f"{sway:g}: they hold the schedules of {steps} steps with {PRECOMPUTED_SWAY:g} alone.",
            code="BAD_OPTION",
            hint=f"Send nfe_step {steps} and leave sway_sampling_coef out. A server that also has "
            "the published checkpoint (f5serve models pull) computes any.",
        )
