"""`f5serve text`: shows the words that would be spoken for a text, without a model."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from f5serve.cli.local_cast import (
    local_cast,
    named_voice,
    read_parts,
    read_reading,
    read_rules,
)
from f5serve.cli.text_input import read_text
from f5serve.settings import Settings
from f5serve.synthesis.preview import preview, preview_as_dict
from f5serve.synthesis.spoken_request import speech_s
from f5serve.text.clean import clean_text
from f5serve.types import SpeechRequest, Voice
from f5serve.voices.names import DEFAULT_NAME
from f5serve.voices.prepare import default_voice

if TYPE_CHECKING:
    from f5serve.voices.library import VoiceLibrary


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the words, what was changed for them, and the utterances with their lengths."""
    voice = _voice(args, settings)
    text = read_text(args.text, settings.max_text_chars)
    cast = local_cast(args, settings, voice, partial(_library, settings))
    script = read_parts(args, text, cast, settings, speed=1.0)
    if not script.parts:
        text = clean_text(text, settings.max_text_chars)
    request = SpeechRequest(text=text, voice=voice, **read_reading(args, voice, settings))
    request = replace(request, language=request.language or script.language)
    lexicon = read_rules(args, settings, named_voice(args))
    found = preview(request, lexicon=lexicon, script=script.parts)
    if args.json:
        print(json.dumps(preview_as_dict(found)))
        return 0
    print(found.shown)
    for change in found.changes:
        print(f"  {change.written!r} -> {change.spoken!r}")
    lengths = [speech_s(utterance) for utterance in found.utterances]
    language = found.language or "unknown"
    count = f"{len(lengths)} utterance{'s' if len(lengths) > 1 else ''}"
    print(f"{count}, about {sum(lengths):.1f} s; language: {language}")
    for warning in found.warnings:
        print(f"note: {warning}")
    return 0


def _voice(args: argparse.Namespace, settings: Settings) -> Voice:
    if args.voice == DEFAULT_NAME and not args.style:
        return default_voice()
    return _library(settings).get(args.voice, args.style)


def _library(settings: Settings) -> VoiceLibrary:
    from f5serve.store.config import open_store
    from f5serve.voices.libraries import open_library

    return open_library(settings, open_store(settings))
