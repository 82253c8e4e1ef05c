"""`f5serve say`: synthesizes a text in a voice into a file.

What can be refused is refused before an engine is loaded, and nothing is written on any error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from f5serve import build
from f5serve.alignment.subtitles import SubtitleFormat, write
from f5serve.alignment.subtitles import as_dict as word_as_dict
from f5serve.cli.options import SAY_SETTINGS
from f5serve.cli.output import STDOUT, Output, show_utterances
from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import voice_names
from f5serve.settings import Settings
from f5serve.startup import (
    EngineSpec,
    LoadedModel,
    LoadOptions,
    default_options,
    load,
    select_engine,
)
from f5serve.synthesis.hooks import SynthesisHooks
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import check_request
from f5serve.synthesis.verification import describe
from f5serve.text.language import canonical_tag
from f5serve.text.lexicon import Lexicon
from f5serve.text.lexicon_files import MAX_FILE_BYTES, read_lexicon
from f5serve.text.lexicon_rules import LexiconRule
from f5serve.text.spoken import unnormalized_kinds
from f5serve.types import AudioFormat, SamplingOptions, SpeechRequest, SpeechResult, Voice
from f5serve.voices.bulk_import import read_file, read_recording
from f5serve.voices.names import DEFAULT_NAME, VoiceNotFound, is_url
from f5serve.voices.prepare import default_voice, prepare_voice
from f5serve.voices.transcripts import MAX_TRANSCRIPT_BYTES, decode_text

SUFFIXES: dict[str, AudioFormat] = {
    **{f".{name}": name for name in get_args(AudioFormat)},
    ".ogg": "opus",
    ".raw": "pcm",
}
SAMPLING = ("nfe_step", "cfg_strength", "sway_sampling_coef", "speed", "seed")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Synthesize, write, and print what was done; with --server, the server does it."""
    if args.server:
        from f5serve.cli import remote

        return remote.run(args, settings)
    settings = override(settings, args)
    output, format = choose_output(args)
    timings = timing_outputs(args, output)
    text = read_text(args.text, settings.max_text_chars)
    spec = select_engine(settings, args.weights)
    recognition = SpeechRecognition(settings)
    voice = read_voice(args, spec, settings, recognition)
    request = SpeechRequest(
        text=text,
        voice=voice,
        options=read_options(args, settings),
        format=format,
        cross_fade_s=args.cross_fade_s,
        remove_silence=args.remove_silence,
        time_words=bool(timings),
        verify=args.verify or settings.verify,
        **read_reading(args, voice, settings),
    )
    lexicon = read_rules(args, settings)
    check_request(request, settings.max_text_chars)

    loaded = load(settings, LoadOptions(spec, recognition=recognition))
    with show_utterances() as on_progress:
        result = loaded.synthesizer.synthesize(
            request, hooks=SynthesisHooks(on_progress=on_progress), lexicon=lexicon
        )
    output.write(result.audio)
    for name, file in timings.items():
        if result.timings.words:
            file.write(write(result.timings, name))

    if args.json:
        print(json.dumps(as_dict(result, loaded, output) | timings_as_dict(result, timings)))
        return 0
    print(summary(result, loaded, output), file=sys.stderr)
    for warning in result.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return 0


def read_reading(args: argparse.Namespace, voice: Voice, settings: Settings) -> dict[str, Any]:
    """How the text is read: options of the command line, then the voice, then the settings."""
    kinds = unnormalized_kinds(args.normalize or voice.normalize or settings.normalize)
    language = canonical_tag(args.language) if args.language else ""
    return {"language": language, "unnormalized": kinds}


def read_rules(args: argparse.Namespace, settings: Settings) -> Lexicon:
    """Rules of pronunciation: of --lexicon, then of the voice, then of the library."""
    from f5serve.store.config import open_store
    from f5serve.voices.lexicons import LexiconLibrary
    from f5serve.voices.library import open_library

    own = Lexicon(read_rule_file(args.lexicon))
    store = open_store(settings)
    named = None if Path(args.voice).is_file() else args.voice
    stored = LexiconLibrary(store, open_library(settings, store), voice_names()).for_voice(named)
    for warning in stored.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return own.over(stored.lexicon)


def read_rule_file(path: str | None) -> tuple[LexiconRule, ...]:
    """The rules of --lexicon, a file in JSON or PLS; none without it."""
    return read_lexicon(read_file(Path(path), MAX_FILE_BYTES)) if path else ()


def override(settings: Settings, args: argparse.Namespace) -> Settings:
    """The settings with the options of the command line in their place."""
    given: dict[str, Any] = {
        name: value for name in SAY_SETTINGS if (value := getattr(args, name)) is not None
    }
    if not 0 <= given.get("threads", 0) <= 1024:
        raise InvalidRequest(
            f"threads is {args.threads}.", code="BAD_OPTION", hint="It takes 0 to 1024."
        )
    paths = [name for name in ("ckpt", "vocab", "vocoder") if name in given]
    given |= {name: Path(given[name]) if given[name] else None for name in paths}
    return replace(settings, **given)


