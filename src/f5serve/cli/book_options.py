"""The options of `f5serve book`; see `options.py`."""

from __future__ import annotations

from typing import Any

from f5serve.cli.speech_options import (
    SAY_SETTINGS,
    add_model,
    add_sampling,
    add_server,
    add_voice,
)
from f5serve.cli.text_options import add_reading

FORMATS = ("m4b", "mp3", "flac", "opus", "wav")
SUBTITLES = ("srt", "vtt", "ass")
HIGHLIGHTS = ("sentence", "word")


def add_book(verbs: Any) -> None:
    """The options of `book`."""
    parser = verbs.add_parser(
        "book",
        help="make an audiobook of an EPUB, docx, PDF, Markdown, HTML or text file",
        description="Speak a book chapter by chapter and write it as an m4b with chapters, or as a "
        "file for each chapter. Every sentence is kept in the store: the same command goes on "
        "where it was interrupted, and after a change only what has changed is spoken.",
        epilog="See f5serve --help, and docs/guides/books.md.",
    )
    parser.add_argument("file", metavar="BOOK", help="epub, docx, pdf, md, html or txt")
    parser.add_argument(
        "-o", dest="output", metavar="OUT", help="a file .m4b, or a folder for a file per chapter"
    )
    parser.add_argument("--format", choices=FORMATS, help="m4b, or of a file per chapter")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    _add_contents(parser.add_argument_group("book"))
    _add_sound(parser.add_argument_group("sound"))
    add_voice(parser)
    add_sampling(parser)
    add_reading(parser.add_argument_group("text"))
    add_model(parser)
    add_server(parser)
    # What `say` asks besides.
    parser.set_defaults(config=None, markup="auto", ssml=False, duration=None)
    parser.set_defaults(run="book.run", settings=SAY_SETTINGS)


def _add_contents(group: Any) -> None:
    group.add_argument("--list", action="store_true", help="show the chapters, and speak nothing")
    group.add_argument(
        "--gpu-price",
        metavar="USD",
        help="of an hour of the device, for the cost in the plan (F5_GPU_PRICE)",
    )
    group.add_argument("--chapters", metavar="N", help="which are spoken, e.g. 3-7,9")
    group.add_argument(
        "--cast",
        metavar="FILE",
        help="TOML with a table [speakers]: who speaks lines such as `Bo: Hello.`",
    )
    group.add_argument(
        "--alt-text", action="store_true", help="read descriptions of pictures as well"
    )
    group.add_argument(
        "--id", dest="book_id", metavar="ID", help="of the book in the store; else by its title"
    )
    group.add_argument(
        "--redo",
        action="append",
        default=[],
        metavar="N.N",
        help='speak this sentence anew, e.g. 3.12 or "chapter 3, sentence 12"; may be given again',
    )
    group.add_argument(
        "--take",
        action="append",
        default=[],
        metavar="N.N=K",
        help="go back to an earlier take of a sentence, 1 is the first; it is not spoken again",
    )
    group.add_argument(
        "--review",
        action="store_true",
        help="list sentences that may be wrong, with their numbers, and speak nothing",
    )
    group.add_argument(
        "--clean",
        action="store_true",
        help="afterwards remove what earlier versions have left, and takes that are not chosen: "
        "--take speaks such a take again, with its seed",
    )


def _add_sound(group: Any) -> None:
    group.add_argument(
        "--acx", action="store_true", help="mp3 files with the levels of ACX, and a report"
    )
    group.add_argument(
        "--loudness", type=float, metavar="LUFS", help="bring the book to it, e.g. -18"
    )
    for name, of in (("sentence", 0.35), ("paragraph", 0.75), ("heading", 1.2), ("chapter", 2.0)):
        group.add_argument(
            f"--{name}-pause", type=float, metavar="S", help=f"silence behind it; {of:g} without"
        )
    group.add_argument(
        "--subtitles",
        action="append",
        default=[],
        choices=SUBTITLES,
        help="write them beside OUT; may be given several times",
    )
    group.add_argument("--epub", metavar="OUT.epub", help="write an EPUB 3 that is read along, too")
    group.add_argument(
        "--highlight",
        choices=HIGHLIGHTS,
        default="sentence",
        help="what --epub highlights while it is heard",
    )
