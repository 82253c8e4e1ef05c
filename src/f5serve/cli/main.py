"""The command line: words in, an exit code out.

It parses, calls and prints. What a verb does, and every library beyond Python's own, is imported
when the verb is used, so that --help and --version stay quick.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from f5serve import build
from f5serve.cli import align as cli_align
from f5serve.cli import doctor as cli_doctor
from f5serve.cli import jobs as cli_jobs
from f5serve.cli import keys as cli_keys
from f5serve.cli import models_parser as cli_models_parser
from f5serve.cli import serve as cli_serve
from f5serve.cli import transcribe as cli_transcribe
from f5serve.errors import F5Error
from f5serve.number_formats import FORMATS
from f5serve.settings import Settings, process_environ, unknown_names, variables_of

INTERRUPTED = 130
INTERNAL = 1
NOBODY_READS = 141

EPILOG = """\
exit codes:
  0    done
  1    a fault in f5serve itself (code INTERNAL)
  2    the command line could not be understood
  3    what was asked cannot be done: text, option, voice or recording
  4    no usable model: missing, damaged, not installed or not permitted
  5    a disk, bucket or hub failed, or the output cannot be written
  6    the device failed while computing
  130  interrupted
  141  whoever read standard output went away

Every error is one sentence and, where there is something to do about it, a hint. With --json it
is an object with error, code and hint on standard output. Settings are environment variables
that start with F5_; options go before them.
"""


COMMANDS = {"list_voices": "f5serve voices list", "upload the voice": "f5serve voices add"}
"""What hints say of operations, and the commands that do it here."""


OVERRIDES = (
    *("engine", "model", "ckpt", "vocab", "arch", "vocoder"),
    *("device", "dtype", "threads", "quality"),
)
"""Settings that options of `say` stand for."""


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
        if getattr(args, "judges_settings", False):  # and names what is wrong with them itself
            from f5serve.settings import read_leniently

            settings, _ = read_leniently(process_environ())
        else:
            settings = Settings.from_environ(_variables(args))
            for sentence in unknown_names():
                print(f"warning: {sentence}", file=sys.stderr)
        _set_up_logging(settings.log_level)
        exit_code = int(args.run(args, settings))
        sys.stdout.flush()
        return exit_code
    except F5Error as error:
        return _report(_for_shells(error.as_dict()), error.exit_code, as_json)
    except KeyboardInterrupt:
        said = {"error": "Interrupted.", "code": "INTERRUPTED", "hint": ""}
        return _report(said, INTERRUPTED, as_json)
    except BrokenPipeError:
        # Python flushes once more at its end; without a reader that would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except Exception as error:
        logging.getLogger(__name__).debug("unexpected", exc_info=True)
        return _report(_describe_fault(error), INTERNAL, as_json)


def _variables(args: argparse.Namespace) -> dict[str, str]:
    """The environment without what options stand for: a value that nobody reads is not judged."""
    given = {name for name in getattr(args, "overrides", ()) if getattr(args, name) is not None}
    unread = variables_of(given)
    return {name: value for name, value in process_environ().items() if name not in unread}


def make_parser() -> argparse.ArgumentParser:
    """The parser of all verbs; each sets `run`, a function of arguments and settings."""
    parser = Parser(
        prog="f5serve",
        description="Turn text into speech in a cloned voice with F5-TTS.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=_ShowVersion, nargs=0, help="print version and commit, and exit"
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    add_say(verbs)
    add_voices(verbs)
    cli_jobs.add_parser(verbs)
    cli_models_parser.add_parser(verbs)
    cli_doctor.add_parser(verbs)
    cli_transcribe.add_parser(verbs)
    cli_align.add_parser(verbs)
    cli_keys.add_parser(verbs)
    add_worker(verbs)
    cli_serve.add_parsers(verbs)
    return parser


class Parser(argparse.ArgumentParser):
    """A parser that refuses an option with two values: which of them was meant is not known."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for action in (None, "store"):
            self.register("action", action, _StoreOnce)


