"""A folder of its own for commands that keep something."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the store in it and no recogniser."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("F5_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("F5_RECOGNISER", "off")
    return tmp_path
