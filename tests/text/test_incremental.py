"""A text that comes in parts is spoken early, whole, and cut where a whole text would be."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.incremental import MAX_BYTES, MIN_BYTES, IncrementalSplitter
from f5serve.text.split import split_sentences

STORY = (
    "Well, I have looked at the weather for you. Dr. Smith says that it will rain! Take a coat, "
    "an umbrella and 3.5 litres of tea. “Why so much? I never drink it.” Because it is cold."
)
PIECES = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def spoken(parts: list[str], **options: int) -> list[str]:
    """All pieces of a text that comes in these parts."""
    splitter = IncrementalSplitter("en", **options)
    pieces = [piece for part in parts for piece in splitter.add(part)]
    rest = splitter.flush()
    assert splitter.flush() == ""
    return [*pieces, rest] if rest else pieces


def in_parts(text: str, lengths: list[int]) -> list[str]:
    parts, at = [], 0
    while at < len(text):
        length = lengths[len(parts) % len(lengths)]
        parts.append(text[at : at + length])
        at += length
    return parts


def test_the_first_piece_is_a_clause_and_later_ones_are_sentences() -> None:
    text = "Well, this is the first clause, and this the second. Here is one, with two clauses. "
    assert spoken(list(text)) == [
        "Well, this is the first clause, ",
        "and this the second. ",
        "Here is one, with two clauses. ",
    ]


def test_a_clause_is_returned_with_the_space_behind_it_and_not_earlier() -> None:
    splitter = IncrementalSplitter("en")
    assert splitter.add("Hello and good morning,") == []
    assert splitter.add(" ") == ["Hello and good morning, "]


def test_a_full_stop_waits_for_the_next_word() -> None:
    splitter = IncrementalSplitter("en")
    assert splitter.add("I went to see Dr. ") == []
    assert splitter.add("S") == []
    assert splitter.add("mith at the hospital today. ") == []
    assert splitter.add("H") == ["I went to see Dr. Smith at the hospital today. "]
    assert splitter.flush() == "H"


def test_an_exclamation_mark_does_not() -> None:
    assert IncrementalSplitter("en").add("That is wonderful! ") == ["That is wonderful! "]


def test_short_sentences_go_together() -> None:
    assert spoken(list("Yes. No. Maybe. Ask me again tomorrow. And then once more.")) == [
        "Yes. No. Maybe. Ask me again tomorrow. ",
        "And then once more.",
    ]


def test_quotations_stay_whole_until_they_are_too_long() -> None:
    text = "She said “I do not know. I was never there before.” and left the room. Then he came."
    assert spoken(list(text)) == [text.removesuffix("Then he came."), "Then he came."]
    endless = "“" + "this sentence is quoted and goes on. " * 20
    pieces = spoken(list(endless))
    assert "".join(pieces) == endless
    assert len(pieces[0].strip().encode()) <= MAX_BYTES


def test_chinese_is_cut_at_its_own_marks() -> None:
    assert spoken(list("今天天气很好，我们去公园吧。你想去吗？好的，我们走。")) == [
        "今天天气很好，",
        "我们去公园吧。",
        "你想去吗？好的，我们走。",
    ]


def test_numbers_are_not_cut() -> None:
    pieces = spoken(list("It costs 1,234.50 dollars at the market, or 3.2 million in all. Yes."))
    assert pieces[0] == "It costs 1,234.50 dollars at the market, "
    assert "3.2 million" in pieces[1]


@given(PIECES)
def test_how_the_text_comes_changes_nothing(lengths: list[int]) -> None:
    assert spoken(in_parts(STORY, lengths)) == spoken([STORY])


def test_pieces_end_where_sentences_do() -> None:
    ends = {"".join(split_sentences(STORY, "en")[: n + 1]) for n in range(9)}
    pieces = spoken(list(STORY))
    for number in range(1, len(pieces)):
        begun = "".join(piece.strip() for piece in pieces[: number + 1])
        assert begun in ends, pieces


@given(st.text(max_size=400), PIECES)
def test_nothing_is_lost_or_changed(text: str, lengths: list[int]) -> None:
    pieces = spoken(in_parts(text, lengths))
    assert "".join(pieces) == text
    for piece in pieces:
        assert len(piece.encode("utf-8", "replace")) <= MAX_BYTES
    for piece in pieces[:-1]:
        size = len(piece.strip().encode("utf-8", "replace"))
        assert size >= MIN_BYTES or len(piece.encode("utf-8", "replace")) > MAX_BYTES - 4


@pytest.mark.parametrize(
    "unit", ["a", "a ", "字", "“", "a, ", "a. ", "!", "\n", "\u0301", '"a', "("]
)
def test_a_long_text_is_cut_in_linear_time(unit: str) -> None:
    def seconds(count: int) -> float:
        began = time.thread_time()
        text = unit * (count // len(unit))
        assert "".join(spoken([text])) == text
        return time.thread_time() - began

    small = min(seconds(4_000) for _ in range(3))
    large = min(seconds(32_000) for _ in range(3))
    assert large < 24 * max(small, 0.002), (small, large)


def test_halves_of_characters_pass() -> None:
    assert spoken(["\ud83d" * 300])[0] == "\ud83d" * MAX_BYTES
