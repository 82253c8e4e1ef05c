"""A script file in the place of options of `say`: what was not given comes from the file."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

from f5serve.audio.encode import encode
from f5serve.cli.output import Output, made_folder
from f5serve.cli.script_file import HUB, NUMBERS, ScriptFile, read_script_file
from f5serve.cli.toml_source import shown
from f5serve.engine.config import PRESETS
from f5serve.models.local import find
from f5serve.models.registry import PUBLISHED
from f5serve.settings import Settings
from f5serve.synthesis.result import SpeechResult
from f5serve.synthesis.speech_plan import SpeechPart
from f5serve.types import AudioFormat, SpeechRequest, Voice, Wave

DEFAULT_MODEL = "F5TTS_v1_Base"
"""The model of a file that names none; its vocabulary is that of all official models."""

ARCHITECTURES = {"E2TTS_Small": "E2TTS_Base"}
"""Names of upstream, and the family here; sizes are read from the checkpoint."""

REPLACED = {
    "voice": ("ref_audio", "ref_text"),
    "ref_text": ("ref_text",),
    "ref_text_file": ("ref_text",),
    "output": ("output_dir", "output_file"),
    "remove_silence": ("remove_silence",),
    "cross_fade_s": ("cross_fade_duration",),
    "quality": ("nfe_step",),
    "nfe_step": ("nfe_step",),
    "cfg_strength": ("cfg_strength",),
    "sway_sampling_coef": ("sway_sampling_coef",),
    "speed": ("speed",),
    "device": ("device",),
    "ckpt": ("ckpt_file",),
    "vocab": ("vocab_file",),
    "arch": ("model_cfg",),
    "model": ("model", "ckpt_file", "vocab_file", "model_cfg"),
}
"""Options, and the keys of a file in whose place each is."""

OPTIONS = NUMBERS | {name: name for name in ("remove_silence", "device", "ref_text")}
"""Keys, and the options that get their values."""

_MAX_NAME = 48


@contextmanager
def apply_script_file(args: argparse.Namespace, settings: Settings) -> Iterator[ScriptFile | None]:
    """Put the values of --config into the options that were not given; None without --config.

    Folders that its output needs are made, and removed again if the work fails.

    Raises:
        InvalidRequest: BAD_SCRIPT_FILE, FILE_UNREADABLE.
        StorageFailed: OUTPUT_UNWRITABLE.
    """
    if args.config is None:
        yield None
        return
    given = _given(args)
    needs_model = not (args.weights or (args.engine or settings.engine) == "standin")
    replaced = {key for option in given for key in REPLACED.get(option, ())}
    if args.text is not None:
        replaced |= {"gen_text", "gen_file"}
    if not needs_model:
        replaced |= set(REPLACED["model"])
    file = read_script_file(Path(args.config), replaced)
    _fill(args, file)
    if needs_model:
        file = _fill_model(args, given, file, settings)
    if args.output is None and (file.output_dir or file.output_file):
        args.output = _output_name(file, args.format)
        with made_folder(Path(args.output).parent):
            yield file
    else:
        yield file


def _given(args: argparse.Namespace) -> set[str]:
    """Options that were given on the command line, whatever their values are."""
    given: set[str] = set(getattr(args, "options_given", ()))
    return given | ({"remove_silence"} if args.remove_silence is not None else set())


def _fill(args: argparse.Namespace, file: ScriptFile) -> None:
    for key, option in OPTIONS.items():
        if (value := getattr(file, key)) not in (None, ""):
            setattr(args, option, value)
    if file.ref_audio:
        args.voice = str(file.ref_audio)


def _output_name(file: ScriptFile, format: str | None) -> str:
    name = Path(file.output_dir) / (file.output_file or f"speech.{format or 'wav'}")
    if format and name.suffix.lower()[1:] in get_args(AudioFormat):
        name = name.with_suffix(f".{format}")
    return str(name)


# -- model


def _fill_model(
    args: argparse.Namespace, given: set[str], file: ScriptFile, settings: Settings
) -> ScriptFile:
    """Which weights: a checkpoint of the user's own, else a published model."""
    ckpt = (args.ckpt or "") if "ckpt" in given else file.ckpt_file
    if "ckpt" not in given and ckpt.startswith(HUB):
        file, ckpt = replace(file, model=_published(file)), ""
    if not ckpt:
        return _fill_published(args, given, file)
    vocab = file.vocab_file
    if vocab.startswith(HUB):
        hint = "Download it and name that file, or give --vocab FILE."
        raise file.source.error("vocab_file", f"is {shown(vocab)}, no file of this machine", hint)
    if not vocab and (installed := find(DEFAULT_MODEL, settings.models_dir)):
        vocab = str(installed.vocab)
    args.ckpt = ckpt
    if vocab and "vocab" not in given:
        args.vocab = vocab
    if "arch" not in given:
        args.arch = _architecture(file)
    return file


