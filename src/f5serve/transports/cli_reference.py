"""The voice of `say -v`: a recording with the words spoken in it, or a name.

Arguments flow in, a `Voice` flows out. Files are looked at before they are read.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from f5serve.audio.decode import DecodeLimits
from f5serve.audio.refusals import refuse
from f5serve.boot import Choice
from f5serve.errors import InvalidRequest
from f5serve.standin.kokoro import voice_names
from f5serve.types import Voice
from f5serve.voices.default import default_voice
from f5serve.voices.prepare import prepare_voice

DEFAULT = "default"
MAX_REF_TEXT_BYTES = 65_536


def read_voice(args: argparse.Namespace, choice: Choice) -> Voice:
    """The voice that was asked for.

    Raises:
        InvalidRequest: UNKNOWN_VOICE, REF_TEXT_REQUIRED, FILE_UNREADABLE, NOT_TEXT.
        BadAudio: whatever is wrong with the recording.
    """
    path = Path(args.voice)
    if args.voice == DEFAULT:
        return default_voice()
    if args.voice in voice_names() and not path.exists():
        return _standin_voice(args.voice, choice)
    if not path.is_file():
        raise InvalidRequest(
            f"There is no recording {args.voice!r}, nor a voice of that name.",
            code="UNKNOWN_VOICE",
            hint="Give the path of a wav, flac, mp3, ogg or m4a file, or a name of: "
            "f5serve voices list",
        )
    ref_text = _read_ref_text(args, path)
    return prepare_voice(path.stem, _read_recording(path), ref_text)


def _standin_voice(name: str, choice: Choice) -> Voice:
    if choice.kind != "standin":
        raise InvalidRequest(
            f"{name} is a voice of the stand-in speaker, and {choice.model} is to speak.",
            code="UNKNOWN_VOICE",
            hint="Add --engine standin, or give a recording to clone.",
        )
    return replace(default_voice(), name=name)


def _read_ref_text(args: argparse.Namespace, recording: Path) -> str:
    if args.ref_text is not None:
        return str(args.ref_text)
    beside = recording.with_suffix(".txt")
    if args.ref_text_file is None and not beside.is_file():
        raise InvalidRequest(
            f"The words spoken in {recording.name} are not known.",
            code="REF_TEXT_REQUIRED",
            hint=f"Give them with --ref-text, or put them into {beside.name} beside it.",
        )
    path = Path(args.ref_text_file or beside)
    data = _read(path, MAX_REF_TEXT_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"The transcript {path} is not text in UTF-8.",
            code="NOT_TEXT",
            hint="Save it as plain UTF-8 text.",
        ) from None


def _read_recording(path: Path) -> bytes:
    limit = DecodeLimits().max_bytes
    data = _read(path, limit + 1)
    if len(data) > limit:
        raise refuse("AUDIO_TOO_LARGE", path.stat().st_size, limit)
    return data


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be read: {error.strerror or error}.",
            code="FILE_UNREADABLE",
            hint="Check the name and its permissions.",
        ) from None
