"""The options of `f5serve say` and `dub`; see `options.py`."""

from __future__ import annotations

import argparse
from typing import Any

from f5serve.cli.text_options import add_reading
from f5serve.number_formats import FORMATS

SAY_SETTINGS = (
    *("engine", "model", "ckpt", "vocab", "arch", "vocoder"),
    *("device", "dtype", "threads", "quality"),
)
"""Settings that options of `say` and `dub` replace."""

TIMING_FORMATS = ("srt", "vtt", "ass", "csv", "json")


def add_dub(verbs: Any) -> None:
    """The options of `dub`."""
    parser = verbs.add_parser(
        "dub",
        help="speak subtitles at their times",
        description="Speak a file of subtitles (SRT, WebVTT, ASS, SSA) so that each begins at its "
        "time. `ana: Hello.`, `<v ana>` and the actors of ASS name voices of the library; -v "
        "speaks the rest. What is too long for its time is spoken faster, and named where it does "
        "not fit even so.",
        epilog="See f5serve --help.",
    )
    parser.add_argument("file", metavar="FILE", help="subtitles; - reads them from standard input")
    parser.add_argument(
        "--max-speed",
        type=float,
        metavar="X",
        help="1..4, how much faster than --speed a subtitle may be; 1.5 without it",
    )
    add_speech(parser)
    add_reading(parser.add_argument_group("text"))
    # What `say` asks besides.
    parser.set_defaults(config=None, markup="auto", ssml=False, duration=None, takes=1)
    parser.set_defaults(run="dub.run", settings=SAY_SETTINGS)


def add_speech(parser: Any) -> None:
    """Where speech goes, who speaks, how, and with which model or server."""
    parser.add_argument(
        "-o", dest="output", metavar="OUT", help="file, else speech.wav; - is stdout"
    )
    parser.add_argument("--format", choices=["wav", "mp3", "opus", "flac", "aac", "pcm"])
    parser.add_argument(
        "--timings",
        action="append",
        default=[],
        choices=TIMING_FORMATS,
        help="write when each word is heard beside OUT; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    add_voice(parser)
    sampling = add_sampling(parser)
    sampling.add_argument("--cross-fade-s", type=float, default=0.15, metavar="S", help="0..5")
    shorten = argparse.BooleanOptionalAction  # a script file may have said yes
    sampling.add_argument("--remove-silence", action=shorten, help="shorten long pauses")
    add_model(parser)
    add_server(parser)


def add_voice(parser: Any) -> None:
    """Who speaks."""
    voice = parser.add_argument_group("voice")
    voice.add_argument(
        "-v", dest="voice", metavar="VOICE", default="default", help="a recording, or a name"
    )
    voice.add_argument("--ref-text", metavar="T", help="the words spoken in that recording")
    voice.add_argument("--ref-text-file", metavar="F", help="or a file that holds them")


def add_sampling(parser: Any) -> Any:
    """How speech is sampled; returns the group of these options."""
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--quality", choices=["fast", "balanced", "quality"])
    sampling.add_argument("--nfe-step", type=int, metavar="N", help="1..64, instead of --quality")
    sampling.add_argument("--cfg-strength", type=float, metavar="X", help="0..10")
    sampling.add_argument(
        "--sway", dest="sway_sampling_coef", type=float, metavar="X", help="-1..1"
    )
    sampling.add_argument("--speed", type=float, metavar="X", help="0.25..4, 1 is as the reference")
    sampling.add_argument("--seed", type=int, metavar="N")
    sampling.add_argument(
        "--verify", action="store_true", help="transcribe it; generate badly recognised parts again"
    )
    return sampling


def add_model(parser: Any) -> None:
    """With which model on this machine."""
    model = parser.add_argument_group("model")
    model.add_argument("--engine", choices=["auto", "f5", "standin"])
    model.add_argument("--model", metavar="ID", help="see: f5serve models list")
    model.add_argument("--weights", default="", metavar="random:ARCH", help="noise, for benchmarks")
    model.add_argument("--ckpt", metavar="FILE", help="checkpoint of your own; also:")
    model.add_argument("--vocab", metavar="FILE")
    model.add_argument("--arch", metavar="NAME")
    model.add_argument("--vocoder", metavar="FILE", help="Vocos weights; the pulled ones without")
    model.add_argument("--device", choices=["auto", "cpu", "cuda"])
    model.add_argument("--dtype", choices=FORMATS)
    model.add_argument("--threads", type=int, metavar="N")


def add_server(parser: Any) -> None:
    """Or on which server."""
    server = parser.add_argument_group("server")
    server.add_argument(
        "--server", metavar="URL", help="have a running server speak; no model is loaded here"
    )
    server.add_argument("--key", metavar="KEY", help="of that server; F5_SERVER_KEY without it")
