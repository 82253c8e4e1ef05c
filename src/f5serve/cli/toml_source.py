"""TOML files with the line of each key, for errors; read in linear time."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.voices.bulk_import import read_file

CODE = "BAD_SCRIPT_FILE"

MAX_FILE_BYTES = 1_000_000
MAX_KEY_PARTS = 16
"""Of a key with dots: tomllib takes 23 s for one key of 40,000 parts."""

_MAX_SHOWN = 60
_MAX_CANDIDATES = 20
_STRINGS = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:"""|\\?\Z)'
    r"|'''(?:[^']++|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]++|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_DEEP_KEY = re.compile(rf"(?<![\w.-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MAX_KEY_PARTS}}}")


@dataclass(frozen=True, slots=True)
class TomlSource:
    """A TOML file as it was read.

    Attributes:
        path: as it was given.
        text: its content.
        document: the same, parsed.
    """

    path: Path
    text: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the file, for people."""
        return self.path.name[-_MAX_SHOWN:]

    def error(self, key: str, what: str, hint: str, table: tuple[str, ...] = ()) -> InvalidRequest:
        """The error for a key; its sentence names file, line and key.

        Args:
            what: is wrong with it, the rest of the sentence.
            table: that holds the key, e.g. ("voices", "town"); empty for the top of the file.
        """
        line = self._line(key, table)
        place = f"{self.name}, line {line}" if line else self.name
        return InvalidRequest(f"{place}: {'.'.join((*table, key))} {what}.", code=CODE, hint=hint)

    def _line(self, key: str, table: tuple[str, ...]) -> int | None:
        """The line where a key of a table gets its value; None if that is in an inline table.

        A line that begins like it can be part of a string: the key is put there and parsed.
        """
        begins = re.compile(rf"[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=")
        lines = self.text.split("\n")
        candidates = [number for number, line in enumerate(lines) if begins.match(line)]
        for number in candidates[:_MAX_CANDIDATES]:
            before = "\n".join(lines[:number])
            try:
                found: Any = tomllib.loads(f"{before}\n{key} = true\n")
                for part in (*table, key):
                    found = found[part]
            except (ValueError, KeyError, TypeError):
                continue
            if found is True:
                return number + 1
        return None


def read_toml(path: Path) -> TomlSource:
    """Read a TOML file.

    Raises:
        InvalidRequest: FILE_UNREADABLE; BAD_SCRIPT_FILE if it is too large, or no TOML in UTF-8.
    """
    data = read_file(path, MAX_FILE_BYTES)
    source = TomlSource(path, "", {})
    if len(data) > MAX_FILE_BYTES:
        raise InvalidRequest(
            f"{source.name} has more than {MAX_FILE_BYTES:,} bytes.",
            code=CODE,
            hint="Put the text into a file of its own and name that as gen_file.",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidRequest(
            f"{source.name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8.",
            code=CODE,
            hint="Save the file as plain text in UTF-8.",
        ) from None
    text = text.replace("\r\n", "\n")
    if deep := _DEEP_KEY.search(_STRINGS.sub("s", text)):
        raise InvalidRequest(
            f"{source.name}: the key {deep[0][:_MAX_SHOWN]!r} has more than {MAX_KEY_PARTS} parts.",
            code=CODE,
            hint="Keys are names such as speed, or voices.NAME.speed.",
        )
    return TomlSource(path, text, _parse(source.name, text))


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        why = "brackets are nested too deeply"
    except ValueError as error:  # TOMLDecodeError is one; so is a number of 5,000 digits
        why = str(error).split("\n", 1)[0].rstrip(".")[:200]
    raise InvalidRequest(
        f"{name} is not TOML: {why}.",
        code=CODE,
        hint="Strings stand in quotes, those with backslashes in 'single' ones, texts of several "
        'lines in """three""".',
    )


def shown(value: object) -> str:
    """A value of a file, for a sentence; not more of it than that takes."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
