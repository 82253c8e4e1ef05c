"""The options of `f5serve text` and `lexicon`, and of how a text is read; see `options.py`."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from f5serve.text_kinds import Markup


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
    add_markup(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run="text.run")


def add_spoken_text(parser: Any) -> None:
    """The text of `say`, or the file that has it."""
    parser.add_argument(
        "text",
        metavar="TEXT",
        nargs="?",
        action=_TextOrFile,
        help="what to say; - reads it from standard input",
    )
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="a TOML file of f5-tts_infer-cli, for what is not given here",
    )


class _TextOrFile(argparse.Action):
    """Refuses a command line with neither; argparse calls it behind all options."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        if values is None and namespace.config is None:
            parser.error("the following arguments are required: TEXT, or -c FILE")
        setattr(namespace, self.dest, values)


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
    parser.add_argument(
        "--style", metavar="NAME", default="", help="of the voice: which of its recordings"
    )


def add_markup(parser: Any) -> None:
    """The options that say what tags a text has."""
    parser.add_argument(
        "--markup",
        choices=get_args(Markup),
        default="auto",
        help="tags such as [pause:1s] and [voice:ana]: brackets that are no tag are spoken (auto), "
        "an error (strict), or nothing is a tag (off)",
    )
    parser.add_argument("--ssml", action="store_true", help="the text is SSML")


def add_lengths(parser: Any) -> None:
    """The options on how long and how often a text is spoken."""
    parser.add_argument(
        "--duration", type=float, metavar="S", help="seconds that the speech is to last"
    )
    parser.add_argument(
        "--takes",
        type=int,
        default=1,
        metavar="N",
        help="make N versions of each part, and write them as NAME.PART.TAKE.wav",
    )


def add_lexicon(verbs: Any) -> None:
    """The options of `lexicon`."""
    parser = verbs.add_parser(
        "lexicon",
        help="rules of pronunciation, of the library or of one voice",
        description="Rules that say how words are spoken. Those of the library are for all voices; "
        "those of a voice, with --voice NAME, come before them.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="which lexicons there are, with their numbers of rules"
    )
    showing = actions.add_parser("show", help="all rules of one")
    adding = actions.add_parser("add", help="add a rule, in place of one for the same text")
    removing = actions.add_parser("remove", help="remove the rules for a text")
    importing = actions.add_parser("import", help="add the rules of a file, JSON or PLS (XML)")
    exporting = actions.add_parser("export", help="write all rules into a file")

    adding.add_argument("text", metavar="TEXT", help="the words as they are written")
    adding.add_argument("alias", metavar="ALIAS", nargs="?", help="what is spoken in their place")
    adding.add_argument("--pinyin", metavar="P", help='or, for Chinese, its pinyin: "chong2 qing4"')
    adding.add_argument(
        "--language", metavar="CODE", help="only in texts of that language, e.g. en"
    )
    adding.add_argument(
        "--case-sensitive", action="store_true", help="match the same capitals only"
    )
    adding.add_argument("--inside-words", action="store_true", help="match inside longer words too")
    removing.add_argument("text", metavar="TEXT", help="in whatever capitals")
    removing.add_argument("--language", metavar="CODE", help="only the rule for that language")
    importing.add_argument("file", metavar="FILE", help="- is standard input")
    importing.add_argument(
        "--replace", action="store_true", help="and remove all rules that were there"
    )
    exporting.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="default: standard output"
    )
    exporting.add_argument("--format", choices=["json", "pls"], default="json")
    for action in (showing, adding, removing, importing, exporting):
        action.add_argument("--voice", metavar="NAME", default="", help="the lexicon of that voice")
    for action in (listing, showing, adding, removing, importing):
        action.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run="lexicon.run")
