"""Splitting loses nothing, doubles nothing, keeps words whole and respects the size."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.split import split_lead, split_sentences, split_text

VOCABULARY = """
I a the word unbelievably antidisestablishmentarianism naïve Москва 12.5 3,000 e.g. Dr. no. so,
well; what? Stop! “Yes.” (maybe) नमस्ते। مرحبا، شكرا؟ 한국어 …and
"""
WORDS = st.lists(st.sampled_from(VOCABULARY.split()), min_size=1, max_size=60)
CHINESE = st.text(alphabet="今天天气很好我们去公园吧。，！？、「」（）…A1", min_size=1, max_size=80)


@given(WORDS, st.integers(min_value=1, max_value=200))
def test_spaced_words_survive(words: list[str], max_bytes: int) -> None:
    chunks = split_text(" ".join(words), max_bytes)
    assert " ".join(chunks).split() == " ".join(words).split()
    for chunk in chunks:
        assert len(chunk.encode()) <= max_bytes or " " not in chunk


@given(CHINESE, st.integers(min_value=1, max_value=60))
def test_unspaced_characters_survive(text: str, max_bytes: int) -> None:
    chunks = split_text(text, max_bytes)
    assert "".join(chunks) == text
    for chunk in chunks:
        # Beyond the size there is nothing but one character and the marks that cling to it.
        assert len(chunk.encode()) <= max_bytes or len(re.findall("[一-鿿]", chunk)) <= 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=120), st.integers(1, 80))
def test_no_letter_is_lost_whatever_the_text(text: str, max_bytes: int) -> None:
    chunks = split_text(text, max_bytes)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert all(chunks)


@given(WORDS, st.integers(min_value=40, max_value=200))
def test_no_more_chunks_than_greedy_filling(words: list[str], max_bytes: int) -> None:
    text = " ".join(words)
    greedy, size = 1, -1
    for word in text.split():
        if size + 1 + len(word.encode()) > max_bytes:
            greedy, size = greedy + 1, -1
        size += 1 + len(word.encode())
    # Cutting at sentences rather than anywhere may take more, but never twice as many and one.
    assert len(split_text(text, max_bytes)) <= 2 * greedy + 1


@pytest.mark.parametrize(
    ("text", "max_bytes", "chunks"),
    [
        ("One. Two. Three.", 100, ["One. Two. Three."]),
        ("One. Two. Three.", 9, ["One. Two.", "Three."]),
        ("Dr. Smith left. J. Doe came.", 16, ["Dr. Smith left.", "J. Doe came."]),
        ("He said: “Stop!” and she did.", 20, ["He said: “Stop!”", "and she did."]),
        ("Pi is 3.14, e is 2.718.", 12, ["Pi is 3.14,", "e is 2.718."]),
        ("今天很好。我们走吧！", 18, ["今天很好。", "我们走吧！"]),
        ("他说：“好。”然后走了。", 24, ["他说：“好。”", "然后走了。"]),
        ("一二三四，五六七八", 15, ["一二三四，", "五六七八"]),
        ("एक दो। तीन चार।", 30, ["एक दो।", "तीन चार।"]),
        ("كيف حالك؟ بخير.", 20, ["كيف حالك؟", "بخير."]),
        ("unbreakable", 3, ["unbreakable"]),
        ("我用Python写", 6, ["我用", "Python", "写"]),
        ("我们出去玩吧.好的!你想去哪里?", 30, ["我们出去玩吧.", "好的!你想去哪里?"]),
        ("他说好.Then he left", 12, ["他说好.", "Then he left"]),
        ("明天,后天见", 10, ["明天,", "后天见"]),
        ("版本3.5万元 你好.com", 24, ["版本3.5万元", "你好.com"]),
    ],
)
def test_where_it_is_cut(text: str, max_bytes: int, chunks: list[str]) -> None:
    assert split_text(text, max_bytes) == chunks


def test_chunks_are_filled_evenly() -> None:
    text = " ".join(["Ten bytes."] * 11)
    sizes = [len(chunk) for chunk in split_text(text, 110)]
    assert sizes == [65, 54]


def test_thai_is_cut_before_a_whole_syllable_sign() -> None:
    for chunk in split_text("สวัสดีครับผมชื่อสมชายยินดีที่ได้รู้จักเมื่อวานเราไปเที่ยว", 21):
        assert chunk[0] not in "ัิีึืุู่้์ะาำ"
        assert chunk[-1] not in "เแโใไ"


def test_sentences() -> None:
    text = "Mr. Smith met Prof. Lee at 5 p.m. sharp. Really? Yes! “Fine.” 好的。走吧"
    assert split_sentences(text) == [
        "Mr. Smith met Prof. Lee at 5 p.m. sharp.", "Really?", "Yes!", "“Fine.”", "好的。", "走吧",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "Here are the steps: 1. Preheat the oven. 2. Mix it. 3. Bake.",
            ["Here are the steps: 1. Preheat the oven.", "2. Mix it.", "3. Bake."],
        ),
        ("1.打开盒子。2.关上。", ["1.打开盒子。", "2.关上。"]),
        ("She was 12. He was not.", ["She was 12.", "He was not."]),
        ("No. I see No. 5. On Jan. 5 it ran.", ["No.", "I see No. 5.", "On Jan. 5 it ran."]),
        ("J.R.R. Tolkien met Gen. Lee.", ["J.R.R. Tolkien met Gen. Lee."]),
    ],
)
def test_a_number_belongs_to_its_item_and_a_title_to_its_name(
    text: str, sentences: list[str]
) -> None:
    assert split_sentences(text) == sentences


def test_an_address_is_cut_into_parts_that_can_be_spoken() -> None:
    url = "https://example.com/" + "/".join(["some-long-path_and?more=of&it"] * 32) + "x" * 300
    chunks = split_text(f"See {url} there", 100)
    assert "".join(chunks).replace("See", "").replace("there", "") == url
    assert max(len(chunk) for chunk in chunks) <= 100
    assert sum(chunk[-1] in "/?&=-_." for chunk in chunks) >= len(chunks) // 2


def test_marks_stay_with_their_letters_in_what_is_cut_anywhere() -> None:
    for chunk in split_text("e\u0316\u0301" * 100, 50):
        assert chunk[0] == "e"


def test_nothing_gives_nothing() -> None:
    assert split_text("", 10) == []


@pytest.mark.parametrize("char", ["a", "漢", "a ", "a. ", "。", " "])
def test_a_long_text_is_split_in_reasonable_time(char: str) -> None:
    assert sum(map(len, split_text(char * 30_000, 100))) > 0 or char == " "


@pytest.mark.parametrize(
    ("text", "lead"),
    [
        ("One two three. Four five six seven eight.", "One two three."),
        ("Yes. I know that. And more of it comes then.", "Yes. I know that."),
        ("However long it is, this sentence goes on and on.", "However long it is,"),
        ("A sentence without any mark goes on and on and on", "A sentence without"),
        ("今天天气很好，我们一起去公园散步吧。明天也去。", "今天天气很"),
    ],
)
def test_a_lead_ends_where_speech_pauses_if_it_can(text: str, lead: str) -> None:
    assert split_lead(text, 8, 20)[0] == lead


@given(WORDS | CHINESE.map(list), st.integers(1, 30), st.integers(0, 60))
def test_a_lead_and_its_rest_are_the_text(words: list[str], least: int, more: int) -> None:
    text = " ".join(words).strip()
    lead, rest = split_lead(text, least, least + more)
    assert "".join((lead + rest).split()) == "".join(text.split())
    if rest:
        assert least <= len(lead.encode()) <= least + more
        assert len(rest.encode()) >= least
    else:
        assert lead == text


def test_a_word_longer_than_the_lead_is_not_cut() -> None:
    assert split_lead("antidisestablishmentarianism is long", 3, 10)[1] == ""
