"""The options of every verb; modules that run them are imported only when a verb is used.

Each verb sets `run`, the name of a function in `f5serve.cli` that takes arguments and settings;
`lenient` where it reports wrong settings itself; `settings`, the settings that its options replace.
"""

from __future__ import annotations

import argparse
from typing import Any

from f5serve import build
from f5serve.cli.book_options import add_book
from f5serve.cli.compare_options import add_compare
from f5serve.cli.model_options import add_models
from f5serve.cli.speech_options import SAY_SETTINGS, TIMING_FORMATS, add_dub, add_speech
from f5serve.cli.text_options import (
    add_lengths,
    add_lexicon,
    add_markup,
    add_reading,
    add_spoken_text,
    add_text,
)
from f5serve.cli.voice_options import add_voices
from f5serve.secrets import SCOPES

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
  141  the reader of standard output went away

Every error is one sentence and, where there is something to do about it, a hint. With --json it
is an object with error, code and hint on standard output. Settings are environment variables
that start with F5_; options go before them.
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
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
    add_dub(verbs)
    add_book(verbs)
    add_compare(verbs)
    add_text(verbs)
    add_voices(verbs)
    add_lexicon(verbs)
    add_jobs(verbs)
    add_models(verbs)
    add_doctor(verbs)
    add_transcribe(verbs)
    add_align(verbs)
    add_keys(verbs)
    add_worker(verbs)
    add_serve(verbs)
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
    add_spoken_text(parser)
    add_speech(parser)
    reading = parser.add_argument_group("text")
    add_reading(reading)
    add_markup(reading)
    add_lengths(reading)
    parser.set_defaults(run="say.run", settings=SAY_SETTINGS)


def add_jobs(verbs: Any) -> None:
    """The options of `jobs`."""
    parser = verbs.add_parser("jobs", help="look into the records of jobs, remove old ones")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    show = actions.add_parser("show", help="print all that is recorded of a job")
    show.add_argument("job_id", metavar="ID")
    show.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    show.set_defaults(run="jobs.run_show")

    gc = actions.add_parser(
        "gc", help="remove jobs, results and cache entries older than F5_RETENTION_DAYS"
    )
    gc.add_argument("--days", type=int, metavar="N", help="instead of F5_RETENTION_DAYS")
    gc.add_argument("--dry-run", action="store_true", help="only print what would go")
    gc.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    gc.set_defaults(run="jobs.run_gc")


def add_doctor(verbs: Any) -> None:
    """The options of `doctor`."""
    parser = verbs.add_parser(
        "doctor",
        help="look at this machine: what is missing, wrong or in the way, and how to mend it",
        description="Look at Python, torch, GPU, disks, memory, settings, store, voices and "
        "models. Nothing is changed; a small object is put into the store and removed. The exit "
        "code is 0 unless something is fatal: then 3 for a setting, 4 for an engine or model, 5 "
        "for a disk or the store, 6 for the device.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only what needs no network and no other process, as a worker does at its start",
    )
    parser.add_argument(
        "--flash-attn", action="store_true", help="name the flash-attn wheel that fits here"
    )
    parser.set_defaults(run="doctor.run", lenient=True)


def add_transcribe(verbs: Any) -> None:
    """The options of `transcribe`."""
    parser = verbs.add_parser(
        "transcribe",
        help="write down what is said in a recording",
        description="Write down what is said in a recording, with the recogniser that "
        "F5_RECOGNISER names. Nothing is fetched.",
    )
    parser.add_argument("file", metavar="AUDIO", help="wav, flac, mp3, ogg or m4a")
    parser.add_argument(
        "--language", default="", metavar="CODE", help="ISO 639-1, e.g. en; else it is found out"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout, with word times"
    )
    parser.set_defaults(run="transcribe.run")


def add_align(verbs: Any) -> None:
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
        "-o", dest="output", metavar="OUT", default="-", help="file; standard output without it"
    )
    parser.add_argument(
        "--format", choices=TIMING_FORMATS, help="else by the ending of OUT, and srt without one"
    )
    parser.add_argument(
        "--mode", choices=["line", "word"], default="line", help="what subtitles show at a time"
    )
    parser.add_argument("--language", default="", metavar="CODE", help="ISO 639-1, e.g. en")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run="transcribe.run_align")


