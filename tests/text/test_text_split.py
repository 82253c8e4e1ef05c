"""Splitting loses nothing, doubles nothing, keeps words whole and respects the size."""

from __future__ import annotations

import re
import time

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


ABBREVIATIONS = [
    ("en", "Dr. Smith met Prof. Lee at No. 5 Elm St. on Jan. 5.", "He left."),
    ("en", "See Vol. II and Fig. 3 of Brown et al. (2020).", "It helps."),
    ("en", "He came at 5 p.m. sharp, e.g. On Monday.", "She did not."),
    ("en", "The U.S. Army and J. R. R. Tolkien agree.", "They do."),
    ("en", "It was 12.", "May came."),
    ("en", "I said no.", "She said yes."),
    ("de", "Er kam ca. Mitte Mai mit 3 Mio. Euro.", "Dann ging er."),
    ("de", "Am 3. Mai kam Dr. Meier.", "Er blieb."),
    ("de", "Das gilt z. B. Montags, d. h. Immer, u. a. Hier.", "Gut so."),
    ("de", "Der 2. Weltkrieg und der 100. Geburtstag.", "Das war es."),
    ("de", "Ludwig XIV. König von Frankreich war groß.", "Er starb."),
    ("de", "Siehe Abb. 5, Nr. 7 und Bd. III der Ausgabe.", "Danke."),
    ("de", "Sie wurde 1999 geboren.", "Er 2001."),
    ("de", "Das war 1999.", "Danach kam er."),
    ("fr", "M. Dupont et Mme. Curie ont lu la p. 12 du chap. IV.", "Voilà."),
    ("fr", "J.-P. Sartre, av. J.-C., cf. Camus.", "C'est tout."),
    ("fr", "Rendez-vous le lun. 5 janv. 2020.", "À bientôt."),
    ("es", "El Sr. López y la Sra. Ruiz viven en el n.º 5.", "Vale."),
    ("es", "La Dña. Ana va a la Avda. Mayor, p. ej. Hoy.", "Bien."),
    ("es", "EE. UU. está en la pág. 12 del s. XXI.", "Fin."),
    ("it", "Il sig. Rossi e la dott.ssa Neri, cfr. Verdi, pag. 12.", "Ecco."),
    ("it", "Il Dott. Bianchi e l'Avv. Neri, art. 3.", "Va bene."),
    ("pt", "O Sr. Costa e a Dra. Lima vivem na Av. Brasil no séc. XXI.", "Fim."),
    ("pt", "Veja a pág. 12 e o art. 3 de 5 out. 2020.", "Certo."),
    ("nl", "Dhr. Jansen en mevr. Bakker, bijv. Op maandag, nr. 5.", "Goed."),
    ("pl", "Prof. Nowak i inż. Kowalski, ul. Długa, tzn. Dziś.", "Dobrze."),
    ("ru", "А. С. Пушкин жил на ул. Мира в г. Москве, стр. 5.", "Хорошо."),
    ("ru", "Это было в 2020 г.", "Потом он уехал."),
    ("cs", "Ing. Novák a MUDr. Černý, tzv. Pražané.", "Ano."),
    ("hi", "डॉ. शर्मा और श्री. वर्मा आए।", "वे गए।"),
    ("hi", "ए. पी. जे. अब्दुल कलाम राष्ट्रपति थे।", "वे गए।"),
    ("ar", "جاء د. أحمد اليوم.", "ثم ذهب."),
    ("th", "ดร. สมชาย มาแล้ว.", "เขาไป."),
    ("", "Dr. Smith and Mr. Lee left.", "Am 3. Mai kam er."),
    ("", "А. С. Пушкин жил.", "डॉ. शर्मा आए।"),
    ("", "We went out.", "We came in."),
]


@pytest.mark.parametrize(("language", "first", "second"), ABBREVIATIONS)
def test_an_abbreviation_ends_no_sentence(language: str, first: str, second: str) -> None:
    assert split_sentences(f"{first} {second}", language) == [first, second]


@pytest.mark.parametrize("language", ["", "en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru"])
def test_an_abbreviation_of_one_language_may_be_a_word_of_another(language: str) -> None:
    text = {
        "en": "It is out. She came in May. He sat in the set. Then mar. On we go.",
        "ru": "Он был тут. Это да. Нет.",
    }.get(language, "One is out. Two are in. Three.")
    assert len(split_sentences(text, language)) == text.count(".")


