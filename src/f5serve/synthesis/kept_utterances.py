"""Utterances that are kept for good, for all jobs of a book: none is made twice.

An utterance is written as soon as it is made. Synthesis waits for the store only where that is
slower for long, so that what is waiting stays small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from f5serve.audio.lossless import pack_wave, quantized, unpack_wave
from f5serve.errors import F5Error, StorageFailed
from f5serve.jobs.checkpoints import CheckpointStore
from f5serve.process import CHECK_S, Check, wait_all
from f5serve.synthesis.checkpoints import wave_inputs
from f5serve.types import Utterance, Wave

_log = logging.getLogger(__name__)

MOST_WAITING = 16
"""Utterances that wait to be stored: a minute or two of speech."""


class KeptUtterances:
    """`Checkpoints` over the parts of a book.

    Args:
        decided_by: what decides a wave besides its utterance: the engine, and a verification.
        submit: runs a call in a thread, as `BoundedExecutor.submit`.
    """

    def __init__(
        self,
        store: CheckpointStore,
        decided_by: Mapping[str, Any],
        submit: Callable[..., Future[Any]],
    ) -> None:
        self._store = store
        self._decided_by = dict(decided_by)
        self._submit = submit
        self._writing: set[Future[None]] = set()
        self._is_failing = False
        self._used: set[str] = set()
        self.found = 0

    @property
    def names(self) -> list[str]:
        """Last part of the key of each utterance that was asked for."""
        return sorted(key.rpartition("/")[2] for key in self._used)

    def find(self, utterances: Sequence[Utterance], check: Check | None = None) -> set[int]:
        """As `Checkpoints.find`.

        Raises:
            StorageFailed: the store's own code; work that is there is not done again.
        """
        keys = [self._key(utterance) for utterance in utterances]
        self._used.update(keys)
        listing = self._submit(self._store.keys)
        wait_all([listing], check)
        there = listing.result()
        return {index for index, key in enumerate(keys) if key in there}

    def read(
        self, utterances: Sequence[Utterance], check: Check | None = None
    ) -> list[Wave | None]:
        """As `Checkpoints.read`."""
        parts = [self._submit(self._store.read, self._key(one)) for one in utterances]
        wait_all(parts, check)
        waves = [_wave(part) for part in parts]
        self.found += sum(wave is not None for wave in waves)
        return waves

    def keep(self, utterance: Utterance, wave: Wave, check: Check | None = None) -> Wave:
        """As `Checkpoints.keep`; a store that fails costs the work anew after a kill, no more."""
        wave = quantized(wave)
        if self._is_failing:
            return wave
        while len(self._writing) >= MOST_WAITING:
            _, self._writing = wait(self._writing, CHECK_S, FIRST_COMPLETED)
            if check is not None:
                check()
        self._writing.add(self._submit(self._write, self._key(utterance), wave))
        return wave

    def flush(self, check: Check | None = None) -> None:
        """As `Checkpoints.flush`."""
        wait_all(self._writing, check)

    def end(self, is_final: bool) -> None:
        """What is being written is written to its end, and nothing is removed."""

    def _write(self, key: str, wave: Wave) -> None:
        try:
            self._store.write(key, pack_wave(wave))
        except StorageFailed as error:
            self._is_failing = True
            _log.warning("no more utterances are kept: %s", error.message)

    def _key(self, utterance: Utterance) -> str:
        return self._store.key_of({**self._decided_by, **wave_inputs(utterance)})


def _wave(reading: Future[bytes | None]) -> Wave | None:
    try:
        part = reading.result()
        return None if part is None else unpack_wave(part)
    except (F5Error, ValueError) as error:
        _log.warning("a kept utterance cannot be read: %s", error)
        return None
