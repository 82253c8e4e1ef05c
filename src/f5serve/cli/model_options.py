"""The options of `f5serve models`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

MODEL_DTYPES = {"fp16": "float16", "fp32": "float32"}


def add_models(verbs: Any) -> None:
    """The options of `models`."""
    parser = verbs.add_parser(
        "models", help="list, register, pull, verify, convert, push and sync weights"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="what can be had, under which licence, what is here")
    adding = actions.add_parser("add", help="register a model of your own, of any repository")
    removing = actions.add_parser("remove", help="forget a model of your own; its weights stay")
    pulling = actions.add_parser("pull", help="bring a model and its vocoder onto this machine")
    checking = actions.add_parser("verify", help="hash what is here; exit code 4 if any is wrong")
    converting = actions.add_parser("convert", help="make the small artifact that loads fast")
    pushing = actions.add_parser("push", help="put a model of this machine into the store")
    syncing = actions.add_parser("sync", help="bring a model from the store onto this machine")

    pulling.add_argument("model", metavar="MODEL", help="see: f5serve models list; or aligner")
    checking.add_argument("models", metavar="MODEL", nargs="*", help="default: all that are here")
    converting.add_argument("model", metavar="MODEL|FILE", help="a pulled model, or a checkpoint")
    converting.add_argument("--arch", metavar="ARCH", help="architecture; needed for a FILE")
    converting.add_argument("-o", dest="output", metavar="OUT", type=Path, help="where to write it")
    converting.add_argument(
        "--dtype", choices=list(MODEL_DTYPES), default="fp16", help="fp32 doubles it for CPUs"
    )
    pushing.add_argument("model", metavar="MODEL", help="a pulled model")
    pushing.add_argument(
        "--dtype",
        choices=[*MODEL_DTYPES, "published"],
        default="fp16",
        help="converted, which is made when it is not there; or the file as it was published",
    )
    pushing.add_argument(
        "--again", action="store_true", help="send what the store says it has, too: heals it"
    )
    syncing.add_argument("model", metavar="MODEL", help="see: f5serve models list --store")
    syncing.add_argument(
        "--remove-others", action="store_true", help="then remove its other versions, to make room"
    )
    listing.add_argument("--store", action="store_true", help="look into the store, too")
    listing.add_argument(
        "--language", type=str.lower, metavar="CODE", help="only those that speak it, e.g. vi"
    )
    listing.add_argument(
        "--commercial", action="store_true", help="only those whose licence permits commercial use"
    )
    _add_registration(adding)
    removing.add_argument("name", metavar="NAME", help="as it was added")
    for action in (listing, adding, removing, pulling, checking, converting, pushing, syncing):
        action.add_argument("--json", action="store_true", help="print JSON on stdout")
    parser.set_defaults(run="models.run")


def _add_registration(parser: argparse.ArgumentParser) -> None:
    """The options of `models add`."""
    parser.add_argument("name", metavar="NAME", help="what F5_MODEL is to call it")
    parser.add_argument("--repo", required=True, metavar="OWNER/REPO", help="where the hub has it")
    parser.add_argument("--file", required=True, metavar="PATH", help="checkpoint in it")
    parser.add_argument(
        "--vocab", default="", metavar="PATH", help="else the vocab.txt nearest to FILE"
    )
    parser.add_argument("--arch", required=True, metavar="ARCH", help="e.g. F5TTS_Base")
    parser.add_argument(
        "--language", nargs="+", action="extend", default=[], metavar="CODE", help="e.g. de en"
    )
    parser.add_argument("--license", default="", metavar="SPDX", help="as its page states it")
    parser.add_argument("--commercial", action="store_true", help="that licence permits it")
    parser.add_argument("--revision", metavar="SHA", help="commit; else that of the first pull")
    parser.add_argument("--lower-case", action="store_true", help="it knows no capital letters")
    parser.add_argument(
        "--prefix", default="", metavar="TOKEN", help="line of its vocabulary before each text"
    )
