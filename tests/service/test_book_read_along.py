"""Words of a job become words of the book that is read along."""

from __future__ import annotations

from typing import Any

from f5serve.books.epub3_pages import clips_of
from f5serve.books.model import Anchor, Block
from f5serve.service.book_read_along import sentences_with_words

BLOCKS = (Block("paragraph", "It rained. The lamp went out.", Anchor("", "line=1")),)
PARTS = [
    {"start": 0, "end": 10, "start_time": 0.0, "end_time": 1.0},
    {"start": 11, "end": 29, "start_time": 1.4, "end_time": 3.0},
]


def heard(*words: tuple[str, float, float]) -> list[dict[str, Any]]:
    return [{"word": word, "start_time": start, "end_time": end} for word, start, end in words]


def texts(words: list[dict[str, Any]], duration_s: float = 3.0) -> list[list[str]]:
    """The words that are found in each sentence, if their times are in order and in the sound."""
    sentences = list(
        sentences_with_words(BLOCKS, {"parts": PARTS, "word_timings": words}),
    )
    assert clips_of(sentences, duration_s, by_word=True)
    for sentence in sentences:
        for word in sentence.words:
            assert sentence.span.start <= word.start < word.end <= sentence.span.end
            assert sentence.span.start_s <= word.start_s <= word.end_s <= sentence.span.end_s
    return [
        [BLOCKS[0].text[word.start : word.end] for word in sentence.words] for sentence in sentences
    ]


def test_words_are_found_in_their_sentences() -> None:
    words = heard(("It", 0.1, 0.3), ("rained.", 0.3, 1.0), ("The", 1.4, 1.6), ("lamp", 1.6, 2.0))
    assert texts(words) == [["It", "rained."], ["The", "lamp"]]


def test_words_without_times_leave_the_sentence_as_a_whole() -> None:
    assert texts([]) == [[], []]
    assert texts(heard(("Es", 0.1, 0.3), ("", 0.3, 0.4), ("The", 1.4, 1.6))) == [[], ["The"]]


def test_times_that_are_out_of_order_or_behind_the_sound_are_brought_into_it() -> None:
    words = heard(("It", 0.5, 9.0), ("rained.", 0.2, 0.3), ("out.", 3.5, 4.0))
    assert texts(words) == [["It", "rained."], ["out."]]
