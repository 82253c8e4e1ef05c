"""Tags of scripts: each form, what wins where two meanings collide, errors, and the way back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.script import MAX_NAMES, AnyVoice, Part, Script, VoiceNames, print_script
from f5serve.text.script_parser import may_be_script, parse_script
from f5serve.text_kinds import Markup

STYLES = {"": {"sad"}, "ana": {"happy", "very_sad"}, "bob": set(), "main_voice": {"calm"}}


class Names:
    """A library of three voices; counts what it is asked."""

    def __init__(self, styles: Mapping[str, set[str]] = STYLES) -> None:
        self.asked: list[str] = []
        self._styles = styles

    def styles(self, voice: str) -> frozenset[str] | None:
        self.asked.append(voice)
        found = self._styles.get(voice.lower())
        return None if found is None else frozenset(found)

    def similar(self, voice: str) -> Sequence[str]:
        return ["ana"] if voice.startswith("an") else []


def parts(text: str, markup: Markup = "auto") -> list[Part]:
    found = parse_script(text, Names(), markup)
    return [] if found is None else list(found.parts)


def short(text: str) -> list[tuple[Any, ...]]:
    """Voice with style, text, and what else there is."""
    found = []
    for part in parts(text):
        who = part.voice + (f":{part.style}" if part.style else "")
        more = [one for one in (part.speed, part.seed, part.pause_s) if one is not None]
        found.append((who, part.text.text, *more))
    return found


def plain(script: Script | None) -> list[Part]:
    """Parts that can be compared: without places."""
    assert script is not None
    return [replace(part, text=part.text.text) for part in script.parts]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # pauses
        ("Hi [pause:1.2s] there", [("", "Hi", 1.2), ("", "there")]),
        ("Hi [pause 400ms] there", [("", "Hi", 0.4), ("", "there")]),
        ("Hi [PAUSE = 2] there", [("", "Hi", 2.0), ("", "there")]),
        ("Hi [pause:1,5 s] there", [("", "Hi", 1.5), ("", "there")]),
        ("Hi [pause: 2 seconds] there", [("", "Hi", 2.0), ("", "there")]),
        ("Hi [break] there", [("", "Hi", 0.5), ("", "there")]),
        ("Hi [pause] there [long pause] you", [("", "Hi", 1.0), ("", "there", 2.0), ("", "you")]),
        ('Hi <break time="1.5s"/> there', [("", "Hi", 1.5), ("", "there")]),
        ("Hi <break strength='strong'> there", [("", "Hi", 1.0), ("", "there")]),
        ("[pause:1s] Hi", [("", "", 1.0), ("", "Hi")]),
        ("Hi [pause:1s][pause:500ms]", [("", "Hi", 1.5)]),
        ("Hi [pause:1s] ... [pause:1s] you", [("", "Hi", 2.0), ("", "you")]),
        # voices and styles
        ("A [voice:ana] B [voice: BOB] C", [("", "A"), ("ana", "B"), ("BOB", "C")]),
        ("A [ana] B [main] C", [("", "A"), ("ana", "B"), ("", "C")]),
        ("[voice:ana] A [happy] B [style:very_sad] C", [("ana", "A"), ("ana:happy", "B"),
                                                       ("ana:very_sad", "C")]),
        ("[sad] A [voice:ana] B", [(":sad", "A"), ("ana", "B")]),
        ("[ana][happy] A [style:regular] B", [("ana:happy", "A"), ("ana", "B")]),
        ("[ana_happy] A [ana_very_sad] B", [("ana:happy", "A"), ("ana:very_sad", "B")]),
        ("[main_voice] A [main_voice_calm] B", [("main_voice", "A"), ("main_voice:calm", "B")]),
        ("[ana] A [happy] B [/] C [/] D", [("ana", "A"), ("ana:happy", "B"), ("ana", "C"),
                                           ("", "D")]),
        ("[voice:ana] A [/voice] B", [("ana", "A"), ("", "B")]),
        ("[ana] A [speed:2] B [/voice] C [/speed] D", [("ana", "A"), ("ana", "B", 2.0),
                                                      ("", "C", 2.0), ("", "D")]),
        # lines
        ("ana: Hi!\nbob: Ho,\nI say.\n\nThe end.", [("ana", "Hi!"), ("bob", "Ho,\nI say."),
                                                   ("", "The end.")]),
        ("  Ana: Hi", [("Ana", "Hi")]),
        ("bob:\nana:\n Hi", [("ana", "Hi")]),
        ("[ana] A\n\nbob: B\n\nC", [("ana", "A"), ("bob", "B"), ("ana", "C")]),
        ("ana: Hi [bob] you\n\nC", [("ana", "Hi"), ("bob", "you\n\nC")]),
        # speed and seed
        ("[speed:1.2] A [rate:0,5] B", [("", "A", 1.2), ("", "B", 0.5)]),
        ("[seed:7] A [pause:1s] B", [("", "A", 7, 1.0), ("", "B")]),
        ("[seed:7][speed:2] A [speed:1] B", [("", "A", 2.0, 7), ("", "B", 1.0)]),
        # the page of F5-TTS
        ("{Regular} A {sad} B {Regular} C", [("", "A"), (":sad", "B"), ("", "C")]),
        ("{ana_Happy} A {bob} B", [("ana:happy", "A"), ("bob", "B")]),
        ('{"name": "ana_happy", "seed": 7, "speed": 1.1} A', [("ana:happy", "A", 1.1, 7)]),
        ('{"name": "ana", "seed": -1, "speed": 1} A {bob} B', [("ana", "A", 1.0), ("bob", "B")]),
        ('{"name": "ana", "style": "happy"} A', [("ana:happy", "A")]),
        # what is no tag
        (r"\[ana] A [pause:1s] \[pause:1s]", [("", r"\[ana] A", 1.0), ("", r"\[pause:1s]")]),
        ("[bob] [sic] [1] [x y] [^2] {z} { } []", [("bob", "[sic] [1] [x y] [^2] {z} { } []")]),
        ("[bob] [ana](http://x.y) ![ana](z)", [("bob", "[ana](http://x.y) ![ana](z)")]),
        ("[bob] `[voice:zed]` [pinyin:chong2]", [("bob", "`[voice:zed]` [pinyin:chong2]")]),
        ("[bob] [pause for effect] [12]", [("bob", "[pause for effect] [12]")]),
        (r"[bob] \frac{1}{2} $x_{bob}$", [("bob", r"\frac{1}{2} $x_{bob}$")]),
        ("[bob] At 12:30: see http://a.b", [("bob", "At 12:30: see http://a.b")]),
        ("[bob]\nNote: this", [("bob", "Note: this")]),
    ],
)  # fmt: skip
def test_forms(text: str, expected: list[tuple[Any, ...]]) -> None:
    assert short(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Plain text.",
        "He said [sic] it, see [1] and [^2].",
        "- [x] done\n- [ ] open",
        "Note: it is 12:30. {z} {} []",
        "[ana](http://example.org) and `[voice:ana]`",
        r"\[ana] \{bob}",
        "x = {1, 2}; y = a[0]",
    ],
)
def test_texts_without_tags_are_no_scripts(text: str) -> None:
    assert parse_script(text, Names()) is None
    assert parse_script("[ana] " + text, Names(), "off") is None


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a [voice:zed] b", "VOICE_NOT_FOUND",
         "There is no voice 'zed', which the tag at character 3 asks for."),
        ("a [voice:] b", "VOICE_NOT_FOUND", "There is no voice '', which"),
        ('{"name": "zed"} b', "VOICE_NOT_FOUND", "There is no voice 'zed', which"),
        ("[ana] [style:mad] b", "STYLE_NOT_FOUND",
         "The voice 'ana' has no style 'mad', which the tag at character 7 asks for."),
        ("[style:mad] b", "STYLE_NOT_FOUND", "The voice of the request has no style 'mad'"),
        ("a\nb [pause:0] c", "BAD_MARKUP", "The pause is '0', at character 5 (line 2)."),
        ("[pause:-1] c", "BAD_MARKUP", "The pause is '-1', at character 1."),
        ("[pause:1e9s] c", "BAD_MARKUP", "The pause is '1e9s'"),
        ("[pause:NaN] c", "BAD_MARKUP", "The pause is 'NaN'"),
        ("[pause:inf] c", "BAD_MARKUP", "The pause is 'inf'"),
        ("[pause:long] c", "BAD_MARKUP", "The pause is 'long'"),
        ("[pause:0.4ms] c", "BAD_MARKUP", "The pause is '0.4ms'"),
        ("[pause:61s] c", "BAD_MARKUP", "The pause is '61s'"),
        ("<break time='x'/> c", "BAD_MARKUP", "The pause is 'x'"),
        ("a [pause:40s][pause:40s] c", "BAD_MARKUP", "The pauses at character 14 add up to 80 s."),
        ("[speed:0.2] c", "BAD_MARKUP", "The speed is '0.2', at character 1."),
        ("[speed:4.1] c", "BAD_MARKUP", "The speed is '4.1'"),
        ("[speed:fast] c", "BAD_MARKUP", "The speed is 'fast'"),
        ('{"name": "ana", "speed": "2"} c', "BAD_MARKUP", "The speed is '\"2\"'"),
        ('{"name": "ana", "speed": NaN} c', "BAD_MARKUP", "The speed is 'NaN'"),
        ("[seed:-1] c", "BAD_MARKUP", "The seed is '-1'"),
        ("[seed:2147483648] c", "BAD_MARKUP", "The seed is '2147483648'"),
        ('{"name": "ana", "seed": 1.5} c', "BAD_MARKUP", "The seed is '1.5'"),
        ('{"name": 3} c', "BAD_MARKUP", "The tag '{\"name\": 3}' cannot be read"),
        ('{"name": "ana" c', "BAD_MARKUP", None),
        ("[voice:ana c", "BAD_MARKUP", "The tag '[voice:' is not closed, or has another bracket"),
        ("[voice:[ana]] c", "BAD_MARKUP", "is not closed, or has another bracket"),
        ("a [/] b", "BAD_MARKUP", "[/] has no tag to end, at character 3."),
        ("[ana] a [/speed] b", "BAD_MARKUP", "[/speed] has no [speed:...] to end"),
        ("[seed:1]" * 1001 + "a", "BAD_MARKUP", "The text has more than 1,000 tags"),
    ],
)  # fmt: skip
def test_errors_name_the_value_and_its_place(text: str, code: str, message: str | None) -> None:
    if message is None:  # an unclosed brace is text
        assert parse_script(text, Names()) is None
        return
    with pytest.raises(InvalidRequest) as caught:
        parse_script(text, Names())
    assert (caught.value.code, message in caught.value.message) == (code, True), caught.value
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("see [anna] b", "Did you mean ana?"),
        ("[voise:ana] b", "Did you mean voice:?"),
        ("[1] b", "Write"),
        ("{zed} b", "Write"),
        ('{"x": 1} b', 'Write {"name"'),
    ],
)
def test_strict_refuses_what_is_no_tag(text: str, hint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_script(text, Names(), "strict")
    assert (caught.value.code, hint in caught.value.hint) == ("BAD_MARKUP", True), caught.value
    assert "character" in caught.value.message
    assert parse_script("- [x] done\nNote: [ana] hi", Names(), "strict") is not None


def test_names_are_asked_for_once_and_not_without_end() -> None:
    names = Names()
    parse_script("[ana] a [ana] b [sic] c [sic] d ana_sad: e", names)
    assert len(names.asked) == len(set(names.asked))
    names = Names()
    lines = "\n".join(f"word{number}: text" for number in range(300))
    assert parse_script(lines, names) is None
    assert len(names.asked) == MAX_NAMES


def test_a_text_has_few_voices() -> None:
    text = "".join(f"[voice:v{number}] a " for number in range(33))
    with pytest.raises(InvalidRequest, match="more than 32 voices and styles"):
        parse_script(text, AnyVoice())


TAGS = st.sampled_from(
    [
        *["[ana]", "[bob]", "[main]", "[happy]", "[sad]", "[voice:ana]", "[/]", "[/voice]"],
        *["[speed:1.5]", "[/speed]", "[seed:7]", "[pause:1s]", "[pause 20ms]", "[break]"],
        *["{Regular}", "{sad}", '{"name": "ana", "seed": 3, "speed": 0.7}', "\nana: ", "\n\n"],
        *["\\[", "\\", "`", "(", ")", "[", "]", "{", "}", "[sic]", "[ana](", "<break/>", "ana:"],
        *["Hello ", "there. ", " ", "\n", "$3 ", "你好。", "[pinyin:ni3]", "x: y", "-", "[1]"],
    ]
)
TEXTS = st.lists(TAGS, max_size=30).map("".join)


def read(text: str, names: VoiceNames | None = None, markup: Markup = "auto") -> Script | None:
    """The script, if the text is one; every other error than ours comes out."""
    with suppress(InvalidRequest):
        return parse_script(text, names or Names(), markup)
    return None


@given(TEXTS)
def test_a_printed_script_parses_to_the_same_parts(text: str) -> None:
    script = read(text)
    if script is None or not script.parts:
        return
    again = parse_script(print_script(script.parts), Names())
    assert plain(again) == plain(script)


@given(TEXTS)
def test_parts_lie_in_the_text_in_order_and_no_word_is_lost(text: str) -> None:
    script = read(text)
    if script is None:
        return
    end = 0
    for part in script.parts:
        start, stop = part.text.source_span(0, len(part.text.text))
        assert end <= start or not part.text.text
        assert text[start:stop] == part.text.text
        end = max(end, stop)
    for word in ("Hello", "there", "你好"):
        kept = sum(part.text.text.count(word) for part in script.parts)
        assert kept == text.count(word)


@given(st.text(alphabet="[]{}:/\\\"'<>=.,-+ \n`()!ab1s", max_size=60))
def test_any_text_is_a_script_or_none_or_a_clear_error(text: str) -> None:
    assert read(text, AnyVoice()) is None or may_be_script(text)
    read(text, AnyVoice(), "strict")


STORY = (
    'The mouse said [town] "Come with me." [main] So they went home, and ate. '
    '[country] "Goodbye," [main] said he, [country] "I am off."'
)


MICE = Names({"": set(), "town": set(), "country": set()})


def upstream_command_line(text: str) -> list[tuple[str, str]]:
    """The rule of f5-tts 1.1.22, written out: a tag may stand anywhere, main is the default."""
    found = []
    for piece in re.split(r"(?=\[\w+\])", text):
        match = re.match(r"\[(\w+)\]", piece)
        words = re.sub(r"\[\w+\]", "", piece).strip()
        if words:
            found.append((match[1] if match else "main", words))
    return found


def test_the_shape_of_upstreams_story_parses_to_what_upstream_does() -> None:
    script = parse_script(STORY, MICE)
    assert script is not None
    ours = [(part.voice or "main", part.text.text) for part in script.parts]
    assert ours == upstream_command_line(STORY)


def upstream_page(text: str) -> list[dict[str, Any]]:
    """The rule of the same page: braces hold a name, or JSON with name, seed and speed."""
    current = {"name": "Regular", "seed": -1, "speed": 1.0}
    found = []
    for index, piece in enumerate(re.split(r"(\{.*?\})", text)):
        if index % 2 == 0:
            if piece.strip():
                found.append({**current, "text": piece.strip()})
            continue
        try:
            current = json.loads(piece)
        except ValueError:
            current = {"name": piece[1:-1], "seed": -1, "speed": 1.0}
    return found


def test_the_shape_of_upstreams_page_parses_to_what_upstream_does() -> None:
    text = (
        'Hello. {Sad} I had a dream. {"name": "Ana_Happy", "seed": 7, "speed": 1.2} It was fun!'
        ' {"name": "Bob", "seed": -1, "speed": 1} Was it? {Regular} It was.'
    )
    script = parse_script(text, Names())
    assert script is not None
    for ours, theirs in zip(script.parts, upstream_page(text), strict=True):
        name = ours.voice + (f"_{ours.style}" if ours.voice and ours.style else ours.style)
        assert (name or "regular").lower() == theirs["name"].lower()
        assert ours.text.text == theirs["text"]
        assert (-1 if ours.seed is None else ours.seed) == theirs["seed"]
        assert (1.0 if ours.speed is None else ours.speed) == theirs["speed"]


def test_unknown_names_are_named_where_upstream_falls_back_silently() -> None:
    text = 'A {Angry} B {"name": "Zed", "seed": 1, "speed": 1} C'
    assert [one["name"] for one in upstream_page(text)] == ["Regular", "Angry", "Zed"]
    with pytest.raises(InvalidRequest, match="There is no voice 'Zed'"):
        parse_script(text, Names())
