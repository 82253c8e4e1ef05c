"""`f5serve compare`: a text by several models, presets, seeds and voices, on one page.

What can be refused is refused before a model is loaded, and nothing is written on any error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from f5serve.audio.encode import check_format
from f5serve.audio.spectrogram import draw_png, spectrogram
from f5serve.cli.compare_page import Clip, Comparison, Row, Variant, row_as_dict, write_page
from f5serve.cli.local_cast import named_voice, read_reading, read_rules
from f5serve.cli.output import STDOUT, Output, show_utterances
from f5serve.cli.say import override
from f5serve.cli.text_input import read_text, read_text_file
from f5serve.cli.voice_input import read_voice
from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.settings import Settings
from f5serve.startup import QUALITY_STEPS, RANDOM, EngineSpec, LoadOptions, load, select_engine
from f5serve.startup.loader import LoadedDevice, warm_up
from f5serve.synthesis.figures import measure
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import Synthesizer, check_options
from f5serve.synthesis.verification import recognizer_missing
from f5serve.text.clean import clean_text
from f5serve.text.lexicon import Lexicon
from f5serve.types import SamplingOptions, SpeechRequest, Voice

MAX_COMBINATIONS = 64
MAX_CLIPS = 512
"""Lines by all combinations: as many players as a browser shows without effort."""


@dataclass(frozen=True, slots=True)
class _Model:
    """A model that is on this machine: its name on the page, and how it is loaded."""

    name: str
    settings: Settings
    spec: EngineSpec


@dataclass(frozen=True, slots=True)
class _Work:
    """All that is to be spoken.

    Attributes:
        requests: without a text and without a seed, by the name of their voice.
        device: what the models share.
    """

    models: tuple[_Model, ...]
    requests: dict[str, tuple[SpeechRequest, Lexicon]]
    presets: tuple[str, ...]
    seeds: tuple[int, ...]
    lines: tuple[str, ...]
    recognition: SpeechRecognition
    device: LoadedDevice = field(default_factory=LoadedDevice)

    def variants(self, model: str) -> Iterator[Variant]:
        """The combinations with a model, in the order of the options."""
        return (Variant(model, *one) for one in product(self.requests, self.presets, self.seeds))


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Speak, measure, write the page, and print what was done."""
    if args.output == STDOUT and args.json:
        raise InvalidRequest(
            "The page and JSON cannot both go to standard output.",
            code="BAD_OPTION",
            hint="Give a file with -o, or leave --json out.",
        )
    output = Output(args.output)
    work = _read_work(args, override(settings, args))
    comparison = _speak_all(work)
    files = write_page(comparison, output)
    if args.json:
        answer = {
            "status": "COMPLETED",
            "path": output.name,
            "files": files,
            "recogniser": comparison.recogniser or None,
            "combinations": [row_as_dict(row, comparison.lines) for row in comparison.rows],
            "warnings": list(comparison.notes),
        }
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    clips = f"combinations {len(comparison.rows)}, lines {len(comparison.lines)}"
    print(f"{output.name}: {clips}" + (f" · sound in {files}" if files else ""), file=sys.stderr)
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _read_work(args: argparse.Namespace, settings: Settings) -> _Work:
    """What the options ask for, with all that can be refused looked at.

    Raises:
        F5Error: what is wrong with text, models, voices or options.
    """
    check_format(args.format)
    lines = _read_lines(args, settings.max_text_chars)
    presets = args.presets or (settings.quality,)
    voices = tuple(dict.fromkeys(args.voices)) or ("default",)
    _check_number(args.models or ("",), presets, args.seeds, voices, lines)
    models = _find_models(args, settings)
    recognition = SpeechRecognition(settings)
    requests = {}
    for name in voices:
        one = argparse.Namespace(
            **vars(args) | {"voice": name, "ref_text": None, "ref_text_file": None}
        )
        voice = read_voice(one, models[0].spec, settings, recognition)
        lexicon = read_rules(one, settings, named_voice(one))
        requests[name] = _request(one, voice, settings), lexicon
    for seed in args.seeds:
        check_options(SpeechRequest("", voice, SamplingOptions(seed=seed)))
    return _Work(models, requests, presets, args.seeds, lines, recognition)


def _request(args: argparse.Namespace, voice: Voice, settings: Settings) -> SpeechRequest:
    return SpeechRequest("", voice, format=args.format, **read_reading(args, voice, settings))


def _read_lines(args: argparse.Namespace, max_chars: int) -> tuple[str, ...]:
    """The lines of the text that have words, cleaned.

    Raises:
        InvalidRequest: BAD_OPTION without a text or with two; what reading and cleaning refuse.
    """
    if (args.text is None) == (args.text_file is None):
        raise InvalidRequest(
            "There is no text to speak." if args.text is None else "There are two texts.",
            code="BAD_OPTION",
            hint="Give TEXT, or --text with the name of a file.",
        )
    if args.text_file is None:
        text = read_text(args.text, max_chars)
    else:
        text = read_text_file(Path(args.text_file), max_chars)
    lines = [line for line in text.splitlines() if line.strip()]
    return tuple(clean_text(line, max_chars) for line in lines or [text])


