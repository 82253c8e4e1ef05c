"""Checkpoints of finished utterances, so that a later attempt at a long request can resume.

They are written in threads, so synthesis never waits for the store. A store that fails costs the
work anew, no more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from f5serve.errors import F5Error, StorageFailed
from f5serve.jobs.checkpoints import CheckpointStore
from f5serve.process import Check, log_failure, wait_all
from f5serve.types import Utterance, Wave

_log = logging.getLogger(__name__)


MOST_WAITING = 32
"""Utterances that wait to be stored: some minutes of speech."""


@dataclass(frozen=True, slots=True)
class CheckpointPolicy:
    """When it pays to keep utterances.

    Attributes:
        min_runtime_s: nothing is written before a request has been spoken for so long; what is
            quickly made is quickly made again.
        min_utterances: utterances that a request must have.
    """

    min_runtime_s: float = 10.0
    min_utterances: int = 3


class Checkpoints(Protocol):
    """Finished utterances that `Synthesizer` takes in place of making them, and hands over.

    Attributes:
        found: utterances that were read.
    """

    @property
    def found(self) -> int: ...

    def find(self, utterances: Sequence[Utterance], check: Check | None = None) -> set[int]:
        """Which of these utterances are there."""
        ...

    def read(
        self, utterances: Sequence[Utterance], check: Check | None = None
    ) -> list[Wave | None]:
        """The waves of these, side by side; None where one is damaged or cannot be read."""
        ...

    def keep(self, utterance: Utterance, wave: Wave, check: Check | None = None) -> Wave:
        """Have the wave stored; returns it as `read` will.

        Args:
            check: called while it waits for the store; what it raises comes out.
        """
        ...

    def flush(self, check: Check | None = None) -> None:
        """Wait for what is being stored, if it is wanted beyond this job."""
        ...

    def end(self, is_final: bool) -> None:
        """Write no more; `is_final` says that no attempt will follow. Returns at once."""
        ...


class UtteranceCheckpoints:
    """The utterances of one job, for its next attempt.

    Args:
        decided_by: what decides a wave besides its utterance: engine and program.
        is_retry: whether an earlier attempt may have left something.
        submit: runs a call in a thread, as `Executor.submit`.
    """

    def __init__(
        self,
        store: CheckpointStore,
        decided_by: Mapping[str, Any],
        is_retry: bool,
        submit: Callable[..., Future[Any]],
        policy: CheckpointPolicy | None = None,
    ) -> None:
        self._store = store
        self._decided_by = dict(decided_by)
        self._is_retry = is_retry
        self._submit = submit
        self._policy = policy or CheckpointPolicy()
        self._began = time.monotonic()
        self._is_long = False
        self._lock = threading.Lock()
        self._closed = self._is_final = self._is_writing = False
        self._waiting: list[tuple[str, Wave]] = []
        self._known: set[str] = set()  # keys that may be in the store
        self.found = 0
        self.written = 0

    def find(self, utterances: Sequence[Utterance], check: Check | None = None) -> set[int]:
        """Which of these utterances an earlier attempt has left."""
        self._began = time.monotonic()
        self._is_long = len(utterances) >= self._policy.min_utterances
        if not (self._is_long and self._is_retry):
            return set()
        listing = self._submit(self._store.keys)
        wait_all([listing], check)
        try:
            there = listing.result()
        except F5Error as error:
            _log.warning("earlier utterances cannot be listed: %s", error.message)
            return set()
        self._known |= there
        return {i for i, utterance in enumerate(utterances) if self._key(utterance) in there}

    def read(
        self, utterances: Sequence[Utterance], check: Check | None = None
    ) -> list[Wave | None]:
        """The waves of these, side by side; None where one is damaged or cannot be read."""
        parts = [self._submit(self._store.read, self._key(u)) for u in utterances]
        wait_all(parts, check)
        found = [_wave(part) for part in parts]
        self.found += sum(wave is not None for wave in found)
        return found

    def keep(self, utterance: Utterance, wave: Wave, check: Check | None = None) -> Wave:
        """Have the wave stored, once that is worth it; returns it at once."""
        if not self._is_long:
            return wave
        with self._lock:
            if len(self._waiting) < MOST_WAITING:  # a slow store costs the work anew, not memory
                self._waiting.append((self._key(utterance), wave))
            is_time = time.monotonic() - self._began >= self._policy.min_runtime_s
            if is_time and not self._is_writing and not self._closed:
                self._is_writing = True
                log_failure(self._submit(self._write), "keeping utterances")
        return wave

    def flush(self, check: Check | None = None) -> None:
        """Wait for nothing: a job that is done needs no checkpoints."""

    def end(self, is_final: bool) -> None:
        """Write no more; remove what was written if no attempt will follow. Returns at once."""
        with self._lock:
            self._closed = True
            self._is_final = is_final and bool(self._known or self._is_retry)
            if self._is_final and not self._is_writing:  # else the writer does it
                log_failure(self._submit(self._remove), "removing kept utterances")

    def _write(self) -> None:
        while (chunk := self._next()) is not None:
            key, wave = chunk
            try:
                self._store.write(key, wave.samples.astype("<f4").tobytes())
                self.written += 1
            except StorageFailed as error:
                _log.warning("no more utterances are kept: %s", error.message)
                with self._lock:
                    self._closed = True
        if self._is_final:
            self._remove()

    def _next(self) -> tuple[str, Wave] | None:
        with self._lock:
            if self._closed or not self._waiting:
                self._is_writing = False
                return None
            key, wave = self._waiting.pop(0)
            self._known.add(key)
            return key, wave

    def _remove(self) -> None:
        try:
            left = self._store.keys() if self._is_retry else set()
            self._store.remove(self._known | left)
        except StorageFailed as error:
            _log.warning("kept utterances were not removed: %s", error.message)

    def _key(self, utterance: Utterance) -> str:
        return self._store.key_of({**self._decided_by, **wave_inputs(utterance)})


def wave_inputs(utterance: Utterance) -> dict[str, Any]:
    """All of an utterance that decides its wave, as JSON."""
    return {
        "text": utterance.text,
        "voice": utterance.voice.revision,
        "frames": utterance.duration_frames,
        "seed": utterance.seed,
        "options": asdict(replace(utterance.options, seed=None)),
    }


def _wave(reading: Future[bytes | None]) -> Wave | None:
    try:
        part = reading.result()
    except F5Error as error:
        _log.warning("an earlier utterance cannot be read: %s", error.message)
        return None
    if not part or len(part) % 4:
        return None
    samples = np.frombuffer(part, dtype="<f4").astype(np.float32)
    return Wave(samples) if np.isfinite(samples).all() else None
