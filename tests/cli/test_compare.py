"""`f5serve compare`: what it speaks and measures, its page, and what it refuses."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from f5serve.asr_types import WordErrors
from f5serve.audio.decode import decode
from f5serve.cli import compare_page
from f5serve.cli.compare_page import Clip, Comparison, Variant, make_page, write_page
from f5serve.cli.main import run
from f5serve.cli.output import STDOUT, Output
from f5serve.errors import InvalidRequest
from f5serve.synthesis.figures import SpeechFigures
from tests.studio.browser import needs_chromium, open_browser, visiting

FIGURES = SpeechFigures(2.0, 0.5, 20, 4, 0.5, 0, 0.01, 0.2)
HOSTILE = '"><script>alert(1)</script>&amp;'


class Parts(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def comparison(*figures: SpeechFigures, lines: int = 1, name: str = "a") -> Comparison:
    """A row for each of the figures, the same in all lines."""
    rows = tuple(
        (Variant(name, "me", "fast", seed), (Clip(one, b"sound", "flac", b"png"),) * lines)
        for seed, one in enumerate(figures)
    )
    return Comparison(tuple(f"{name} {line}" for line in range(lines)), rows, "", (name,))


def page_of(found: Comparison) -> Parts:
    return Parts(make_page(found, ["data:audio/flac;base64,"] * len(found.rows) * len(found.lines)))


# -- the page


def test_everything_is_escaped_and_nothing_comes_from_elsewhere() -> None:
    page = page_of(
        comparison(replace(FIGURES, errors=WordErrors(4, 1, ((HOSTILE, ""),))), name=HOSTILE)
    )
    assert page.all("script") == []
    assert page.text.count(HOSTILE) == 4  # a note, the line, the model, words that differ
    assert page.all("img")[0]["alt"] == f"Spectrogram of Line 1, {HOSTILE}, me, fast, seed 0"
    sources = [a["src"] or "" for _, a in page.elements if "src" in a]
    assert len(sources) == 2
    assert all(source.startswith("data:") for source in sources)
    assert not any("href" in a or "style" in a for _, a in page.elements)


def test_headings_name_rows_and_columns() -> None:
    page = page_of(comparison(FIGURES, FIGURES, lines=3))
    scopes = [a.get("scope") for a in page.all("th")]
    assert None not in scopes
    assert scopes.count("row") == 2 * 4  # three lines, and all of them together
    assert len(page.all("audio")) == len({a["aria-label"] for a in page.all("audio")}) == 6
    assert len(page.all("td")) == 2 * (4 * len(compare_page.TITLES) + 3)


def test_the_best_are_marked_and_widths_are_in_proportion() -> None:
    long = replace(FIGURES, speech_s=4.0, inference_s=0.4)
    found = comparison(FIGURES, long)
    html = make_page(found, ["data:,"] * 2)
    assert re.findall("<strong>(.*?)</strong>", html) == ["0.40", "0.100"]  # inference and RTF
    assert [a["width"] for a in Parts(html).all("img")] == ["160", "320"]
    assert "<strong>" not in make_page(comparison(FIGURES, FIGURES), ["data:,"] * 2)


def test_sound_that_is_too_much_for_a_page_lies_beside_it(folder: Path) -> None:
    found = comparison(FIGURES, FIGURES, lines=2)
    assert write_page(found, Output("a b.html"), 40) == "a b.files"
    assert sorted(path.name for path in (folder / "a b.files").iterdir()) == [
        f"00{number}.flac" for number in (1, 2, 3, 4)
    ]
    sources = [a["src"] for a in Parts((folder / "a b.html").read_text()).all("audio")]
    # Line by line on the page, row by row in the folder.
    assert sources == [f"a%20b.files/00{number}.flac" for number in (1, 3, 2, 4)]
    with pytest.raises(InvalidRequest) as refused:
        write_page(found, Output(STDOUT), 40)
    assert refused.value.code == "PAGE_TOO_LARGE"


# -- the command


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name two checkpoints of a few layers."""
    pytest.importorskip("torch")
    from tests.startup import small_model

    home = tmp_path_factory.mktemp("made")
    one, two = (small_model.write(home / str(seed), seed=seed, dim=64) for seed in (1, 2))
    return [
        *("--models", f"{one['published']},{two['published']}", "--device", "cpu"),
        *("--threads", "1"),
        *("--vocab", str(one["vocab"]), "--arch", small_model.MODEL),
        *("--vocoder", str(one["vocoder"])),
    ]


