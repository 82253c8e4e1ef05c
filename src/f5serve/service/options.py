"""Options of the service besides store, voices and model; rarely other than the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from f5serve.doctor.report import Report, quick
from f5serve.download.connection import NetworkPolicy
from f5serve.jobs.records import LEASE_S
from f5serve.metrics import Registry
from f5serve.service.dependencies import HEARTBEAT_S
from f5serve.service.queue import POLL_S, Enqueue
from f5serve.synthesis.checkpoints import CheckpointPolicy


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
        start: tells where the seconds of this process's start went, as `startup.Timeline.as_dict`.
    """

    enqueue: Enqueue | None = None
    boot_id: str = ""
    lease_s: float = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    poll_s: float = POLL_S
    network: NetworkPolicy | None = None
    checkpoints: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    registry: Registry | None = None
    examine: Callable[[], Report] = quick
    start: Callable[[], dict[str, Any]] | None = None
