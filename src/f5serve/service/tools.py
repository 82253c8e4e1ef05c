"""What the work at a job is done with: the records, the voices, the device, threads and numbers.

Made once, handed from step to step. What the steps are is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from f5serve.jobs.board import Board
from f5serve.jobs.cache import ResultCache
from f5serve.service.device import Device
from f5serve.service.endings import Leftovers
from f5serve.service.measures import Measures
from f5serve.service.parse import Ask
from f5serve.service.pools import Pools
from f5serve.service.resume import KeepOptions
from f5serve.service.sharing import Making
from f5serve.service.supervise import Supervisor
from f5serve.store.scratch import ScratchFile
from f5serve.voices.library import VoiceLibrary

T = TypeVar("T")
BEAT_S = 15.0
"""From one sign of life to the next; four fit into a lease."""


MEMORY_TEXT_BYTES = 4_000
"""The speech of such a text lasts five minutes, which is 14 MB of wav."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the work needs.

    Attributes:
        cache: None when results are never used again.
        pools: threads for calls that block.
        background: the tasks that go on beside requests.
        folder: where speech lies that is too long for memory, until it is stored; None keeps all of
            it in memory.
    """

    board: Board
    voices: VoiceLibrary
    device: Device
    cache: ResultCache | None
    pools: Pools
    measures: Measures
    beat_s: float = BEAT_S
    keep: KeepOptions = field(default_factory=KeepOptions)
    background: Supervisor = field(default_factory=Supervisor)
    leftovers: Leftovers = field(default_factory=Leftovers)
    making: Making = field(default_factory=Making)
    folder: Path | None = None

    async def scratch(self, ask: Ask) -> ScratchFile:
        """A file for the speech of a request.

        Raises:
            StorageFailed: as `ScratchFile`.
        """
        is_long = len(ask.text.encode()) / ask.options.speed > MEMORY_TEXT_BYTES
        return await self.blocking(ScratchFile, self.folder) if is_long else ScratchFile()

    async def blocking(self, call: Callable[..., T], *args: Any) -> T:
        """Run a step of a job under way, which blocks, in a thread; it is never refused."""
        return await self.pools.jobs.finish(call, *args)


@dataclass(slots=True)
class Times:
    """Seconds by stage, as callers are told."""

    arrived: float = field(default_factory=time.perf_counter)
    voice_s: float = 0.0
    inference_s: float = 0.0
    spoken_s: float = 0.0
    upload_s: float = 0.0
    audio_s: float = 0.0
    first_audio_s: float = 0.0
    timing_s: float = 0.0

    @property
    def so_far_s(self) -> float:
        return time.perf_counter() - self.arrived

    def metrics(self) -> dict[str, float]:
        elsewhere = self.voice_s + self.spoken_s + self.upload_s
        told = {
            "queue_s": max(0.0, self.so_far_s - elsewhere),
            "voice_s": self.voice_s,
            "inference_s": self.inference_s,
            "timing_s": self.timing_s,
            "upload_s": self.upload_s,
            "first_audio_s": self.first_audio_s,
            "rtf": self.inference_s / self.audio_s if self.audio_s else 0.0,
        }
        return {name: round(value, 4) for name, value in told.items()}