def test_checkpoints_presets_and_seeds(
    folder: Path, checkpoints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lines.txt").write_text("\n Four <score>?\n\n")
    options = ["--text", "lines.txt", "--presets", "fast,balanced", "--seeds", "3,4,3", "--json"]
    assert run(["compare", *options, *checkpoints]) == 0
    said = json.loads(capsys.readouterr().out)
    rows = said["combinations"]
    models = checkpoints[1].split(",")
    assert [(row["model"], row["preset"], row["seed"]) for row in rows] == [
        (model, preset, seed)
        for model in models
        for preset in ("fast", "balanced")
        for seed in (3, 4)
    ]
    for row in rows:
        (line,) = row["lines"]
        assert (line["text"], line["duration"]) == ("Four <score>?", row["duration"])
        assert (row["wer"], row["voice"]) == (None, "default")
        assert row["rtf"] > 0
    assert any("pip install 'f5serve[asr]'" in note for note in said["warnings"])
    page = Parts((folder / said["path"]).read_text())
    sounds = [base64.b64decode((a["src"] or "").partition(",")[2]) for a in page.all("audio")]
    assert len(sounds) == len(set(sounds)) == 8, "each combination sounds different"
    durations = [row["duration"] for row in rows]
    assert [decode(sound).duration_s for sound in sounds] == pytest.approx(durations, abs=0.01)


@needs_chromium
def test_the_stand_in_on_a_page_that_a_browser_shows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", "Yes.\nNo.", "--engine", "standin", "-v", "jf_alpha"]) == 0
    told = capsys.readouterr().err
    assert "compare.html: combinations 1, lines 2" in told
    assert "note: The stand-in speaker takes no presets and seeds." in told
    url = (folder / "compare.html").as_uri()
    with open_browser() as browser, visiting(browser, url, color_scheme="dark") as visit:
        visit.page.goto(url)
        visit.until("[...document.querySelectorAll('audio')].every((one) => one.duration > 0.3)")
        visit.until("[...document.images].every((one) => one.naturalWidth > 10)")
        assert visit.problems() == []
        visit.check()


MANY = ",".join(map(str, range(65)))


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        ([], "BAD_OPTION", "no text"),
        (["Hi.", "--text", "lines.txt"], "BAD_OPTION", "two texts"),
        (["--text", "nowhere.txt"], "FILE_UNREADABLE", "nowhere.txt"),
        (["  "], "EMPTY_TEXT", "required"),
        (["Hi.", "--seeds", MANY], "TOO_MANY_COMBINATIONS", "65 combinations"),
        (["Hi.\n" * 300, "--seeds", "1,2"], "TOO_MANY_COMBINATIONS", "600 lines in all"),
        (["Hi.", "--seeds", "-1"], "BAD_OPTION", "seed is -1"),
        (["Hi.", "--models", "F5TTS_v1_Base,E2TTS_Base"], "MODEL_MISSING", "F5TTS_v1_Base and E2"),
        (["Hi.", "--models", "nothing"], "UNKNOWN_MODEL", "nothing"),
        (["Hi.", "--models", "a.pt"], "CHECKPOINT_INCOMPLETE", "vocab, arch"),
        (["Hi.", "--models", "E2TTS_Base", "--model", "E2TTS_Base"], "BAD_OPTION", "--models"),
        (["Hi.", "-v", "nowhere.wav"], "UNKNOWN_VOICE", "nowhere.wav"),
        (["Hi.", "-o", "."], "OUTPUT_UNWRITABLE", "folder"),
    ],
)
def test_refusals(
    argv: list[str],
    code: str,
    words: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("F5_MODELS_DIR", str(folder / "models"))
    assert run(["compare", *argv, "--json"]) in (3, 4, 5)
    said = json.loads(capsys.readouterr().out)
    assert said["code"] == code
    assert words in said["error"]
    if code == "MODEL_MISSING":
        assert "f5serve models pull F5TTS_v1_Base && f5serve models pull E2TTS_Base" in said["hint"]
    assert list(folder.glob("*.html")) == []


@pytest.mark.parametrize("option", [["--presets", "slow"], ["--seeds", "x"], ["--models", ","]])
def test_wrong_lists_are_usage_errors(option: list[str]) -> None:
    assert run(["compare", "Hi.", *option]) == 2
