"""Which chapters are read, and how long that takes."""

from __future__ import annotations

import made_books as made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.books.plan import parse_chapters, plan_book
from f5serve.books.reader import read_book
from f5serve.errors import InvalidRequest

BOOK = read_book(
    made.epub(
        {
            "cover.xhtml": made.page("<p>The cover of it.</p>", body_type="cover"),
            "one.xhtml": made.page(f"<h1>One</h1><p>{'word ' * 600}</p>"),
            "two.xhtml": made.page(f"<h1>第二章</h1><p>{'雾来了。' * 225}</p>", language="zh"),
        }
    )
)


def test_what_is_not_read_out_is_left_out_unless_it_is_chosen() -> None:
    plan = plan_book(BOOK)
    assert [p.chapter.number for p in plan.chapters] == [2, 3]
    assert [chapter.reason for chapter in plan.left_out] == ["cover"]
    assert plan.chars == BOOK.chapters[1].chars + BOOK.chapters[2].chars == 3 + 2_999 + 3 + 900
    assert [p.chapter.number for p in plan_book(BOOK, "1,3").chapters] == [1, 3]


def test_length_by_language_or_by_the_pace_of_the_voice() -> None:
    english, chinese = plan_book(BOOK).chapters
    assert english.duration_s == pytest.approx(200, rel=0.01)
    assert chinese.duration_s == pytest.approx(200, rel=0.01)
    assert plan_book(BOOK).duration_s == english.duration_s + chinese.duration_s
    assert plan_book(BOOK, chars_per_s=10).chapters[0].duration_s == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        ("3", [3]),
        ("3-5,9", [3, 4, 5, 9]),
        (" 9 , 1 - 2,2", [1, 2, 9]),
        ("8-", [8, 9, 10]),
        ("2..3", [2, 3]),
        ("1-10", list(range(1, 11))),
    ],
)
def test_choices(chosen: str, numbers: list[int]) -> None:
    assert parse_chapters(chosen, 10) == numbers


@pytest.mark.parametrize(
    "chosen", ["0", "11", "5-3", "x", "1,,2", "-3", "3-11", "1;2", "1," * 2_000]
)
def test_wrong_choices(chosen: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_chapters(chosen, 10)
    assert caught.value.code == "BAD_OPTION"
    assert "10" in caught.value.message


@given(st.text("0123456789-,. ", max_size=20), st.integers(1, 50))
def test_any_choice(chosen: str, count: int) -> None:
    try:
        found = parse_chapters(chosen, count)
    except InvalidRequest:
        return
    assert list(found) == sorted(set(found))
    assert set(found) <= set(range(1, count + 1))
