"""Dependencies of a running job: stores, executors, metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from f5serve.jobs.cache import ResultCache
from f5serve.jobs.store import JobStore
from f5serve.service.active_jobs import RequestCoalescer
from f5serve.service.executor import InferenceExecutor, Pools
from f5serve.service.metrics import Metrics
from f5serve.service.requests import TTSRequest
from f5serve.service.supervisor import DetachedTasks, Supervisor
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.checkpoints import CheckpointPolicy
from f5serve.voices.library import VoiceLibrary

T = TypeVar("T")
HEARTBEAT_S = 15.0
"""From one sign of life to the next; four fit into a lease."""


MEMORY_TEXT_BYTES = 4_000
"""The speech of such a text lasts five minutes, which is 14 MB of wav."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the work needs.

    Attributes:
        cache: None when results are never used again.
        pools: threads for calls that block.
        background: the tasks that go on beside requests.
        folder: where speech lies that is too long for memory, until it is stored; None keeps all of
            it in memory.
    """

    job_store: JobStore
    voices: VoiceLibrary
    executor: InferenceExecutor
    cache: ResultCache | None
    pools: Pools
    metrics: Metrics
    heartbeat_s: float = HEARTBEAT_S
    checkpoints: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    background: Supervisor = field(default_factory=Supervisor)
    detached: DetachedTasks = field(default_factory=DetachedTasks)
    coalescer: RequestCoalescer = field(default_factory=RequestCoalescer)
    folder: Path | None = None

    async def scratch(self, request: TTSRequest) -> ScratchFile:
        """A file for the speech of a request.

        Raises:
            StorageFailed: as `ScratchFile`.
        """
        is_long = len(request.text.encode()) / request.options.speed > MEMORY_TEXT_BYTES
        return await self.blocking(ScratchFile, self.folder) if is_long else ScratchFile()

    async def blocking(self, call: Callable[..., T], *args: Any) -> T:
        """Run a step of a job under way, which blocks, in a thread; it is never refused."""
        return await self.pools.jobs.finish(call, *args)
