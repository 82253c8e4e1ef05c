"""Types of a request, from the text that was sent to the waves; constants of speech.

    SpeechRequest -> Voice + text -> [Utterance] -> [Wave]

All are frozen: a value is made once and handed on. Arrays inside them are never written to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
AudioFormat = Literal["wav", "mp3", "opus", "flac", "aac", "pcm", "ulaw", "alaw"]

SAMPLE_RATE = 24_000
"""Samples per second of every wave inside the program (Vocos and all F5-TTS checkpoints)."""

HOP_LENGTH = 256
"""Samples from one mel frame to the next."""

FRAMES_PER_SECOND = SAMPLE_RATE / HOP_LENGTH
"""93.75 mel frames a second."""

MAX_REFERENCE_S = 12.0
"""Longest reference that F5-TTS was conditioned on in training; longer ones are cut."""

MAX_DURATION_FRAMES = 4096
"""Longest sequence, reference included, that F5-TTS samples (43.7 s)."""


def samples_to_s(samples: int, sample_rate: int = SAMPLE_RATE) -> float:
    """Length in seconds of `samples` samples."""
    return samples / sample_rate


def s_to_samples(seconds: float, sample_rate: int = SAMPLE_RATE) -> int:
    """Nearest whole number of samples in `seconds`."""
    return round(seconds * sample_rate)


def samples_to_frames(samples: int) -> int:
    """Mel frames of a wave at `SAMPLE_RATE`: hops that fit, as the reference is counted."""
    return samples // HOP_LENGTH


@dataclass(frozen=True, slots=True)
class WordSpan:
    """When a stretch of text is heard, as its synthesizer knows it.

    Attributes:
        start, end: first character of the stretch in the text, and the one behind its last.
        start_s, end_s: where it is heard in the wave, seconds.
    """

    start: int
    end: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """Mono sound: float32 samples [nw], nominally within -1..1.

    Attributes:
        marks: where each word of the text is, in order, if the speaker knows; else empty.
    """

    samples: FloatArray
    sample_rate: int = SAMPLE_RATE
    marks: tuple[WordSpan, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return samples_to_s(len(self.samples), self.sample_rate)


@dataclass(frozen=True, slots=True)
class WordTiming:
    """Where a word lies in a wave.

    Attributes:
        word: as it is written in the text, or as it was heard.
        start_s, end_s: seconds from the beginning of the wave.
        confidence: 0..1, how far the times can be relied on.
        voice: who says it, where a script has several voices; else "".
    """

    word: str
    start_s: float
    end_s: float
    confidence: float = 1.0
    voice: str = ""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the words of a known text are heard.

    Attributes:
        words: in order, as they were written; empty when the times could not be found.
        method: how they were found: "exact", "pocketsphinx", "ctc"; "" without words.
        confidence: 0..1 for the whole; 0 without words.
    """

    words: tuple[WordTiming, ...] = ()
    method: str = ""
    confidence: float = 0.0


class Aligner(Protocol):
    """Finds the times of words in speech; may be used by many threads.

    Attributes:
        method: as `Alignment.method`.
    """

    @property
    def method(self) -> str: ...

    def supports(self, language: str) -> bool:
        """Whether it knows a language, ISO 639-1."""
        ...

    def align(
        self,
        wave: Wave,
        text: str,
        language: str,
        check: Callable[[], None] | None = None,
    ) -> Alignment:
        """The words of `text` in a wave of any sample rate.

        Times count from the beginning of the wave. For a text that is not spoken in it, the
        alignment has no words or a low confidence; nothing is ever guessed.

        Args:
            check: called now and then; what it raises ends the work and is raised.
        """
        ...


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How speech is sampled; names and meaning as in F5-TTS.

    Attributes:
        nfe_step: ODE steps, 1..64: the number of function evaluations.
        cfg_strength: classifier-free guidance; 0 switches it off and halves the work.
        sway_sampling_coef: bends the time grid towards the start of the path; 0 leaves it even.
        speed: 1.0 as the reference speaks, 2.0 twice as fast; 0.25..4.
        seed: 0..2**31-1, or None to have one derived from the request.
    """

    nfe_step: int = 16
    cfg_strength: float = 2.0
    sway_sampling_coef: float = -1.0
    speed: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A reference that can be cloned: canonical audio and the words spoken in it.

    Attributes:
        name: what the caller knows it by.
        wave: 24 kHz mono, edges trimmed, at most 12 s, loudness as recorded.
        ref_text: the words of exactly this audio; ends with punctuation.
        revision: sha256 of the canonical audio and the text; changes when either does.
        language: ISO 639-1 code, or "" when unknown.
        warnings: for every caller who uses it.
        normalize: how its texts are normalized, as `parse_normalize` writes it; "" if not given.
        style: of the recording, in lower case; "" for the voice's main one.
    """

    name: str
    wave: Wave
    ref_text: str
    revision: str
    language: str = ""
    warnings: tuple[str, ...] = ()
    normalize: str = ""
    style: str = ""


