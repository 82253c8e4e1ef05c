"""The examples run as they stand and stay short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from f5serve.audio.decode import decode
from f5serve.audio.encode import read_wav
from tests.http.house import house
from tests.voices.material import DATA, WORDS

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_stay_short(path: Path) -> None:
    assert path.read_text().count("\n") <= 30


def run(folder: Path, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run an example in a folder."""
    script = EXAMPLES[[path.name for path in EXAMPLES].index(name)]
    command = [sys.executable, str(script), *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_say_speaks_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("F5_ENGINE", "standin")
    done = run(tmp_path, "say.py", "Good morning.", "out.wav")
    assert done.returncode == 0, done.stderr
    assert "not cloned" in done.stdout
    assert 0.5 < read_wav((tmp_path / "out.wav").read_bytes()).duration_s < 4


def test_a_voice_is_cloned_through_a_server(tmp_path: Path) -> None:
    recording = str(DATA / "librivox-0880.wav")
    with house(tmp_path / "server") as home:
        done = run(tmp_path, "http_clone_voice.py", recording, WORDS, "Good morning.", home.url)
        assert done.returncode == 0, done.stderr
        assert [line.split()[-1] for line in done.stdout.splitlines()] == ["Good", "morning."]
        assert decode((tmp_path / "speech.mp3").read_bytes()).duration_s > 0.5
        assert home.service.voices.get("mine").ref_text == WORDS
        wrong = run(tmp_path, "http_clone_voice.py", __file__, WORDS, "Hi.", home.url)
        assert wrong.returncode == 1
        assert "not audio" in wrong.stderr
