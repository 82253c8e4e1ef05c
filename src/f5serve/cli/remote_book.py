"""`f5serve book --server URL`: a running server speaks the book; its files are fetched."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from f5serve.cli.client import ServerClient
from f5serve.cli.output import Output, made_folder
from f5serve.cli.remote import refuse_here_alone, refuse_recording
from f5serve.errors import InvalidRequest
from f5serve.service.book_jobs import BookFields
from f5serve.service.book_operations import MAX_BOOK_BYTES
from f5serve.settings import Settings
from f5serve.voices.bulk_import import read_file

_HERE_ALONE = ("acx", "loudness", "subtitles", "epub", "redo", "take", "review", "clean")
"""Options that need the sound or the sentences on this machine."""

_FORMATS = ("m4b", "flac")
_WAIT_S = 2.0


def run(args: argparse.Namespace, settings: Settings, fields: BookFields, book_id: str) -> int:
    """Send the book, wait until it is spoken, and fetch it."""
    format = _check(args)
    data = read_file(Path(args.file), MAX_BOOK_BYTES)
    output = args.output or (f"{book_id}.m4b" if format == "m4b" else book_id)
    if format == "m4b":
        Output(output)
    server = ServerClient(args.server, args.key or settings.server_key)
    form = {"book_id": book_id, "options": json.dumps(fields.options)}
    book = json.loads(server.upload("/v1/books", form, "file", (Path(args.file).name, data)))
    at = f"/v1/books/{quote(book_id, safe='')}"
    print(f"book {book_id} at {server.url}; the same command goes on", file=sys.stderr)
    book = _wait(server, at, book)
    written = _fetch_whole(server, at, output) if format == "m4b" else _fetch(server, at, output)
    if args.json:
        print(json.dumps({"status": "COMPLETED", "book_id": book_id, "files": written}))
    else:
        print(f"{output}: {book['progress']['total']} chapters", file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> str:
    """The format; refuses what a server can do nothing with.

    Raises:
        InvalidRequest: BAD_OPTION, RECORDING_NOT_SENT.
    """
    refuse_here_alone(args, _HERE_ALONE)
    refuse_recording(args.voice, "a book")
    is_file = args.output is None or args.output.lower().endswith(".m4b")
    format = str(args.format or ("m4b" if is_file else "flac"))
    if format not in _FORMATS or (format == "flac" and args.output and is_file):
        raise InvalidRequest(
            f"A server sends a book as m4b, or its chapters as flac, not as {format}.",
            code="BAD_OPTION",
            hint="Give a file .m4b with -o, or a folder and --format flac.",
        )
    return format


def _wait(server: ServerClient, at: str, book: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask for a book until it is spoken.

    Raises:
        InvalidRequest: a chapter failed, with its code; BOOK_PAUSED.
    """
    done = -1
    while book["status"] != "COMPLETED":
        if book["progress"]["done"] != done:
            done = book["progress"]["done"]
            print(f"spoken {done} of {book['progress']['total']} chapters", file=sys.stderr)
        if book["status"] == "PAUSED":
            raise InvalidRequest("The book is paused.", code="BOOK_PAUSED", hint="Resume it.")
        if book["status"] not in ("QUEUED", "PROCESSING"):
            raise _failure(server, at)
        time.sleep(_WAIT_S if done else _WAIT_S / 4)
        book = json.loads(server.get(f"{at}?limit=1"))
    return book


def _failure(server: ServerClient, at: str) -> InvalidRequest:
    """The error of the first chapter that failed."""
    for chapter in _chapters(server, at):
        if found := chapter.get("failure"):
            return InvalidRequest(
                f"Chapter {chapter['number']}: {found['message']}",
                code=found["code"],
                hint=found.get("hint") or "Send the book again.",
            )
    hint = "Send the book again."
    return InvalidRequest("The book was cancelled.", code="JOB_CANCELLED", hint=hint)


def _chapters(server: ServerClient, at: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = json.loads(server.get(f"{at}?limit=200&after={after}"))
        found += page["chapters"]
        after = page["next"]
    return found


def _fetch_whole(server: ServerClient, at: str, output: str) -> list[str]:
    """The m4b, once the server has written it."""
    while True:
        with server.open(f"{at}/audio") as response:
            if response.header("Content-Type").startswith("audio/"):
                Output(output).write_parts(response.parts())
                return [output]
            b"".join(response.parts())
        time.sleep(_WAIT_S / 4)


def _fetch(server: ServerClient, at: str, output: str) -> list[str]:
    """A file for each chapter."""
    folder = Path(output)
    written = []
    with made_folder(folder):
        chapters = _chapters(server, at)
        for place, chapter in enumerate(chapters, 1):
            path = str(folder / f"{place:0{len(str(len(chapters)))}d}.flac")
            with server.open(f"{at}/chapters/{chapter['number']}/audio") as response:
                Output(path).write_parts(response.parts())
            written.append(path)
    return written
