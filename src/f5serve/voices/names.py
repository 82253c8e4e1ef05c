"""Names of voices and of their styles: what is allowed, and their keys in the store.

"ana", "ana.wav" and "Ana" are the same voice. An audio extension is not part of a name, and case
does not count, because some file systems distinguish case and some do not.

    voices/NAME.wav, .txt                   external files: put into the store by hand
    voices/_records/name.json               the record, lower-case; records alone are overwritten
    voices/_blobs/name/SHA256.wav           canonical audio, and .txt with its transcript
    voices/_styles/name/style.json          the record of a style
    voices/_styles/name/style/SHA256.wav    its audio, and .txt with its transcript

The record of a style has the name "ana~happy", which no voice can have. "public/ana" is the voice
"ana" of the tenant whose voices everybody may use; it is stored under its own name, there.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NamedTuple

from f5serve.errors import InvalidRequest
from f5serve.secrets import PUBLIC

ROOT = "voices/"
RECORDS = f"{ROOT}_records/"
BLOBS = f"{ROOT}_blobs/"
STYLES = f"{ROOT}_styles/"
DEFAULT_NAME = "default"
MAX_NAME_CHARS = 64
MAX_STYLE_CHARS = 32
MAIN_STYLES = ("regular", "neutral", "default", "main")
"""What others call the main recording of a voice."""

AUDIO_EXTENSIONS = (
    *("wav", "mp3", "flac", "m4a", "ogg", "opus", "aac"),
    *("aif", "aiff", "mp4", "webm", "amr", "wma"),
)
"""File extensions of recordings, the preferred ones first; `txt` is never one of them."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_CHARS - 1}}}")
_STYLE = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{MAX_STYLE_CHARS - 1}}}")
_STYLE_MARK = "~"
_EXTENSION = re.compile(rf"\.({'|'.join(AUDIO_EXTENSIONS)})", re.IGNORECASE)
_OTHER_FILE = re.compile(r".*\.(txt|json|srt|csv)", re.IGNORECASE)
_RECORD = re.compile(rf"(?:{RECORDS}([^/~]+)|{STYLES}([^/~]+)/([^/]+))\.json")
_BLOB = re.compile(rf"(?:{BLOBS}([^/~]+)|{STYLES}([^/~]+)/([^/]+))/[0-9a-f]{{64}}\.(?:wav|txt)")
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\..*)?", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


PUBLIC_PREFIX = f"{PUBLIC}/"
"""Of the names of voices of the tenant `public`, as all others call them."""


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


class VoiceNotFound(InvalidRequest):
    """There is no voice of this name; code VOICE_NOT_FOUND.

    Args:
        near: similar names, the most similar first.
    """

    def __init__(self, name: str, near: tuple[str, ...] = ()) -> None:
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        super().__init__(
            f"There is no voice {name!r}.",
            code="VOICE_NOT_FOUND",
            hint=f"{meant}See list_voices for all names, or upload the voice.",
        )
        self.near = near


class StyleNotFound(InvalidRequest):
    """A voice has no such style; code STYLE_NOT_FOUND.

    Args:
        styles: those that it has.
    """

    def __init__(self, voice: str, style: str, styles: tuple[str, ...]) -> None:
        has = f"It has {', '.join(styles)}." if styles else "It has its main recording alone."
        super().__init__(
            f"The voice {voice!r} has no style {style!r}.",
            code="STYLE_NOT_FOUND",
            hint=f"{has} Leave style out, or upload the voice in that style.",
        )
        self.styles = styles


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


def check_style(text: str) -> str:
    """A style in lower case; "" for every name of the main recording.

    Raises:
        InvalidRequest: code BAD_STYLE_NAME.
    """
    style = text.lower()
    if style in ("", *MAIN_STYLES):
        return ""
    if text.isascii() and _STYLE.fullmatch(style) and not _DEVICE.fullmatch(style):
        return style
    shown = text if len(text) <= 80 else text[:80] + "..."
    raise InvalidRequest(
        f"{shown!a} cannot be the name of a style.",
        code="BAD_STYLE_NAME",
        hint=f"Use up to {MAX_STYLE_CHARS} Latin letters, digits, _ and -, starting with a letter"
        " or digit, for example happy.",
    )


