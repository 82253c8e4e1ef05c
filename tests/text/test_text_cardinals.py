"""Plain numbers of languages without rules of their own."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.cardinals import verbalize_cardinals

NOTHING_OFF: frozenset[str] = frozenset()


def say(text: str, language: str, off: frozenset[str] = NOTHING_OFF) -> str:
    return verbalize_cardinals(MappedText.of(text), language, off)[0].text


def warning(text: str, language: str, off: frozenset[str] = NOTHING_OFF) -> str:
    return verbalize_cardinals(MappedText.of(text), language, off)[1]


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("ru", "У нас 25 мест.", "У нас двадцать пять мест."),
        (
            "ru",
            "1 234 567 жителей",
            "один миллион двести тридцать четыре тысячи пятьсот шестьдесят семь жителей",
        ),
        ("ru", "Вес 3.5 и 3,14", "Вес три запятая пять и три запятая четырнадцать"),
        (
            "ru",
            "1%, 22 %, 5 %, 11 %, 2,5%",
            "один процент, двадцать два процента, пять процентов, одиннадцать "
            "процентов, два запятая пять процента",
        ),
        ("ru", "-5 градусов", "минус пять градусов"),
        (
            "ru",
            "звоните 8 800 555 35 35",
            "звоните восемь восемьсот пятьсот пятьдесят пять тридцать пять тридцать пять",
        ),
        ("ru", "агент 007, 5км", "агент ноль ноль семь, пять км"),
        ("uk", "Маю 5 книг", "Маю п’ять книг"),
        (
            "pl",
            "cena 1.234 zł, waga 3,5 kg",
            "cena tysiąc dwieście trzydzieści cztery zł, waga trzy przecinek pięć kg",
        ),
        ("pl", "22% głosów", "dwadzieścia dwa procent głosów"),
        ("cs", "2 % z 12 500 lidí", "dvě procenta z dvanáct tisíc pět set lidí"),
        ("sk", "2 %", "dve percentá"),
        ("nl", "50 % van 1.000 en 3,14", "vijftig procent van duizend en drie komma veertien"),
        ("sv", "Jag har 21 böcker.", "Jag har tjugoett böcker."),
        ("da", "3,14", "tre komma et fire"),
        ("nb", "25 prosent av 200", "tjuefem prosent av to hundre"),
        ("no", "21", "tjueén"),
        ("fi", "1 %, 50 %", "yksi prosentti, viisikymmentä prosenttia"),
        ("hu", "az 5-ös busz", "az öt-ös busz"),
        ("tr", "%50 ve 2024'te", "yüzde elli ve iki bin yirmi dört'te"),
        ("ro", "26 de lei, 3,5%", "douăzeci și șase de lei, trei virgulă cinci la sută"),
        ("el", "2.000 άτομα", "δύο χιλιάδες άτομα"),
        (
            "hi",
            "मेरे पास ३ किताबें और 12,34,567 रुपये",
            "मेरे पास तीन किताबें और बारह लाख चौंतीस हज़ार पाँच सौ सड़सठ रुपये",
        ),
        ("hi", "3.14", "तीन दशमलव एक चार"),
        ("ko", "사과 3개, 20살, 3시, 14시", "사과 세 개, 스무 살, 세 시, 십사시"),
        ("ko", "3개월 동안 1,234명", "삼개월 동안 천이백삼십사명"),
        ("ar", "لدي ٣ كتب", "لدي ثلاثة كتب"),
        ("ar", "عام 1985", "عام ألف وتسعمائة وخمسة وثمانون"),
        ("vi", "3,5 kg, 50%", "ba phẩy năm kg, năm mươi phần trăm"),
        ("th", "ปี ๒๕๖๗", "ปี สองพันห้าร้อยหกสิบเจ็ด"),
        ("id", "ke-5 dari 1.500.000", "ke-lima dari satu juta lima ratus ribu"),
        ("lv", "21 %, 11 %", "divdesmit viens procents, vienpadsmit procenti"),
        ("bs", "2024", "dvije hiljade dvadeset i četiri"),
        ("sl", "3.000.000", "tri nič nič nič nič nič nič"),
        ("fil", "1984", "isang libo’t siyam na daan at walong pu’t apat"),
        ("nl", "1990–2005", "duizendnegenhonderdnegentig – tweeduizendvijf"),
    ],
)
def test_plain_numbers_are_words(language: str, written: str, said: str) -> None:
    assert say(written, language) == said


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("ru", "12.05.2024 14:30 1/2 5-й 345-67-89"),
        ("pl", "3. maja, 5-letni"),
        ("cs", "3. května"),
        ("fi", "kello 14.30"),
        ("nl", "de 3de"),
        ("sv", "1:a"),
        ("lo", "5"),
        ("zu", "21"),
        ("xx", "21 %"),
        ("", "21"),
    ],
)
def test_what_is_no_plain_number_stays(language: str, written: str) -> None:
    assert say(written, language) == written
    assert "not read as words" in warning(written, language)


def test_the_warning_names_what_was_left_and_the_language() -> None:
    assert warning("Встреча 12.05.2024, билет $5", "ru") == (
        "Dates and signs are not read as words in Russian: write them out, or send `language`."
    )
    assert warning("21", "bn").startswith("Numbers are not read as words in Bengali")
    assert warning("5 книг и 20 %.", "ru") == ""
    assert warning("Нет чисел.", "") == ""


def test_kinds_that_are_off_stay() -> None:
    assert say("5 и 3,5 и 7%", "ru", frozenset({"decimal"})) == "пять и 3,5 и семь процентов"
    assert say("5 и 7%", "ru", frozenset({"percent"})) == "пять и 7%"
    assert warning("14:30", "ru", frozenset({"time"})) == ""


def test_a_number_has_the_place_of_its_digits() -> None:
    mapped, _ = verbalize_cardinals(MappedText.of("у 1 234 кг"), "ru", NOTHING_OFF)
    places = dict(mapped.find(re.compile(r"\w+")))
    assert places["тысяча"] == (2, 7)
    assert places["кг"] == (8, 10)


LANGUAGES = ["ru", "pl", "cs", "fi", "tr", "hi", "ko", "ar", "th", "vi", "xx", ""]


@given(st.sampled_from(LANGUAGES), st.text("01239 .,-–/:%°$€ aя시개ก'\u00a0٣", max_size=40))
def test_any_text_is_taken_and_twice_is_as_once(language: str, text: str) -> None:
    once = say(text, language)
    assert say(once, language) == once


@pytest.mark.parametrize("language", ["ru", "ko"])
@pytest.mark.parametrize(
    "unit",
    ["1", "1,", "1.", "1/", "1-", "1 ", "1 234 ", "1.234 ", "$", "%", "1%", "-1 ", "1개", "a1"],
)
def test_time_is_linear(language: str, unit: str) -> None:
    say("1 21 50% 1.5 1개", language)
    begun = time.thread_time()
    say(unit * (5_000 // len(unit)), language)
    assert time.thread_time() - begun < 2.0
