"""The model and the vocoder on their device, as the batcher's thread works with them.

Drafts flow in, waves flow out; calls, queues and threads are not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from f5serve.engine.memory import free_bytes
from f5serve.engine.rows import Draft, Row
from f5serve.engine.stepping import Begun, Stepper
from f5serve.engine.streams import PendingCopy, SideStream
from f5serve.engine.vocoder import Vocos
from f5serve.errors import EngineFailed, F5Error
from f5serve.types import Wave

CPU_FRAMES = 256
GPU_FRAMES_PER_GB, MOST_GPU_FRAMES = 340, 16_384
"""7.5 k frames where 22 GB are free."""


def batch_frames(device: torch.device) -> int:
    """Most mel frames of a step, by the memory that is free once the weights are loaded."""
    return CPU_FRAMES if device.type != "cuda" else gpu_frames(free_bytes(device))


def gpu_frames(free: int) -> int:
    """Most mel frames of a step where so many bytes are free."""
    return max(CPU_FRAMES, min(MOST_GPU_FRAMES, int(free / 1e9 * GPU_FRAMES_PER_GB)))


@dataclass(slots=True, eq=False)
class F5Device:
    """See `calls.Device`.

    Attributes:
        side: where rows are finished; None: where the steps are taken.
    """

    stepper: Stepper
    vocoder: Vocos
    side: SideStream | None = None

    @property
    def where(self) -> torch.device:
        """The device that torch knows."""
        return self.stepper.schedules.device

    def prepare(self, draft: Draft) -> None:
        """Token ids and noise."""
        with suppress(Exception):  # it fails again, and for its call alone, when the row begins
            draft.prepare(self.where)

    @torch.inference_mode()
    def begin(self, draft: Draft) -> Begun:
        """Reference mel, text embedding and noise."""
        return self.stepper.begin(draft.row(self.where))

    def step(self, rows: Sequence[Begun]) -> None:
        """One ODE step."""
        self.stepper.step(rows)

    @property
    def finishes_together(self) -> bool:
        """On a CPU, four mels in one run take up to 1.2 times as long as one by one."""
        return self.where.type == "cuda"

    @torch.inference_mode()
    def finish(self, rows: Sequence[Begun]) -> Finished:
        """The mels through Vocos, at the loudness of the reference.

        A row whose mel is not finite has the error NOT_FINITE instead of a wave.
        """
        begun = list(rows)
        if self.side is None:
            return Finished(begun, None, self.sounds(begun))
        return Finished(begun, self.side.run(lambda: self.sounds(begun)), [])

    def sounds(self, rows: Sequence[Begun]) -> list[Tensor]:
        """[nw + 1] of each row: its wave, then 1 if its mel is finite."""
        mels = [joined(row.row, row.x)[row.row.first_frame :] for row in rows]
        alone = len(mels) == 1
        waves = self.vocoder(mels[0][None]) if alone else self.vocoder.decode_batch(mels)
        return [
            torch.cat([wave * row.row.gain, torch.isfinite(row.x).all().to(wave.dtype)[None]])
            for wave, row in zip(waves, rows, strict=True)
        ]

    def forget(self) -> None:
        """Let go of the rows of the last step."""
        self.stepper.forget()

    def idle(self) -> bool:
        """Record a step that was wanted often."""
        return self.stepper.graphs is not None and self.stepper.graphs.capture_pending()

    def catch_up(self) -> bool:
        """Record a step that is wanted so often that those who wait gain by it as well."""
        return self.stepper.graphs is not None and self.stepper.graphs.capture_overdue()

    def counters(self) -> dict[str, float]:
        """What was replayed, recorded and filled."""
        return self.stepper.graphs.counters() if self.stepper.graphs is not None else {}

    def free(self) -> None:
        """Drop recordings and empty the allocator's cache."""
        if self.stepper.graphs is not None:
            self.stepper.graphs.shrink()
        if self.where.type == "cuda":
            with suppress(RuntimeError):  # the allocator refuses after a recording has failed
                torch.cuda.empty_cache()

    def responds(self) -> bool:
        """Some CUDA errors end every later call of the process; one that is none tells."""
        if self.where.type != "cuda":
            return True
        try:
            torch.cuda.synchronize()
            return bool(torch.ones(1, device=self.where).sum().item() == 1)
        except RuntimeError:
            return False


@dataclass(slots=True, eq=False)
class Finished:
    """See `calls.Ending`.

    Attributes:
        rows: held until nothing reads them any more.
    """

    rows: list[Begun]
    arrival: PendingCopy | None
    sounds: list[Tensor]

    def ready(self) -> bool:
        """Whether the sounds are on the host."""
        return self.arrival is None or self.arrival.ready()

    def waves(self) -> list[Wave | F5Error]:
        """Waits for the device once, for all of them."""
        if self.arrival is not None:
            self.sounds = [tensor.clone() for tensor in self.arrival.wait()]
            self.arrival = None
        self.rows.clear()
        return [
            Wave(sound[:-1].numpy()) if sound[-1] == 1 else not_finite() for sound in self.sounds
        ]


def with_reference(row: Row, mel: Tensor) -> Tensor:
    """The sampled mel with the reference frames put back, checked to be finite.

    Raises:
        EngineFailed: code NOT_FINITE.
    """
    if not torch.isfinite(mel).all():
        raise not_finite()
    return joined(row, mel)


def joined(row: Row, mel: Tensor) -> Tensor:
    """The sampled mel with the reference frames put back."""
    return torch.cat([row.cond[: row.cond_frames], mel[row.cond_frames :]])


def not_finite() -> EngineFailed:
    """What the caller of a row gets that is not finite."""
    return EngineFailed(
        "The model produced numbers that are not finite.",
        code="NOT_FINITE",
        hint="Try another seed; if it happens again, the weights or the precision "
        "(F5_DTYPE=fp32) are the cause.",
    )