Span = tuple[int, int]
"""First character, and the one behind the last."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A text to be spoken, the voice and how.

    Attributes:
        quick_start: keep the first utterance short and speak it before the others, so that it is
            heard early; it costs one more row. Part of the request, because it decides the sound.
        time_words: find out when each word is heard.
        verify: have the recogniser hear each utterance, and what it does not understand spoken
            again with another seed.
        language: of the text, a tag such as en or en-GB; "" leaves it to the voice and to the
            text itself.
        unnormalized: kinds of rules of text normalization that are not used for this request.
        duration_s: how long the whole is to be; None leaves it to the voice and to `speed`.
        max_speed: how much faster than `speed` a subtitle may be spoken that is too long.
        takes: versions of each part, with other seeds; the first makes the speech.
        sample_rate: of the audio file, Hz; waves inside the program stay at `SAMPLE_RATE`.
        bit_rate_kbps: of an mp3 or opus file; 0 is the usual one.
        skip_unspeakable: leave out characters that the model cannot speak, with a warning; else
            they are an error.
    """

    text: str
    voice: Voice
    options: SamplingOptions = field(default_factory=SamplingOptions)
    format: AudioFormat = "wav"
    cross_fade_s: float = 0.15
    remove_silence: bool = False
    quick_start: bool = False
    time_words: bool = False
    verify: bool = False
    language: str = ""
    unnormalized: frozenset[str] = frozenset()
    duration_s: float | None = None
    max_speed: float = 1.5
    takes: int = 1
    sample_rate: int = SAMPLE_RATE
    bit_rate_kbps: int = 0
    skip_unspeakable: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One row for an engine: a stretch of text to say in a voice.

    Attributes:
        text: the words to speak; never empty.
        written: the same as its author wrote it: "$5" where `text` is "five dollars"; "" where
            both are equal.
        spans: for each character of `text` its span in `written`.
        voice: the reference that is cloned.
        duration_frames: mel frames of reference and speech together. An engine with a
            duration model of its own (the stand-in) takes only `options.speed`.
        seed: noise of this row; with equal inputs it gives equal output, whatever runs beside it.
        options: sampling; `options.seed` is not read, `seed` is.
    """

    text: str
    voice: Voice
    duration_frames: int
    seed: int
    options: SamplingOptions
    written: str = ""
    spans: tuple[Span, ...] = ()


OnDone = Callable[[int, Wave], None]
"""Called with the index of an utterance that is finished, and its wave."""


class Engine(Protocol):
    """Utterances in, waves out. `engine.F5Engine` and `fallback.Kokoro` are engines.

    Attributes:
        kind: "f5" or "standin", as answers name it.
        model: id of the model in use, e.g. "F5TTS_v1_Base".
        clones_voice: whether the voice of an utterance is really imitated.
        voices: names of voices of its own, in lower case; none where it clones.
        description: one line for logs: device, precision, attention, kernels.
        warnings: for every caller, about this engine's answers.
        concurrent: True when `generate` may be called from several threads at once; the calls
            are then worked on together. Where False, callers take turns.
        broken: True once the device has failed for good: only a new process can help.
    """

    @property
    def kind(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def clones_voice(self) -> bool: ...
    @property
    def voices(self) -> tuple[str, ...]: ...
    @property
    def description(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def concurrent(self) -> bool: ...
    @property
    def broken(self) -> bool: ...

    @property
    def max_text_bytes(self) -> int:
        """Longest `Utterance.text` in UTF-8 bytes, beyond what duration allows."""
        ...

    def unspeakable(self, text: str) -> list[str]:
        """Characters of `text` that this model has no token for, in order, each once."""
        ...

    def check_options(self, options: SamplingOptions) -> None:
        """Refuse at once what the loaded weights cannot compute.

        Raises:
            InvalidRequest: code BAD_OPTION, naming what they can.
        """
        ...

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """Speak every utterance; returns one wave each, 24 kHz, without the reference.

        Args:
            on_done: called in the caller's thread with each utterance as it is finished, the
                first ones first where nothing speaks against it. What it raises ends the call.
            check: called before each step of the work, perhaps in the device's thread, so it
                must be quick. What it raises ends this call alone, at once, and comes out here.
            deadline: `time.monotonic()` by which the caller needs the waves; a call that is
                about to miss it goes ahead of others. Ending it in time is `check`'s business.

        Raises:
            EngineFailed: code OUT_OF_MEMORY, NOT_FINITE, STEP_FAILED or DEVICE_BROKEN.
        """
        ...

    def estimate_s(self, utterances: Sequence[Utterance]) -> float | None:
        """Seconds that the device needs for these alone, from measured times; None: unknown."""
        ...

    def memory(self) -> Mapping[int, int]:
        """Bytes of each piece of memory that holds weights, by its address; models share some."""
        ...

    def close(self) -> None:
        """Let the weights go; nothing may be under way, and nothing is asked for again."""
        ...

    def counters(self) -> Mapping[str, float]:
        """What the engine has done since it was loaded and is doing now; may be empty.

        Totals, which only grow: `steps`, `step_s` (their seconds), `row_steps` and `frame_steps`
        (rows and mel frames, summed over steps), `padding_frames` (worked on for nothing), `rows`
        (finished), `failed_rows`, `vocoder_s`, `out_of_memory` (batches that had to be halved);
        where steps can be recorded also `graph_steps`, `eager_steps` (replayed, and not),
        `graph_captures` and `graph_failures` (the second turns recording off).
        Gauges: `rows_waiting`, `rows_running` (begun), `backlog_s` (estimated seconds of work that
        is left in both; absent while unknown), `batch_frames` (the most frames of a step), `graphs`
        (recorded steps that are kept), `fused_kernels` (1 where steps are computed with them).
        """
        ...
