"""The command `f5serve transcribe`: the words of a recording.

It parses, calls and prints; who hears is in `listening`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.settings import Settings


def add_parser(verbs: Any) -> None:
    """The options of `transcribe`."""
    parser = verbs.add_parser(
        "transcribe",
        help="write down what is said in a recording",
        description="Write down what is said in a recording, with the recogniser that "
        "F5_RECOGNISER names. Nothing is fetched.",
    )
    parser.add_argument("file", metavar="AUDIO", help="wav, flac, mp3, ogg or m4a")
    parser.add_argument(
        "--language", default="", metavar="CODE", help="ISO 639-1, e.g. en; else it is found out"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout, with word times"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Hear, and print."""
    from f5serve.alignment.subtitles import as_dict
    from f5serve.audio.decode import LONG, decode
    from f5serve.synthesis.recognition import SpeechRecognition
    from f5serve.synthesis.verification import recognizer_missing
    from f5serve.voices.bulk_import import read_file

    checker = SpeechRecognition(settings).open()
    if checker is None:
        raise recognizer_missing()
    if args.language and not checker.recogniser.supports(args.language):
        raise InvalidRequest(
            f"The recogniser {checker.model} does not understand {args.language!r}.",
            code="UNKNOWN_LANGUAGE",
            hint="Take one that knows many languages, e.g. F5_RECOGNISER=large-v3-turbo.",
        )
    wave = decode(read_file(Path(args.file), LONG.max_bytes), LONG)
    found = checker.recogniser.transcribe(wave, args.language, word_times=args.json)
    if not args.json:
        print(found.text)
        return 0
    told = {
        "text": found.text,
        "language": found.language,
        "confidence": found.confidence,
        "duration": round(wave.duration_s, 3),
        "model": checker.model,
        "words": [as_dict(word) for word in found.words],
    }
    print(json.dumps(told, ensure_ascii=False))
    return 0
