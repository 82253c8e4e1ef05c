"""The options of `f5serve models`; its actions are in `cli_models`, imported when one is used."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from f5serve.settings import Settings

DTYPES = {"fp16": "float16", "fp32": "float32"}


def add_parser(subparsers: Any) -> None:
    """Add `models` and its actions to the verbs of the command line."""
    parser = subparsers.add_parser(
        "models", help="list, pull, verify, convert, push and sync weights"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="what can be had, under which licence, what is here")
    pulling = actions.add_parser("pull", help="bring a model and its vocoder onto this machine")
    checking = actions.add_parser("verify", help="hash what is here; exit code 4 if any is wrong")
    converting = actions.add_parser("convert", help="make the small artifact that loads fast")
    pushing = actions.add_parser("push", help="put a model of this machine into the store")
    syncing = actions.add_parser("sync", help="bring a model from the store onto this machine")

    pulling.add_argument("model", metavar="MODEL", help="see: f5serve models list")
    checking.add_argument("models", metavar="MODEL", nargs="*", help="default: all that are here")
    converting.add_argument("model", metavar="MODEL|FILE", help="a pulled model, or a checkpoint")
    converting.add_argument("--arch", metavar="ARCH", help="architecture; needed for a FILE")
    converting.add_argument("-o", dest="output", metavar="OUT", type=Path, help="where to write it")
    converting.add_argument(
        "--dtype", choices=list(DTYPES), default="fp16", help="fp32 doubles it for CPUs"
    )
    pushing.add_argument("model", metavar="MODEL", help="a pulled model")
    pushing.add_argument(
        "--dtype",
        choices=[*DTYPES, "published"],
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
    for action in (listing, pulling, checking, converting, pushing, syncing):
        action.add_argument("--json", action="store_true", help="print JSON on stdout")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, settings: Settings) -> int:
    from f5serve.cli import models as cli_models

    return cli_models.run(args, settings)