@pytest.mark.parametrize(
    ("text", "max_bytes", "chunks"),
    [
        (
            '"Stop! Now!" she said. Then he left at once.',
            30,
            ['"Stop! Now!" she said.', "Then he left at once."],
        ),
        (
            "He came (It was late. Very late.) and sat. Then he left.",
            45,
            ["He came (It was late. Very late.) and sat.", "Then he left."],
        ),
        (
            "Er rief: „Halt! Sofort!“ Dann ging er nach Hause.",
            34,
            ["Er rief: „Halt! Sofort!“", "Dann ging er nach Hause."],
        ),
        (
            "Il dit : « Bon. Assez. » Puis il est parti.",
            32,
            ["Il dit : « Bon. Assez. »", "Puis il est parti."],
        ),
        ("»Halt. Nein!« Er ging fort.", 22, ["»Halt. Nein!«", "Er ging fort."]),
        (
            "‘I can’t. Not now.’ She sat. He left her there.",
            36,
            ["‘I can’t. Not now.’", "She sat. He left her there."],
        ),
        ("「晴れです。明日も。」と言った。そして出た。", 51, [
            "「晴れです。明日も。」と言った。", "そして出た。",
        ]),
        ("「はい。」そして出た。", 21, ["「はい。」", "そして出た。"]),
        ("他说：“好。走吧。”然后走了。", 30, ["他说：“好。走吧。”", "然后走了。"]),
        # A quotation that is too long itself is cut at its sentences.
        ("“One is here. Two is here. Three is here.”", 30, [
            "“One is here. Two is here.", "Three is here.”",
        ]),
        ("She said, “well, yes, maybe,” and she left.", 34, [
            "She said, “well, yes, maybe,”", "and she left.",
        ]),
        ('A 5" pipe. A 6" pipe. Both fit.', 24, ['A 5" pipe.', 'A 6" pipe. Both fit.']),
    ],
)  # fmt: skip
def test_a_quotation_or_an_aside_stays_whole(text: str, max_bytes: int, chunks: list[str]) -> None:
    assert split_text(text, max_bytes) == chunks


@pytest.mark.parametrize(
    "whole",
    [
        *["1 299,99", "1\xa0299,99", "12 345 678", "1,299.99", "3.14159", "06\xa012\xa034"],
        *["https://a.bc/d?e=f.g", "www.ab.com/x,y;z", "jo.doe@ex.am.com", "12:30:45", "v2.10.3"],
    ],
)
@pytest.mark.parametrize("text", ["It says {} now", "It. Says, {} now", "他说 {} 了。好"])
def test_numbers_and_addresses_are_not_cut(text: str, whole: str) -> None:
    for max_bytes in range(len(whole.encode()), 40):
        assert any(whole in chunk for chunk in split_text(text.format(whole), max_bytes))


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("hi", "मैं आया। वह गया॥ अच्छा।", ["मैं आया।", "वह गया॥", "अच्छा।"]),
        ("ar", "كيف حالك؟ أنا بخير. شكرا!", ["كيف حالك؟", "أنا بخير.", "شكرا!"]),
        ("ur", "وہ آیا۔ میں گیا۔", ["وہ آیا۔", "میں گیا۔"]),
        ("hy", "Բարեւ։ Ինչպես ես։", ["Բարեւ։", "Ինչպես ես։"]),
        ("am", "ሰላም። ደህና።", ["ሰላም።", "ደህና።"]),
        ("my", "မင်္ဂလာပါ။ နေကောင်းလား။", ["မင်္ဂလာပါ။", "နေကောင်းလား။"]),
        ("km", "សួស្តី។ អរគុណ។", ["សួស្តី។", "អរគុណ។"]),
        ("zh", "好吗？好！走吧……他走了", ["好吗？", "好！", "走吧……", "他走了"]),
        ("ja", "はい。本当？うん！", ["はい。", "本当？", "うん！"]),
        (
            "en",
            "What?! No!! Wait... Really‽ Yes.",
            ["What?!", "No!!", "Wait...", "Really‽", "Yes."],
        ),
        ("en", "Wait... what? so… it is.", ["Wait... what? so… it is."]),
        ("es", "¿Qué tal? ¡Hola! Bien.", ["¿Qué tal?", "¡Hola!", "Bien."]),
        ("el", "Τι κάνεις; Καλά. Εσύ;", ["Τι κάνεις; Καλά.", "Εσύ;"]),
        ("en", "One line\nand more.\n\nNext one", ["One line\nand more.", "Next one"]),
    ],
)
def test_ends_of_sentences(language: str, text: str, sentences: list[str]) -> None:
    assert split_sentences(text, language) == sentences


def test_thai_is_cut_at_its_spaces() -> None:
    text = "วันนี้อากาศดีมาก เราจะไปเที่ยว ซื้อ iPhone ใหม่"
    assert split_text(text, 60) == ["วันนี้อากาศดีมาก", "เราจะไปเที่ยว", "ซื้อ iPhone ใหม่"]


def test_verses_end_with_their_lines() -> None:
    verses = ["The night is long and cold", "And I have far to go", "The snow is deep", "Ah me"]
    assert split_text("\n".join(verses), 30) == [*verses[:2], "\n".join(verses[2:])]


@pytest.mark.parametrize("language", ["", "de"])
@pytest.mark.parametrize(
    "text",
    ["word " * 600, "x" * 300, "\n" * 5_000 + "a" + "\n" * 5_000 + "b", "(" * 3_000, '"a ' * 999],
)
def test_odd_texts_are_cut_all_the_same(text: str, language: str) -> None:
    chunks = split_text(text, 100, language)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert max(len(chunk.encode()) for chunk in chunks) <= 100
    lead, rest = split_lead(text, 20, 60, language)
    assert "".join((lead + rest).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "unit",
    ["“", "“a. ", "( ", "「", "„x“ ", '"a." ', "‘", "« ", "1 ", "123 ", "z. ", "\n", "\n ", "’"],
)
def test_time_grows_with_the_text(unit: str) -> None:
    def seconds(count: int) -> float:
        text = (unit * count)[:count]
        start = time.thread_time()
        split_text(text, 100)
        split_lead(text, 20, 60)
        split_sentences(text, "de")
        return time.thread_time() - start

    seconds(1_000)
    small = min(seconds(2_000) for _ in range(3))
    assert min(seconds(16_000) for _ in range(3)) < max(24 * small, 0.05)


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
