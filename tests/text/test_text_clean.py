"""What is typed becomes one clean line, or is refused by a stable code and fast."""

from __future__ import annotations

import html
import time
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.clean import clean, clean_text
from f5serve.text.markup import without_emoji

LIMIT = 5_000


def refusal(text: str) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        clean_text(text, LIMIT)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t \u3000", "...!?", "—", "😀", "\u200b\ufeff", "\x00"]
)
def test_nothing_to_speak(text: str) -> None:
    error = refusal(text)
    assert error.code == "EMPTY_TEXT"
    assert error.message == "Text input is required."


@pytest.mark.parametrize("length", [5_001, 1_000_000, 10_000_000])
@pytest.mark.parametrize("char", ["x", "\u0301", "\ud800", "漢"])
def test_long_text_is_refused_at_once(length: int, char: str) -> None:
    text = char * length
    start = time.thread_time()
    error = refusal(text)
    assert time.thread_time() - start < 0.5  # a look at ten million takes seconds
    assert error.code == "TEXT_TOO_LONG"
    assert f"{length:,}" in error.message
    assert "5,000" in error.message


@pytest.mark.parametrize("text", ["a\ud83d", "\udc80", "ok \udfff ok"])
def test_lone_surrogates(text: str) -> None:
    error = refusal(text)
    assert error.code == "BAD_UNICODE"
    assert "U+D" in error.message


def test_surrogates_are_counted_from_one() -> None:
    assert "Character 2 " in refusal("a\ud83d").message


@pytest.mark.parametrize(
    "data", [b"RIFF\x10\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0", bytes(range(256)) * 4]
)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_binary(data: bytes, encoding: str) -> None:
    assert refusal(data.decode(encoding, errors="replace")).code == "NOT_TEXT"


def test_stacked_accents() -> None:
    assert clean_text("a" + "\u0300\u0316" * 15, LIMIT)
    assert refusal("a" + "\u0300\u0316" * 16).code == "BAD_UNICODE"


