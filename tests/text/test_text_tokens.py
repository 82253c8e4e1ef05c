"""Tokens equal upstream's on every line of the corpus; vocabularies are read or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.normalizer import normalize
from f5serve.text.pinyin import (
    mark_phrases,
    mark_pinyin,
    parse_pinyin,
    show_pinyin,
    spoken_bytes,
    syllable_of,
)
from f5serve.text.split import split_text
from f5serve.text.tokens import Vocab, tokenize

DATA = Path(__file__).parents[1] / "data"
GOLDEN = json.loads((DATA / "tokens.json").read_text(encoding="utf-8"))["tokens"]


def test_goldens_are_of_the_corpus() -> None:
    lines = (DATA / "lines.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert [line for line, _ in GOLDEN] == lines
    assert len(lines) >= 220


def test_tokens_equal_upstream() -> None:
    found = [(line, tokenize(line), tokens) for line, tokens in GOLDEN]
    assert [one for one in found if one[1] != one[2]] == []


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


def marked(text: str) -> str:
    return mark_pinyin(MappedText.of(text)).text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ('把水<say-as pinyin="dao3">倒</say-as>了', "ba3 shui3 dao3 le"),
        ("<say-as pinyin='chong2 qing4'>重庆</say-as>人", "chong2 qing4 ren2"),
        ("[pinyin:chong2 qing4]人", "chong2 qing4 ren2"),
        ("去[pinyin:chóng qìng]", "qu4 chong2 qing4"),
        ("[pinyin:lü4 nu:3 lve4 lüe4 de5 ju:4]", "lv4 nv3 lve4 lve4 de ju4"),
        ("[pinyin:zhong1guo2]", "zhong1 guo2"),
    ],
)
def test_given_pinyin_is_spoken(text: str, tokens: str) -> None:
    assert [token for token in tokenize(marked(text)) if token != " "] == tokens.split()


def test_spaces_are_as_before_a_chinese_character() -> None:
    text = 'hi <say-as pinyin="dao3">倒</say-as> ok'
    assert tokenize(marked(text)) == [
        "dao3" if token == "dao4" else token for token in tokenize("hi 倒 ok")
    ]


def test_given_pinyin_passes_normalization_and_splitting() -> None:
    text = marked("[pinyin:ni3 hao3]，" + "[pinyin:chong2 qing4]好。" * 9)
    assert normalize(MappedText.of(text), "zh").mapped.text == text
    assert normalize(MappedText.of(f"{text}3"), "zh").mapped.text == f"{text}三"
    chunks = split_text(text, 20)
    assert "".join(chunks) == text
    assert len(chunks) > 9


def test_a_syllable_has_the_span_of_its_character() -> None:
    text = '<say-as pinyin="chong2 qing4">重庆</say-as>[pinyin:ren2]'
    spans = mark_pinyin(MappedText.of(text)).spans
    assert [text[slice(*span)] for span in spans] == ["重", "庆", "[pinyin:ren2]"]
    other = '<say-as pinyin="na3 er2"></say-as>x'
    assert mark_pinyin(MappedText.of(other)).spans[0] == (0, len(other) - 1)
    whole = '<say-as pinyin="yi1 er4 san1">123号</say-as>'
    assert {whole[slice(*s)] for s in mark_pinyin(MappedText.of(whole)).spans} == {"123号"}


@pytest.mark.parametrize(
    ("text", "said", "near"),
    [
        ("[pinyin:daoo3]", "daoo3", "dao3"),
        ("[pinyin:dao]", "dao", "dao1"),
        ("[pinyin:ni3 qwx9]", "qwx9", ""),
        ("[pinyin:]", "no syllable", ""),
        ("<say-as pinyin=''>倒</say-as>", "no syllable", ""),
        ("[pinyin:dao6]", "dao6", "dao4"),
        ("[pinyin:倒]", "倒", ""),
    ],
)
def test_a_syllable_that_does_not_exist_is_refused(text: str, said: str, near: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        marked(text)
    assert caught.value.code == "BAD_PINYIN"
    assert near in caught.value.hint


def test_text_without_the_markup_stays() -> None:
    text = MappedText.of('pinyin [pinyin] <say-as>倒</say-as> <say-as pinyin="dao3">倒')
    assert mark_pinyin(text) is text


def test_pinyin_is_shown_to_people() -> None:
    text = "去[pinyin:chong2 qing4]，[pinyin:lv4]色"
    assert show_pinyin(marked(text)) == text
    assert show_pinyin("plain 你好 \U00100fff") == "plain 你好 \U00100fff"


@given(st.lists(st.sampled_from(["dao3", "chong2", "lv4", "de", "er2", "zhuang4"]), min_size=1))
def test_each_syllable_is_one_character_as_long_as_a_chinese_one(tokens: list[str]) -> None:
    text = parse_pinyin(" ".join(tokens))
    assert [syllable_of(character) for character in text] == tokens
    assert spoken_bytes(f"a倒{text}") == len(("a倒" + "倒" * len(tokens)).encode())


def test_phrases_of_a_lexicon_are_given_their_pinyin() -> None:
    phrases = {"重庆": "chong2 qing4", "重庆市": "chong2 qing4 shi4", "哪儿": "nar3"}
    with pytest.raises(InvalidRequest, match="nar3"):
        mark_phrases(MappedText.of("重庆"), phrases)
    phrases["哪儿"] = "na3"
    text = "去重庆市，重庆在哪儿"
    done = mark_phrases(MappedText.of(text), phrases)
    assert show_pinyin(done.text) == (
        "去[pinyin:chong2 qing4 shi4]，[pinyin:chong2 qing4]在[pinyin:na3]"
    )
    assert [text[slice(*span)] for span in done.spans] == [*text[:-2], "哪儿"]


def test_a_vocabulary_without_the_syllable_names_it() -> None:
    vocab = Vocab([" ", "dao3"])
    assert vocab.missing(marked("[pinyin:dao3 dia3]")) == ["[pinyin:dia3]"]
    assert vocab.ids(tokenize(marked("[pinyin:dao3]"))) == [0, 1]