class _StoreOnce(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given: set[str] = vars(namespace).setdefault("options_given", set())
        if option_string and self.dest in given:
            parser.error(f"argument {'/'.join(self.option_strings)}: given twice; it takes one")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        print(build.stamp())
        parser.exit(0)


def add_say(verbs: Any) -> None:
    """The options of `say`."""
    parser = verbs.add_parser("say", help="speak a text into a file", epilog="See f5serve --help.")
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads it from standard input")
    parser.add_argument(
        "-o", dest="output", metavar="OUT", help="file, else speech.wav; - is stdout"
    )
    parser.add_argument("--format", choices=["wav", "mp3", "opus", "flac", "aac", "pcm"])
    parser.add_argument(
        "--timings",
        action="append",
        default=[],
        choices=cli_align.FORMATS,
        help="write when each word is heard beside OUT; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    voice = parser.add_argument_group("voice")
    voice.add_argument(
        "-v", dest="voice", metavar="VOICE", default="default", help="a recording, or a name"
    )
    voice.add_argument("--ref-text", metavar="T", help="the words spoken in that recording")
    voice.add_argument("--ref-text-file", metavar="F", help="or a file that holds them")

    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--quality", choices=["fast", "balanced", "quality"])
    sampling.add_argument("--nfe-step", type=int, metavar="N", help="1..64, instead of --quality")
    sampling.add_argument("--cfg-strength", type=float, metavar="X", help="0..10")
    sampling.add_argument(
        "--sway", dest="sway_sampling_coef", type=float, metavar="X", help="-1..1"
    )
    sampling.add_argument("--speed", type=float, metavar="X", help="0.25..4, 1 is as the reference")
    sampling.add_argument("--seed", type=int, metavar="N")
    sampling.add_argument("--cross-fade-s", type=float, default=0.15, metavar="S", help="0..5")
    sampling.add_argument("--remove-silence", action="store_true", help="shorten long pauses")
    sampling.add_argument(
        "--verify", action="store_true", help="hear it, and say again what is not understood"
    )

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

    server = parser.add_argument_group("server")
    server.add_argument(
        "--server", metavar="URL", help="have a running server speak; no model is loaded here"
    )
    server.add_argument("--key", metavar="KEY", help="of that server; F5_SERVER_KEY without it")
    parser.set_defaults(run=_run_say, overrides=OVERRIDES)


def add_voices(verbs: Any) -> None:
    """The actions of `voices` and their options."""
    parser = verbs.add_parser("voices", help="voices that can be asked for by name")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all of them: the library's and those built in")
    adding = actions.add_parser("add", help="keep a recording under a name")
    removing = actions.add_parser(
        "remove", aliases=["delete"], help="remove a voice of the library for good"
    )
    sweeping = actions.add_parser(
        "gc", help="remove recordings that no voice refers to any more, an hour after they were put"
    )
    importing = actions.add_parser(
        "import",
        help="keep every recording of a folder",
        description="Keep every recording of a folder under its file's name. Its words are read "
        "from a .txt, .srt or .csv file of the same name, or from a table in the folder whose "
        "first line is file,text. Exit code 3 when a recording could not be used.",
    )

    adding.add_argument("name", metavar="NAME")
    adding.add_argument("file", metavar="FILE", help="wav, flac, mp3, ogg or m4a")
    adding.add_argument("--ref-text", metavar="T", help="the words spoken in it")
    adding.add_argument("--ref-text-file", metavar="F", help="or a file; default: FILE's .txt")
    adding.add_argument("--language", default="", metavar="CODE", help="ISO 639-1, e.g. en")
    removing.add_argument("name", metavar="NAME")
    removing.add_argument(
        "--with-results",
        action="store_true",
        help="and all speech that was made in it: jobs, their audio, texts and word times",
    )
    sweeping.add_argument("--dry-run", action="store_true", help="only tell what would go")
    importing.add_argument("folder", metavar="FOLDER")
    for action in (adding, importing):
        action.add_argument("--consent-by", metavar="WHO", help="who attests the speaker's consent")
    for action in (listing, adding, removing, sweeping, importing):
        action.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run=_run_voices)


def add_worker(verbs: Any) -> None:
    """The options of `worker`; RunPod's SDK reads them again, by the same names."""
    parser = verbs.add_parser(
        "worker",
        help="be a RunPod Serverless worker",
        description="Take jobs from the endpoint that RunPod has started this process for. "
        "Elsewhere, answer one test job or serve RunPod's local test API.",
    )
    parser.add_argument("--test_input", metavar="JSON", help='e.g. {"input": {"text": "Hello."}}')
    parser.add_argument("--rp_serve_api", action="store_true", help="serve the local test API")
    parser.add_argument("--rp_api_host", metavar="HOST")
    parser.add_argument("--rp_api_port", metavar="N")
    parser.add_argument("--rp_log_level", metavar="LEVEL", help="ERROR, WARN, INFO or DEBUG")
    parser.set_defaults(run=_run_worker, judges_settings=True)


def _run_worker(args: argparse.Namespace, settings: Settings) -> int:
    from f5serve.runpod import worker as runpod_worker

    given = {name: value for name, value in vars(args).items() if name.startswith(("rp_", "test_"))}
    options: list[str] = []
    for name, value in given.items():
        if value is True:
            options.append(f"--{name}")
        elif value is not None and value is not False:
            options += [f"--{name}", value]
    return runpod_worker.main(options)


def _run_say(args: argparse.Namespace, settings: Settings) -> int:
    if args.server:
        from f5serve.cli import remote as cli_remote

        return cli_remote.run(args, settings)
    from f5serve.cli import say as cli_say

    return cli_say.run(args, settings)


def _run_voices(args: argparse.Namespace, settings: Settings) -> int:
    from f5serve.cli import voices as cli_voices

    return cli_voices.run(args, settings)


def _set_up_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )


def _for_shells(said: dict[str, str]) -> dict[str, str]:
    """An error whose hint names commands where other entrypoints name operations."""
    hint = said["hint"]
    for operation, command in COMMANDS.items():
        hint = hint.replace(operation, command)
    return {**said, "hint": hint}


def _describe_fault(error: Exception) -> dict[str, str]:
    first_line = (str(error).splitlines() or [""])[0]
    return {
        "error": f"Something unexpected failed, {type(error).__name__}: {first_line.rstrip('.')}.",
        "code": "INTERNAL",
        "hint": "Run it again with F5_LOG_LEVEL=debug and report what it prints.",
    }


def _report(said: dict[str, str], exit_code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps(said))
        return exit_code
    print(f"error: {said['error']}", file=sys.stderr)
    if said["hint"]:
        print(f"hint: {said['hint']}", file=sys.stderr)
    return exit_code
