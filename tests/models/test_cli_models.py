"""The verb `models`, in this process, against the hub stand-in."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.cli import models as cli_models
from f5serve.cli.options import add_models
from f5serve.errors import F5Error
from f5serve.models.registry import PUBLISHED
from f5serve.settings import Settings
from tests.models.conftest import REGISTRY, WEIGHTS, convert
from tests.models.hub_standin import Hub


@pytest.fixture
def settings(hub: Hub, models_dir: Path) -> Settings:
    return Settings(models_dir=models_dir, hub_endpoint=hub.endpoint, hub_timeout_s=2.0)


def models(settings: Settings, *words: str) -> int:
    parser = argparse.ArgumentParser()
    add_models(parser.add_subparsers())
    args = parser.parse_args(["models", *words])
    code: int = cli_models.run(args, settings, REGISTRY)
    return code


def test_list_shows_what_is_here(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert models(settings, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["MODEL", "LANGUAGES", "LICENCE", "COMMERCIAL", "SIZE", "HERE"]
    assert lines[1].split() == ["pinned", "en", "CC-BY-NC-4.0", "no", "300", "kB", "-"]
    models(settings, "pull", "pinned")
    capsys.readouterr()
    models(settings, "list", "--json")
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["pinned"]["on_disk"] == "published"
    assert rows["pinned"]["size"] == len(WEIGHTS)
    assert rows["open"]["on_disk"] is None
    convert(settings.models_dir, b"small")
    models(settings, "list", "--json")
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["pinned"]["on_disk"], rows["pinned"]["size"]) == ("converted", 5)


def test_the_published_list_fits_a_terminal(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_models(parser.add_subparsers())
    cli_models.run(parser.parse_args(["models", "list"]), settings)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(PUBLISHED.models) + 1
    assert max(map(len, lines)) <= 80


def test_pull_tells_the_licence_first_and_the_paths_last(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models(settings, "pull", "pinned") == 0
    said = capsys.readouterr()
    first, *rest = said.err.splitlines()
    assert first == "pinned: CC-BY-NC-4.0, which does not permit commercial use."
    assert "download base/model.safetensors: 300 kB of 300 kB" in rest
    assert len(rest) <= 12 * 6  # at most a line a tenth, for three downloads and three checks
    assert said.out.splitlines()[0].startswith("weights  /")
    models(settings, "pull", "pinned", "--json")
    assert Path(json.loads(capsys.readouterr().out)["weights"]).read_bytes() == WEIGHTS


def test_pull_draws_a_bar_on_a_terminal(settings: Settings) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    with contextlib.redirect_stderr(screen):
        models(settings, "pull", "pinned")
    assert "download base/model.safetensors: 100%" in screen.getvalue()


def test_a_forbidding_licence_is_refused_before_anything_is_asked(
    hub: Hub, settings: Settings
) -> None:
    with pytest.raises(F5Error) as caught:
        models(replace(settings, require_commercial_license=True), "pull", "pinned")
    assert caught.value.code == "LICENSE_FORBIDS"
    assert caught.value.exit_code == 4
    assert hub.requests == []
    assert not settings.models_dir.exists()


def test_verify_exits_with_4_when_something_is_wrong(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models(settings, "verify") == 0
    assert models(settings, "verify", "pinned") == 4
    models(settings, "pull", "pinned")
    capsys.readouterr()
    assert models(settings, "verify", "--json") == 0
    checks = json.loads(capsys.readouterr().out)
    assert [c["state"] for c in checks] == ["ok", "ok", "ok"]
    Path(checks[1]["path"]).resolve().write_bytes(b"other words")
    assert models(settings, "verify", "pinned") == 4
    assert "changed " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["pinned"], "MODEL_NOT_PULLED"),
        (["pined"], "UNKNOWN_MODEL"),
        (["vocos"], "NOT_A_MODEL"),
        (["no/such.safetensors", "--arch", "F5TTS_Base"], "NO_SUCH_FILE"),
        ([__file__], "ARCH_REQUIRED"),
    ],
)
def test_convert_says_what_it_lacks(settings: Settings, words: list[str], code: str) -> None:
    with pytest.raises(F5Error) as caught:
        models(settings, "convert", *words)
    assert caught.value.code == code
    assert caught.value.hint


def test_convert_refuses_a_file_that_is_no_checkpoint(settings: Settings, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    models(settings, "pull", "pinned")
    with pytest.raises(F5Error) as caught:
        models(settings, "convert", "pinned", "-o", str(tmp_path / "out" / "x.safetensors"))
    assert caught.value.exit_code == 4
    assert not list((tmp_path / "out").iterdir())
