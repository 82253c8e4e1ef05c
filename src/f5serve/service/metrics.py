"""Metrics of the service and of its process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from f5serve import build, metrics
from f5serve.errors import F5Error
from f5serve.metrics import Registry
from f5serve.service.executor import InferenceExecutor
from f5serve.service.health import Probe
from f5serve.service.model_pool import COUNTS

DOCS = {
    "process_cpu_seconds_total": "User and system time of this process.",
    "process_resident_memory_bytes": "Memory of this process that is in RAM.",
    "process_open_fds": "Open file descriptors.",
    "process_max_fds": "Most file descriptors that may be open.",
    "process_threads": "Threads of this process.",
    "process_start_time_seconds": "When this process began, seconds since 1970.",
}
DISK_DOCS = {
    "f5_disk_free_bytes": "Free on the disk of F5_DATA_DIR.",
    "f5_disk_size_bytes": "Size of that disk.",
}
DISK_TTL_S = 1.0
DISK_S = 1.0
"""Longest wait for the disk."""

_PAGE = resource.getpagesize()
_PROC = Path("/proc/self")


def watch_process(registry: Registry, data_dir: Path | None = None) -> None:
    """Export what the process is and uses, and the room on the disk of `data_dir`."""
    stamp = build.stamp()
    registry.gauge(
        "f5_build_info", "1, with what is running as its labels.", ["version", "commit"]
    ).labels(stamp.version, stamp.commit).set(1)
    registry.add_source(usage, DOCS)
    if data_dir is not None:
        # A disk that does not answer keeps its last value; one thread at a time asks it.
        disk = Probe("f5-disk", lambda: _room(data_dir), DISK_TTL_S, DISK_S)
        registry.add_source(lambda: disk.get_blocking().value or {}, DISK_DOCS)


def usage() -> Mapping[str, float]:
    """The numbers of `DOCS` that this system tells; none where there is no /proc."""
    values: dict[str, float] = {"process_cpu_seconds_total": time.process_time()}
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):  # not on Linux
        pages = int((_PROC / "statm").read_text().split()[1])
        values |= {
            "process_resident_memory_bytes": pages * _PAGE,
            "process_open_fds": sum(1 for _ in (_PROC / "fd").iterdir()),
            "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            **_of_stat((_PROC / "stat").read_text()),
        }
    return values


def _of_stat(line: str) -> Mapping[str, float]:
    """Threads and begin; counted from behind the name, which may hold anything."""
    fields = line.rpartition(")")[2].split()
    since_boot = float(fields[19]) / os.sysconf("SC_CLK_TCK")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return {
        "process_threads": float(fields[17]),
        "process_start_time_seconds": round(booted + since_boot, 2),
    }


def _room(folder: Path) -> Mapping[str, float]:
    """The numbers of `DISK_DOCS`; none where the system does not tell them."""
    for there in (folder, *folder.parents):  # the first put makes it
        with contextlib.suppress(OSError):
            found = shutil.disk_usage(there)
            return {"f5_disk_free_bytes": found.free, "f5_disk_size_bytes": found.total}
    return {}


T = TypeVar("T")

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)
_RTF = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)

_TOTALS = {
    "steps": "ODE steps.",
    "step_s": "Time of the steps.",
    "row_steps": "Utterances, summed over steps.",
    "frame_steps": "Mel frames, summed over steps.",
    "padding_frames": "Mel frames that were worked on for nothing.",
    "rows": "Utterances finished.",
    "failed_rows": "Utterances that failed.",
    "vocoder_s": "Time of the vocoder.",
    "out_of_memory": "Batches that had to be halved.",
    "graph_steps": "Steps that were replayed as a graph.",
    "eager_steps": "Steps that were launched one by one.",
    "graph_captures": "Steps recorded as a graph.",
    "graph_failures": "Steps that could not be recorded.",
}
"""Those of `types.Engine.counters` that only grow."""

_NOW = {
    "rows_waiting": "Utterances that were not begun.",
    "rows_running": "Utterances that were begun.",
    "backlog_s": "Estimated time of the work that is left.",
    "batch_frames": "Most mel frames of a step.",
    "graphs": "Graphs that are kept.",
    "fused_kernels": "1 where steps are computed with kernels of f5serve's own.",
}
"""Those that tell how it is."""


class Metrics:
    """The numbers of one worker.

    Args:
        registry: where they are kept.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.requests = registry.counter(
            "f5_requests_total", "Requests by operation and outcome.", ["operation", "outcome"]
        )
        self.seconds = registry.histogram(
            "f5_speech_seconds", "Time from a tts request to its answer.", _SECONDS
        )
        self.queued = registry.histogram(
            "f5_queue_seconds", "Time that a tts request waited for the device.", _SECONDS
        )
        self.first_audio = registry.histogram(
            "f5_first_audio_seconds",
            "Time from a tts request until its first utterance was there.",
            _SECONDS,
        )
        self.rtf = registry.histogram(
            "f5_real_time_factor", "Seconds of computing per second of speech.", _RTF
        )
        self.audio_s = registry.counter("f5_audio_seconds_total", "Seconds of speech made.")
        self.cache = registry.counter(
            "f5_result_cache_total", "Looks for an equal earlier result.", ["outcome"]
        )
        self.unreadable = registry.counter(
            "f5_unreadable_records_total",
            "Looks at records of the store that are damaged or of a later version.",
            ["code"],
        )
        self.resumed = registry.counter(
            "f5_resumed_utterances_total", "Utterances taken over from an earlier attempt."
        )

    @contextlib.contextmanager
    def track(self, operation: str, ends: bool = True) -> Iterator[None]:
        """Count what is done inside as one request of this operation, and how it ended.

        Args:
            ends: whether the request is over when it ends well; else another call counts it.
        """
        outcome = "INTERNAL"
        try:
            yield
            outcome = "ok" if ends else ""
        except F5Error as error:
            outcome = error.code
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "CANCELLED"
            raise
        finally:
            if outcome:
                self.requests.labels(operation, outcome).inc()

    def watch_device(self, device: InferenceExecutor, wait_s: Callable[[], float | None]) -> None:
        """Export what the engine counts itself, who waits for it, and whether it can speak."""
        gauge = self.registry.gauge
        gauge("f5_requests_waiting", "Requests at the device.", source=lambda: device.waiting)
        gauge(
            "f5_wait_seconds",
            "Estimated seconds until the device has done all of them.",
            source=lambda: wait_s() or 0.0,
        )
        gauge(
            "f5_model_ready",
            "1 while the model can speak.",
            source=lambda: device.health()["state"] == "ready",
        )
        gauge(
            "f5_model_failed",
            "1 when it could not be loaded, or only a new process can speak again.",
            source=lambda: device.health()["state"] == "failed",
        )
        gauge(
            "f5_models_loaded",
            "Models that are loaded.",
            source=lambda: len(device.models.loaded),
        )
        gauge(
            "f5_model_memory_bytes",
            "What their weights take together.",
            source=lambda: device.models.memory_bytes,
        )
        self.registry.add_source(lambda: device.models.counts, COUNTS)
        values = _exported(_TOTALS | _NOW)
        self.registry.add_source(lambda: _exported(device.counters()), values)

    def watch_queues(self, waiting: Callable[[], int], scanned_at: Callable[[], float]) -> None:
        """Export the queues of this process; `scanned_at` by `time.monotonic`."""
        self.registry.gauge(
            "f5_jobs_queued",
            "Jobs for later in the line of this process, not yet begun.",
            source=waiting,
        )
        self.registry.gauge(
            "f5_queue_last_look_seconds",
            "Seconds since the queue was last looked through for jobs that others have left.",
            source=lambda: time.monotonic() - scanned_at(),
        )

    def watch_store(self, hung: Callable[[], int]) -> None:
        """Export how many calls to the store were given up, and hold threads that do nothing."""
        self.registry.gauge(
            "f5_store_calls_hung",
            "Calls to the store that were given up and have not returned.",
            source=hung,
        )

    def watch_voices(self, unreadable: Callable[[], int]) -> None:
        """Export how many records of voices could not be read when all were listed last."""
        self.registry.gauge(
            "f5_voices_unreadable",
            "Records of voices that could not be read when all were listed last.",
            source=unreadable,
        )

    def observe_request(self, values: Mapping[str, float], audio_s: float, seconds: float) -> None:
        """Count a completed request; `values` is the `metrics` of its answer."""
        self.seconds.observe(seconds)
        self.queued.observe(values["queue_s"])
        self.first_audio.observe(values["first_audio_s"])
        self.rtf.observe(values["rtf"])
        self.audio_s.inc(audio_s)

    def summary(self, counters: Mapping[str, float]) -> dict[str, Any]:
        """The few numbers that health shows; means are since the start."""
        steps, value = counters.get("steps", 0.0), self.registry.value
        values: dict[str, Any] = {
            "spoken": metrics.count(self.seconds),
            "audio_s": round(value("f5_audio_seconds_total"), 1),
            "rtf": round(metrics.mean(self.rtf), 4),
            "first_audio_p50_s": _finite(metrics.quantile(self.first_audio, 0.5)),
            "first_audio_p95_s": _finite(metrics.quantile(self.first_audio, 0.95)),
            "cache_hits": int(value("f5_result_cache_total", outcome="hit")),
            "resumed_utterances": int(value("f5_resumed_utterances_total")),
        }
        if steps:
            frames = counters.get("frame_steps", 0.0)
            values["step_s"] = round(counters.get("step_s", 0.0) / steps, 5)
            values["rows_per_step"] = round(counters.get("row_steps", 0.0) / steps, 2)
            values["frames_per_step"] = round(frames / steps, 1)
            values["padding"] = round(counters.get("padding_frames", 0.0) / max(1.0, frames), 4)
        return values


def _exported(counters: Mapping[str, T]) -> dict[str, T]:
    return {
        f"f5_engine_{_spelled(name)}{'_total' if name in _TOTALS else ''}": value
        for name, value in counters.items()
    }


def _spelled(name: str) -> str:
    """Prometheus has its units in full."""
    return name.removesuffix("_s") + "_seconds" if name.endswith("_s") else name


def _finite(bound: float) -> float | None:
    return bound if bound != float("inf") else None
