"""Pages name only files that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "deploy" / "README.md",
]
KINDS = ("py", "toml", "js", "sh", "yml", "yaml")
FOLDERS = ("src", "tests", "bench", "deploy", "docs", "examples", "requirements", ".github", ".ci")
UPSTREAM = "f5_tts/"


def files() -> Iterator[str]:
    """Files of the repository, as /folder/name."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            yield f"/{path.relative_to(ROOT)}"
    for path in ROOT.iterdir():
        yield f"/{path.name}"


EXISTING = [path for path in files() if "__pycache__" not in path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    for code in re.findall(r"`([^`\n]+)`", page.read_text()):
        for name in re.findall(rf"^[\w./-]+\.(?:{'|'.join(KINDS)})\b", code):
            wanted = f"/{name.lstrip('./')}"
            if not name.startswith(UPSTREAM) and page.name != "CHANGELOG.md":
                assert any(path.endswith(wanted) for path in EXISTING), f"{page.name}: {name}"


def test_every_folder_that_the_architecture_names_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for name in re.findall(r"`([\w/-]+/)`", text):
        assert any(f"/{name}" in path for path in EXISTING), name
