"""The voice of `say -v`: a recording with the words spoken in it, a name or a URL.

Arguments flow in, a `Voice` flows out. Files are looked at before they are read.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import voice_names
from f5serve.settings import Settings
from f5serve.startup import EngineSpec
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.types import Voice
from f5serve.voices.bulk_import import read_file, read_recording
from f5serve.voices.library import VoiceNotFound
from f5serve.voices.names import DEFAULT_NAME, is_url
from f5serve.voices.prepare import default_voice, prepare_voice
from f5serve.voices.transcripts import MAX_TRANSCRIPT_BYTES, decode_text


def read_voice(
    args: argparse.Namespace, spec: EngineSpec, settings: Settings, ears: SpeechRecognition
) -> Voice:
    """The voice that was asked for; `ears` hear a recording that comes without its words.

    Raises:
        InvalidRequest: UNKNOWN_VOICE, REF_TEXT_REQUIRED, FILE_UNREADABLE, NOT_TEXT.
        BadAudio: whatever is wrong with the recording.
        StorageFailed: the library cannot be read.
    """
    path = Path(args.voice)
    if args.voice == DEFAULT_NAME:
        return default_voice()
    if args.voice in voice_names() and not path.exists():
        return _standin_voice(args.voice, spec)
    if not path.is_file():
        return _library_voice(args, settings, ears)
    hearing = ears.hearing()
    said = read_ref_text(args, path, is_needed=hearing.transcribe is None)
    return prepare_voice(path.stem, read_recording(path), said, transcriber=hearing).voice


def _library_voice(args: argparse.Namespace, settings: Settings, ears: SpeechRecognition) -> Voice:
    from f5serve.store.config import open_store

    library = ears.library(open_store(settings))
    if is_url(args.voice):
        is_said = args.ref_text is not None or args.ref_text_file is not None
        return library.from_url(args.voice, read_ref_text(args, Path()) if is_said else "")
    try:
        return library.get(args.voice)
    except VoiceNotFound:
        raise _unknown(args.voice, library.similar_names(args.voice)) from None
    except InvalidRequest as error:
        if error.code != "BAD_VOICE_NAME":
            raise
        raise _unknown(args.voice) from None  # it was meant as a path


def _unknown(voice: str, near: tuple[str, ...] = ()) -> InvalidRequest:
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return InvalidRequest(
        f"There is no recording {voice!r}, nor a voice of that name.",
        code="UNKNOWN_VOICE",
        hint=f"{meant}Give the path of a wav, flac, mp3, ogg or m4a file, or a name of: "
        "f5serve voices list",
    )


def _standin_voice(name: str, spec: EngineSpec) -> Voice:
    if spec.kind != "standin":
        raise InvalidRequest(
            f"{name} is a voice of the stand-in speaker, and {spec.model} is to speak.",
            code="UNKNOWN_VOICE",
            hint="Add --engine standin, or give a recording to clone.",
        )
    return replace(default_voice(), name=name)


def read_ref_text(args: argparse.Namespace, recording: Path, is_needed: bool = True) -> str:
    """The words given by --ref-text or --ref-text-file, else those beside the recording.

    Where they are not needed and there are none: "".

    Raises:
        InvalidRequest: REF_TEXT_REQUIRED, FILE_UNREADABLE, NOT_TEXT, TEXT_TOO_LONG.
    """
    if args.ref_text is not None:
        return str(args.ref_text)
    beside = recording.with_suffix(".txt")
    if args.ref_text_file is None and not beside.is_file():
        if not is_needed:
            return ""
        raise InvalidRequest(
            f"The words spoken in {recording.name} are not known.",
            code="REF_TEXT_REQUIRED",
            hint=f"Give them with --ref-text, or put them into {beside.name} beside it.",
        )
    path = Path(args.ref_text_file or beside)
    return decode_text(read_file(path, MAX_TRANSCRIPT_BYTES), f"The transcript {path}")
