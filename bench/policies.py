"""Ways to share the device that the engine's own is compared with; see f5serve.engine.scheduler."""

from __future__ import annotations

from f5serve.engine.request import Sequence, SequenceStatus


def first_come(sequences: list[Sequence], max_frames: int, now: float) -> list[Sequence]:
    """No batching: one sequence at a time, in the order of arrival, to its end."""
    return [min(sequences, key=lambda seq: seq.number)] if sequences else []


def between_requests(sequences: list[Sequence], max_frames: int, now: float) -> list[Sequence]:
    """A batch is filled in the order of arrival, and nothing joins before all of it is done."""
    running = [seq for seq in sequences if seq.status is SequenceStatus.RUNNING]
    if running:
        return running
    batch: list[Sequence] = []
    for seq in sorted(sequences, key=lambda seq: seq.number):
        if batch and sum(one.frames for one in batch) + seq.frames > max_frames:
            break
        batch.append(seq)
    return batch
