"""How well are recordings transcribed, and how far are the words' times from the truth?

    python bench/transcription.py [--quick] [--model tiny.en]

The sentences of bench/alignment.py by the stand-in speaker, whose model tells when each word is
spoken, are transcribed as POST /v1/audio/transcriptions does it: `each` by itself, and all `joined`
with pauses of half a second, which is longer than a piece. Words are timed by the aligner
(`aligned`) or, without one, by the recogniser. Columns: `words`, `wer` word error rate,
`missed` words not understood as they are written, `start_ms` and `end_ms` mean absolute error of
the others, `bias_ms` median of starts and ends (negative: too early), `within_100` share of edges
less than 100 ms off, `rtf` seconds of processor time per second of sound. Prints one JSON line;
exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import numpy as np

from alignment import SENTENCES, Case, Speaker, spoken
from f5serve.alignment.aligners import OFF, Aligners
from f5serve.asr.word_errors import SpeechChecker, align_transcript, compare
from f5serve.asr_types import Transcript
from f5serve.audio.encode import encode
from f5serve.build import stamp
from f5serve.settings import Settings
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.transcription import TranscriptionOptions, transcribe_pieces
from f5serve.types import SAMPLE_RATE, Wave
from machine import describe

PAUSE_S = 0.5
TARGETS = {
    "aligned": {"wer": 0.06, "start_ms": 60.0, "end_ms": 60.0},
    "recognised": {"wer": 0.06, "start_ms": 200.0, "end_ms": 200.0},
}


def joined(cases: Sequence[Case]) -> Case:
    """One recording of all, with pauses between."""
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), np.float32)
    parts: list[np.ndarray] = []
    truth: list[tuple[float, float]] = []
    at_s = 0.0
    for case in cases:
        parts += [case.wave.samples, pause]
        truth += [(start_s + at_s, end_s + at_s) for start_s, end_s in case.truth]
        at_s += case.wave.duration_s + PAUSE_S
    return Case(" ".join(case.text for case in cases), Wave(np.concatenate(parts)), tuple(truth))


def transcribe(checker: SpeechChecker, aligners: Aligners, wave: Wave) -> Transcript:
    """As the route does it."""
    options = TranscriptionOptions(word_times=True)
    data = encode(wave, "wav")
    pieces = list(transcribe_pieces(checker.recogniser, aligners, data, options))
    text = "".join(segment.text for piece in pieces for segment in piece.segments)
    words = tuple(word for piece in pieces for word in piece.words)
    return Transcript(text, pieces[0].language, 1.0, words)


def measure(checker: SpeechChecker, aligners: Aligners, cases: Sequence[Case]) -> dict[str, Any]:
    """One row."""
    began = time.process_time()
    found = [transcribe(checker, aligners, case.wave) for case in cases]
    seconds = time.process_time() - began
    starts, ends = [], []
    words = errors = missed = 0
    for case, transcript in zip(cases, found, strict=True):
        compared = compare(case.text, transcript.text, "en")
        words, errors = words + compared.words, errors + compared.errors
        timings = align_transcript(case.text, transcript)
        for timing, (start_s, end_s) in zip(timings, case.truth, strict=True):
            if not timing.confidence:
                missed += 1
                continue
            starts.append(1e3 * (timing.start_s - start_s))
            ends.append(1e3 * (timing.end_s - end_s))
    edges = [*starts, *ends]
    return {
        "words": words,
        "wer": round(errors / words, 4),
        "missed": missed,
        "start_ms": round(fmean(map(abs, starts)), 1),
        "end_ms": round(fmean(map(abs, ends)), 1),
        "bias_ms": [round(median(starts), 1), round(median(ends), 1)],
        "within_100": round(sum(abs(edge) < 100 for edge in edges) / len(edges), 3),
        "rtf": round(seconds / sum(case.wave.duration_s for case in cases), 4),
    }


def run(count: int, model: str) -> dict[str, Any]:
    """Everything that is printed."""
    checker = SpeechRecognition(Settings(recogniser=model)).open()
    if checker is None:
        raise SystemExit("no recogniser: pip install 'f5serve[asr]'")
    cases = list(spoken(Speaker(), count))
    rows = {}
    for method, aligners in (("aligned", Aligners()), ("recognised", Aligners(OFF))):
        transcribe(checker, aligners, cases[0].wave)  # loads the models
        rows[f"{method}, each"] = measure(checker, aligners, cases)
        rows[f"{method}, joined"] = measure(checker, aligners, [joined(cases)])
    failed = [
        f"{name} {column} {row[column]} > {most}"
        for name, row in rows.items()
        for column, most in TARGETS[name.partition(",")[0]].items()
        if row[column] > most
    ]
    return {
        "bench": "transcription",
        "commit": stamp().commit,
        "machine": describe(),
        "model": checker.model,
        "sentences": count,
        "rows": rows,
        "missed": failed,
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three sentences")
    parser.add_argument("--model", default="tiny.en", help="as F5_RECOGNISER")
    args = parser.parse_args()
    result = run(3 if args.quick else len(SENTENCES), args.model)
    print(json.dumps(result))
    sys.exit(bool(result["missed"]))


if __name__ == "__main__":
    main()
