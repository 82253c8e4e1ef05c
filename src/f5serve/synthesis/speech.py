"""The main path: a request becomes speech. Start reading here.

    SpeechRequest -> clean text -> [Utterance] -> [Wave] -> joined -> file -> SpeechResult

Doors call `Speech.say`, or `Speech.stream` to hear it as it is made, and format what comes back.
This module must not know which engine speaks, where a voice came from or who asked.
"""

from __future__ import annotations

import math
import threading
import time
import unicodedata
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import IO

import numpy as np

from f5serve.alignment.aligners import Aligners
from f5serve.audio.encode import check_format
from f5serve.errors import InvalidRequest
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.timed import Timed, Timer
from f5serve.synthesis.verification import Gate, Verifier, nobody_hears, not_understood
from f5serve.synthesis.watch import Told, Watch
from f5serve.synthesis.written import Written
from f5serve.text.normalize import clean_text
from f5serve.text.plan import MAX_SEED, derive_seed, plan
from f5serve.types import (
    Alignment,
    Engine,
    Metrics,
    SpeechRequest,
    SpeechResult,
    Utterance,
    Wave,
)
from f5serve.units import FRAMES_PER_SECOND

RANGES: dict[str, tuple[float, float]] = {
    "nfe_step": (1, 64),
    "cfg_strength": (0, 10),
    "sway_sampling_coef": (-1, 1),
    "speed": (0.25, 4),
    "seed": (0, MAX_SEED),
    "cross_fade_s": (0, 5),
}
"""What each option of a request may be."""

TURN_S = 600.0
"""Speech that is made together: 58 MB of samples. Only longer requests notice the end of a turn, at
which rows that are still spoken keep the device to themselves."""

NAMED_CHARACTERS = 5
"""How many characters that cannot be spoken an error names."""


