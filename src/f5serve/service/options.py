"""What operations are made with besides store, voices and speech; seldom but the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from f5serve.checkup import Checkup
from f5serve.download.connection import NetworkPolicy
from f5serve.jobs.records import LEASE_S
from f5serve.metrics import Registry
from f5serve.service.later import Enqueue
from f5serve.service.queue import LOOK_S
from f5serve.service.resume import KeepOptions
from f5serve.service.tools import BEAT_S


@dataclass(frozen=True, slots=True)
class Options:
    """How operations work.

    Attributes:
        enqueue: the queue behind `mode: async`; None keeps such jobs in the store, for this process
            and all others over it.
        look_s: from one look for jobs that others have left to the next.
        boot_id: who this process is in the records; "" makes one up.
        lease_s, beat_s: see `jobs.board` and `perform`.
        network: the way out for uploads; None is the real one.
        keep: when finished utterances of a job under way are stored.
        registry: where this process counts; None makes one.
        checkup: what health tells of the machine.
        start: tells where the seconds of this process's start went, as `startup.Timeline.as_dict`.
    """

    enqueue: Enqueue | None = None
    boot_id: str = ""
    lease_s: float = LEASE_S
    beat_s: float = BEAT_S
    look_s: float = LOOK_S
    network: NetworkPolicy | None = None
    keep: KeepOptions = field(default_factory=KeepOptions)
    registry: Registry | None = None
    checkup: Checkup = field(default_factory=Checkup)
    start: Callable[[], dict[str, Any]] | None = None
