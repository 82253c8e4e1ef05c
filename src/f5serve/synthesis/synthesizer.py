"""Synthesizer: a request becomes speech. Start reading here.

    SpeechRequest -> clean text -> spoken text -> [Utterance] -> [Wave] -> joined wave -> file

`Synthesizer.synthesize` returns all of it; `Synthesizer.stream` yields it while it is made.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import IO

import numpy as np

from f5serve.alignment.aligners import Aligners
from f5serve.audio.encode import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    check_format,
    check_sample_rate,
)
from f5serve.errors import InvalidRequest
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.hooks import OutputCollector, SynthesisHooks, check_sound
from f5serve.synthesis.lengths import LengthFitter, Speaker
from f5serve.synthesis.part_results import (
    MAX_TAKES,
    check_takes,
    length_warnings,
    mark_times,
    part_results,
)
from f5serve.synthesis.result import SpeechMetrics, SpeechResult
from f5serve.synthesis.speech_plan import SpeechPart, SpeechPlan, make_plan
from f5serve.synthesis.verification import (
    VerificationPolicy,
    Verifier,
    recognizer_missing,
    unverified_warning,
)
from f5serve.synthesis.word_timing import TimingResult, WordTimingCollector
from f5serve.text.clean import clean_text
from f5serve.text.lexicon import Lexicon
from f5serve.text.plan import MAX_SEED
from f5serve.types import (
    FRAMES_PER_SECOND,
    Alignment,
    Engine,
    SpeechRequest,
    Utterance,
    Wave,
    samples_to_s,
)

RANGES: dict[str, tuple[float, float]] = {
    "nfe_step": (1, 64),
    "cfg_strength": (0, 10),
    "sway_sampling_coef": (-1, 1),
    "speed": (0.25, 4),
    "seed": (0, MAX_SEED),
    "cross_fade_s": (0, 5),
    "duration_s": (0.1, 3600),
    "max_speed": (1, 4),
    "takes": (1, MAX_TAKES),
    "sample_rate": (MIN_SAMPLE_RATE, MAX_SAMPLE_RATE),
}
"""What each option of a request may be."""

BATCH_S = 600.0
"""Speech that is made together, seconds: 58 MB of samples. Longer requests take several batches."""


class Synthesizer:
    """Speaks requests with one engine; in several threads at once if the engine allows it.

    Args:
        engine: what turns utterances into waves.
        max_text_chars: longest text of one request.
        notes: what every answer has to say besides the engine's own warnings.
        verification: the check of speech that is to be verified; None without a recogniser.
        aligners: who finds out when words are heard; None takes what is installed.
    """

    def __init__(
        self,
        engine: Engine,
        max_text_chars: int = 5000,
        notes: tuple[str, ...] = (),
        verification: VerificationPolicy | None = None,
        aligners: Aligners | None = None,
    ) -> None:
        self.engine = engine
        self.max_text_chars = max_text_chars
        self.notes = notes
        self.verification = verification
        self.aligners = aligners or Aligners()

    def synthesize(
        self,
        request: SpeechRequest,
        job_id: str = "",
        hooks: SynthesisHooks | None = None,
        lexicon: Lexicon | None = None,
        script: Sequence[SpeechPart] = (),
    ) -> SpeechResult:
        """Make the speech that was asked for, all of it in memory.

        Args:
            job_id, lexicon, script: as for `make_plan`.
            hooks: who follows the work, and may end it.

        Raises:
            InvalidRequest: BAD_OPTION, TEXT_NOT_SPEAKABLE, or what `clean_text` refuses.
            EngineFailed: NOT_FINITE, OUT_OF_MEMORY, or what the engine says.
            ModelUnavailable: the speech is to be verified, without a recogniser.
        """
        if script:
            check_options(request)
            check_format(request.format)
        else:
            request = replace(request, text=check_request(request, self.max_text_chars))
        plan = self.prepare(request, job_id, lexicon, script=script)
        pieces: list[Wave] = []
        hooks = hooks or SynthesisHooks()
        emit = hooks.on_chunk or _keep_still

        def on_chunk(piece: Wave) -> None:
            pieces.append(piece)
            emit(piece)

        scratch = ScratchFile()
        with scratch.open() as file:
            result = self.synthesize_to_file(plan, file, replace(hooks, on_chunk=on_chunk))
        wave = Wave(np.concatenate([piece.samples for piece in pieces]))
        return replace(result, audio=scratch.read(), wave=wave)

    def prepare(
        self,
        request: SpeechRequest,
        job_id: str = "",
        lexicon: Lexicon | None = None,
        notes: tuple[str, ...] = (),
        script: Sequence[SpeechPart] = (),
    ) -> SpeechPlan:
        """The utterances of a request; arguments as `make_plan`.

        Raises:
            InvalidRequest: as `make_plan`; BAD_OPTION for too many takes.
        """
        plan = make_plan(request, self.engine, job_id, lexicon, notes, script)
        check_takes(plan, self.max_text_chars)
        return plan

    def synthesize_to_file(
        self, plan: SpeechPlan, file: IO[bytes], hooks: SynthesisHooks | None = None
    ) -> SpeechResult:
        """As `synthesize`, but into a file, with memory that does not grow with the text.

        Args:
            file: empty, open for reading and writing, with a file descriptor.
        """
        request, utterances = plan.request, plan.utterances
        verifier = self._verifier(plan)
        timer = self._timer(plan) if request.time_words else None
        hooks = hooks or SynthesisHooks()
        began = time.perf_counter()
        collector = OutputCollector(plan, hooks, timer, file)
        speaker = verifier or self.engine
        fitter = _fitter(plan, speaker) if plan.targets else None
        timed = TimingResult(Alignment())
        try:
            _generate(fitter or speaker, collector, request.quick_start)
            parts = part_results(plan, collector, fitter or speaker)
            generated = time.perf_counter() - collector.encode_s
            collector.close()
            if timer is not None:
                timed = timer.result(collector.starts_s, hooks.check)
        finally:
            if timer is not None:
                timer.end()

        duration_s = samples_to_s(collector.samples)
        return SpeechResult(
            audio=b"",
            format=request.format,
            wave=Wave(np.zeros(0, np.float32)),
            duration_s=duration_s,
            utterances=tuple(utterances),
            starts_s=collector.starts_s,
            text=request.text,
            spoken_text=plan.spoken_text,
            voice=request.voice.name,
            engine=self.engine.kind,
            model=self.engine.model,
            seed=plan.seed,
            metrics=SpeechMetrics(
                inference_s=max(0.0, generated - began),
                audio_s=duration_s,
                encode_s=collector.encode_s,
                first_audio_s=collector.first_at - began,
                timing_s=timed.waited_s,
            ),
            warnings=self._warnings(
                plan, verifier, timed, length_warnings(plan, fitter, duration_s)
            ),
            verification=verifier.result(_spoken(utterances, fitter)) if verifier else None,
            timings=timed.alignment,
            parts=parts,
            script=plan.script if parts else "",
            marks=mark_times(plan, collector, timed) if parts else (),
        )

    def stream(
        self, request: SpeechRequest, job_id: str = "", hooks: SynthesisHooks | None = None
    ) -> Generator[Wave, None, SpeechResult]:
        """The pieces of the wave that `synthesize` makes, each as soon as it can be heard.

        One behind the other they are that wave; the result is what the generator returns. A
        generator that is closed ends the work at its next step. `quick_start` of the request makes
        the first piece come early.

        Raises:
            F5Error: as `synthesize`, after the pieces that were made before.
        """
        outer = hooks or SynthesisHooks()
        pieces: SimpleQueue[Wave | None] = SimpleQueue()
        closed = threading.Event()

        def check() -> None:
            if closed.is_set():
                raise CancelledError
            if outer.check is not None:
                outer.check()

        inner = replace(outer, on_chunk=pieces.put, check=check)
        with ThreadPoolExecutor(1, "stream") as pool:
            work = pool.submit(self.synthesize, request, job_id, inner)
            work.add_done_callback(lambda _: pieces.put(None))
            try:
                while (piece := pieces.get()) is not None:
                    yield piece
            finally:
                closed.set()
            return work.result()

    def _verifier(self, plan: SpeechPlan) -> Verifier | None:
        """Who verifies the request; None if that is not wanted, or its language not understood."""
        request = plan.request
        if not request.verify:
            return None
        if self.verification is None:
            raise recognizer_missing()
        spoken = (request.language or request.voice.language).partition("-")[0]
        language = self.verification.checker.language_for(request.text, spoken)
        return None if language is None else Verifier(self.engine, self.verification, language)

    def _timer(self, plan: SpeechPlan) -> WordTimingCollector:
        languages, is_script = plan.languages, plan.is_script
        return WordTimingCollector(self.aligners, plan.utterances, languages, is_script)

    def _warnings(
        self,
        plan: SpeechPlan,
        verifier: Verifier | None,
        timed: TimingResult,
        lengths: Iterable[str],
    ) -> tuple[str, ...]:
        request = plan.request
        warnings = self.engine.warnings + self.notes + request.voice.warnings
        if request.verify and verifier is None and self.verification is not None:
            warnings += (unverified_warning(self.verification.checker),)
        return tuple(dict.fromkeys([*warnings, *plan.warnings, *timed.warnings, *lengths]))


def _fitter(plan: SpeechPlan, speaker: Speaker) -> LengthFitter:
    by_id = {id(plan.utterances[index]): target for index, target in plan.targets.items()}
    return LengthFitter(speaker, by_id)


def _spoken(utterances: Sequence[Utterance], fitter: LengthFitter | None) -> Sequence[Utterance]:
    """The utterances as they were spoken in the end."""
    return utterances if fitter is None else [fitter.spoken.get(id(u), u) for u in utterances]


def _generate(speaker: Speaker, collector: OutputCollector, quick_start: bool) -> None:
    """Have all utterances spoken that no earlier attempt has left."""
    checkpoints, check = collector.hooks.checkpoints, collector.hooks.check
    there = checkpoints.find(collector.utterances, check) if checkpoints is not None else set()
    for batch in _batches(collector.utterances, quick_start):
        found = [index for index in batch if index in there]
        if found and checkpoints is not None:
            waves = checkpoints.read([collector.utterances[index] for index in found], check)
            for index, wave in zip(found, waves, strict=True):
                if wave is not None:
                    collector.add(index, wave)
        missing = [index for index in batch if index not in collector.done]
        if missing:
            _generate_batch(speaker, missing, collector)
    if checkpoints is not None:
        checkpoints.flush(check)


def _batches(utterances: Sequence[Utterance], quick_start: bool) -> Iterator[list[int]]:
    """Which are spoken together: their waves are in memory until all of a batch are there."""
    batch: list[int] = []
    seconds = 0.0
    for index, utterance in enumerate(utterances):
        batch.append(index)
        seconds += utterance.duration_frames / FRAMES_PER_SECOND - utterance.voice.wave.duration_s
        # Were the first row packed with the others, each of its steps would last as long as theirs.
        if seconds > BATCH_S or (quick_start and index == 0):
            yield batch
            batch, seconds = [], 0.0
    if batch:
        yield batch


def _generate_batch(speaker: Speaker, batch: Sequence[int], collector: OutputCollector) -> None:
    """Have the utterances with these indices spoken."""
    hooks = collector.hooks
    utterances = [collector.utterances[index] for index in batch]

    def done(position: int, wave: Wave) -> None:
        if hooks.checkpoints is not None and batch[position] not in collector.done:
            check_sound(utterances[position], wave)
            wave = hooks.checkpoints.keep(utterances[position], wave, hooks.check)
        collector.add(batch[position], wave)

    waves = speaker.generate(utterances, done, hooks.check, deadline=hooks.deadline)
    for position, wave in enumerate(waves):
        if batch[position] not in collector.done:
            done(position, wave)


def check_request(request: SpeechRequest, max_text_chars: int) -> str:
    """Check a request before any model is loaded; returns its clean text.

    Raises:
        InvalidRequest: BAD_OPTION, naming the option, its value and what it takes; or what
            `clean_text` and `encode` refuse.
    """
    check_options(request)
    check_format(request.format)
    check_sample_rate(request.format, request.sample_rate)
    return clean_text(request.text, max_text_chars)


def check_options(request: SpeechRequest) -> None:
    """Refuse options outside `RANGES`."""
    for name, (low, high) in RANGES.items():
        owner = request.options if hasattr(request.options, name) else request
        value = getattr(owner, name)
        if value is None and name in ("seed", "duration_s"):
            continue
        if not (math.isfinite(value) and low <= value <= high):
            raise InvalidRequest(
                f"{name} is {value}.",
                code="BAD_OPTION",
                hint=f"It takes {low:g} to {high}.",
            )


def _keep_still(_: Wave) -> None:
    pass
