"""`f5serve voices`: the names that `say -v` takes."""

from __future__ import annotations

import argparse
import json

from f5serve.standin.kokoro import voice_names


def run_list(args: argparse.Namespace) -> int:
    """Print the default voice and those of the stand-in speaker."""
    voices = [{"name": "default", "engine": "any"}]
    voices += [{"name": name, "engine": "standin"} for name in voice_names()]
    if args.json:
        print(json.dumps({"voices": voices, "count": len(voices)}))
        return 0
    for voice in voices:
        print(voice["name"] if voice["engine"] == "any" else f"{voice['name']}  (stand-in speaker)")
    return 0
