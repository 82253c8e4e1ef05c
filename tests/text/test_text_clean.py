"""What is typed becomes one clean line, or is refused by a stable code and fast."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.clean import clean_text

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
    ("text", "clean"),
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
def test_clean(text: str, clean: str) -> None:
    assert clean_text(text, LIMIT) == clean


def test_every_character_is_cleaned_or_kept() -> None:
    for start in range(0, 0x110000, 0x400):
        text = "".join(map(chr, range(start, start + 0x400)))
        if 0xD800 <= start < 0xE000:
            assert refusal(text).code == "BAD_UNICODE"
            continue
        spread = "a ".join(text)  # so that no run of marks or controls is long
        clean = clean_text(spread, LIMIT)
        assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in clean)


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
