"""The options of `f5serve text`, and those that say how a text is read; see `options.py`."""

from __future__ import annotations

from typing import Any


def add_text(verbs: Any) -> None:
    """The options of `text`."""
    parser = verbs.add_parser(
        "text",
        help="show the words that would be spoken for a text; no model is needed",
        description="Show the words that would be spoken for a text, what was changed for them, "
        "and the utterances with their lengths. No model is needed.",
    )
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads it from standard input")
    parser.add_argument(
        "-v", dest="voice", metavar="VOICE", default="default", help="whose pace it has"
    )
    add_reading(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run="text.run")


def add_reading(parser: Any) -> None:
    """The options that say how a text is read."""
    parser.add_argument("--language", metavar="TAG", help="of the text, e.g. en or pt-BR")
    parser.add_argument(
        "--normalize",
        metavar="X",
        help="auto, on, off, or kinds to leave as they are, such as date,money",
    )
    parser.add_argument(
        "--lexicon", metavar="FILE", help="rules of pronunciation for this text, JSON or PLS"
    )
