"""The text that a command is to speak or read: an argument, standard input, or of a script file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from f5serve.cli.output import STDOUT
from f5serve.cli.script_file import ScriptFile
from f5serve.errors import InvalidRequest
from f5serve.voices.bulk_import import read_file


def choose_text(args: argparse.Namespace, file: ScriptFile | None, max_chars: int) -> str:
    """The text of the command line, else that of the script file."""
    if args.text is not None or file is None:
        return read_text(args.text, max_chars)
    if file.gen_file is None:
        return file.gen_text
    return read_text_file(file.gen_file, max_chars)


def read_text_file(path: Path, max_chars: int) -> str:
    """The text of a file.

    Raises:
        InvalidRequest: FILE_UNREADABLE, TEXT_TOO_LONG, NOT_TEXT.
    """
    return _decode_text(read_file(path, 4 * max_chars), max_chars, f"The text of {path.name}")


def read_text(text: str, max_chars: int) -> str:
    """The text itself, or standard input for `-`, of which no more is read than may be spoken."""
    if text != STDOUT:
        return text
    data = sys.stdin.buffer.read(4 * max_chars + 1) if sys.stdin else b""  # None when it is closed
    return _decode_text(data, max_chars, "The text on standard input")


def _decode_text(data: bytes, max_chars: int, what: str) -> str:
    if len(data) > 4 * max_chars:  # bytes in UTF-8
        raise InvalidRequest(
            f"{what} has more than {max_chars:,} characters, the limit of one request.",
            code="TEXT_TOO_LONG",
            hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{what} is not UTF-8: byte {error.start + 1:,} is 0x{data[error.start]:02x}.",
            code="NOT_TEXT",
            hint="Send plain text in UTF-8, not a document or an audio file.",
        ) from None