class Speech:
    """Speaks requests with one engine; in several threads at once if the engine allows it.

    Args:
        engine: what turns utterances into waves.
        max_text_chars: longest text of one request.
        notes: what every answer has to say besides the engine's own warnings.
        gate: what speech goes through that is to be verified; None where nobody hears.
        aligners: who finds out when words are heard; None takes what is installed.
    """

    def __init__(
        self,
        engine: Engine,
        max_text_chars: int = 5000,
        notes: tuple[str, ...] = (),
        gate: Gate | None = None,
        aligners: Aligners | None = None,
    ) -> None:
        self.engine = engine
        self.max_text_chars = max_text_chars
        self.notes = notes
        self.gate = gate
        self.aligners = aligners or Aligners()

    def say(
        self, request: SpeechRequest, job_id: str = "", watch: Watch | None = None
    ) -> SpeechResult:
        """Make the speech that was asked for, all of it in memory.

        Args:
            job_id: together with the request, decides the seed if none was given.
            watch: who follows the work, and may end it.

        Raises:
            InvalidRequest: BAD_OPTION, TEXT_NOT_SPEAKABLE, or what `clean_text` refuses.
            EngineFailed: NOT_FINITE, OUT_OF_MEMORY, or what the engine says.
            ModelUnavailable: the speech is to be verified, and nobody can hear it.
        """
        pieces: list[Wave] = []
        watch = watch or Watch()
        tell = watch.on_piece or _keep_still

        def on_piece(piece: Wave) -> None:
            pieces.append(piece)
            tell(piece)

        scratch = ScratchFile()
        with scratch.open() as file:
            result = self.write(request, file, job_id, replace(watch, on_piece=on_piece))
        wave = Wave(np.concatenate([piece.samples for piece in pieces]))
        return replace(result, audio=scratch.read(), wave=wave)

    def write(
        self,
        request: SpeechRequest,
        file: IO[bytes],
        job_id: str = "",
        watch: Watch | None = None,
    ) -> SpeechResult:
        """As `say`, but into a file, with memory that does not grow with the text.

        Args:
            file: empty, open for reading and writing, with a file descriptor.
        """
        text = check_request(request, self.max_text_chars)
        self.engine.check_options(request.options)
        refuse_unspeakable(text, self.engine)
        seed = choose_seed(request, text, job_id)
        utterances = plan(request, text, self.engine.max_text_bytes, seed)

        verifier = self._verifier(request, text)
        timer = self._timer(request, utterances)

        watch = watch or Watch()
        began = time.perf_counter()
        written = Written(file, request.format)
        told = Told(request, utterances, watch, timer, written.add)
        try:
            _generate(verifier or self.engine, told, request.quick_start)
            generated = time.perf_counter() - written.encode_s
            written.close()
            timed = timer.result(told.starts_s, watch.check) if timer else Timed(Alignment())
        finally:
            if timer is not None:
                timer.end()

        return SpeechResult(
            audio=b"",
            format=request.format,
            wave=Wave(np.zeros(0, np.float32)),
            duration_s=written.duration_s,
            utterances=tuple(utterances),
            starts_s=told.starts_s,
            text=text,
            voice=request.voice.name,
            engine=self.engine.kind,
            model=self.engine.model,
            seed=seed,
            metrics=Metrics(
                inference_s=max(0.0, generated - began),
                audio_s=written.duration_s,
                encode_s=written.encode_s,
                first_audio_s=told.first_at - began,
                timing_s=timed.waited_s,
            ),
            warnings=self._warnings(request, verifier) + timed.warnings,
            verification=verifier.result(utterances) if verifier else None,
            timings=timed.alignment,
        )

    def stream(
        self, request: SpeechRequest, job_id: str = "", watch: Watch | None = None
    ) -> Generator[Wave, None, SpeechResult]:
        """The pieces of the wave that `say` makes, each as soon as it can be heard.

        One behind the other they are that wave; the result is what the generator returns. A
        generator that is closed ends the work at its next step. `quick_start` of the request makes
        the first piece come early.

        Raises:
            F5Error: as `say`, after the pieces that were made before.
        """
        watch = watch or Watch()
        pieces: SimpleQueue[Wave | None] = SimpleQueue()
        closed = threading.Event()

        def check() -> None:
            if closed.is_set():
                raise CancelledError
            if watch.check is not None:
                watch.check()

        told = replace(watch, on_piece=pieces.put, check=check)
        with ThreadPoolExecutor(1, "stream") as pool:
            work = pool.submit(self.say, request, job_id, told)
            work.add_done_callback(lambda _: pieces.put(None))
            try:
                while (piece := pieces.get()) is not None:
                    yield piece
            finally:
                closed.set()
            return work.result()

    def estimate_s(self, request: SpeechRequest) -> float | None:
        """Seconds that the device needs for this request alone, or None while that is unknown."""
        text = clean_text(request.text, self.max_text_chars)
        return self.engine.estimate_s(plan(request, text, self.engine.max_text_bytes, seed=0))

    def _verifier(self, request: SpeechRequest, text: str) -> Verifier | None:
        """Who verifies the request; None if that is not wanted, or its language not understood."""
        if not request.verify:
            return None
        if self.gate is None:
            raise nobody_hears()
        language = self.gate.ear.language_of(text, request.voice.language)
        return None if language is None else Verifier(self.engine, self.gate, language)

    def _timer(self, request: SpeechRequest, utterances: Sequence[Utterance]) -> Timer | None:
        if not request.time_words:
            return None
        return Timer(self.aligners, utterances, request.voice.language)

    def _warnings(self, request: SpeechRequest, verifier: Verifier | None) -> tuple[str, ...]:
        told = self.engine.warnings + self.notes + request.voice.warnings
        if request.verify and verifier is None and self.gate is not None:
            told += (not_understood(self.gate.ear),)
        return told


