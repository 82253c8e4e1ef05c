"""What a synthesis returns: the speech, and everything that an answer says about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from f5serve.asr_types import Verification
from f5serve.types import Alignment, AudioFormat, Span, Utterance, Wave


@dataclass(frozen=True, slots=True)
class Take:
    """A version of a part.

    Attributes:
        audio: encoded, in the format of the request.
    """

    seed: int
    audio: bytes
    duration_s: float


@dataclass(frozen=True, slots=True)
class PartResult:
    """A part of a script, and where it is heard.

    Attributes:
        text: as it was written, cleaned.
        voice: name.
        style, speed, pause_s: as of `script.Part`; `speed` is the one that was used.
        seed: makes the same speech again.
        span: place in the text that was sent.
        start_s, end_s: in the whole, seconds.
        takes: all versions, the one of the whole first; none where one was asked for.
    """

    text: str
    voice: str
    style: str
    speed: float
    seed: int
    span: Span
    pause_s: float | None
    start_s: float
    end_s: float
    takes: tuple[Take, ...] = ()


def part_as_dict(part: PartResult) -> dict[str, Any]:
    """A part as answers have it; times in seconds, `start` and `end` in characters."""
    return {
        "text": part.text,
        "voice": part.voice,
        "style": part.style or None,
        "speed": part.speed,
        "seed": part.seed,
        "start": part.span[0],
        "end": part.span[1],
        "start_time": round(part.start_s, 3),
        "end_time": round(part.end_s, 3),
        "pause": part.pause_s,
        "takes": [
            {"seed": take.seed, "duration": round(take.duration_s, 3)} for take in part.takes
        ],
    }


@dataclass(frozen=True, slots=True)
class MarkTime:
    """When a mark of a script is reached; None where the times of its words are not known."""

    name: str
    time_s: float | None


@dataclass(frozen=True, slots=True)
class SpeechMetrics:
    """Where the time of one request went, in seconds.

    Attributes:
        first_audio_s: from the start of the work until its first utterance could be heard.
        timing_s: how long it had to wait for the times of its words.
    """

    inference_s: float
    audio_s: float
    encode_s: float
    first_audio_s: float = 0.0
    timing_s: float = 0.0

    @property
    def rtf(self) -> float:
        """Real-time factor: seconds of computing per second of speech."""
        return self.inference_s / self.audio_s if self.audio_s else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SpeechResult:
    """Speech, and everything that an answer says about it.

    Attributes:
        audio: encoded bytes in `format`; none where they were written to a file.
        wave: the speech; without samples where it was written to a file.
        duration_s: of the speech, wherever it is.
        starts_s: where each utterance begins in `wave`, seconds.
        text: as it was written, cleaned.
        spoken_text: the words that were spoken for it.
        verification: how well it was understood; None when it was not asked for or not possible.
        timings: where each word is heard in `wave`; without words when they were not asked for or
            could not be found; `warnings` says so.
        parts: of a script, or of a request for several takes; else none.
        script: the text with seeds written in, which gives the same speech again; "" where
            `parts` has none, and for subtitles.
    """

    audio: bytes
    format: AudioFormat
    wave: Wave
    duration_s: float
    utterances: tuple[Utterance, ...]
    starts_s: tuple[float, ...]
    text: str
    voice: str
    engine: str
    model: str
    seed: int
    metrics: SpeechMetrics
    warnings: tuple[str, ...] = ()
    spoken_text: str = ""
    verification: Verification | None = None
    timings: Alignment = field(default_factory=Alignment)
    parts: tuple[PartResult, ...] = ()
    script: str = ""
    marks: tuple[MarkTime, ...] = ()