def add_keys(verbs: Any) -> None:
    """The options of `keys`."""
    parser = verbs.add_parser("keys", help="keys for callers of the server")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser(
        "new",
        help="make a key: shown once, and what F5_API_KEYS is to hold of it",
        description="Make a key of 256 random bits. It is shown once and kept nowhere; F5_API_KEYS "
        "holds its SHA-256, of which several are separated by commas.",
    )
    hashing = actions.add_parser(
        "hash",
        help="read a key from standard input and print what F5_API_KEYS is to hold of it",
    )
    for action in (new, hashing):
        action.add_argument(
            "--name",
            default="key",
            metavar="[TENANT/]N",
            help="whose it is: letters, digits, _ . and -",
        )
        action.add_argument(
            "--scope",
            action="append",
            choices=SCOPES,
            default=[],
            help="what it may be used for, may be given again; without it speak and voices for a "
            "key of a tenant, and everything for another one",
        )
        action.add_argument(
            "--expires", default="", metavar="DAY", help="its last day in UTC, e.g. 2027-06-30"
        )
        action.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    signing = actions.add_parser(
        "sign",
        help="print what RunPod jobs send as `tenant`, signed with F5_TENANT_SECRET",
    )
    signing.add_argument("tenant", metavar="TENANT", help="whose jobs they are, e.g. acme")
    signing.add_argument(
        "--expires",
        default="1h",
        metavar="TIME",
        help="how long it is taken: a number and s, m, h or d; 1h without it",
    )
    signing.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    new.set_defaults(run="keys.run_new")
    signing.set_defaults(run="keys.run_sign")
    hashing.set_defaults(run="keys.run_hash")


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
    parser.set_defaults(run="serve.run_worker", lenient=True)


def add_serve(verbs: Any) -> None:
    """The options of `serve`, `wyoming`, `mcp` and `start`."""
    server = verbs.add_parser(
        "serve",
        help="be an HTTP server with OpenAI's contract and a page",
        description="Serve speech over HTTP: OpenAI's contract, voices, jobs, and a page to try "
        "them on. Without settings it listens on this machine alone, keeps everything in a folder "
        "and speaks with F5-TTS if its weights are here, else with the built-in speaker. SIGTERM "
        "and Ctrl-C let running requests end within F5_SHUTDOWN_S; the second one does not.",
    )
    server.add_argument(
        "--host", metavar="HOST", help="address to listen on, e.g. 0.0.0.0; else F5_HOST"
    )
    server.add_argument("--port", metavar="N", type=_port, help="0 takes a free one; else PORT")
    server.set_defaults(run="serve.run", lenient=True)
    wyoming = verbs.add_parser(
        "wyoming",
        help="be a Wyoming server, for Home Assistant",
        description="Speak for Home Assistant: answer the Wyoming protocol, with the voices of the "
        "library. It has no keys, so without settings it listens on this machine alone. `serve` "
        "with F5_WYOMING does the same beside its HTTP. SIGTERM and Ctrl-C let speech end within "
        "F5_SHUTDOWN_S.",
    )
    wyoming.add_argument(
        "--host", metavar="HOST", help="address to listen on; else that of F5_WYOMING, or 127.0.0.1"
    )
    wyoming.add_argument(
        "--port", metavar="N", type=_port, help="0 takes a free one; else F5_WYOMING's, or 10200"
    )
    wyoming.set_defaults(run="serve.run_wyoming", lenient=True)
    agents = verbs.add_parser(
        "mcp",
        help="be an MCP server, for agents",
        description="Give an agent tools to speak, to list and clone voices and to transcribe, by "
        "the Model Context Protocol on standard input and output. Programs with an agent start it "
        "by themselves. It reads and writes files below one folder alone. The model is loaded when "
        "speech is asked for first.",
    )
    agents.add_argument(
        "--folder", metavar="DIR", default=".", help="for files; else the working directory"
    )
    agents.add_argument(
        "--server", metavar="URL", help="have a running server speak; no model is loaded here"
    )
    agents.add_argument("--key", metavar="KEY", help="of that server; F5_SERVER_KEY without it")
    agents.set_defaults(run="serve.run_mcp", lenient=True)
    starting = verbs.add_parser(
        "start",
        help="be what F5_MODE says: a worker or a server",
        description="Be what F5_MODE says: `worker` (the default) takes jobs from RunPod's queue "
        "as `f5serve worker` does; `serve` is the HTTP server of `f5serve serve`, for RunPod's "
        "load balancer or any other place. Everything it has to say is in its log.",
    )
    starting.set_defaults(run="serve.run_start", lenient=True)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise ValueError
    return number


_port.__name__ = "port"  # as argparse names it where it is refused
