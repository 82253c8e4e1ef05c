"""Options of the service, and what a running job depends on: stores, executors, metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from f5serve.doctor.report import Report, quick
from f5serve.download.connection import NetworkPolicy
from f5serve.jobs.cache import ResultCache
from f5serve.jobs.records import LEASE_S
from f5serve.jobs.store import JobStore
from f5serve.metrics import Registry
from f5serve.service.active_jobs import DetachedTasks, RequestCoalescer
from f5serve.service.executor import InferenceExecutor, Pools
from f5serve.service.metrics import Metrics
from f5serve.service.model_pool import ModelSource
from f5serve.service.supervisor import Supervisor
from f5serve.synthesis.checkpoints import CheckpointPolicy
from f5serve.voices.lexicons import LexiconLibrary
from f5serve.voices.library import VoiceLibrary

T = TypeVar("T")
Enqueue = Callable[[dict[str, Any]], Awaitable[str]]
"""Hands a payload to a queue that outlives this process; returns the queue's id of it."""

SCAN_S = 30.0
"""Seconds between two scans of the queue while jobs are pending, plus or minus a fifth."""

HEARTBEAT_S = 15.0
"""From one sign of life to the next; four fit into a lease."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the work needs.

    Attributes:
        cache: None when results are never used again.
        pools: threads for calls that block.
        background: the tasks that go on beside requests.
        folder: where speech lies that is too long for memory, until it is stored.
        url_expires_s: lifetime of signed URLs.
    """

    job_store: JobStore
    voices: VoiceLibrary
    lexicons: LexiconLibrary
    executor: InferenceExecutor
    cache: ResultCache | None
    pools: Pools
    metrics: Metrics
    background: Supervisor
    heartbeat_s: float
    checkpoints: CheckpointPolicy
    folder: Path
    url_expires_s: float
    detached: DetachedTasks = field(default_factory=DetachedTasks)
    coalescer: RequestCoalescer = field(default_factory=RequestCoalescer)


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How operations work.

    Attributes:
        enqueue: the queue behind `mode: async`; None keeps such jobs in the store, for this process
            and all others over it.
        poll_s: from one look for jobs that others have left to the next.
        boot_id: who this process is in the records; "" makes one up.
        lease_s, heartbeat_s: see `jobs.store` and `perform`.
        network: the way out for uploads; None is the real one.
        checkpoints: when finished utterances of a job under way are stored.
        registry: where this process counts; None makes one.
        examine: reports about this machine, for health.
        models: those beside the one that is loaded first.
        start: tells where the seconds of this process's start went, as `startup.Timeline.as_dict`.
    """

    enqueue: Enqueue | None = None
    boot_id: str = ""
    lease_s: float = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    poll_s: float = SCAN_S
    network: NetworkPolicy | None = None
    checkpoints: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    registry: Registry | None = None
    examine: Callable[[], Report] = quick
    models: ModelSource | None = None
    start: Callable[[], dict[str, Any]] | None = None
