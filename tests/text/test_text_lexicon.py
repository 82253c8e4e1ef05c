"""Rules of pronunciation: what they match, in which order, and which files hold them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.lexicon import Lexicon
from f5serve.text.lexicon_files import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    PLS,
    dump_json,
    dump_pls,
    read_changes,
    read_lexicon,
)
from f5serve.text.lexicon_rules import (
    MAX_ALIAS_CHARS,
    MAX_RULES,
    MAX_TEXT_CHARS,
    LexiconRule,
    RuleSelector,
    folded,
    parse_rule,
    parse_rules,
    plain,
)
from f5serve.text.mapped_text import MappedText
from f5serve.text.pinyin import mark_phrases

Rule = LexiconRule


def spoken(text: str, *rules: LexiconRule, language: str = "en") -> str:
    return Lexicon(rules).apply(MappedText.of(text), language).text


def refusal(data: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read_lexicon(data)
    assert caught.value.code == "BAD_LEXICON"
    assert caught.value.message.endswith(".")
    assert caught.value.hint
    return caught.value


def pls(inner: str, attributes: str = "") -> bytes:
    start = f'<lexicon version="1.0" xmlns="{PLS}" alphabet="ipa"{attributes}>'
    return f"{start}{inner}</lexicon>".encode()


@pytest.mark.parametrize(
    ("text", "rule", "result"),
    [
        ("Ask Nguyen.", Rule("Nguyen", "Win"), "Ask Win."),
        ("NGUYEN's car", Rule("Nguyen", "Win"), "Win's car"),
        ("Nguyens Nguyen", Rule("Nguyen", "Win"), "Nguyens Win"),
        ("an_us us", Rule("us", "U S"), "an_us U S"),
        ("us and US", Rule("US", "U S", case_sensitive=True), "us and U S"),
        ("Caféteria café", Rule("café", "kaffay"), "Caféteria kaffay"),
        ("cafe", Rule("café", "kaffay"), "cafe"),
        ("naïve naï", Rule("naï", "X"), "naïve X"),
        ("use GPT4, GPT 4", Rule("GPT", "G P T"), "use GPT4, G P T 4"),
        ("unhappy", Rule("happy", "glad", word_boundaries=False), "unglad"),
        ("I like C++ a lot", Rule("C++", "see plus plus"), "I like see plus plus a lot"),
        ("a&b", Rule("&", " and "), "a and b"),
        ("O\u2019Brien", Rule("O'Brien", "Oh Bryan"), "Oh Bryan"),
        ("New\u00a0York", Rule("New York", "Nyoo York"), "Nyoo York"),
        ("ΟΔΟΣ οδος", Rule("οδός", "x"), "ΟΔΟΣ οδος"),
        ("ΟΔΟΣ και οδος", Rule("οδοσ", "x"), "x και x"),
        ("İzmir", Rule("izmir", "Is mere"), "Is mere"),
        ("STRASSE Straße", Rule("straße", "road"), "STRASSE road"),
        ("用AI做", Rule("AI", "A I"), "用A I做"),
        ("我在重庆市", Rule("重庆", "虫庆"), "我在虫庆市"),
        ("東京都庁", Rule("京都", "きょうと"), "東きょうと庁"),
        ("ไปกรุงเทพมา", Rule("กรุงเทพ", "x"), "ไปxมา"),
        ("กิน", Rule("ก", "x"), "กิน"),
        ("서울은 크다", Rule("서울", "써울"), "써울은 크다"),
        ("남서울", Rule("서울", "써울"), "남서울"),
        ("किताब कि", Rule("क", "x"), "किताब कि"),
        ("कि और क", Rule("क", "x"), "कि और x"),
        ("", Rule("a", "b"), ""),
        ("a", Rule("ab", "c"), "a"),
    ],
)
def test_what_matches(text: str, rule: LexiconRule, result: str) -> None:
    assert spoken(text, rule) == result


@given(st.text(max_size=20))
def test_texts_are_folded_character_by_character(text: str) -> None:
    assert len(plain(text)) == len(folded(text)) == len(text)


def test_every_character_is_folded_to_one() -> None:
    grown = [chr(code) for code in range(sys.maxunicode + 1) if len(folded(chr(code))) != 1]
    assert grown == []


def test_the_longest_match_wins() -> None:
    rules = [Rule("New", "A"), Rule("New York", "B"), Rule("New York City", "C")]
    assert spoken("New York City, New York, New Yorker, New", *rules) == "C, B, A Yorker, A"


def test_a_longer_rule_that_does_not_match_leaves_the_shorter_ones() -> None:
    rules = [
        Rule("new york city", "C", case_sensitive=True),
        Rule("New York Ci", "D"),
        Rule("new", "A"),
    ]
    assert spoken("New York City", *rules) == "A York City"


def test_an_alias_is_not_matched_again() -> None:
    rules = [Rule("Win", "Nguyen"), Rule("Nguyen", "Win")]
    assert spoken("Win Nguyen", *rules) == "Nguyen Win"


def test_of_equal_matches_that_in_these_capitals_then_that_of_this_language_counts() -> None:
    rules = [
        Rule("Lead", "A"),
        Rule("lead", "B", language="en"),
        Rule("LEAD", "C", case_sensitive=True),
    ]
    assert spoken("lead LEAD", *rules) == "B C"
    assert spoken("lead LEAD", *rules, language="de") == "A C"


def test_rules_of_a_language_count_in_texts_of_that_or_of_an_unknown_one() -> None:
    rule = Rule("chat", "shah", language="fr")
    assert [spoken("chat", rule, language=tag) for tag in ("fr", "en", "")] == [
        "shah",
        "chat",
        "shah",
    ]
    mixed = [rule, Rule("a", "b")]
    assert [spoken("chat a", *mixed, language=tag) for tag in ("fr", "de")] == ["shah b", "chat b"]


def test_the_more_particular_lexicon_counts_unless_another_matches_more() -> None:
    library = Lexicon([Rule("Ana", "L"), Rule("Ana Lee", "LL"), Rule("Bob", "L")])
    voice = Lexicon([Rule("ana", "V"), Rule("Bob", "V"), Rule("Cy", "V")])
    request = Lexicon([Rule("Ana", "R")])
    all_of_them = request.over(voice.over(library))
    assert all_of_them.apply(MappedText.of("Ana, Bob, Cy, Ana Lee"), "").text == "R, V, V, LL"
    assert all_of_them.rules == request.rules + voice.rules + library.rules
    same = request.over(voice).over(library)
    assert same.revision == all_of_them.revision
    assert voice.apply(MappedText.of("Ana"), "").text == "V", "it is not changed by that"


def test_revisions_tell_lexicons_apart() -> None:
    rules = (Rule("a", "b"), Rule("c", "d"))
    revisions = {
        Lexicon(some).revision
        for some in (rules, rules[::-1], rules[:1], (Rule("a", "b", language="en"),), ())
    }
    assert len(revisions) == 5
    assert Lexicon().revision == ""
    assert Lexicon(rules).revision == Lexicon(rules).over(Lexicon()).revision


def test_a_match_has_one_span_and_the_rest_keeps_its_own() -> None:
    mapped = Lexicon([Rule("New York", "NY")]).apply(MappedText.of("in New York!"), "")
    assert mapped.text == "in NY!"
    assert mapped.spans == ((0, 1), (1, 2), (2, 3), (3, 11), (3, 11), (11, 12))


def test_spans_of_an_earlier_rewriting_are_kept() -> None:
    earlier = MappedText("ab c", ((0, 9), (0, 9), (9, 10), (10, 11)))
    mapped = Lexicon([Rule("ab", "x")]).apply(earlier, "")
    assert (mapped.text, mapped.spans) == ("x c", ((0, 9), (9, 10), (10, 11)))


def test_pinyin_is_marked_for_the_tokenizer() -> None:
    rules = [Rule("重庆", pinyin="chong2 qing4"), Rule("重", "众")]
    mapped = Lexicon(rules).apply(MappedText.of("去重庆，重"), "zh")
    assert mapped == MappedText.join(
        [
            MappedText.of("去"),
            mark_phrases(MappedText.of("去重庆")[1:], {"重庆": "chong2 qing4"}),
            MappedText.of("去重庆，")[3:],
            MappedText("众", ((4, 5),)),
        ]
    )


RULES = st.builds(
    LexiconRule,
    text=st.text("aAb é京İ'", min_size=1, max_size=4).map(str.strip).filter(bool),
    alias=st.text("abX ", min_size=1, max_size=3),
    case_sensitive=st.booleans(),
    word_boundaries=st.booleans(),
)


def slow_spoken(text: str, rules: list[LexiconRule]) -> str:
    """The same by looking at every rule at every place, for rules without word boundaries."""
    result, at = "", 0
    while at < len(text):
        hits = [
            rule
            for rule in rules
            if folded(text[at : at + len(rule.text)]) == folded(rule.text)
            and (not rule.case_sensitive or plain(text).startswith(plain(rule.text), at))
        ]
        best = max(hits, key=lambda rule: (len(rule.text), rule.case_sensitive), default=None)
        result += best.alias if best else text[at]
        at += len(best.text) if best else 1
    return result


@given(st.text("aAb é京İ’", max_size=30), st.lists(RULES, max_size=8))
def test_all_rules_are_looked_at(text: str, rules: list[LexiconRule]) -> None:
    bare = [Rule(r.text, r.alias, r.case_sensitive, word_boundaries=False) for r in rules]
    assert spoken(text, *bare) == slow_spoken(text, bare)
    mapped = Lexicon(rules).apply(MappedText.of(text), "en")
    assert len(mapped.spans) == len(mapped.text)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([Rule(f"w{number}x", "y") for number in range(MAX_RULES)], "w77x w9999x w12 "),
        ([Rule("a" * length, "y") for length in range(1, 201)], "a"),
        ([Rule("a" * n + "b", "y", word_boundaries=False) for n in range(1, 200)], "a"),
        ([Rule("A" * n, "y", True, False) for n in range(1, 201)], "a"),
        ([Rule(("a " * n).strip() + "b", "y") for n in range(1, 100)], "a "),
    ],
    ids=["many", "prefixes", "suffixes", "capitals", "words"],
)
def test_time_grows_with_the_text_alone(rules: list[LexiconRule], text: str) -> None:
    lexicon = Lexicon(rules)

    def seconds(chars: int) -> float:
        mapped = MappedText.of((text * chars)[:chars])
        lexicon.apply(mapped, "en")
        start = time.thread_time()
        lexicon.apply(mapped, "en")
        return time.thread_time() - start

    assert seconds(5_000) < 1.5  # 10 to 50 ms on a quiet machine
    assert min(seconds(20_000) for _ in range(3)) < 24 * max(0.01, seconds(2_500))


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ({"text": "a", "alias": "b"}, Rule("a", "b")),
        ({"string_to_replace": "a", "type": "alias", "alias": "b"}, Rule("a", "b")),
        (
            {"text": "a", "alias": "b", "case_sensitive": True, "word_boundaries": False},
            Rule("a", "b", True, False),
        ),
        ({"text": " a \n b ", "alias": "\u00adc\u200b"}, Rule("a b", "c")),
        ({"text": "e\u0301", "alias": "b", "language": "en-US"}, Rule("é", "b", language="en")),
        ({"text": "a", "alias": "b", "language": None, "pinyin": None}, Rule("a", "b")),
        ({"text": "重庆", "pinyin": "chong2 qing4"}, Rule("重庆", pinyin="chong2 qing4")),
    ],
)
def test_rules_of_json(value: dict[str, Any], rule: LexiconRule) -> None:
    assert parse_rule(value) == rule
    assert parse_rule(rule.as_dict()) == rule


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "is no object"),
        ({}, "has no text"),
        ({"text": "", "alias": "b"}, "has no text"),
        ({"text": "\u200b", "alias": "b"}, "has no text"),
        ({"text": "Nguyen"}, "('Nguyen') has no alias"),
        ({"text": "a", "alias": "  "}, "has no alias"),
        ({"text": "a", "alias": "b", "pinyin": "a1"}, "both alias and pinyin"),
        ({"text": "a", "alias": 7}, "alias that is no text"),
        ({"text": ["a"], "alias": "b"}, "text that is no text"),
        ({"text": "a" * (MAX_TEXT_CHARS + 1), "alias": "b"}, "201 characters of text"),
        ({"text": "a", "alias": "b" * (MAX_ALIAS_CHARS + 1)}, "501 characters of alias"),
        ({"text": "a\x07", "alias": "b"}, r"'\x07' in its text"),
        ({"text": "a", "alias": "\ud800"}, r"'\ud800' in its alias"),
        ({"text": "a", "alias": "\U00100000"}, r"'\U00100000' in its alias"),
        ({"text": "a", "alias": "b", "case_sensitive": "yes"}, "case_sensitive of 'yes'"),
        ({"text": "a", "alias": "b", "word_boundaries": 1}, "word_boundaries of 1"),
        ({"text": "a", "alias": "b", "language": "English"}, "the language 'English'"),
        ({"text": "a", "alias": "b", "language": {}}, "the language an object"),
        ({"text": "a", "alais": "b"}, "a field 'alais'"),
        ({"text": "a", "phoneme": "b", "alphabet": "ipa"}, "gives phonemes"),
        ({"text": "a", "type": "phoneme", "alias": "b"}, "gives phonemes"),
        ({"text": "重庆", "pinyin": "chong9 qing4"}, "no pinyin syllable 'chong9'"),
    ],
)
def test_rules_that_are_refused(value: Any, words: str) -> None:
    error = refusal(json.dumps([{"text": "fine", "alias": "fine"}, value]).encode())
    assert error.message.startswith("Rule 2 ")
    assert words in error.message


def test_fields_of_later_versions_are_let_through_in_the_store() -> None:
    rules = parse_rules([{"text": "a", "alias": "b", "speed": 2}], is_stored=True)
    assert rules == (Rule("a", "b"),)


def test_of_rules_with_one_key_the_first_is_kept() -> None:
    values = [
        {"text": "Ana", "alias": "1"},
        {"text": "ANA", "alias": "2"},
        {"text": "ana", "alias": "3", "case_sensitive": True},
        {"text": "ana", "alias": "4", "language": "de"},
    ]
    assert [rule.alias for rule in parse_rules(values)] == ["1", "3", "4"]


@pytest.mark.parametrize(
    "data",
    [
        b'{"rules": [{"text": "a", "alias": "b"}]}',
        b'\xef\xbb\xbf [{"text": "a", "alias": "b"}]',
        b'{"id": "x", "rules": [{"string_to_replace": "a", "type": "alias", "alias": "b"}]}',
        '[{"text": "a", "alias": "b"}]'.encode("utf-16"),
        pls("<lexeme><grapheme>a</grapheme><alias>b</alias></lexeme>"),
        pls("<lexeme><grapheme>a</grapheme><alias>b</alias></lexeme>").replace(PLS.encode(), b""),
        pls(
            "<meta/><lexeme> <grapheme> a\n</grapheme><phoneme>x</phoneme><alias>b</alias></lexeme>"
        ),
    ],
)
def test_files(data: bytes) -> None:
    assert read_lexicon(data) == (Rule("a", "b"),)


def test_several_graphemes_languages_and_pronunciations_of_pls() -> None:
    data = pls(
        "<lexeme><grapheme>colour</grapheme><grapheme>color</grapheme>"
        "<alias>culler</alias><alias>second</alias><example>my <b>colour</b></example></lexeme>"
        '<lexeme xml:lang="de"><grapheme>A&amp;O &#228;</grapheme><alias><![CDATA[<x>]]></alias>'
        "</lexeme>",
        ' xml:lang="en-GB"',
    )
    assert read_lexicon(data) == (
        Rule("colour", "culler", language="en"),
        Rule("color", "culler", language="en"),
        Rule("A&O ä", "<x>", language="de"),
    )


@pytest.mark.parametrize("dump", [dump_json, dump_pls])
@pytest.mark.parametrize("language", ["", "de"])
def test_files_can_be_read_back(
    dump: Callable[[tuple[LexiconRule, ...]], bytes], language: str
) -> None:
    rules = (
        Rule("A & <B>", "\"a\" 'b'", language=language),
        Rule("US", "U S", case_sensitive=True, word_boundaries=False, language="en"),
        Rule("重庆", pinyin="chong2 qing4", language="zh"),
        Rule("c", "d"),
    )
    assert read_lexicon(dump(rules)) == rules
    assert read_lexicon(dump(rules[:1])) == rules[:1]
    assert read_lexicon(dump(())) == ()


BOMB = '<!DOCTYPE lexicon [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE lexicon [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
LEXEME = "<lexeme><grapheme>a</grapheme><alias>{}</alias></lexeme>"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1, column 1"),
        (b'{"rules": [}', "as JSON: line 1, column 12"),
        (b'{"rules": {}}', "The rules are no list"),
        (b"7", "The rules are no list"),
        (b"null", "The rules are no list"),
        (b"[" * 100_000, "too deep"),
        (b"[" + b"9" * 10_000 + b"]", "too many digits"),
        (b"[]" + b" " * MAX_FILE_BYTES, "2,000,002 bytes"),
        (b"[" + b"0," * MAX_RULES + b"0]", "10,001 rules"),
        (b"\xff\xff", "Byte 1 "),
        (b"<lexicon>\n <lexeme></lexicon>", "line 2, column 12: mismatched tag"),
        (b"<lexicon", "line 1, column 1: unclosed token"),
        (b"<speak/>", "the first element is 'speak'"),
        ((BOMB + "<lexicon/>").encode(), "DOCTYPE"),
        ((OUTSIDE + "<lexicon/>").encode(), "DOCTYPE"),
        (b"<!DOCTYPE lexicon SYSTEM 'http://127.0.0.1/x'><lexicon/>", "DOCTYPE"),
        (pls(LEXEME.format("&a;")), "undefined entity"),
        (pls("<a>" * MAX_DEPTH), "more than 16 deep"),
        (pls(LEXEME.format("b" * 3_000)), "more than 2,000 characters"),
        (pls(LEXEME.format("b" * 600)), "600 characters of alias; 500 are the most (line 1)"),
        (pls(LEXEME.format("b") * (MAX_RULES + 1)), "10,001 rules"),
        (pls(f"<lexeme>{'<grapheme>a</grapheme>' * 10_001}</lexeme>"), "10,001 rules"),
        (pls("\n<lexeme><alias>b</alias></lexeme>"), "Rule 1 has no text (line 2)"),
        (pls("<lexeme><grapheme>a</grapheme></lexeme>"), "('a') has no alias"),
        (pls(LEXEME.format("x"), ' xml:lang="?"'), "the language '?'"),
        (
            pls(LEXEME.format("x") + "<lexeme><grapheme>b</grapheme><phoneme>x</phoneme></lexeme>"),
            "Rule 2 ('b') gives phonemes, which F5 cannot read (line 1)",
        ),
    ],
)
def test_files_that_are_refused(data: bytes, words: str) -> None:
    assert words in refusal(data).message


def test_changes() -> None:
    changes = read_changes(
        json.dumps(
            {
                "add": [{"text": "a", "alias": "b"}],
                "remove": [" B ", {"text": "c", "language": "en-US", "case_sensitive": False}],
            }
        ).encode()
    )
    assert changes == (
        (Rule("a", "b"),),
        (RuleSelector("B"), RuleSelector("c", language="en", case_sensitive=False)),
    )
    assert read_changes(b'{"remove": [{"text": "a", "language": ""}]}').remove[0].language == ""
    for whole in (dump_json([Rule("a", "b")]), dump_pls([Rule("a", "b")])):
        assert read_changes(whole) == ((Rule("a", "b"),), ())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{}", "nothing to change"),
        (b'{"rules": [], "add": []}', "Both rules and changes"),
        (b'{"add": {}}', "no list"),
        (b'{"remove": ""}', "no list"),
        (b'{"add": {"text": "a"}}', "rules are no list"),
        (b'{"remove": {"text": "a"}}', "rules to remove are no list"),
        (b'{"remove": [7]}', "Rule 1 is no object"),
        (b'{"remove": [{"language": "en"}]}', "Rule 1 has no text"),
        (b'{"remove": ["a", {"text": "b", "language": "x"}]}', "Rule 2 ('b') has the language 'x'"),
        (b'{"remove": [' + b'"a",' * MAX_RULES + b'"a"]}', "10,001 rules"),
        (b"{" + b" " * MAX_FILE_BYTES, "2,000,001 bytes"),
    ],
)
def test_changes_that_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_changes(data)
    assert caught.value.code == "BAD_LEXICON"
    assert words in caught.value.message


@given(st.one_of(st.binary(max_size=60), st.text("<>/lexicongrapheme&;![]\"' {:,}", max_size=60)))
def test_no_file_fails_in_another_way(data: bytes | str) -> None:
    code = "BAD_LEXICON"
    try:
        read_lexicon(data if isinstance(data, bytes) else data.encode())
    except InvalidRequest as error:
        code = error.code
    assert code == "BAD_LEXICON"
