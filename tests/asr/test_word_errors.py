"""Two texts are compared by their words, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.asr.word_errors import (
    align_words,
    comparable_words,
    compare,
    is_probably_english,
    written_words,
)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Don't stop! We’re late and can't", "en", "do not stop we are late and can not"),
        ("It’s 7 o'clock - $3.50!", "en", "its seven oclock three dollars and fifty cents"),
        ("an ill-disposed Café", "en", "an ill disposed cafe"),
        ("In 1906: 3,200 people", "en", "in nineteen oh six three thousand two hundred people"),
        ("Füße, 7 Äpfel", "de", "fusse 7 apfel"),
        ("你好，世界。OK", "zh", "你 好 世 界 ok"),
        ("... — !", "en", ""),
    ],
)
def test_words_are_what_is_said(text: str, language: str, expected: str) -> None:
    assert " ".join(comparable_words(text, language)) == expected


def test_marks_inside_words_do_not_cut_them() -> None:
    assert len(comparable_words("नमस्ते दुनिया।", "hi")) == 2


@pytest.mark.parametrize(
    ("meant", "heard", "errors", "differing"),
    [
        ("the cat sat", "The cat sat.", 0, ()),
        ("she sold 7 apples", "he sold seven apples", 1, (("she", "he"),)),
        ("sea shells by the sea", "seashells by the sea", 0, ()),
        ("by the seashore", "by the sea shore", 0, ()),
        ("the cat sat", "the sat", 1, (("cat", ""),)),
        ("the sat", "the cat sat", 1, (("", "cat"),)),
        ("one two three", "", 3, (("one two three", ""),)),
        ("", "one two", 2, (("", "one two"),)),
        ("a b c d", "a x y d", 2, (("b c", "x y"),)),
    ],
)
def test_differences_are_counted_and_named(
    meant: str, heard: str, errors: int, differing: tuple[tuple[str, str], ...]
) -> None:
    found = compare(meant, heard, "en")
    assert (found.errors, found.differing) == (errors, differing)
    assert found.rate == errors / max(1, len(comparable_words(meant, "en")))


def plain_distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's distance, as everybody writes it."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(diagonal + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


WORDS = st.lists(st.sampled_from(["a", "b", "c", "ab", "ba"]), max_size=9)


@given(WORDS, WORDS)
@settings(max_examples=300)
def test_a_match_is_a_way_from_one_to_the_other(meant: list[str], heard: list[str]) -> None:
    edits = align_words(meant, heard)
    assert [i for edit in edits for i in edit.expected] == list(range(len(meant)))
    assert [j for edit in edits for j in edit.found] == list(range(len(heard)))
    for edit in edits:
        left = "".join(meant[i] for i in edit.expected)
        right = "".join(heard[j] for j in edit.found)
        assert (left == right) == (edit.cost == 0)
    cost = sum(edit.cost for edit in edits)
    assert cost <= plain_distance(meant, heard)
    if not any(len(word) > 1 for word in meant + heard):
        assert cost == plain_distance(meant, heard)


def test_joined_words_are_never_worth_a_wrong_turn() -> None:
    assert sum(edit.cost for edit in align_words(["a", "b", "c"], ["ab", "c"])) == 0
    assert sum(edit.cost for edit in align_words(["ab", "ab"], ["a", "b", "a", "b"])) == 0


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["", "en", "de", "zh"]))
@settings(max_examples=200)
def test_no_text_is_too_strange(meant: str, heard: str, language: str) -> None:
    assert compare(meant, meant, language).errors == 0
    found = compare(meant, heard, language)
    assert 0 <= found.errors <= max(found.words, len(comparable_words(heard, language)))


def test_units_are_written_words_or_characters() -> None:
    text = "Well, 你好 ill-disposed."
    assert [unit for unit, _ in written_words(text)] == ["Well,", "你", "好", "ill-disposed."]
    assert all(text[start:end] == unit for unit, (start, end) in written_words(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("And Mr. John Dashwood had then leisure to consider how much.", True),
        ("The weather is lovely.", True),
        ("", False),
        ("Guten Morgen, was machen wir in der Stadt?", False),
        ("We hebben een huis of een boot, dat is wat het is.", False),
        ("Ala ma kota, to jest my i oni.", False),
        ("Le chat est dans la cuisine avec son ami.", False),
        ("你好，世界。", False),
    ],
)
def test_english_is_recognised_when_in_no_doubt(text: str, expected: bool) -> None:
    assert is_probably_english(text) is expected
