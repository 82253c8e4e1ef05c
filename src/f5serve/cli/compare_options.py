"""The options of `f5serve compare`; see `options.py`."""

from __future__ import annotations

from typing import Any

from f5serve.cli.speech_options import SAY_SETTINGS, add_model
from f5serve.cli.text_options import add_reading

PRESETS = ("fast", "balanced", "quality")


def add_compare(verbs: Any) -> None:
    """The options of `compare`."""
    parser = verbs.add_parser(
        "compare",
        help="speak a text with several models, presets, seeds or voices, and make a page of it",
        description="Speak each line of a text with every combination of the models, presets, "
        "seeds and voices, and write one HTML file to listen to them beside each other, with "
        "spectrograms, word errors, speaking rates, times and levels. At most 64 combinations.",
        epilog="See f5serve --help, and docs/guides/compare.md.",
    )
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what to say; - is standard input")
    parser.add_argument(
        "--text", dest="text_file", metavar="FILE", help="or a file that holds it, in UTF-8"
    )
    parser.add_argument(
        "-o", dest="output", metavar="OUT", default="compare.html", help="else compare.html"
    )
    parser.add_argument(
        "--format",
        choices=["flac", "mp3", "opus", "wav"],
        default="flac",
        help="of the sound in the page; flac, which loses nothing, without it",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the figures as one JSON object on stdout"
    )
    compared = parser.add_argument_group("what is compared")
    compared.add_argument(
        "--models",
        type=_items,
        default=(),
        metavar="A,B",
        help="ids as in f5serve models list, or checkpoint files with --vocab and --arch",
    )
    compared.add_argument(
        "--presets", type=_presets, default=(), metavar="P,P", help="of fast, balanced and quality"
    )
    compared.add_argument(
        "--seeds", type=_seeds, default=(0,), metavar="N,N", help="0 without it, for all"
    )
    compared.add_argument(
        "-v",
        dest="voices",
        action="append",
        default=[],
        metavar="VOICE",
        help="a recording with its words beside it in a .txt file, or a name; may be given again",
    )
    add_reading(parser.add_argument_group("text"))
    add_model(parser)
    parser.set_defaults(quality=None)  # a setting that `say` has an option for
    parser.set_defaults(run="compare.run", settings=SAY_SETTINGS)


def _items(text: str) -> tuple[str, ...]:
    """Names between commas, each once; ValueError where there is none."""
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise ValueError
    return found


def _presets(text: str) -> tuple[str, ...]:
    found = _items(text)
    if not set(found) <= set(PRESETS):
        raise ValueError
    return found


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(seed) for seed in _items(text)))


# As argparse names them where they are refused.
_items.__name__, _presets.__name__, _seeds.__name__ = "list", "list of presets", "list of numbers"
