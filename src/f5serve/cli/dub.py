"""`f5serve dub`: speaks subtitles at their times into a file, here or on a server.

What can be refused is refused before an engine is loaded, and nothing is written on any error.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from f5serve.cli.local_cast import local_cast
from f5serve.cli.output import STDOUT, show_utterances
from f5serve.cli.say import choose_output, make_request, override, report, timing_outputs
from f5serve.cli.voice_input import library_of, read_voice
from f5serve.settings import Settings
from f5serve.startup import LoadOptions, load, select_engine
from f5serve.synthesis.hooks import SynthesisHooks
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.script_request import cast_script, check_script
from f5serve.synthesis.synthesizer import check_options
from f5serve.text.cue_files import MAX_FILE_BYTES, decode_subtitles, format_of, read_cue_file
from f5serve.text.cues import parse_cues
from f5serve.voices.bulk_import import read_file


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Synthesize, write, and print what was done; with --server, the server does it."""
    text = decode_subtitles(_read(args.file))
    read_cue_file(text, format_of(args.file))  # what is wrong with it is known first
    if args.server:
        from f5serve.cli import remote

        return remote.run_dub(args, settings, text)
    settings = override(settings, args)
    output, format = choose_output(args)
    timings = timing_outputs(args, output)
    spec = select_engine(settings, args.weights)
    recognition = SpeechRecognition(settings)
    voice = read_voice(args, spec, settings, recognition)
    request = make_request(args, settings, voice, format, time_words=bool(timings))
    if args.max_speed is not None:
        request = replace(request, max_speed=args.max_speed)
    check_options(request)
    open_library = partial(library_of, settings, recognition)
    cast = local_cast(args, settings, voice, open_library, spec.kind == "standin")
    cues = parse_cues(text, cast, format_of(args.file))
    check_script(cues, settings.max_text_chars)
    script = cast_script(cues, cast)

    loaded = load(settings, LoadOptions(spec, recognition=recognition))
    with show_utterances() as on_progress:
        result = loaded.synthesizer.synthesize(
            request, hooks=SynthesisHooks(on_progress=on_progress), script=script.parts
        )
    output.write(result.audio)
    result = replace(result, warnings=(*script.warnings, *result.warnings))
    return report(args, result, loaded, output, timings)


def _read(file: str) -> bytes:
    if file == STDOUT:
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if sys.stdin else b""
    return read_file(Path(file), MAX_FILE_BYTES)
