"""English rules on any text: digits are gone, spans are kept, a second pass changes nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.english import verbalize
from f5serve.text_kinds import TEXT_KINDS as KINDS

WRITTEN = [
    *("3", "1,234", "007", "3.5", "$5", "€1.50", "5%", "20°C", "5 km", "1990s", "2nd", "10:05"),
    *("3:1", "1/2", "½", "5-10", "03/04/2025", "2024-05-06", "Jan. 5", "9am", "v1.2.3", "#4", "x²"),
    *("+1 (415) 555-0132", "10.0.0.1", "a@b.org", "www.a.com", "@me", "#Tag", "C#", "AT&T", "&"),
    *("FBI", "NASA", "NOT", "STOP", "Dr.", "St.", "12 Elm St.", "No. 5", "vs.", "e.g.", "Inc."),
    *("Henry VIII", "Part II", "I", "hello", "don't", "café", "“quote”", "—", "you!", "end."),
]
ANY = st.text(
    st.sampled_from("0123456789.,:/-–$€%°^'’\"()#@&+=*_ aAeIVXkmsStTÉ½²🙂好\u00a0\n"), max_size=60
)
PUMPED = [
    *(
        "1",
        "1,",
        "$",
        "1/",
        "a.",
        "1-",
        "(1",
        "1 ",
        "@a",
        "1:00-",
        "1x",
        "A ",
        "AB ",
        "I ",
        "½",
        "²",
    ),
    *("12 Elm ", "Dr. ", "Jan 1 ", "1990-", "+12 34 ", "1,111,", "$1-", "5 km", "a@", "http://a"),
    *(
        "🙂 ",
        "M",
        "X",
        "'n'",
        "1e",
        "_a",
        "-5",
        "1234 ",
        "a/",
        "1\u202f234",
        "Aa Aa I ",
        "1 A",
        "\u0661",
    ),
]


@given(st.lists(st.sampled_from(WRITTEN), max_size=6).map(" ".join))
def test_what_is_spoken_is_not_rewritten_again(text: str) -> None:
    once = verbalize(MappedText.of(text)).text
    assert verbalize(MappedText.of(once)).text == once


@given(ANY | st.text(max_size=60))
def test_no_digit_is_left_and_each_character_has_its_place(text: str) -> None:
    mapped = verbalize(MappedText.of(text))
    assert not any(character.isdecimal() for character in mapped.text)
    assert len(mapped.spans) == len(mapped.text)
    assert all(0 <= start < end <= len(text) for start, end in mapped.spans)
    starts = [start for start, _ in mapped.spans]
    assert starts == sorted(starts)


@given(st.from_regex(r"[a-zäöüßéñ你好' ,;!?“”—-]{0,60}", fullmatch=True))
def test_letters_and_marks_without_a_rule_are_kept(text: str) -> None:
    kept = " ".join(verbalize(MappedText.of(text)).text.split()).replace("-", "").replace(" ", "")
    assert kept == text.replace("-", "").replace(" ", "")


@pytest.mark.parametrize(
    ("text", "kind", "spoken"),
    [
        ("$5 on 03/04/2025", "date", "five dollars on 03/04/2025"),
        ("$5 on 03/04/2025", "money", "$5 on March fourth, twenty twenty five"),
        ("the FBI has 3", "acronym", "the FBI has three"),
        ("the FBI has 3", "cardinal", "the F.B.I has 3"),
        ("Dr. No, 5 km", "abbreviation", "Dr. No, five kilometers"),
        ("Dr. No, 5 km", "measure", "Doctor No, 5 km"),
        ("Henry VIII, a@b.org", "roman", "Henry VIII, a at b dot org"),
        ("Henry VIII, a@b.org", "address", "Henry the eighth, a@b.org"),
        ("fine 🙂 & 5%", "emoji", "fine 🙂 and five percent"),
        ("fine 🙂 & 5%", "sign", "fine & five percent"),
    ],
)
def test_a_kind_can_be_left_alone(text: str, kind: str, spoken: str) -> None:
    assert verbalize(MappedText.of(text), frozenset({kind})).text == spoken


@given(st.lists(st.sampled_from(WRITTEN), max_size=6).map(" ".join))
def test_without_any_kind_nothing_changes(text: str) -> None:
    assert verbalize(MappedText.of(text), frozenset(KINDS)).text == text


@pytest.mark.parametrize(
    "text", ["$3.50", "03/04/2025", "2.5 kg", "Henry VIII", "+1 (415) 555-0132"]
)
def test_what_is_rewritten_together_has_one_span(text: str) -> None:
    mapped = verbalize(MappedText.of(f"Now {text} then"))
    inside = {span for span in mapped.spans if span[1] - span[0] > 1}
    assert inside == {(4, 4 + len(text))}


def seconds(text: str) -> float:
    start = time.thread_time()
    verbalize(MappedText.of(text))
    return time.thread_time() - start


@pytest.mark.parametrize("unit", PUMPED)
def test_time_grows_with_the_length(unit: str) -> None:
    """8 times the text takes 8 times as long; 64 times if the work grew with the square."""
    small, large = (f"x{unit * (length // len(unit))}y" for length in (1_000, 8_000))
    growths = (seconds(large) / max(seconds(small), 1e-3) for _ in range(5))
    assert any(growth < 24 for growth in growths)