def _check_number(*lists: tuple[Any, ...]) -> None:
    """Refuse more combinations of models, presets, seeds and voices, or clips, than there may be.

    Raises:
        InvalidRequest: TOO_MANY_COMBINATIONS.
    """
    models, presets, seeds, voices, lines = map(len, lists)
    number = models * presets * seeds * voices
    if number <= MAX_COMBINATIONS and number * lines <= MAX_CLIPS:
        return
    raise InvalidRequest(
        f"A page with {number} combinations and {number * lines} lines in all is too large: "
        f"models {models}, presets {presets}, seeds {seeds}, voices {voices}, lines {lines}.",
        code="TOO_MANY_COMBINATIONS",
        hint=f"It takes {MAX_COMBINATIONS} combinations, and {MAX_CLIPS} lines by all of them.",
    )


def _find_models(args: argparse.Namespace, settings: Settings) -> tuple[_Model, ...]:
    """The models of --models, else the one of the settings.

    Raises:
        ModelUnavailable: MODEL_MISSING, naming all that are missing; as `select_engine`.
        InvalidRequest: BAD_OPTION for --models beside another choice; as `select_engine`.
    """
    if not args.models:
        spec = select_engine(settings, args.weights)
        return (_Model(spec.model, settings, spec),)
    for name in ("model", "ckpt", "weights"):
        if getattr(args, name):
            raise InvalidRequest(
                f"--models and --{name} cannot both be given.",
                code="BAD_OPTION",
                hint="Name all models, and files of checkpoints, in --models.",
            )
    found, missing = [], []
    for name in args.models:
        own = _settings_of(name, settings)
        weights = name if name.startswith(RANDOM) else ""
        try:
            found.append(_Model(name, own, select_engine(own, weights)))
        except ModelUnavailable as error:
            if error.code != "MODEL_MISSING" or own.ckpt:
                raise
            missing.append(name)
    if missing:
        raise ModelUnavailable(
            f"The weights of {' and '.join(missing)} are not on this machine.",
            code="MODEL_MISSING",
            hint=f"Run: {' && '.join(f'f5serve models pull {name}' for name in missing)}",
        )
    return tuple(found)


def _settings_of(name: str, settings: Settings) -> Settings:
    """The settings that load a model of --models, a published one or the file of a checkpoint."""
    if Path(name).suffix in (".safetensors", ".pt"):
        return replace(settings, engine="f5", ckpt=Path(name))
    return replace(settings, engine="f5", model=name, ckpt=None, vocab=None, arch="")


def _speak_all(work: _Work) -> Comparison:
    """Load one model after the other, and have each speak all of its combinations."""
    rows: list[Row] = []
    notes: dict[str, None] = {}
    checker = work.recognition.open()
    if checker is None:
        missing = recognizer_missing()
        notes[f"Word error rates are not known. {missing.message} {missing.hint}"] = None
    number = len(work.presets) * len(work.seeds) * len(work.requests) * len(work.lines)
    with show_utterances() as on_progress:
        for index, model in enumerate(work.models):

            def on_done(done: int, before: int = index * number) -> None:
                on_progress(before + done, len(work.models) * number)

            rows += _speak_model(model, work, notes, on_done)
    return Comparison(work.lines, tuple(rows), checker.model if checker else "", tuple(notes))


def _speak_model(
    model: _Model, work: _Work, notes: dict[str, None], on_done: Callable[[int], None]
) -> list[Row]:
    """The rows of one model, which is let go afterwards.

    Args:
        notes: takes the warnings of the speech.
        on_done: called with the number of clips that are there.
    """
    options = LoadOptions(model.spec, recognition=work.recognition, device=work.device)
    synthesizer = load(model.settings, options).synthesizer
    try:
        if model.spec.kind == "standin":
            notes["The stand-in speaker takes no presets and seeds."] = None
        else:
            warm_up(synthesizer.engine)  # else the first combination would look slow
        rows: list[Row] = []
        for variant in work.variants(model.name or synthesizer.engine.model):
            clips = []
            for line in work.lines:
                clips.append(_speak(line, variant, work, synthesizer, notes))
                on_done(len(rows) * len(work.lines) + len(clips))
            rows.append((variant, tuple(clips)))
        return rows
    finally:
        synthesizer.engine.close()


def _speak(
    line: str, variant: Variant, work: _Work, synthesizer: Synthesizer, notes: dict[str, None]
) -> Clip:
    """One line, spoken and measured."""
    request, lexicon = work.requests[variant.voice]
    sampling = SamplingOptions(nfe_step=QUALITY_STEPS[variant.preset], seed=variant.seed)
    result = synthesizer.synthesize(replace(request, text=line, options=sampling), lexicon=lexicon)
    notes |= dict.fromkeys(result.warnings)
    checker = work.recognition.open()
    language = (request.language or request.voice.language).partition("-")[0]
    errors = checker.compare(result.wave, result.text, language) if checker else None
    figures = measure(result.wave, result.text, result.metrics.inference_s, errors)
    return Clip(figures, result.audio, request.format, draw_png(spectrogram(result.wave)))
