"""Tokens equal upstream's on every line of the corpus; vocabularies are read or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import ModelUnavailable
from f5serve.text.tokens import Vocab, tokenize

DATA = Path(__file__).parents[1] / "data"
GOLDEN = json.loads((DATA / "tokens.json").read_text(encoding="utf-8"))["tokens"]


def test_goldens_are_of_the_corpus() -> None:
    lines = (DATA / "lines.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert [line for line, _ in GOLDEN] == lines
    assert len(lines) >= 220


@pytest.mark.parametrize(("line", "tokens"), GOLDEN, ids=range(len(GOLDEN)))
def test_tokens_equal_upstream(line: str, tokens: list[str]) -> None:
    assert tokenize(line) == tokens


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_has_tokens(text: str) -> None:
    said = [token for token in tokenize(text) if token != " "]
    assert len(said) == sum(char != " " for char in text)


def test_neighbours_without_pinyin_do_not_break_a_line() -> None:
    # Upstream stops with an IndexError where its word splitter keeps such characters together.
    assert tokenize("ᄒᆞᆫ글") == list("ᄒᆞᆫ글")


@pytest.mark.parametrize(
    ("text", "loaded"), [("Plain English, café, Москва.", "False"), ("你好", "True")]
)
def test_pypinyin_is_loaded_for_chinese_only(text: str, loaded: str) -> None:
    code = (
        "import sys; from f5serve.text.tokens import tokenize;"
        f"assert 'rjieba' not in sys.modules; tokenize({text!r}); print('pypinyin' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loaded


def vocab_file(folder: Path, data: bytes) -> Path:
    path = folder / "vocab.txt"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("data", [b" \na\nb\nni3\n", b" \na\nb\nni3", b" \r\na\r\nb\r\nni3\r\n"])
def test_line_is_id(tmp_path: Path, data: bytes) -> None:
    vocab = Vocab.from_file(vocab_file(tmp_path, data))
    assert len(vocab) == 4
    assert vocab.ids(["b", " ", "ni3", "x"]) == [2, 0, 3, 0]


def test_rare_line_separators_are_tokens(tmp_path: Path) -> None:
    vocab = Vocab.from_file(vocab_file(tmp_path, " \n\u2028\n\x0b\nz\n".encode()))
    assert vocab.ids(["\u2028", "\x0b", "z"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "does not begin"),
        (b"a\nb\n", "does not begin"),
        (b" \n\xff\xfe\n", "not UTF-8 at byte 2"),
        (b" \n" + b"a" * 1_000_000, "larger than"),
        (b" \n" + b"a\n" * 20_000, "20001 lines"),
    ],
)
def test_bad_vocab_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(ModelUnavailable, match=what) as caught:
        Vocab.from_file(vocab_file(tmp_path, data))
    assert caught.value.code == "BAD_VOCAB"
    assert caught.value.hint


def test_absent_vocab_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        Vocab.from_file(tmp_path / "vocab.txt")


def test_missing_names_what_is_swallowed() -> None:
    vocab = Vocab([" ", *"abcdefghijklmnopqrstuvwxyz',.\"", "ni2", "ni3", "hao3"])
    assert vocab.missing("hello, “world”; it’s fine") == []
    assert vocab.missing("你好，再见 zz 再") == ["再", "见"]
    assert vocab.missing("привет, Hi 5 €") == [*"привет", "H", "5", "€"]
    assert vocab.missing("a 😀 b ❤️ … – (c) | d → e ⇒ f") == []


def test_emoji_and_signs_that_look_alike_are_not_missing() -> None:
    vocab = Vocab([" ", "a", "-", "~", "1"])
    assert vocab.missing("a −1 ∼ 🩷 ℹ️ 1️⃣ ㊗️ ×") == ["×"]
    assert vocab.ids(["−", "∼", "×"]) == [2, 3, 0]
