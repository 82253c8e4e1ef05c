"""The README promises only what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from f5serve.audio.decode import decode
from f5serve.cli.options import make_parser
from tests.http.house import house

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def test_it_can_be_read_in_a_few_minutes() -> None:
    assert README.count("\n") <= 150


def test_every_make_verb_exists() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test"} <= named <= verbs


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_command_lines_are_understood() -> None:
    lines = [
        line.partition("#")[0].strip()
        for kind, block in BLOCKS
        if kind == "sh"
        for line in block.splitlines()
        if "bin/f5serve" in line
    ]
    assert lines
    for line in lines:
        make_parser().parse_args(shlex.split(line)[1:])


def test_openai_example_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for kind, block in BLOCKS if kind == "python"]
    monkeypatch.chdir(tmp_path)
    with house(tmp_path / "server") as home:
        assert "http://127.0.0.1:8000/v1" in block
        block = block.replace("http://127.0.0.1:8000", home.url)
        exec(compile(block, "README.md", "exec"), {})
    assert decode((tmp_path / "hello.mp3").read_bytes()).duration_s > 0.3
