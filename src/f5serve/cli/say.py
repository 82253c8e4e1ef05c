"""`f5serve say`: synthesizes a text in a voice into a file.

What can be refused is refused before an engine is loaded, and nothing is written on any error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from f5serve import build
from f5serve.alignment.subtitles import SubtitleFormat, write
from f5serve.alignment.subtitles import as_dict as word_as_dict
from f5serve.audio.encode import check_format, default_rate
from f5serve.cli.local_cast import (
    local_cast,
    named_voice,
    read_parts,
    read_reading,
    read_rules,
)
from f5serve.cli.output import STDOUT, Output, show_utterances
from f5serve.cli.script_file import ScriptFile
from f5serve.cli.script_options import (
    apply_script_file,
    chunks_of,
    fixed_duration_s,
    write_chunks,
    write_takes,
)
from f5serve.cli.script_voices import ScriptVoices, leave_out_unknown
from f5serve.cli.speech_options import SAY_SETTINGS
from f5serve.cli.text_input import choose_text
from f5serve.cli.voice_input import library_of, prepare_recorded, read_voice
from f5serve.errors import InvalidRequest
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
from f5serve.synthesis.result import SpeechResult, part_as_dict
from f5serve.synthesis.script_request import CastScript
from f5serve.synthesis.synthesizer import check_options
from f5serve.synthesis.verification import describe
from f5serve.text.clean import clean_text
from f5serve.text.lexicon import Lexicon
from f5serve.types import AudioFormat, SamplingOptions, SpeechRequest, Voice

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
    with apply_script_file(args, settings) as file:
        return speak(args, override(settings, args), file)


def speak(args: argparse.Namespace, settings: Settings, file: ScriptFile | None) -> int:
    """Synthesize what options say; `file` has the text where it is no option, and voices."""
    output, format = choose_output(args)
    timings = timing_outputs(args, output)
    inputs = read_request(args, settings, file, format, time_words=bool(timings))

    loaded = load(settings, LoadOptions(inputs.spec, recognition=inputs.recognition))
    with show_utterances() as on_progress:
        result = loaded.synthesizer.synthesize(
            inputs.request,
            hooks=SynthesisHooks(on_progress=on_progress),
            lexicon=inputs.lexicon,
            script=inputs.script.parts,
        )
    output.write(result.audio)
    notes = inputs.notes + write_takes(output, result)
    if file is not None and file.save_chunk:
        notes += write_chunks(output, chunks_of(result))
    warnings = (*notes, *inputs.script.warnings, *result.warnings)
    result = replace(result, warnings=tuple(dict.fromkeys(warnings)))
    return report(args, result, loaded, output, timings)


def report(
    args: argparse.Namespace,
    result: SpeechResult,
    loaded: LoadedModel,
    output: Output,
    timings: Mapping[SubtitleFormat, Output],
) -> int:
    """Write word times beside the sound, and print what was done."""
    for name, beside in timings.items():
        if result.timings.words:
            beside.write(write(result.timings, name))
    if args.json:
        print(json.dumps(as_dict(result, loaded, output) | timings_as_dict(result, timings)))
        return 0
    print(summary(result, loaded, output), file=sys.stderr)
    for warning in result.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return 0


@dataclass(frozen=True, slots=True)
class SpeechInputs:
    """What a command is to synthesize, before an engine is loaded.

    Attributes:
        script: without parts where the text has no tag.
        notes: for the caller.
    """

    request: SpeechRequest
    script: CastScript
    lexicon: Lexicon
    spec: EngineSpec
    recognition: SpeechRecognition
    notes: tuple[str, ...] = ()


def read_request(
    args: argparse.Namespace,
    settings: Settings,
    file: ScriptFile | None,
    format: AudioFormat,
    time_words: bool,
) -> SpeechInputs:
    """The request of a command, with all that can be refused looked at.

    Raises:
        F5Error: what is wrong with text, voices, options or rules.
    """
    text = choose_text(args, file, settings.max_text_chars)
    spec = select_engine(settings, args.weights)
    recognition = SpeechRecognition(settings)
    voice = read_voice(args, spec, settings, recognition)
    request = make_request(args, settings, voice, format, time_words)
    request = replace(request, duration_s=args.duration, takes=args.takes)
    check_options(request)
    voices = None
    notes: tuple[str, ...] = ()
    if file is not None:
        voices = ScriptVoices(file, voice, partial(prepare_recorded, recognition))
    open_library = partial(library_of, settings, recognition)
    cast = local_cast(args, settings, voice, open_library, spec.kind == "standin", voices)
    if file is not None:
        text, unknown = leave_out_unknown(text, cast)
        notes = file.warnings + unknown
    script = read_parts(args, text, cast, settings, request.options.speed)
    request = replace(request, language=request.language or script.language)
    if not script.parts:
        request = replace(request, text=clean_text(text, settings.max_text_chars))
    if file is not None:
        request = replace(request, duration_s=fixed_duration_s(file, voice, script.parts, request))
    lexicon = read_rules(args, settings, named_voice(args))
    return SpeechInputs(request, script, lexicon, spec, recognition, notes)


def make_request(
    args: argparse.Namespace,
    settings: Settings,
    voice: Voice,
    format: AudioFormat,
    time_words: bool,
) -> SpeechRequest:
    """The options that `say` and `dub` share as a request without text.

    Raises:
        InvalidRequest: UNKNOWN_FORMAT, MEDIA_EXTRA_MISSING, BAD_OPTION for language or normalize.
    """
    check_format(format)
    return SpeechRequest(
        text="",
        voice=voice,
        options=read_options(args, settings),
        format=format,
        cross_fade_s=args.cross_fade_s,
        remove_silence=bool(args.remove_silence),
        time_words=time_words,
        sample_rate=default_rate(format),
        verify=args.verify or settings.verify,
        **read_reading(args, voice, settings),
    )


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
        "parts": [part_as_dict(part) for part in result.parts],
        "script": result.script or None,
        "marks": [{"name": mark.name, "time": mark.time_s} for mark in result.marks],
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
