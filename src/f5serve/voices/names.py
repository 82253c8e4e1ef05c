"""Names of voices: what is allowed, and the keys of a voice in the store.

"ana", "ana.wav" and "Ana" are the same voice. An audio extension is not part of a name, and case
does not count, because some file systems distinguish case and some do not.

    voices/NAME.wav, .txt            external files: put into the store by hand
    voices/_records/name.json        the record, lower-case; the only key that is overwritten
    voices/_blobs/name/SHA256.wav    canonical audio, and .txt with its transcript
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

AUDIO_EXTENSIONS = (
    *("wav", "mp3", "flac", "m4a", "ogg", "opus", "aac"),
    *("aif", "aiff", "mp4", "webm", "amr", "wma"),
)
"""File extensions of recordings, the preferred ones first; `txt` is never one of them."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_CHARS - 1}}}")
_EXTENSION = re.compile(rf"\.({'|'.join(AUDIO_EXTENSIONS)})", re.IGNORECASE)
_OTHER_FILE = re.compile(r".*\.(txt|json|srt|csv)", re.IGNORECASE)
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\..*)?", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class ExternalFile(NamedTuple):
    """A recording that a person put into the store by hand."""

    name: str
    extension: str  # as written, without the dot

    @property
    def audio_key(self) -> str:
        """Key of the recording."""
        return f"{ROOT}{self.name}.{self.extension}"

    @property
    def text_key(self) -> str:
        """Key of its transcript, which may be missing."""
        return f"{ROOT}{self.name}.txt"


def check_name(text: str) -> str:
    """The name of a voice as it is stored: without an audio extension.

    Raises:
        InvalidRequest: code BAD_VOICE_NAME, or RESERVED_VOICE_NAME for "default" and device names
            of Windows.
    """
    name = _without_extension(text)
    why = _fault(name)
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
    """Whether the name means the packaged voice."""
    return casefold(_without_extension(text)) == DEFAULT_NAME


def is_url(text: str) -> bool:
    """Whether `text` is a URL; names have no colon."""
    return _URL.match(text) is not None


def casefold(name: str) -> str:
    """The lower-case form, equal for two names of the same voice."""
    return name.lower()


def record_key(name: str) -> str:
    """Key of the record of a voice; `name` comes from `check_name`."""
    return f"{RECORDS}{casefold(name)}.json"


def blob_folder(name: str) -> str:
    """Prefix of all audio and text keys of a voice."""
    return f"{BLOBS}{casefold(name)}/"


def audio_key(name: str, sha256: str) -> str:
    """Key of canonical audio."""
    return f"{blob_folder(name)}{sha256}.wav"


def text_key(name: str, sha256: str) -> str:
    """Key of the transcript of canonical audio."""
    return f"{blob_folder(name)}{sha256}.txt"


def parse_record_key(key: str) -> str | None:
    """The case-folded name in the key of a record; None for other keys."""
    if not key.startswith(RECORDS) or not key.endswith(".json"):
        return None
    name = key.removeprefix(RECORDS).removesuffix(".json")
    return name if _is_valid(name) and casefold(name) == name else None


def parse_external_key(key: str) -> ExternalFile | None:
    """The external file with this key; None if the key is not one of an external recording."""
    if not key.startswith(ROOT):
        return None
    name, extension = _split_extension(key.removeprefix(ROOT))
    return ExternalFile(name, extension) if extension and _is_valid(name) else None


def suggest_name(text: str) -> str:
    """A valid name derived from text in any script; deterministic. It may be a reserved one.

    Accented Latin letters lose their accents; other scripts are written as code points.
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
    return plain if _fault(plain) is None else plain.replace(".", "_")


def _is_valid(name: str) -> bool:
    try:
        return check_name(name) == name
    except InvalidRequest:
        return False


def _is_reserved(name: str) -> bool:
    return _DEVICE.fullmatch(name) is not None or casefold(name) == DEFAULT_NAME


def _fault(name: str) -> str | None:
    """What is wrong with a name; None if it is valid."""
    if not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
        return "Latin letters, digits, _, - and . (single, not at the end) are allowed"
    if _split_extension(name)[1] or _OTHER_FILE.fullmatch(name):
        return "it ends like a file of another kind"
    return None


def _without_extension(text: str) -> str:
    if len(text) > 4 * MAX_NAME_CHARS:
        raise _refused(text, f"{MAX_NAME_CHARS} characters are the most")
    return _split_extension(unicodedata.normalize("NFC", text))[0]


def _split_extension(text: str) -> tuple[str, str]:
    """A name and its audio extension without the dot; "" without an audio extension."""
    stem, _, extension = text.rpartition(".")
    return (stem, extension) if stem and _EXTENSION.fullmatch(f".{extension}") else (text, "")


def _refused(text: str, why: str) -> InvalidRequest:
    shown = text if len(text) <= 80 else text[:80] + "..."
    example = suggest_name(_split_extension(shown)[0])
    return InvalidRequest(
        f"{shown!a} cannot be the name of a voice: {why}.",
        code="BAD_VOICE_NAME",
        hint=f"Use up to {MAX_NAME_CHARS} Latin letters, digits, _, - and ., starting with a letter"
        f" or digit, for example {'ana' if _is_reserved(example) else example}.",
    )
