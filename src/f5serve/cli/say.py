"""`f5serve say`: a text and a voice in, a sound file out.

Whatever can be refused is refused before an engine is loaded, and nothing is written on any error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from f5serve import build
from f5serve.alignment.subtitles import SubtitleFormat, write
from f5serve.alignment.subtitles import as_dict as word_as_dict
from f5serve.cli.output import STDOUT, Output
from f5serve.cli.reference import read_voice
from f5serve.errors import InvalidRequest
from f5serve.settings import Settings
from f5serve.startup import LoadedModel, LoadOptions, default_options, load, select_engine
from f5serve.synthesis.hooks import SynthesisHooks
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import check_request
from f5serve.synthesis.verification import describe
from f5serve.types import AudioFormat, SamplingOptions, SpeechRequest, SpeechResult

SUFFIXES: dict[str, AudioFormat] = {
    **{f".{name}": name for name in get_args(AudioFormat)},
    ".ogg": "opus",
    ".raw": "pcm",
}
OVERRIDES = ("engine", "model", "arch", "device", "dtype", "threads", "quality")
SAMPLING = ("nfe_step", "cfg_strength", "sway_sampling_coef", "speed", "seed")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Speak, write, and say what was done."""
    settings = override(settings, args)
    output, format = choose_output(args)
    timings = timing_outputs(args, output)
    text = read_text(args.text, settings.max_text_chars)
    spec = select_engine(settings, args.weights)
    ears = SpeechRecognition(settings)
    request = SpeechRequest(
        text=text,
        voice=read_voice(args, spec, settings, ears),
        options=read_options(args, settings),
        format=format,
        cross_fade_s=args.cross_fade_s,
        remove_silence=args.remove_silence,
        time_words=bool(timings),
        verify=args.verify or settings.verify,
    )
    check_request(request, settings.max_text_chars)

    loaded = load(settings, LoadOptions(spec, recognition=ears))
    with progress() as on_progress:
        result = loaded.synthesizer.synthesize(
            request, hooks=SynthesisHooks(on_progress=on_progress)
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


def override(settings: Settings, args: argparse.Namespace) -> Settings:
    """The settings with the options of the command line in their place."""
    given: dict[str, Any] = {
        name: value for name in OVERRIDES if (value := getattr(args, name)) is not None
    }
    if not 0 <= given.get("threads", 0) <= 1024:
        raise InvalidRequest(
            f"threads is {args.threads}.", code="BAD_OPTION", hint="It takes 0 to 1024."
        )
    given |= {
        name: Path(value) for name in ("ckpt", "vocab", "vocoder") if (value := getattr(args, name))
    }
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
            "Word times go beside the sound, and that goes to standard output.",
            code="BAD_OPTION",
            hint="Give a file with -o, or leave --timings out.",
        )
    path = output.path or Path()
    return {name: Output(str(path.with_suffix(f".{name}"))) for name in args.timings}


def timings_as_dict(result: SpeechResult, files: Mapping[SubtitleFormat, Output]) -> dict[str, Any]:
    """What is told of word times when they were asked for, with the names of a job's answer."""
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


def read_options(args: argparse.Namespace, settings: Settings) -> SamplingOptions:
    """Sampling options as given, the rest from the settings."""
    given = {name: value for name in SAMPLING if (value := getattr(args, name)) is not None}
    return replace(default_options(settings), **given)


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, a line for each utterance elsewhere; nothing for a single one."""
    bars: list[Any] = []

    def show(done: int, total: int) -> None:
        if total == 1:
            return
        if not sys.stderr.isatty():
            print(f"spoken {done} of {total}", file=sys.stderr, flush=True)
            return
        if not bars:
            from tqdm import tqdm

            bars.append(tqdm(total=total, unit="part", leave=False, file=sys.stderr))
        bars[0].n = done
        bars[0].refresh()  # tqdm alone would leave out what comes quickly

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()


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