def test_many_accents_take_no_time_within_the_limit() -> None:
    text = "a\u0316\u0300" * 100_000
    start = time.thread_time()
    clean_text(text, 1_000_000)
    assert time.thread_time() - start < 5  # a quarter of a second where it is linear


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  two   spaces \t and tabs\n", "two spaces and tabs"),
        ("cafe\u0301", "café"),
        ("one\x07 two\x9b three\x7f", "one two three"),
        ("left\u202e right\u202c \u2067isolate\u2069", "left right isolate"),
        ("soft\u00adhyphen zero\u200bwidth \ufeffbom", "softhyphen zerowidth bom"),
        ("wrapped\nline\r\nof text", "wrapped line of text"),
        ("A heading\n\nThen text", "A heading. Then text"),
        ("Done!\n\n\nNext", "Done! Next"),
        ("标题\n \n正文", "标题。 正文"),
        ("para\u2029graph", "para. graph"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("5 € + 3", "5 € + 3"),
        ("ＡＢＣ１２３，ﬁne", "ABC123，fine"),
        ("价格是￥100，好的～", "价格是¥100，好的~"),
        ("ａ＋ｂ＝ｃ ＄5 ﹩6", "a+b=c $5 $6"),
        ("Ⅳ", "IV"),
        ("1️⃣ Preheat the oven.", "1 Preheat the oven."),
        ("1️⃣2️⃣ ❶❷ ⓪ 🔟 ⑴", "1 2 1 2 0 10 1"),
        ("ℹ️ Note", "Note"),
        ("Steps:\n1. Heat it\n2. Mix\n3) Bake", "Steps: 1. Heat it. 2. Mix. 3) Bake"),
        ("1. Pay it 🩷\n2. Done! 🎉\n3. 🙂\n4. End", "1. Pay it 🩷. 2. Done! 🎉 3. 🙂 4. End"),
        ("It has\n- [x] one\n* two\n• three", "It has. one. two. three"),
        ("# Results\nIt went well", "Results. It went well"),
        ("Title\n=====\ntext\n\n---\nmore", "Title. text. more"),
        ("<b>a</b> &amp; b", "a & b"),
        ("<p>One</p><p>Two<br/>three</p><img src='x'>", "One. Two three"),
        (
            '<say-as pinyin="dao3">倒</say-as><say-as a="b">x</say-as>',
            '<say-as pinyin="dao3">倒</say-as>x',
        ),
        ("H<sub>2</sub>O &lt;i&gt;is&lt;/i&gt; &#39;wet&#39;", "H2O is 'wet'"),
        ('Hi <break time="1s"/> you <!-- not me -->', "Hi you"),
        ("**bold**, *it*, __u__, ~~no~~, `code`, **a *b* c**", "bold, it, u, no, code, a b c"),
        ("这是**重点**内容", "这是重点内容"),
        ('[here](http://x.y/z_(a)) ![pic](a.png "t")[^1]', "here pic"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b. 1, 2."),
        ("```python\nprint\n```\nDone", "print. Done"),
        ("> so he said\n> twice", "so he said twice"),
        ("a < b and c > d, a <b and c> d", "a < b and c > d, a <b and c> d"),
        ("C# #1 1 <2> 3 2**3**4 2 * 3 * 4 a_b_c", "C# #1 1 <2> 3 2**3**4 2 * 3 * 4 a_b_c"),
        ("AT&T; R&D |x| > 5", "AT&T; R&D |x| > 5"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean_text(text, LIMIT) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        # Unicode
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", "Tiếng Việt"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
        ("क\u094dष और क\u093c", "क्ष और क\u093c"),
        ("\u0928\u093c\u0947", "\u0929\u0947"),
        ("ൻ ന\u0d4d\u200d അ", "ൻ ന\u0d4d\u200d അ"),
        ("می\u200cروم \u200cauf\u200clage \u200dx", "می\u200cروم auflage x"),
        ("👩\u200d🚀 Ada", "👩\u200d🚀 Ada"),
        ("\u2067שלום\u2069 \u200fעולם\u200e", "שלום עולם"),
        ("“smart” ‘quotes’ „so“ «ça»", "“smart” ‘quotes’ „so“ «ça»"),
        ("Ｈｅｌｌｏ　Ｗｏｒｌｄ！", "Hello World！"),
        ("ｶﾞｷﾞ ﾊﾟﾝ､ｱ｡", "ガギ パン、ア。"),
        ("eﬃcient ﬂow ĳs ǆ", "efficient flow ijs dž"),
        ("𝗕𝗼𝗹𝗱 𝓼𝓬𝓻𝓲𝓹𝓽 Ⓒⓘⓡⓒⓛⓔ", "Bold script Circle"),
        ("5 ㎏ 20 ㎡ ½ m² 20 ℃", "5 kg 20 m² ½ m² 20 ℃"),
        ("ﻣﺮﺣﺒﺎ مـــرحبا ﷲ", "مرحبا مرحبا الله"),
        ("葛\U000e0100城", "葛城"),
        ("a\u2060b\u034fc\u00add\u3164e\ufffcf", "abcdef"),
        ("a\U000f0000b\U000ffffdc\U00100000d\U0010fffde", "abcde"),
        ("a\u2003b\u2009c\u00a0d\u202fe\u3000f\u2800g", "a b c d e f g"),
        (
            "1\u202f299,99 1\u00a0299 12\u2009345 6\u20077",
            "1\u00a0299,99 1\u00a0299 12\u00a0345 6\u00a07",
        ),
        ("1 299 und 5\u00a0kg und 5\u202f€", "1 299 und 5 kg und 5 €"),
        ("１２\u00a0３４５", "12\u00a0345"),
        ("ﬁ\u0301n", "fín"),
        # What language models leave
        (r"So \( x \) and \(y\).", "So x and y."),
        (r"\[ a = \frac{1}{2} \times \sqrt{b} \]", "a = 1/2 × √b"),
        (r"\(E = mc^2\), \(x^{3} \leq 5\%\)", "E = mc², x³ ≤ 5%"),
        (r"$$\text{speed} = 5$$ costs $5 and $6", "speed = 5 costs $5 and $6"),
        (r"5 \* 3, \$5, a\_b, C:\dir", "5 * 3, $5, a_b, C:\\dir"),
        (r"An open \( stays", "An open ( stays"),
        ("It is so【1†source】【4:0†a.pdf】.", "It is so."),
        ("So \ue200cite\ue202turn0search1\ue201it is.", "So it is."),
        ("It is so.[1][2] And so,[3, 4] too[^5].", "It is so. And so, too."),
        ("list[0] and [5] stay", "list[0] and [5] stay"),
        ("[^1]: A note", "A note"),
        ('See [this][1].\n\n[1]: https://a.b/c "T"', "See this."),
        ("See [this][1] and [that].", "See [this][1] and [that]."),
        ("<https://a.b/c> or <me@a.bc>", "https://a.b/c or me@a.bc"),
        ("1&nbsp;299&nbsp;kg &amp;lt; so&shy;ft &#x202e;&#xf0000;x", "1\u00a0299 kg < soft x"),
        ("a | b\n--|--\n1 | 2.\n3 | **4**", "a, b. 1, 2. 3, 4."),
        ("| a |\n|---|\n| |\n| x! |", "a. x!"),
        ("＊＊重要＊＊です", "重要です"),
        ("**Note:** it\n\n1. **One**: x\n2. *Two*", "Note: it. 1. One: x. 2. Two"),
    ],
)
def test_what_is_written_oddly(text: str, cleaned: str) -> None:
    assert clean_text(text, LIMIT) == cleaned
    assert clean_text(cleaned, LIMIT) == cleaned


def test_emoji_stay_for_those_who_read_and_go_for_those_who_speak() -> None:
    text = clean_text("Hi 🙂 there 👩\u200d🚀! 🇩🇪", LIMIT)
    assert text == "Hi 🙂 there 👩\u200d🚀! 🇩🇪"
    assert without_emoji(text) == "Hi there!"


@pytest.mark.parametrize(
    ("text", "char", "source"),
    [
        ("cafe\u0301 x", "é", "e\u0301"),
        ("a ﬁt", "i", "ﬁ"),
        ("ﬁt", "t", "t"),
        ("the **bold** one", "b", "b"),
        ("# Head\nx", "x", "x"),
        ("[wo](http://a.b) x", "o", "o"),
        ("a &amp; b", "&", "&amp;"),
        ("A\n\nb", ".", ""),
        ("a\u00ad\u200bb c", "b", "b"),
        ("10\u202f000", "\xa0", "\u202f"),
        ("| q |\n|---|\n| w |", "w", "w"),
        ("\uff76\uff9e", "ガ", "\uff76\uff9e"),
        (r"\(x^2\)", "²", "^2"),
        ("2️⃣ a", "2", "2️⃣"),
        ("\u1112\u1161\u11ab", "한", "\u1112\u1161\u11ab"),
    ],
)
def test_a_character_keeps_its_place(text: str, char: str, source: str) -> None:
    mapped = clean(text, LIMIT)
    start, end = mapped.spans[mapped.text.index(char)]
    assert text[start:end] == source


ODD = [
    *"ab1 é漢한कि़् \n\t.,-*_`#>|~\\()[]<&;!",
    *[
        "e\u0301",
        "\u0302",
        "\u0316",
        "ﬁ",
        "Ａ",
        "ｶ",
        "ﾞ",
        "\u1112",
        "\u1161",
        "\u11ab",
        "㎡",
        "ﷲ",
        "𝗔",
    ],
    *[
        "\u200c",
        "\u200d",
        "\u200b",
        "\xad",
        "\xa0",
        "\u202f",
        "\ufe0f",
        "\u20e3",
        "🙂",
        "①",
        "ℹ",
        "م",
    ],
    *[
        "**",
        "\n\n",
        "\n- ",
        "<b>",
        "</b>",
        "&amp;",
        "&shy;",
        "[a](b)",
        "|-|-|\n",
        "\\(",
        "\\)",
        "$$",
        "^2",
    ],
]


@given(st.lists(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=60))
def test_spans_are_in_order_and_hold_what_they_stand_for(parts: list[str]) -> None:
    text = "".join(parts) + "x"
    try:
        mapped = clean(text, LIMIT)
    except InvalidRequest:
        return
    assert mapped.text == clean_text(text, LIMIT)
    assert len(mapped.spans) == len(mapped.text)
    end_before, before = 0, (0, 0)
    for char, (start, end) in zip(mapped.text, mapped.spans, strict=True):
        assert (start, end) == before or start >= end_before, (text, mapped)
        assert 0 <= start <= end <= len(text)
        source = html.unescape(html.unescape(text[start:end]))
        letters = unicodedata.normalize("NFKD", source)
        is_kept = unicodedata.normalize("NFKD", char)[0] in letters
        assert is_kept or char in " .。,\xa0" or source[:1] in "①^\\&", (text, mapped)
        end_before, before = end, (start, end)


@given(
    st.lists(
        st.sampled_from([*"abé漢한1. \n", "e\u0301", "ﬁ", "Ａ", "कि", "**a**", "\u1112\u1161"])
    )
)
def test_no_letter_is_without_a_place(parts: list[str]) -> None:
    text = "".join(parts) + "x"
    covered = {index for start, end in clean(text, LIMIT).spans for index in range(start, end)}
    assert all(index in covered for index, char in enumerate(text) if char not in "* \n")


@pytest.mark.parametrize(
    "unit",
    [
        *[
            "plain words, and so on. ",
            "क्ष और ",
            "漢字。",
            "Ａ",
            "e\u0301",
            "\u1112\u1161\u11ab",
            "**a** ",
        ],
        *[
            "&amp;",
            "\\(",
            "\\(x\\) ",
            "\\",
            "$$",
            "a.[1]",
            "【1†",
            "|a",
            "<a@",
            "\n\n",
            "1\xa0",
            "ﷲ",
            "①",
        ],
        *["[a]: http://b\n", "[a][", "ـ", "\u200d", "م\u200c"],
    ],
)
def test_cleaning_takes_little_time(unit: str) -> None:
    text = (unit * LIMIT)[:LIMIT]

    def seconds() -> float:
        start = time.thread_time()
        with suppress(InvalidRequest):
            clean(text, LIMIT)
        return time.thread_time() - start

    assert min(seconds() for _ in range(5)) < 0.1  # under 0.01 on a quiet machine


def test_every_character_is_cleaned_or_kept() -> None:
    for start in range(0, 0x110000, 0x400):
        text = "".join(map(chr, range(start, start + 0x400)))
        if 0xD800 <= start < 0xE000:
            assert refusal(text).code == "BAD_UNICODE"
            continue
        spread = "a ".join(text)  # so that no run of marks or controls is long
        cleaned = clean_text(spread, LIMIT)
        assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in cleaned)


@example("-\n0")
@example("-\xa0[x] 0")
@example("*\u200b*bold**")
@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    try:
        once = clean_text(text, LIMIT)
    except InvalidRequest:
        return
    assert clean_text(once, LIMIT) == once
    assert once == once.strip()
    assert "  " not in once