def _fill_published(args: argparse.Namespace, given: set[str], file: ScriptFile) -> ScriptFile:
    if not file.model:
        return file
    args.model = file.model
    for option in {"ckpt", "vocab", "arch"} - given:
        setattr(args, option, "")  # of the environment, for another model
    unused = [
        f"{key} is not used: {file.model} has its own."
        for key in ("vocab_file", "model_cfg")
        if (value := getattr(file, key)) and Path(value).stem != file.model
    ]
    return replace(file, warnings=(*file.warnings, *unused))


def _published(file: ScriptFile) -> str:
    """The model whose checkpoint is at the URL of a file, hf://OWNER/NAME/PATH."""
    for spec in PUBLISHED.models:
        for part in spec.files:
            url = f"{HUB}{part.repo or spec.repo}/{part.path}"
            if part.role == "weights" and url == file.ckpt_file:
                return spec.id
    raise file.source.error(
        *("ckpt_file", f"is {shown(file.ckpt_file)}, which is no model of f5serve models list"),
        "Download it and name that file, or leave it out and give model.",
    )


def _architecture(file: ScriptFile) -> str:
    name = Path(file.model_cfg).stem if file.model_cfg else file.model or DEFAULT_MODEL
    known = {name: name for name in PRESETS} | ARCHITECTURES
    known |= {spec.id: spec.arch for spec in PUBLISHED.models}
    if name in known:
        return known[name]
    key = "model_cfg" if file.model_cfg else "model"
    raise file.source.error(
        *(key, f"is {shown(getattr(file, key))}, not the name of an architecture"),
        f"Give --arch of the same family: {', '.join(PRESETS)}. Sizes are read from the weights.",
    )


# -- what the file asks for besides


def fixed_duration_s(
    file: ScriptFile, main: Voice, parts: Sequence[SpeechPart], request: SpeechRequest
) -> float | None:
    """How long the speech of a file is to be; what the request says comes first.

    Upstream gives each part the length of `fix_duration`, reference included.

    Raises:
        InvalidRequest: as `speech_s`.
    """
    if request.duration_s is not None or file.fix_duration is None:
        return request.duration_s
    voices = [part.voice for part in parts if part.text] or [main]
    return sum(speech_s(file, voice) or 0.0 for voice in voices)


def chunks_of(result: SpeechResult) -> list[tuple[str, Wave]]:
    """Text and wave of each part; of the whole where there is one."""
    if not result.parts:
        return [(result.text, result.wave)]
    rate = result.wave.sample_rate
    return [
        (
            part.text,
            Wave(result.wave.samples[round(part.start_s * rate) : round(part.end_s * rate)]),
        )
        for part in result.parts
    ]


def write_takes(output: Output, result: SpeechResult) -> tuple[str, ...]:
    """Write the takes of each part beside the output: NAME.1.2.wav is the second of the first part.

    Returns:
        A warning if there is no such place.

    Raises:
        StorageFailed: OUTPUT_UNWRITABLE.
    """
    takes = [(number, part.takes) for number, part in enumerate(result.parts, 1) if part.takes]
    if takes and output.path is None:
        return ("The takes are not written: the speech goes to standard output.",)
    for number, of_part in takes:
        for index, take in enumerate(of_part, 1):
            name = take_name(output.path or Path(), number, index)
            Output(str(name)).write(take.audio)
    return ()


def take_name(path: Path, part: int, take: int) -> Path:
    """Where a take is written; both numbers count from 1."""
    return path.with_name(f"{path.stem}.{part}.{take}{path.suffix}")


def speech_s(file: ScriptFile, voice: Voice) -> float | None:
    """Seconds that speech in a voice is to last: `fix_duration` without the reference.

    Raises:
        InvalidRequest: BAD_SCRIPT_FILE if nothing is left.
    """
    if file.fix_duration is None:
        return None
    left_s = file.fix_duration - voice.wave.duration_s
    if left_s <= 0:
        raise file.source.error(
            *("fix_duration", f"is {file.fix_duration:g} s, no more than the reference has"),
            f"It is the length of both: give more than {voice.wave.duration_s:.2f} s.",
        )
    return left_s


def write_chunks(output: Output, chunks: Iterable[tuple[str, Wave]]) -> tuple[str, ...]:
    """Write each chunk, its text and its wave, into a folder beside the output.

    Returns:
        A warning if there is no such place.

    Raises:
        StorageFailed: OUTPUT_UNWRITABLE.
    """
    if output.path is None:
        return ("save_chunk is not used: the speech goes to standard output.",)
    folder = output.path.with_name(f"{output.path.stem}_chunks")
    with made_folder(folder):
        for number, (text, wave) in enumerate(chunks):
            words = re.sub(r"\W++", "_", text[: 4 * _MAX_NAME]).strip("_")[:_MAX_NAME]
            Output(str(folder / f"{number}_{words}.wav")).write(encode(wave, "wav"))
    return ()
