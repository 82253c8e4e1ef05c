"""What a voice may be called, and under which keys of the store it lies.

A name that somebody wrote flows in, a name or a key that is safe everywhere flows out. "ana",
"ana.wav" and "Ana" are one voice: an ending of audio files does not count, nor do capitals, since
some file systems tell them apart and some do not. This module must not know what lies under a key.

    voices/NAME.wav, .txt            files that a person dropped in by hand
    voices/_records/name.json        the record, in lower case; the only one that is overwritten
    voices/_blobs/name/SHA256.wav    canonical audio, and .txt with its words
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NamedTuple

from f5serve.errors import InvalidRequest

ROOT = "voices/"
RECORDS = f"{ROOT}_records/"
BLOBS = f"{ROOT}_blobs/"
DEFAULT_NAME = "default"
MAX_NAME_CHARS = 64

AUDIO_ENDINGS = (
    *("wav", "mp3", "flac", "m4a", "ogg", "opus", "aac"),
    *("aif", "aiff", "mp4", "webm", "amr", "wma"),
)
"""Endings of recordings, in the order in which they are preferred; not one of them is `txt`."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_CHARS - 1}}}")
_ENDING = re.compile(rf"\.({'|'.join(AUDIO_ENDINGS)})", re.IGNORECASE)
_OTHER_FILE = re.compile(r".*\.(txt|json|srt|csv)", re.IGNORECASE)
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\..*)?", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Dropped(NamedTuple):
    """A recording that lies in the store beside no record: its name, and its ending as written."""

    name: str
    ending: str

    @property
    def audio_key(self) -> str:
        """Where the recording lies."""
        return f"{ROOT}{self.name}.{self.ending}"

    @property
    def text_key(self) -> str:
        """Where its transcript is looked for."""
        return f"{ROOT}{self.name}.txt"


def check_name(text: str) -> str:
    """The name of a voice as it is kept, without an ending of audio files.

    Raises:
        InvalidRequest: code BAD_VOICE_NAME, or RESERVED_VOICE_NAME for "default" and the names of
            devices on Windows.
    """
    name = _plain(text)
    why = _why_not(name)
    if why is not None:
        raise _refused(text, why)
    if _is_reserved(name):
        raise InvalidRequest(
            f"{name!r} is reserved and cannot be a voice of the library.",
            code="RESERVED_VOICE_NAME",
            hint="Choose another name.",
        )
    return name


def is_default(text: str) -> bool:
    """Whether the packaged voice is meant."""
    return fold(_plain(text)) == DEFAULT_NAME


def is_url(text: str) -> bool:
    """Whether `text` is meant as a URL rather than as a name, which holds no colon."""
    return _URL.match(text) is not None


def fold(name: str) -> str:
    """What is equal for two names that mean one voice."""
    return name.lower()


def record_key(name: str) -> str:
    """Where the record of a voice lies; `name` comes from `check_name`."""
    return f"{RECORDS}{fold(name)}.json"


def blob_folder(name: str) -> str:
    """What all audio and text of a voice lie under, so that it can be removed with nobody asked."""
    return f"{BLOBS}{fold(name)}/"


def audio_key(name: str, sha256: str) -> str:
    """Where canonical audio lies."""
    return f"{blob_folder(name)}{sha256}.wav"


def text_key(name: str, sha256: str) -> str:
    """Where the words of canonical audio lie."""
    return f"{blob_folder(name)}{sha256}.txt"


def name_of_record(key: str) -> str | None:
    """The folded name behind the key of a record, None for other keys."""
    if not key.startswith(RECORDS) or not key.endswith(".json"):
        return None
    name = key.removeprefix(RECORDS).removesuffix(".json")
    return name if _is_kept(name) and fold(name) == name else None


def read_dropped(key: str) -> Dropped | None:
    """The recording behind a key, None for keys of anything else."""
    if not key.startswith(ROOT):
        return None
    name, ending = _split_ending(key.removeprefix(ROOT))
    return Dropped(name, ending) if ending and _is_kept(name) else None


def suggest_name(text: str) -> str:
    """A name that can be kept unless it is reserved, from one in any script; the same each time.

    Letters are spelled as Latin ones where they are made of them, else by their numbers in Unicode.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain)
    plain = re.sub(r"\.{2,}", ".", plain).strip("._-")
    if not plain:
        spelled = [f"{ord(char):x}" for char in text if char.isalnum()]
        plain = f"u{'-'.join(spelled)}" if spelled else "voice"
        if len(plain) > MAX_NAME_CHARS:
            plain = f"u{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}"
    plain = plain[:MAX_NAME_CHARS].rstrip(".")
    return plain if _why_not(plain) is None else plain.replace(".", "_")


def _is_kept(name: str) -> bool:
    try:
        return check_name(name) == name
    except InvalidRequest:
        return False


def _is_reserved(name: str) -> bool:
    return _DEVICE.fullmatch(name) is not None or fold(name) == DEFAULT_NAME


def _why_not(name: str) -> str | None:
    """Why a voice cannot be called so; None where it can."""
    if not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
        return "Latin letters, digits, _, - and . (single, not at the end) are allowed"
    if _split_ending(name)[1] or _OTHER_FILE.fullmatch(name):
        return "it ends like a file of another kind"
    return None


def _plain(text: str) -> str:
    if len(text) > 4 * MAX_NAME_CHARS:
        raise _refused(text, f"{MAX_NAME_CHARS} characters are the most")
    return _split_ending(unicodedata.normalize("NFC", text))[0]


def _split_ending(text: str) -> tuple[str, str]:
    """A name and its ending without the dot, "" when it is not one of audio files."""
    stem, _, ending = text.rpartition(".")
    return (stem, ending) if stem and _ENDING.fullmatch(f".{ending}") else (text, "")


def _refused(text: str, why: str) -> InvalidRequest:
    shown = text if len(text) <= 80 else text[:80] + "..."
    example = suggest_name(_split_ending(shown)[0])
    return InvalidRequest(
        f"{shown!a} cannot be the name of a voice: {why}.",
        code="BAD_VOICE_NAME",
        hint=f"Use up to {MAX_NAME_CHARS} Latin letters, digits, _, - and ., starting with a letter"
        f" or digit, for example {'ana' if _is_reserved(example) else example}.",
    )
