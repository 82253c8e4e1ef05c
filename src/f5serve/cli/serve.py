"""`f5serve serve`, `wyoming`, `mcp`, `worker` and `start`: run a server or the RunPod worker."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from f5serve.errors import F5Error
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.http.serve import ServerInfo

_log = logging.getLogger(__name__)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Serve at a terminal."""
    from f5serve.http import serve

    serve.main(_print, args.host, args.port)
    return 0


def run_wyoming(args: argparse.Namespace, settings: Settings) -> int:
    """Serve Home Assistant at a terminal."""
    from f5serve.wyoming import serve

    serve.main(lambda line: print(line, flush=True), args.host, args.port)
    return 0


def run_mcp(args: argparse.Namespace, settings: Settings) -> int:
    """Serve an agent on standard input and output."""
    from f5serve.mcp_server import serve

    folder = Path(args.folder)
    if args.server:
        serve.serve_remote(folder, args.server, args.key or settings.server_key)
    else:
        serve.serve_local(folder)
    return 0


def run_worker(args: argparse.Namespace, settings: Settings) -> int:
    """Take jobs from RunPod's queue; RunPod's SDK reads the options again, by the same names."""
    from f5serve.runpod import worker

    given = {name: value for name, value in vars(args).items() if name.startswith(("rp_", "test_"))}
    options: list[str] = []
    for name, value in given.items():
        if value is True:
            options.append(f"--{name}")
        elif value is not None and value is not False:
            options += [f"--{name}", value]
    return worker.main(options)


def run_start(args: argparse.Namespace, settings: Settings) -> int:
    """Be what F5_MODE says: a worker or a server; everything goes to the log."""
    if settings.mode == "worker":
        from f5serve.runpod import worker

        return worker.main([])
    from f5serve.http import serve

    try:
        serve.main(_log_listening)
    except F5Error as error:
        _log.error("%s: %s %s", error.code, error.message, error.hint)
        return error.exit_code
    return 0


def _print(found: ServerInfo) -> None:
    """Flushed, as the address may be read from a pipe."""
    everywhere = ", and on every other address of this machine" if found.is_everywhere else ""
    print(f"{found.program} listens on {found.url}{everywhere}")
    print(f"  speaker  {found.speaker}")
    print(f"  keys     {found.keys}")
    print(f"  page     {found.url}/")
    print(f"  docs     {found.url}/docs")
    if found.health_url:
        print(f"  /ping    {found.health_url}/ping as well")
    if found.wyoming_url:
        print(f"  wyoming  {found.wyoming_url}")
    print("Speech is made as soon as the model is loaded. Ctrl-C ends it.", flush=True)


def _log_listening(found: ServerInfo) -> None:
    everywhere = ", on all addresses" if found.is_everywhere else ""
    health = f"; /ping on {found.health_url} as well" if found.health_url else ""
    wyoming = f"; Wyoming on {found.wyoming_url}" if found.wyoming_url else ""
    _log.info("listens on %s%s%s%s", found.url, everywhere, health, wyoming)
    _log.info("speaker: %s; keys: %s", found.speaker, found.keys)
