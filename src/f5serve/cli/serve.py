"""`f5serve serve`, the HTTP server at a terminal, and `f5serve start`, what the image runs.

They parse, call and print; what a server is lies in `http.serve`, what a worker is in
`runpod_worker`.
"""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Any

from f5serve.errors import F5Error
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.http.serve import ServerInfo

_log = logging.getLogger(__name__)


def add_parsers(verbs: Any) -> None:
    """The options of `serve` and `start`."""
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
    server.set_defaults(run=_serve, judges_settings=True)
    starting = verbs.add_parser(
        "start",
        help="be what F5_MODE says: a worker or a server",
        description="Be what F5_MODE says: `worker` (the default) takes jobs from RunPod's queue "
        "as `f5serve worker` does; `serve` is the HTTP server of `f5serve serve`, for RunPod's "
        "load balancer or any other place. Everything it has to say is in its log.",
    )
    starting.set_defaults(run=_start, judges_settings=True)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise ValueError
    return number


_port.__name__ = "port"  # as argparse names it where it is refused


def _serve(args: argparse.Namespace, settings: Settings) -> int:
    from f5serve.http import serve

    serve.main(_print, args.host, args.port)
    return 0


def _start(args: argparse.Namespace, settings: Settings) -> int:
    if settings.mode == "worker":
        from f5serve.runpod import worker as runpod_worker

        return runpod_worker.main([])
    from f5serve.http import serve

    try:
        serve.main(_log_listening)
    except F5Error as error:
        _log.error("%s: %s %s", error.code, error.message, error.hint)
        return error.exit_code
    return 0


def _print(found: ServerInfo) -> None:
    """Flushed, as whoever waits for the address may read from a pipe."""
    everywhere = ", and on every other address of this machine" if found.is_everywhere else ""
    print(f"{found.program} listens on {found.url}{everywhere}")
    print(f"  speaker  {found.speaker}")
    print(f"  keys     {found.keys}")
    print(f"  page     {found.url}/")
    print(f"  docs     {found.url}/docs")
    if found.health_url:
        print(f"  /ping    {found.health_url}/ping as well")
    print("Speech is made as soon as the model is loaded. Ctrl-C ends it.", flush=True)


def _log_listening(found: ServerInfo) -> None:
    everywhere = ", on all addresses" if found.is_everywhere else ""
    health = f"; /ping on {found.health_url} as well" if found.health_url else ""
    _log.info("listens on %s%s%s", found.url, everywhere, health)
    _log.info("speaker: %s; keys: %s", found.speaker, found.keys)