def _generate(speaker: Engine | Verifier, told: Told, quick_start: bool) -> None:
    """Have all utterances spoken that no earlier attempt has left."""
    kept, check = told.watch.kept, told.watch.check
    there = kept.find(told.utterances, check) if kept is not None else set()
    for turn in _turns(told.utterances, quick_start):
        found = [index for index in turn if index in there]
        if found and kept is not None:
            waves = kept.read([told.utterances[index] for index in found], check)
            for index, wave in zip(found, waves, strict=True):
                if wave is not None:
                    told.add(index, wave)
        missing = [index for index in turn if not told.has(index)]
        if missing:
            _take_turn(speaker, missing, told)


def _turns(utterances: Sequence[Utterance], quick_start: bool) -> Iterator[list[int]]:
    """Which are spoken together: their waves are in memory until all of a turn are there."""
    turn: list[int] = []
    seconds = 0.0
    for index, utterance in enumerate(utterances):
        turn.append(index)
        seconds += utterance.duration_frames / FRAMES_PER_SECOND - utterance.voice.wave.duration_s
        # Were the first row packed with the others, each of its steps would last as long as theirs.
        if seconds > TURN_S or (quick_start and index == 0):
            yield turn
            turn, seconds = [], 0.0
    if turn:
        yield turn


def _take_turn(speaker: Engine | Verifier, turn: Sequence[int], told: Told) -> None:
    """Have the utterances with these indices spoken."""
    watch = told.watch
    utterances = [told.utterances[index] for index in turn]

    def done(position: int, wave: Wave) -> None:
        told.add(turn[position], wave)
        if watch.kept is not None:
            watch.kept.keep(utterances[position], wave)

    waves = speaker.generate(utterances, done, watch.check, deadline=watch.deadline)
    for index, wave in zip(turn, waves, strict=True):
        if not told.has(index):
            told.add(index, wave)


def check_request(request: SpeechRequest, max_text_chars: int) -> str:
    """What can be told about a request before any model is loaded; returns its clean text.

    Raises:
        InvalidRequest: BAD_OPTION, naming the option, its value and what it takes; or what
            `clean_text` and `encode` refuse.
    """
    check_options(request)
    check_format(request.format)
    return clean_text(request.text, max_text_chars)


def check_options(request: SpeechRequest) -> None:
    """Refuse options outside `RANGES`."""
    for name, (low, high) in RANGES.items():
        owner = request if name == "cross_fade_s" else request.options
        value = getattr(owner, name)
        if value is None and name == "seed":
            continue
        if not (math.isfinite(value) and low <= value <= high):
            raise InvalidRequest(
                f"{name} is {value}.",
                code="BAD_OPTION",
                hint=f"It takes {low:g} to {high}.",
            )


def refuse_unspeakable(text: str, engine: Engine) -> None:
    """Refuse text that the engine's model would skip or garble.

    Raises:
        InvalidRequest: TEXT_NOT_SPEAKABLE, naming the first characters with their code points.
    """
    characters = engine.unspeakable(text)
    if not characters:
        return
    named = ", ".join(map(_name, characters[:NAMED_CHARACTERS]))
    more = len(characters) - NAMED_CHARACTERS
    if more > 0:
        named += f" and {more} more"
    raise InvalidRequest(
        f"The model {engine.model} cannot speak {named}.",
        code="TEXT_NOT_SPEAKABLE",
        hint="Take a model of the text's language: f5serve models list shows them.",
    )


def choose_seed(request: SpeechRequest, text: str, job_id: str) -> int:
    """The seed that was asked for, else one that the same job and request always get."""
    if request.options.seed is not None:
        return request.options.seed
    return derive_seed(job_id, text, request.voice.revision)


def _keep_still(_: Wave) -> None:
    pass


def _name(character: str) -> str:
    if unicodedata.category(character)[0] in "CMZ":  # nothing to see on its own
        return f"U+{ord(character):04X}"
    return f"{character} (U+{ord(character):04X})"
