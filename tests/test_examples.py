"""The examples run as they stand and stay short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from f5serve.audio.encode import read_wav

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_stay_short(path: Path) -> None:
    assert path.read_text().count("\n") <= 30


def test_say_speaks_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("F5_ENGINE", "standin")
    script = EXAMPLES[[path.name for path in EXAMPLES].index("say.py")]
    done = subprocess.run(
        [sys.executable, str(script), "Good morning.", "out.wav"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "not cloned" in done.stdout
    assert 0.5 < read_wav((tmp_path / "out.wav").read_bytes()).duration_s < 4
