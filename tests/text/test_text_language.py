"""The language of a text is found by script, words and letters, or is that of the voice."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.language import canonical_tag, language_of, parse_tag
from f5serve.text.language_words import MARKS, WORDS

SENTENCES = [
    ("en", "Hello, how are you doing today?"),
    ("en", "The quick brown fox jumps over the lazy dog."),
    ("en", "Die Hard is on at 9, don't miss it."),
    ("en", "Café Müller opens at noon and closes when the last guest leaves."),
    ("en", "John Smith, Baker Street 221"),
    ("en", "OK"),
    ("de", "Hallo Welt"),
    ("de", "Guten Morgen!"),
    ("de", "Der Zug nach Berlin hat heute leider Verspätung."),
    ("de", "Das Meeting mit dem Team ist um 15 Uhr."),
    ("de", "Wie geht es dir?"),
    ("es", "¿Qué tal?"),
    ("es", "Hola, buenos días"),
    ("es", "El tren llega a las cinco y media de la tarde."),
    ("es", "No hay nada que hacer por ahora."),
    ("fr", "Bonjour !"),
    ("fr", "Ça va ?"),
    ("fr", "L'eau est froide, mais nous n'avons pas le choix."),
    ("fr", "Il pleut depuis ce matin sur toute la ville."),
    ("it", "Ciao!"),
    ("it", "Buongiorno a tutti"),
    ("it", "Il treno per Roma parte alle otto di sera."),
    ("it", "Non c'è più tempo per queste cose."),
    ("pt", "Olá, tudo bem?"),
    ("pt", "Não sei o que fazer com isso."),
    ("pt", "O comboio chega às cinco horas da tarde."),
    ("nl", "Goedemorgen, hoe gaat het met je?"),
    ("nl", "De trein naar Utrecht heeft vandaag een half uur vertraging."),
    ("nl", "Ik weet niet wat dat is."),
    ("pl", "Dzień dobry!"),
    ("pl", "Nie wiem, co to jest."),
    ("pl", "Pociąg do Krakowa odjeżdża o ósmej wieczorem."),
    ("tr", "Merhaba dünya"),
    ("tr", "Bugün hava çok güzel, ama yarın yağmur var."),
    ("vi", "Xin chào"),
    ("vi", "Tôi không biết hôm nay là ngày gì."),
    ("sv", "Hej, hur mår du?"),
    ("sv", "Tåget till Göteborg är försenat i dag."),
    ("id", "Selamat pagi, apa kabar?"),
    ("id", "Saya tidak tahu apa yang akan terjadi besok."),
    ("ro", "Bună ziua!"),
    ("ro", "Nu știu ce să fac cu acest lucru."),
    ("hu", "Jó napot kívánok!"),
    ("hu", "Nem tudom, hogy mi lesz holnap."),
    ("cs", "Dobrý den!"),
    ("cs", "Nevím, co se zítra stane, ale bude to dobré."),
    ("fi", "Hyvää huomenta!"),
    ("fi", "En tiedä, mitä huomenna tapahtuu, mutta kaikki on hyvin."),
    ("da", "Jeg ved ikke, hvad der sker i morgen."),
    ("no", "Jeg vet ikke hva som skjer i morgen."),
    ("ja", "今日は晴れです。"),
    ("ja", "カタカナ"),
    ("ko", "안녕하세요"),
    ("zh", "你好，世界！"),
    ("zh", "我用Python写程序，每天都写很多。"),
    ("ru", "Привет, как дела?"),
    ("uk", "Привіт, як твої справи? Це моє місто."),
    ("be", "Ён быў дома ўчора."),
    ("sr", "Ђак је отишао кући."),
    ("kk", "Қазақстан үлкен ел"),
    ("ar", "مرحبا بالعالم"),
    ("fa", "سلام، چطوری؟ پنجره باز است."),
    ("ur", "آپ کیسے ہیں؟ میں ٹھیک ہوں۔"),
    ("he", "שלום עולם"),
    ("hi", "नमस्ते दुनिया"),
    ("th", "สวัสดีครับ"),
    ("el", "Καλημέρα κόσμε"),
    ("bn", "নমস্কার বিশ্ব"),
    ("ta", "வணக்கம் உலகம்"),
    ("te", "నమస్కారం"),
    ("ka", "გამარჯობა"),
    ("hy", "Բարեւ"),
    ("am", "ሰላም"),
    ("km", "សួស្តី"),
]


@pytest.mark.parametrize(("language", "text"), SENTENCES)
def test_a_text_shows_its_language(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(("language", "text"), SENTENCES)
def test_a_voice_of_the_same_language_confirms_it(language: str, text: str) -> None:
    assert language_of(text, language) == language


@pytest.mark.parametrize(
    ("text", "spoken", "language"),
    [
        ("", "", ""),
        ("", "de", "de"),
        ("1, 2, 3", "pt-BR", "pt"),
        ("Berlin", "de", "de"),
        ("Software Update 5", "de-AT", "de"),
        ("Ciao!", "en", "en"),
        ("Angela Merkel", "fr", "fr"),
        ("Meeting at noon", "de", "de"),
        ("Hello, how are you doing today?", "de", "en"),
        ("Wie geht es dir heute?", "en_US", "de"),
        ("¿Qué tal?", "en", "es"),
        ("Vull anar a la platja amb tu", "ca", "ca"),
        ("Plain words", "zh-Hans", "en"),
        ("Hallo Welt", "ja", "de"),
        ("漢字", "ja-JP", "ja"),
        ("漢字", "cmn-Hans-CN", "zh"),
        ("你好", "yue-Hant-HK", "yue"),
        ("Привет, как дела", "uk", "uk"),
        ("Привет, как дела", "en", "ru"),
        ("مرحبا", "fa", "fa"),
        ("नमस्ते", "mr", "mr"),
        ("Xyzzy žluťoučký řřř", "", "cs"),
        ("Þórður æðislega ðþ", "", ""),
        ("hello 你好", "", "en"),
        ("Berlin", "deu", "de"),
    ],
)
def test_the_voice_decides_what_the_text_leaves_open(text: str, spoken: str, language: str) -> None:
    assert language_of(text, spoken) == language


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"), ("EN", "en"), ("pt-BR", "pt"), ("zh-Hans", "zh"), ("zh-Hant-TW", "zh"),
        ("es-419", "es"), ("de-CH-1901", "de"), ("sr-Latn-RS", "sr"), ("yue", "yue"),
        ("cmn", "zh"), ("eng", "en"), ("nb-NO", "no"), ("en-US-x-private", "en"), ("haw", "haw"),
        ("de-DE-u-co-phonebk", "de"),
    ],
)  # fmt: skip
def test_tags(tag: str, language: str) -> None:
    assert parse_tag(tag) == language


@pytest.mark.parametrize(
    "tag",
    [
        *["", "e", "english", "en_US", "en-", "-en", "en--US", "en US", "12", "d€", "en-abcdefghi"],
        *["x-klingon", "en\n", "a" * 36, "en-" + "abc-" * 9 + "abc", "дe", "*"],
    ],
)
def test_what_is_no_tag_is_refused_with_a_hint(tag: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_tag(tag)
    assert caught.value.code == "BAD_OPTION"
    assert "pt-BR" in caught.value.hint
    assert len(caught.value.message) < 100


def test_words_and_marks_are_as_they_are_looked_up() -> None:
    for words in (*WORDS.values(), *MARKS.values()):
        assert all(word == word.lower() for word in words)
    assert set(MARKS) < set(WORDS)


@given(st.text(max_size=80), st.sampled_from(["", "de", "ja", "pt-BR", "xx", "???"]))
def test_any_text_has_an_answer(text: str, spoken: str) -> None:
    assert language_of(text, spoken) == language_of(text, spoken.upper())


@pytest.mark.parametrize("unit", ["a ", "é", "漢", "the ", "п", "1"])
def test_a_long_text_costs_little(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    language_of(text)
    start = time.thread_time()
    language_of(text)
    assert time.thread_time() - start < 2.0


@pytest.mark.parametrize(
    ("tag", "canonical"),
    [
        ("en", "en"),
        ("en-gb", "en-GB"),
        ("zh-Hans-cn", "zh-CN"),
        ("es-419", "es-419"),
        ("eng", "en"),
    ],
)
def test_a_tag_has_one_spelling(tag: str, canonical: str) -> None:
    assert canonical_tag(tag) == canonical
