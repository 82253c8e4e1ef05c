"""`f5serve align`: a recording and its text in, when each word is heard out.

It parses, calls and prints; who aligns is in `alignment`. Nothing is written on any error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from f5serve.cli.output import STDOUT, Output
from f5serve.errors import InvalidRequest
from f5serve.settings import Settings

FORMATS = ("srt", "vtt", "ass", "csv", "json")


def add_parser(verbs: Any) -> None:
    """The options of `align`."""
    parser = verbs.add_parser(
        "align",
        help="find out when each word of a known text is heard",
        description="Find out when each word of a known text is heard in a recording, and write "
        "that as subtitles or as a table.",
    )
    parser.add_argument("file", metavar="AUDIO", help="wav, flac, mp3, ogg or m4a")
    parser.add_argument("text", metavar="TEXT", help="a file with its words; - is standard input")
    parser.add_argument(
        "-o", dest="output", metavar="OUT", default=STDOUT, help="file; standard output without it"
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="else by the ending of OUT, and srt without one"
    )
    parser.add_argument(
        "--mode", choices=["line", "word"], default="line", help="what subtitles show at a time"
    )
    parser.add_argument("--language", default="", metavar="CODE", help="ISO 639-1, e.g. en")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Align, write, and say what was done."""
    from f5serve.alignment.aligners import Aligners
    from f5serve.alignment.subtitles import as_dict, write
    from f5serve.audio.decode import LONG
    from f5serve.cli.say import read_text
    from f5serve.synthesis.alignment import Recording, align
    from f5serve.voices.bulk_import import read_file

    format = choose_format(args)
    output = None if args.json and args.output == STDOUT else Output(args.output)
    path = Path(args.file)
    text = _read_words(args.text, read_text)
    recording = Recording(read_file(path, LONG.max_bytes), repr(path.name))
    aligners = Aligners(settings.aligner, settings.models_dir / "aligners", settings.device)
    aligned = align(aligners, recording, text, args.language)
    found = aligned.found
    if output is not None:
        output.write(write(found, format, args.mode))
    if args.json:
        told = {
            "word_timings": [as_dict(word) for word in found.words],
            "timing_method": found.method,
            "timing_confidence": round(found.confidence, 3),
            "word_count": len(found.words),
            "duration": round(aligned.duration_s, 3),
            "path": output.name if output else None,
        }
        print(json.dumps(told, ensure_ascii=False))
    elif args.output != STDOUT:
        told_words = f"{len(found.words)} words in {aligned.duration_s:.1f} s"
        sure = f"confidence {found.confidence:.2f}"
        print(f"{args.output}: {told_words} · {found.method} · {sure}", file=sys.stderr)
    return 0


def choose_format(args: argparse.Namespace) -> Any:
    """--format, else the ending of OUT, else srt."""
    if args.format:
        return args.format
    suffix = Path(args.output).suffix.lower().removeprefix(".")
    if args.output == STDOUT or suffix in FORMATS:
        return suffix or "srt"
    raise InvalidRequest(
        f"The ending of {args.output!r} is no format of word times.",
        code="UNKNOWN_FORMAT",
        hint=f"Use one of {', '.join('.' + name for name in FORMATS)}, or --format.",
    )


def _read_words(name: str, read_text: Any) -> str:
    """The words of a text file, or of standard input."""
    from f5serve.synthesis.alignment import MAX_TEXT_CHARS

    if name == STDOUT:
        return str(read_text(STDOUT, MAX_TEXT_CHARS))
    from f5serve.voices.bulk_import import read_file

    data = read_file(Path(name), 4 * MAX_TEXT_CHARS)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The text file is not UTF-8: byte {error.start + 1:,} is 0x{data[error.start]:02x}.",
            code="NOT_TEXT",
            hint="Save it as plain text in UTF-8.",
        ) from None
