"""What the sampler works on: rows, and which of them run together.

No model is known here; a row is data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from f5serve.types import SamplingOptions

NO_GUIDANCE = 1e-5
"""Below this strength the unconditional half is not computed."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """An utterance made ready: everything the sampler needs, on the device.

    Attributes:
        tokens: int64 [nt]
        cond: reference mel followed by zeros, [n N_MELS].
        cond_frames: frames of the reference mel.
        first_frame: where the speech begins.
        gain: what the loudness of the wave is multiplied by.
    """

    tokens: Tensor
    cond: Tensor
    cond_frames: int
    first_frame: int
    gain: float
    seed: int
    options: SamplingOptions

    @property
    def frames(self) -> int:
        """Length of the row, reference included."""
        return len(self.cond)

    @property
    def guided(self) -> bool:
        """Whether the unconditional half is computed too."""
        return self.options.cfg_strength >= NO_GUIDANCE


def batches(rows: Sequence[Row], budget: int) -> Iterator[list[int]]:
    """Indices of rows that run together: equal schedule and guidance, within a budget of frames.

    Rows keep their order, so that the first utterance is heard first.
    """
    batch: list[int] = []
    frames = 0
    for i, row in enumerate(rows):
        same = not batch or _kind(rows[batch[0]]) == _kind(row)
        if batch and (not same or frames + row.frames > budget):
            yield batch
            batch, frames = [], 0
        batch.append(i)
        frames += row.frames
    if batch:
        yield batch


def _kind(row: Row) -> tuple[int, float, bool]:
    return row.options.nfe_step, row.options.sway_sampling_coef, row.guided