def choose_output(args: argparse.Namespace) -> tuple[Output, AudioFormat]:
    """Where the sound goes and in which format: --format, else the name's ending, else wav."""
    if args.output == STDOUT and args.json:
        raise InvalidRequest(
            "Sound and JSON cannot both go to standard output.",
            code="BAD_OPTION",
            hint="Give a file with -o, or leave --json out.",
        )
    name = args.output or f"speech.{args.format or 'wav'}"
    suffix = Path(name).suffix.lower()
    format = args.format or ("wav" if name == STDOUT else SUFFIXES.get(suffix))
    if format is None and Path(name).exists() and not Path(name).is_file():
        format = "wav"  # a device; a folder is refused by Output
    if format is None:
        raise InvalidRequest(
            f"The ending of {name!r} is no audio format.",
            code="UNKNOWN_FORMAT",
            hint=f"Use one of {', '.join(SUFFIXES)}, or --format.",
        )
    return Output(name), format


def timing_outputs(args: argparse.Namespace, output: Output) -> dict[SubtitleFormat, Output]:
    """Where word times go, by format: beside the sound, under its name."""
    if args.timings and output.path is None:
        raise InvalidRequest(
            "Word timings go beside the audio file, but the audio goes to standard output.",
            code="BAD_OPTION",
            hint="Give a file with -o, or leave --timings out.",
        )
    path = output.path or Path()
    return {name: Output(str(path.with_suffix(f".{name}"))) for name in args.timings}


def timings_as_dict(result: SpeechResult, files: Mapping[SubtitleFormat, Output]) -> dict[str, Any]:
    """Word times in the answer when they were asked for, with the names of a job's answer."""
    found = result.timings
    if not files:
        return {}
    return {
        "word_timings": [word_as_dict(word) for word in found.words],
        "timing_files": {name: file.name for name, file in files.items()} if found.words else {},
        "timing_method": found.method or None,
        "timing_confidence": round(found.confidence, 3) if found.words else None,
        "word_count": len(found.words),
    }


def read_text(text: str, max_chars: int) -> str:
    """The text itself, or standard input for `-`, of which no more is read than may be spoken."""
    if text != STDOUT:
        return text
    most = 4 * max_chars  # bytes in UTF-8
    data = sys.stdin.buffer.read(most + 1) if sys.stdin else b""  # None when it is closed
    if len(data) > most:
        raise InvalidRequest(
            f"The text on standard input has more than {max_chars:,} characters, the limit of one"
            " request.",
            code="TEXT_TOO_LONG",
            hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The text on standard input is not UTF-8: byte {error.start + 1:,} is"
            f" 0x{data[error.start]:02x}.",
            code="NOT_TEXT",
            hint="Send plain text in UTF-8, not a document or an audio file.",
        ) from None


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
    if args.voice == DEFAULT_NAME:
        return default_voice()
    if args.voice in voice_names() and not path.exists():
        return _standin_voice(args.voice, spec)
    if not path.is_file():
        return _library_voice(args, settings, recognition)
    transcriber = recognition.hearing()
    ref_text = read_ref_text(args, path, is_needed=transcriber.transcribe is None)
    return prepare_voice(path.stem, read_recording(path), ref_text, transcriber=transcriber).voice


def _library_voice(
    args: argparse.Namespace, settings: Settings, recognition: SpeechRecognition
) -> Voice:
    from f5serve.store.config import open_store

    library = recognition.library(open_store(settings))
    if is_url(args.voice):
        has_text = args.ref_text is not None or args.ref_text_file is not None
        return library.from_url(args.voice, read_ref_text(args, Path()) if has_text else "")
    try:
        return library.get(args.voice)
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


def read_options(args: argparse.Namespace, settings: Settings) -> SamplingOptions:
    """Sampling options as given, the rest from the settings."""
    given = {name: value for name in SAMPLING if (value := getattr(args, name)) is not None}
    return replace(default_options(settings), **given)


def summary(result: SpeechResult, loaded: LoadedModel, output: Output) -> str:
    """One line: what was made, where the time went and who spoke."""
    metrics = result.metrics
    return " · ".join(
        [
            f"{output.name}: {metrics.audio_s:.1f} s of speech",
            f"load {sum(loaded.stages_s.values()):.1f} s",
            f"inference {metrics.inference_s:.1f} s",
            f"RTF {metrics.rtf:.2f}",
            speaker(loaded),
        ]
    )


def speaker(loaded: LoadedModel) -> str:
    """Who spoke and on what, for people."""
    engine = loaded.synthesizer.engine
    kind = "stand-in speaker" if loaded.spec.kind == "standin" else "F5-TTS"
    return f"{kind} ({engine.model}: {engine.description})"


def as_dict(result: SpeechResult, loaded: LoadedModel, output: Output) -> dict[str, Any]:
    """The answer for machines, with the names that a job's answer has."""
    metrics = result.metrics
    stamp = build.stamp()
    return {
        "status": "COMPLETED",
        "path": output.name,
        "duration": round(metrics.audio_s, 3),
        "sample_rate": result.wave.sample_rate,
        "format": result.format,
        "seed": result.seed,
        "text": result.text,
        "spoken_text": result.spoken_text,
        "voice": result.voice,
        "model": result.model,
        "engine": result.engine,
        "device": loaded.synthesizer.engine.description,
        "verification": describe(result.verification),
        "warnings": list(result.warnings),
        "metrics": {
            **{f"{name}_s": round(value, 4) for name, value in loaded.stages_s.items()},
            "inference_s": round(metrics.inference_s, 4),
            "encode_s": round(metrics.encode_s, 4),
            "audio_s": round(metrics.audio_s, 4),
            "rtf": round(metrics.rtf, 4),
        },
        "version": stamp.version,
        "commit": stamp.commit,
    }