def check_new_style(text: str) -> str:
    """The name of a style that is to be added, in lower case.

    Raises:
        InvalidRequest: code BAD_STYLE_NAME, or RESERVED_STYLE_NAME for the main recording.
    """
    style = check_style(text)
    if not style:
        raise InvalidRequest(
            f"The style {text!r} means the main recording of a voice.",
            code="RESERVED_STYLE_NAME",
            hint="Leave style out to replace the main recording, or choose another name.",
        )
    return style


def record_name(name: str, style: str) -> str:
    """The name of the record of a style; of the voice itself if `style` is empty."""
    return f"{name}{_STYLE_MARK}{style}" if style else name


def split_record_name(name: str) -> tuple[str, str]:
    """Voice and style of the name of a record; "" for the main recording."""
    voice, _, style = name.partition(_STYLE_MARK)
    return voice, style


def describe(voice: str, style: str = "") -> str:
    """A recording, for messages: "voice 'ana'"."""
    return f"style {style!r} of the voice {voice!r}" if style else f"voice {voice!r}"


def is_record_name(name: str) -> bool:
    """Whether a record can have this name."""
    voice, style = split_record_name(name)
    is_style = _STYLE_MARK not in name or _is_style(style)
    return is_style and _is_valid(voice)


def is_default(text: str) -> bool:
    """Whether the name means the packaged voice."""
    return casefold(_without_extension(text)) == DEFAULT_NAME


def is_public(text: str) -> bool:
    """Whether the name is one of a voice of the tenant `public`, as others call it."""
    return casefold(text[: len(PUBLIC_PREFIX)]) == PUBLIC_PREFIX


def own_name(text: str) -> str:
    """The name of a public voice within its own library."""
    return text[len(PUBLIC_PREFIX) :]


def public_name(name: str) -> str:
    """What others call a voice of the tenant `public`."""
    return f"{PUBLIC_PREFIX}{name}"


def read_only_error(name: str) -> InvalidRequest:
    """The error for a change of a public voice through its public name."""
    return InvalidRequest(
        f"The voice {name[:80]!r} belongs to the tenant {PUBLIC} and cannot be changed here.",
        code="VOICE_READ_ONLY",
        hint=f"Add a voice of your own under another name; a key of the tenant {PUBLIC} changes "
        "this one.",
    )


def is_url(text: str) -> bool:
    """Whether `text` is a URL; names have no colon."""
    return _URL.match(text) is not None


def casefold(name: str) -> str:
    """The lower-case form, equal for two names of the same voice."""
    return name.lower()


def record_key(name: str) -> str:
    """Key of a record; `name` comes from `check_name` or `record_name`."""
    voice, style = split_record_name(casefold(name))
    return f"{styles_folder(voice)}{style}.json" if style else f"{RECORDS}{voice}.json"


def styles_folder(name: str) -> str:
    """Prefix of all keys of the styles of a voice."""
    return f"{STYLES}{casefold(name)}/"


def blob_folder(name: str) -> str:
    """Prefix of all audio and text keys of a record."""
    voice, style = split_record_name(casefold(name))
    return f"{styles_folder(voice)}{style}/" if style else f"{BLOBS}{voice}/"


def audio_key(name: str, sha256: str) -> str:
    """Key of canonical audio."""
    return f"{blob_folder(name)}{sha256}.wav"


def text_key(name: str, sha256: str) -> str:
    """Key of the transcript of canonical audio."""
    return f"{blob_folder(name)}{sha256}.txt"


def parse_record_key(key: str) -> str | None:
    """The case-folded name in the key of a record; None for other keys."""
    match = _RECORD.fullmatch(key)
    if match is None:
        return None
    name = match[1] or record_name(match[2], match[3])
    return name if is_record_name(name) and casefold(name) == name else None


def parse_blob_key(key: str) -> str | None:
    """The case-folded name of the record that a blob is kept for; None for other keys."""
    match = _BLOB.fullmatch(key)
    if match is None:
        return None
    return match[1] or record_name(match[2], match[3])


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


def _is_style(text: str) -> bool:
    try:
        return bool(text) and check_style(text) == text
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
