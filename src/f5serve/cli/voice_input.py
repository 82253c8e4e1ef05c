"""The voice that a command speaks in: a recording with its words, or a name."""

from __future__ import annotations

import argparse
from pathlib import Path

from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import own_voice, voice_names
from f5serve.settings import Settings
from f5serve.startup import EngineSpec
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.types import Voice
from f5serve.voices.bulk_import import read_file, read_recording
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import DEFAULT_NAME, VoiceNotFound, is_url
from f5serve.voices.prepare import default_voice, prepare_voice
from f5serve.voices.transcripts import MAX_TRANSCRIPT_BYTES, decode_text


def read_voice(
    args: argparse.Namespace, spec: EngineSpec, settings: Settings, recognition: SpeechRecognition
) -> Voice:
    """The voice that was asked for; `recognition` transcribes a recording without its words.

    Raises:
        InvalidRequest: UNKNOWN_VOICE, REF_TEXT_REQUIRED, FILE_UNREADABLE, NOT_TEXT.
        BadAudio: what is wrong with the recording.
        StorageFailed: the library cannot be read.
    """
    path = Path(args.voice)
    if args.style and (path.is_file() or is_url(args.voice)):
        raise InvalidRequest(
            f"{args.voice[-100:]!r} is a recording, which has no style {args.style[:40]!r}.",
            code="STYLE_NOT_FOUND",
            hint="Add both recordings to the library: f5serve voices add NAME FILE --style STYLE.",
        )
    if args.voice == DEFAULT_NAME and not args.style:
        return default_voice()
    if args.voice in voice_names() and not path.exists() and not args.style:
        return _standin_voice(args.voice, spec)
    if not path.is_file():
        return _library_voice(args, settings, recognition)
    transcriber = recognition.hearing()
    ref_text = read_ref_text(args, path, is_needed=transcriber.transcribe is None)
    return prepare_voice(path.stem, read_recording(path), ref_text, transcriber=transcriber).voice


def prepare_recorded(recognition: SpeechRecognition, name: str, path: Path, ref_text: str) -> Voice:
    """A voice of a script file."""
    transcriber = recognition.hearing()
    if not ref_text:
        is_needed = transcriber.transcribe is None
        ref_text = read_beside(path, is_needed, how=f"as ref_text of voices.{name}")
    return prepare_voice(name, read_recording(path), ref_text, transcriber=transcriber).voice


def library_of(settings: Settings, recognition: SpeechRecognition) -> VoiceLibrary:
    """The library of the settings' store."""
    from f5serve.store.config import open_store

    return recognition.library(open_store(settings))


def _library_voice(
    args: argparse.Namespace, settings: Settings, recognition: SpeechRecognition
) -> Voice:
    library = library_of(settings, recognition)
    if is_url(args.voice):
        has_text = args.ref_text is not None or args.ref_text_file is not None
        return library.from_url(args.voice, read_ref_text(args, Path()) if has_text else "")
    try:
        return library.get(args.voice, args.style)
    except VoiceNotFound:
        raise _unknown(args.voice, library.similar_names(args.voice)) from None
    except InvalidRequest as error:
        if error.code != "BAD_VOICE_NAME":
            raise
        raise _unknown(args.voice) from None  # a path, then


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
    return own_voice(name, default_voice())


def read_ref_text(args: argparse.Namespace, recording: Path, is_needed: bool = True) -> str:
    """The words given by --ref-text or --ref-text-file, else those beside the recording.

    Where they are not needed and there are none: "".

    Raises:
        InvalidRequest: REF_TEXT_REQUIRED, FILE_UNREADABLE, NOT_TEXT, TEXT_TOO_LONG.
    """
    if args.ref_text is not None:
        return str(args.ref_text)
    if args.ref_text_file:
        return _read_transcript(Path(args.ref_text_file))
    return read_beside(recording, is_needed)


def read_beside(recording: Path, is_needed: bool, how: str = "with --ref-text") -> str:
    """The words beside a recording, in a file of its name that ends in .txt; else "".

    Args:
        how: they can be given otherwise.

    Raises:
        InvalidRequest: as `read_ref_text`.
    """
    beside = recording.with_suffix(".txt")
    if beside.is_file():
        return _read_transcript(beside)
    if is_needed:
        raise InvalidRequest(
            f"The words spoken in {recording.name} are not known.",
            code="REF_TEXT_REQUIRED",
            hint=f"Give them {how}, or put them into {beside.name} beside it.",
        )
    return ""


def _read_transcript(path: Path) -> str:
    return decode_text(read_file(path, MAX_TRANSCRIPT_BYTES), f"The transcript {path}")
