"""The main path: a request becomes speech. Start reading here.

    SpeechRequest -> clean text -> [Utterance] -> [Wave] -> Wave -> bytes -> SpeechResult

Doors call `Speech.say` and format what comes back. This module must not know which engine speaks,
where a voice came from or who asked.
"""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from f5serve.audio.edit import join, remove_silence
from f5serve.audio.encode import encode
from f5serve.errors import EngineFailed, InvalidRequest
from f5serve.text.normalize import clean_text
from f5serve.text.plan import MAX_SEED, derive_seed, plan
from f5serve.types import Engine, Metrics, SpeechRequest, SpeechResult, Utterance, Wave
from f5serve.units import HOP_LENGTH

RANGES: dict[str, tuple[float, float]] = {
    "nfe_step": (1, 64),
    "cfg_strength": (0, 10),
    "sway_sampling_coef": (-1, 1),
    "speed": (0.25, 4),
    "seed": (0, MAX_SEED),
    "cross_fade_s": (0, 5),
}
"""What each option of a request may be."""

NAMED_CHARACTERS = 5
"""How many characters that cannot be spoken an error names."""

OnProgress = Callable[[int, int], None]
"""Called with how many utterances are finished, and how many there are."""

Check = Callable[[], None]
"""Raises to have the work ended, e.g. because nobody wants it any more."""


class Speech:
    """Speaks requests with one engine, one at a time.

    Args:
        engine: what turns utterances into waves.
        max_text_chars: longest text of one request.
        notes: what every answer has to say besides the engine's own warnings.
    """

    def __init__(
        self, engine: Engine, max_text_chars: int = 5000, notes: tuple[str, ...] = ()
    ) -> None:
        self.engine = engine
        self.max_text_chars = max_text_chars
        self.notes = notes

    def say(
        self,
        request: SpeechRequest,
        job_id: str = "",
        on_progress: OnProgress | None = None,
        check: Check | None = None,
    ) -> SpeechResult:
        """Make the speech that was asked for.

        Args:
            job_id: together with the request, decides the seed if none was given.
            on_progress: told about each finished utterance.
            check: called before each step of the work; what it raises ends it and comes out here.

        Raises:
            InvalidRequest: BAD_OPTION, TEXT_NOT_SPEAKABLE, or what `clean_text` refuses.
            EngineFailed: NOT_FINITE, OUT_OF_MEMORY.
        """
        text = check_request(request, self.max_text_chars)
        refuse_unspeakable(text, self.engine)
        seed = choose_seed(request, text, job_id)
        utterances = plan(request, text, self.engine.max_text_bytes, seed)

        began = time.perf_counter()
        waves = self._generate(utterances, on_progress, check)
        generated = time.perf_counter()
        if request.remove_silence:  # before the join, so that starts_s stays true
            waves = [remove_silence(wave) for wave in waves]
        wave, starts_s = join(waves, request.cross_fade_s)
        audio = encode(wave, request.format)
        encoded = time.perf_counter()

        return SpeechResult(
            audio=audio,
            format=request.format,
            wave=wave,
            utterances=tuple(utterances),
            starts_s=starts_s,
            text=text,
            voice=request.voice.name,
            engine=self.engine.kind,
            model=self.engine.model,
            seed=seed,
            metrics=Metrics(generated - began, wave.duration_s, encoded - generated),
            warnings=self.engine.warnings + self.notes,
        )

    def _generate(
        self,
        utterances: Sequence[Utterance],
        on_progress: OnProgress | None,
        check: Check | None,
    ) -> list[Wave]:
        done: set[int] = set()

        def count(index: int, _: Wave) -> None:
            done.add(index)
            if on_progress is not None:
                on_progress(len(done), len(utterances))

        waves = self.engine.generate(utterances, count, check)
        for utterance, wave in zip(utterances, waves, strict=True):
            if not len(wave.samples) or not np.isfinite(wave.samples).all():
                raise EngineFailed(
                    f"The engine made no usable sound for {utterance.text[:40]!r}.",
                    code="NOT_FINITE",
                    hint="Try another seed; on a GPU, F5_DTYPE=fp32 has more range than fp16.",
                )
        return waves


def check_request(request: SpeechRequest, max_text_chars: int) -> str:
    """What can be told about a request before any model is loaded; returns its clean text.

    Raises:
        InvalidRequest: BAD_OPTION, naming the option, its value and what it takes; or what
            `clean_text` and `encode` refuse.
    """
    check_options(request)
    encode(Wave(np.zeros(HOP_LENGTH, np.float32)), request.format)  # fails now or not at all
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


def _name(character: str) -> str:
    if unicodedata.category(character)[0] in "CMZ":  # nothing to see on its own
        return f"U+{ord(character):04X}"
    return f"{character} (U+{ord(character):04X})"
