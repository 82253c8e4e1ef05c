"""`f5serve transcribe`, the words of a recording, and `f5serve align`, the times of known words.

Nothing is written on any error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from f5serve.alignment.aligners import Aligners
from f5serve.alignment.subtitles import as_dict, write
from f5serve.audio.decode import LONG, decode
from f5serve.cli.output import STDOUT, Output
from f5serve.cli.speech_options import TIMING_FORMATS
from f5serve.cli.text_input import read_text
from f5serve.errors import InvalidRequest
from f5serve.settings import Settings
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.transcription import check_language
from f5serve.synthesis.verification import recognizer_missing
from f5serve.synthesis.word_timing import MAX_TEXT_CHARS, Recording, align
from f5serve.voices.bulk_import import read_file


def run(args: argparse.Namespace, settings: Settings) -> int:
    """`f5serve transcribe`: print the words of a recording."""
    checker = SpeechRecognition(settings).open()
    if checker is None:
        raise recognizer_missing()
    check_language(checker.recogniser, args.language)
    wave = decode(read_file(Path(args.file), LONG.max_bytes), LONG)
    found = checker.recogniser.transcribe(wave, args.language, word_times=args.json)
    if not args.json:
        print(found.text)
        return 0
    answer = {
        "text": found.text,
        "language": found.language,
        "confidence": found.confidence,
        "duration": round(wave.duration_s, 3),
        "model": checker.model,
        "words": [as_dict(word) for word in found.words],
    }
    print(json.dumps(answer, ensure_ascii=False))
    return 0


def run_align(args: argparse.Namespace, settings: Settings) -> int:
    """`f5serve align`: write when each word is heard, and print what was done."""
    format = choose_format(args)
    output = None if args.json and args.output == STDOUT else Output(args.output)
    path = Path(args.file)
    text = _read_words(args.text)
    recording = Recording(read_file(path, LONG.max_bytes), repr(path.name))
    aligners = Aligners(settings.aligner, settings.models_dir / "aligners")
    aligned = align(aligners, recording, text, args.language)
    found = aligned.found
    if output is not None:
        output.write(write(found, format, args.mode))
    if args.json:
        answer = {
            "word_timings": [as_dict(word) for word in found.words],
            "timing_method": found.method,
            "timing_confidence": round(found.confidence, 3),
            "word_count": len(found.words),
            "duration": round(aligned.duration_s, 3),
            "path": output.name if output else None,
        }
        print(json.dumps(answer, ensure_ascii=False))
    elif args.output != STDOUT:
        words = f"{len(found.words)} words in {aligned.duration_s:.1f} s"
        sure = f"confidence {found.confidence:.2f}"
        print(f"{args.output}: {words} · {found.method} · {sure}", file=sys.stderr)
    return 0


def choose_format(args: argparse.Namespace) -> Any:
    """--format, else the ending of OUT, else srt."""
    if args.format:
        return args.format
    suffix = Path(args.output).suffix.lower().removeprefix(".")
    if args.output == STDOUT or suffix in TIMING_FORMATS:
        return suffix or "srt"
    raise InvalidRequest(
        f"The ending of {args.output!r} is no format for word timings.",
        code="UNKNOWN_FORMAT",
        hint=f"Use one of {', '.join('.' + name for name in TIMING_FORMATS)}, or --format.",
    )


def _read_words(name: str) -> str:
    """The words of a text file, or of standard input."""

    if name == STDOUT:
        return read_text(STDOUT, MAX_TEXT_CHARS)

    data = read_file(Path(name), 4 * MAX_TEXT_CHARS)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The text file is not UTF-8: byte {error.start + 1:,} is 0x{data[error.start]:02x}.",
            code="NOT_TEXT",
            hint="Save it as plain text in UTF-8.",
        ) from None
