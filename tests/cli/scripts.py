"""Script files for tests, and a folder of recordings that they name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pytest

from f5serve.cli.script_file import ScriptFile, read_script_file
from f5serve.voices.prepare import default_voice

REFERENCE = Path(str(resources.files("f5serve.voices") / "data" / "default.wav"))
STANDIN = ("--engine", "standin")

BASIC = """\
# F5TTS_v1_Base | E2TTS_Base
model = "F5TTS_v1_Base"
ref_audio = "me.wav"
# "" is transcribed
ref_text = "{words}"
gen_text = "The tide is out. We can walk to the island."
gen_file = ""
remove_silence = false
output_dir = "made"
output_file = "walk.wav"
"""

STORY = """\
model = "F5TTS_v1_Base"
ref_audio = "me.wav"
ref_text = ""
gen_text = ""
gen_file = "tale.txt"  # goes before the text above
remove_silence = true
output_dir = "made"
output_file = "tale.wav"

[voices.fox]
ref_audio = "fox.wav"
ref_text = "I am the fox."
speed = 0.8  # goes before the speed of all

[voices.crow]
ref_audio = "crow.wav"
ref_text = ""
"""


@pytest.fixture(autouse=True)
def home(folder: Path) -> Path:
    """A folder with recordings, in which commands run."""
    (folder / "project").mkdir()
    for name in ("me", "fox", "crow"):
        (folder / "project" / f"{name}.wav").write_bytes(REFERENCE.read_bytes())
    (folder / "project" / "me.txt").write_text(default_voice().ref_text)
    (folder / "project" / "tale.txt").write_text("A fox sat under a tree. [fox] Sing for me!")
    return folder


def write(home: Path, text: str, name: str = "a.toml") -> Path:
    path = home / "project" / name
    path.write_text(text.replace("{words}", default_voice().ref_text))
    return path


def read(home: Path, text: str, replaced: Sequence[str] = ()) -> ScriptFile:
    return read_script_file(write(home, text), replaced)
