"""The command line: runs one verb and reports its error; returns an exit code."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from f5serve.cli.options import make_parser
from f5serve.errors import F5Error
from f5serve.settings import (
    Settings,
    process_environ,
    read_leniently,
    unknown_names,
    variables_of,
)

INTERNAL = 1
INTERRUPTED = 130
BROKEN_PIPE = 141

COMMANDS = {"list_voices": "f5serve voices list", "upload the voice": "f5serve voices add"}
"""What hints say of operations, and the commands that do it here."""


def run(argv: Sequence[str]) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name.

    Returns:
        The exit code, as listed in --help.
    """
    parser = make_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has printed help, the version or a usage error
        return stop.code if isinstance(stop.code, int) else 2
    as_json = bool(getattr(args, "json", False))
    try:
        if getattr(args, "lenient", False):
            settings, _ = read_leniently(process_environ())
        else:
            settings = Settings.from_environ(_variables(args))
            for sentence in unknown_names():
                print(f"warning: {sentence}", file=sys.stderr)
        _set_up_logging(settings.log_level)
        exit_code = _run_verb(args, settings)
        sys.stdout.flush()
        return exit_code
    except F5Error as error:
        return _report(_for_shells(error.as_dict()), error.exit_code, as_json)
    except KeyboardInterrupt:
        interrupted = {"error": "Interrupted.", "code": "INTERRUPTED", "hint": ""}
        return _report(interrupted, INTERRUPTED, as_json)
    except BrokenPipeError:
        # Python flushes once more at its end; without a reader that would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # the last boundary: a fault is reported with its exit code
        logging.getLogger(__name__).debug("unexpected", exc_info=True)
        return _report(_describe_fault(error), INTERNAL, as_json)


def _run_verb(args: argparse.Namespace, settings: Settings) -> int:
    module, _, function = args.run.partition(".")
    return int(getattr(import_module(f"f5serve.cli.{module}"), function)(args, settings))


def _variables(args: argparse.Namespace) -> dict[str, str]:
    """The environment without variables that options replace: those are not even checked."""
    given = {name for name in getattr(args, "settings", ()) if getattr(args, name) is not None}
    replaced = variables_of(given)
    return {name: value for name, value in process_environ().items() if name not in replaced}


def _set_up_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )


def _for_shells(error: dict[str, str]) -> dict[str, str]:
    """An error whose hint names commands where other entrypoints name operations."""
    hint = error["hint"]
    for operation, command in COMMANDS.items():
        hint = hint.replace(operation, command)
    return {**error, "hint": hint}


def _describe_fault(error: Exception) -> dict[str, str]:
    first_line = (str(error).splitlines() or [""])[0]
    return {
        "error": f"Something unexpected failed, {type(error).__name__}: {first_line.rstrip('.')}.",
        "code": "INTERNAL",
        "hint": "Run it again with F5_LOG_LEVEL=debug and report what it prints.",
    }


def _report(error: dict[str, str], exit_code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps(error))
        return exit_code
    print(f"error: {error['error']}", file=sys.stderr)
    if error["hint"]:
        print(f"hint: {error['hint']}", file=sys.stderr)
    return exit_code
