"""Numbers, signs and spellings: written English to words."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from f5serve.text import numbers
from f5serve.text.normalization.english import (
    LONGEST_WORD,
    normalize_english,
    unsupported_characters,
)

SMALL = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SMALL |= {word: 20 + 10 * index for index, word in enumerate(TENS)}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def understand(words: str) -> int:
    """The number that somebody hears: an own reading, apart from the code under test."""
    total = group = 0
    for word in words.split():
        if word in SCALES:
            total, group = total + group * SCALES[word], 0
        elif word == "hundred":
            group *= 100
        else:
            group += SMALL[word]
    return total + group


@given(st.integers(0, 10**15 - 1))
def test_cardinals_say_the_number(value: int) -> None:
    assert understand(numbers.cardinal(str(value))) == value


@given(st.from_regex(r"[0-9]{16,60}|0[0-9]{1,20}", fullmatch=True))
def test_long_and_zero_led_numbers_are_read_digit_by_digit(text: str) -> None:
    assert [SMALL[word] for word in numbers.cardinal(text).split()] == [int(d) for d in text]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("I have 3 cats.", "I have three cats."),
        (
            "It cost $45.50 and £3.2bn, or 12%.",
            "It cost forty five dollars and fifty cents and three point two billion pounds, "
            "or twelve percent.",
        ),
        (
            "$1, $1.01, 20€, ¥100",
            "one dollar, one dollar and one cent, twenty euros, one hundred yen",
        ),
        ("$5 million", "five million dollars"),
        (
            "In 1999, 1,203 books.",
            "In nineteen ninety nine, one thousand two hundred three books.",
        ),
        ("1906 2001 2024", "nineteen oh six two thousand one twenty twenty four"),
        ("the 1990s", "the nineteen nineties"),
        ("2024-05-06", "May sixth, twenty twenty four"),
        ("5:30 pm, 17:05, 6:00", "five thirty PM, seventeen oh five, six o'clock"),
        (
            "36.6°C, 5km, 1 kg",
            "thirty six point six degrees Celsius, five kilometers, one kilogram",
        ),
        ("1st 22nd 30th", "first twenty second thirtieth"),
        ("3/4 of ½, 2½", "three quarters of one half, two and one half"),
        ("x², 2⁵, 10¹²", "x squared, two to the power of five, ten to the power of twelve"),
        ("-7, 5-7, 0.05", "minus seven, five to seven, zero point zero five"),
        ("007", "zero zero seven"),
        ("v1.2.3", "v one point two point three"),
        ("me@x.org", "me at x dot org"),
        ("Tom & Jerry + 1 = ?", "Tom and Jerry plus one equals?"),
        ("B2B, COVID-19", "B two B, COVID nineteen"),
        ("naïve café, Łódź, straße", "naive cafe, Lodz, strasse"),
        ("“Quote” — it’s ‘fine’…", "Quote — it's fine..."),
        ("Dr. Smith of St. Mary's", "Doctor Smith of Saint Mary's"),
        ("１２ and ٣", "twelve and three"),
        ("**bold** 🙂", "bold"),
        ("It is -5°C, −5 or –5", "It is minus five degrees Celsius, minus five or minus five"),
        (
            "-$50, $-50, -1.5V",
            "minus fifty dollars, minus fifty dollars, minus one point five volts",
        ),
        (
            "-10°F to -5°F",
            "minus ten degrees Fahrenheit to minus five degrees Fahrenheit",
        ),
        ("±3 or +/-3", "plus or minus three or plus or minus three"),
        ("A-5, 5−3, 50 - 60, F—5", "A five, five minus three, fifty — sixty, F — five"),
        ("10^-3, 10⁻³", "ten to the power of minus three, ten to the power of minus three"),
        ("$10-20, £5–10", "ten to twenty dollars, five to ten pounds"),
        ("$1-2 million", "one to two million dollars"),
        ("$10-$20, 5€-10€", "ten dollars to twenty dollars, five euros to ten euros"),
        (
            "$1.50-2.50",
            "one dollar and fifty cents to two dollars and fifty cents",
        ),
        ("5%-10%, 5-10%", "five percent to ten percent, five to ten percent"),
        ("3-5 km, 5kg-10kg", "three to five kilometers, five kilograms to ten kilograms"),
        ("3~5 km", "three to five kilometers"),
        ("5:30-6:30 pm", "five thirty to six thirty PM"),
        (
            "$5M, $2.5B, $300K",
            "five million dollars, two point five billion dollars, three hundred thousand dollars",
        ),
        (
            "€5M, ¥300K, $1.2T, 5M€",
            "five million euros, three hundred thousand yen, "
            "one point two trillion dollars, five million euros",
        ),
        ("$5-10M", "five to ten million dollars"),
        ("$1.5-2.5M", "one point five to two point five million dollars"),
        ("$5-a-day, $5 rillion", "five dollars a-day, five dollars rillion"),
        (".5 mm, -.5, $.50", "zero point five millimeters, minus zero point five, fifty cents"),
        ("Hello.5 ...5", "Hello. five... five"),
        ("1,2345", "one, two thousand three hundred forty five"),
        (
            "Mail a.b@c.org or see x.y.com/a-b.",
            "Mail a dot b at c dot org or see x dot y dot com slash a dash b.",
        ),
        ("What?!?!?! No.......", "What?!? No..."),
        ("The FBI. Then the F.B.I met", "The FBI. Then the FBI met"),
        ("I am here at 9am, and NOT at 5 pm", "I am here at nine AM, and not at five PM"),
        ("03/04/2025 at 12 Elm Dr.", "March fourth, twenty twenty five at twelve Elm Drive."),
        ("Henry VIII said 你好", "Henry the eighth said"),
    ],
)
def test_written_english_is_read_as_people_read_it(written: str, said: str) -> None:
    assert normalize_english(written).text == said


@given(st.lists(st.from_regex("[a-z]{1,12}", fullmatch=True), min_size=1, max_size=20), st.data())
def test_no_word_is_lost(words: list[str], data: st.DataObject) -> None:
    separators = st.sampled_from([" ", ", ", ". ", "; ", "! ", "? ", " — ", "\n", ' "', "* ", " ("])
    text = "".join(word + data.draw(separators) for word in words)
    assert re.findall("[a-z]+", normalize_english(text).text) == words


@given(st.text(max_size=200))
def test_whatever_is_written_words_and_ascii_marks_come_out(text: str) -> None:
    said = normalize_english(text).text
    assert not set(re.sub(r"[A-Za-z.,;:!?'()— -]", "", said)), said
    assert all(len(word) <= LONGEST_WORD for word in re.findall("[A-Za-z]+", said))


@example("൰")
@given(st.text(max_size=200))
def test_speakable_letters_and_digits_are_said(text: str) -> None:
    apostrophes = "\u02b9\u02bb\u02bc\u0374\u037a"  # letters to Unicode, silent to everybody
    letters = (c for c in text if c.isalnum() and c not in apostrophes)
    speakable = "".join(c for c in letters if not unsupported_characters(c))
    assert bool(speakable) <= bool(re.search("[A-Za-z]", normalize_english(speakable).text))


def test_unspeakable_names_other_scripts_each_once_and_in_order() -> None:
    assert unsupported_characters("日本 a 日 Привет!") == ["日", "本", "П", "р", "и", "в", "е", "т"]
    assert unsupported_characters("नमस्ते")[0] == "न"
    assert unsupported_characters("൰ of ½ and ①") == ["൰"]
    assert unsupported_characters("\ue000\ud800") == ["\ue000", "\ud800"]


@pytest.mark.parametrize(
    "text",
    [
        "Façade, “naïve” — Łódź & Ærø; ½ of £5…",
        "x² ≈ 36.6 °C 🙂👍🏽 ™ №5",
        unicodedata.normalize("NFD", "é"),
    ],
)
def test_latin_text_with_signs_and_emoji_is_speakable(text: str) -> None:
    assert unsupported_characters(text) == []


@pytest.mark.parametrize("emoji", ["🩷", "🫩", "㊗️", "ℹ️", "🈁", "🏴󠁧󠁢󠁿", "🇩🇪"])
def test_an_emoji_is_silent_though_it_is_newer_than_the_tables_or_a_letter(emoji: str) -> None:
    assert unsupported_characters(f"I love it {emoji}") == []
    assert normalize_english(f"I love it {emoji}").text == "I love it"


@pytest.mark.parametrize("text", ["-$5M-10M", "a −.5°C", "$1.50-2 a", "3~5 km", "x 🩷 5%-10%"])
def test_each_word_still_has_its_place(text: str) -> None:
    mapped = normalize_english(f"Now {text} then")
    assert all(0 <= start <= end <= len(text) + 9 for start, end in mapped.spans)
    starts = [start for start, _ in mapped.spans]
    assert starts == sorted(starts)
    said = list(mapped.find(re.compile(r"[a-z]+", re.IGNORECASE)))
    assert said[0] == ("Now", (0, 3))
    assert said[-1] == ("then", (len(text) + 5, len(text) + 9))


def test_long_runs_are_cut_so_that_pronouncing_them_stays_cheap() -> None:
    assert normalize_english("a" * 50).text == " ".join(["a" * 24, "a" * 24, "aa"])
    assert max(map(len, normalize_english("x-" * 500).text.split())) <= LONGEST_WORD + 1
