"""SSML: elements to parts, errors with line and column, limits, and anything at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr, unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.clean import clean_text
from f5serve.text.script import MAX_TAGS, MAX_VOICES, AnyVoice, Mark, Part, Script
from f5serve.text.spoken import spoken_text
from f5serve.text.ssml import parse_ssml
from f5serve.text.ssml_reader import MAX_ATTRIBUTE_CHARS, MAX_DEPTH

VOICES = {"": {"calm"}, "ana": {"happy", "sad"}, "ben": set[str]()}


class Names:
    """A library with two voices; the request's has one style."""

    def styles(self, voice: str) -> frozenset[str] | None:
        found = VOICES.get(voice.lower())
        return None if found is None else frozenset(found)

    def similar(self, voice: str) -> Sequence[str]:
        return [name for name in VOICES if name and name[0] == voice[:1]]


def parse(text: str, speed: float = 1.0) -> Script:
    return parse_ssml(text, Names(), speed)


def rows(text: str) -> list[tuple[object, ...]]:
    """Each part as its text, then what is not the default: voice and style, speed, pause."""
    return [row(part) for part in parse(text).parts]


def row(part: Part) -> tuple[object, ...]:
    voice = f"{part.voice}/{part.style}" if part.style else part.voice
    return (part.text.text, *[one for one in (voice, part.speed, part.pause_s) if one])


def error(text: str, speed: float = 1.0) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        parse(text, speed)
    return found.value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello.", [("Hello.",)]),
        ("<speak>Hello.</speak>", [("Hello.",)]),
        ('<?xml version="1.0" encoding="utf-16"?>\n<!-- é --><speak>é</speak>', [("é",)]),
        ('\ufeff  <?xml version="1.0"?> Hi <break/>you', [("Hi", 0.5), ("you",)]),
        ("<ssml:speak>a <speak>b</speak></ssml:speak>", [("a b",)]),
        ("a<!-- <b> --><?b c?>d", [("ad",)]),
        ("a\n\n b\r\nc", [("a   b c",)]),
        # break
        ('a <break time="1.5s"/> b', [("a", 1.5), ("b",)]),
        ('a<break time="400ms"/>b', [("a", 0.4), ("b",)]),
        ('a<break time="+.25 S"/>b', [("a", 0.25), ("b",)]),
        ('a<break time="1.23456s" strength="weak"/>b', [("a", 1.235), ("b",)]),
        ("a<break/>b", [("a", 0.5), ("b",)]),
        ('a<break strength="none"/>b', [("ab",)]),
        ('a<break strength="x-weak"/>b', [("a", 0.1), ("b",)]),
        ('a<break strength="weak"/>b', [("a", 0.25), ("b",)]),
        ('a<break strength="strong"/>b', [("a", 1.0), ("b",)]),
        ('a<break strength="X-strong"/>b', [("a", 1.5), ("b",)]),
        ('a<break time="1s"/> \n<break time="59s"/>b', [("a", 60.0), ("b",)]),
        ("<break/>a", [("", 0.5), ("a",)]),
        ("a<break/>", [("a", 0.5)]),
        ("<break/>", [("", 0.5)]),
        ("a<break/>, b.", [("a,", 0.5), ("b.",)]),
        ("a<break/>—<break/>b", [("a", 1.0), ("—b",)]),
        ("a<break/>…", [("a…", 0.5)]),
        ("你好<break/>。世界", [("你好。", 0.5), ("世界",)]),
        # voice and style
        ('a <voice name="Ana">b</voice> c', [("a",), ("b", "Ana"), ("c",)]),
        ('<voice name="ana">a <voice name="ben">b</voice> c</voice>',
         [("a", "ana"), ("b", "ben"), ("c", "ana")]),
        ('<voice name="ana">a <voice name="MAIN">b</voice></voice>', [("a", "ana"), ("b",)]),
        ('<voice name="ana">a</voice>. <voice name="ana">b</voice>', [("a. b", "ana")]),
        ('<voice name="ana" style="Happy">a</voice>', [("a", "ana/happy")]),
        ('<voice name="ana"><mstts:express-as style="sad">a</mstts:express-as> b</voice>',
         [("a", "ana/sad"), ("b", "ana")]),
        ('<voice style="calm">a</voice>', [("a", "/calm")]),
        ('<voice name="ana" style="sad"><voice name="ben">a</voice></voice>', [("a", "ben")]),
        ('<voice name="ana" style="sad">a <express-as style="">b</express-as></voice>',
         [("a", "ana/sad"), ("b", "ana")]),
        # prosody
        ('<prosody rate="x-slow">a</prosody>', [("a", 0.5)]),
        ('<prosody rate="slow">a</prosody>', [("a", 0.75)]),
        ('<prosody rate="medium">a</prosody> <prosody rate="default">b</prosody>', [("a b",)]),
        ('<prosody rate="Fast">a</prosody>', [("a", 1.25)]),
        ('<prosody rate="x-fast">a</prosody>', [("a", 1.75)]),
        ('<prosody rate="120%">a</prosody>', [("a", 1.2)]),
        ('<prosody rate="+20%">a</prosody>', [("a", 1.2)]),
        ('<prosody rate="-10%">a</prosody>', [("a", 0.9)]),
        ('<prosody rate="1.2">a</prosody>', [("a", 1.2)]),
        ('<prosody rate="2">a <prosody rate="50%">b</prosody> c</prosody> d',
         [("a", 2.0), ("b",), ("c", 2.0), ("d",)]),
        # words that are spoken otherwise
        ('<sub alias="World Wide Web">WWW</sub>', [('<sub alias="World Wide Web">WWW</sub>',)]),
        ('<sub alias="hi"/> you', [("hi you",)]),
        ('<sub alias="&lt;a&gt; &quot;b&quot; &amp;quot;">c<w>d</w></sub>',
         [('<sub alias="<a> ”b” ”">cd</sub>',)]),
        ('<say-as interpret-as="Ordinal" format="x">3</say-as>',
         [('<say-as interpret-as="ordinal">3</say-as>',)]),
        ('<say-as interpret-as="date" format="mm/dd/yyyy">1/2/2024</say-as>',
         [('<say-as interpret-as="date" format="mmddyyyy">1/2/2024</say-as>',)]),
        ('<say-as interpret-as="time">2:30pm</say-as>', [("2:30pm",)]),
        ('<say-as interpret-as="ordinal"> </say-as>a', [("a",)]),
        ('<say-as pinyin="chong2">重</say-as>', [('<say-as pinyin="chong2">重</say-as>',)]),
        # the rest
        ("<p>a</p><p>b</p>", [("a\n\n\n\nb",)]),
        ("<s>a</s> <sentence>b</sentence>", [("a\n\n \n\nb",)]),
        ("a<br/>b <emphasis>c</emphasis> <lang>d</lang>", [("a b c d",)]),
        ("<metadata>a<voice name='x'>b</voice></metadata>c<audio><desc>d</desc>e</audio>",
         [("ce",)]),
        ("<speak/>", []),
        (" ", []),
        ("…", [("…",)]),
    ],
)  # fmt: skip
def test_elements(text: str, parts: list[tuple[object, ...]]) -> None:
    assert rows(text) == parts


def test_the_speed_of_the_request_is_multiplied() -> None:
    script = parse('a <prosody rate="fast">b</prosody>', speed=2.0)
    assert [part.speed for part in script.parts] == [None, 2.5]
    assert "speed of 4.5" in error('<prosody rate="150%">a</prosody>', speed=3.0).message


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("<speak>\n a <b>c</speak>", "BAD_SSML",
         "The SSML is not well-formed at line 2, column 8: mismatched tag."),
        ("a\r\nb</c>", "BAD_SSML",
         "The SSML is not well-formed at line 2, column 2: mismatched tag."),
        ("é <b>", "BAD_SSML", "The SSML is not well-formed at line 1, column 6: mismatched tag."),
        ("<speak>a", "BAD_SSML",
         "The SSML is not well-formed at line 1, column 9: no element found."),
        ("a & b", "BAD_SSML", "The SSML is not well-formed at line 1, column 4: invalid token."),
        ("é\n你&nbsp;", "BAD_SSML",
         "The SSML is not well-formed at line 2, column 2: undefined entity."),
        ("<speak>a</speak> b", "BAD_SSML",
         "The SSML is not well-formed at line 1, column 18: junk after document element."),
        ("<!-- a\n --><!DOCTYPE speak>a", "BAD_SSML",
         "The SSML has a DOCTYPE at line 2, column 5."),
        ("a\n\x00b", "BAD_SSML", "The SSML has the character U+0000 at line 2, column 1."),
        ("a&#0;b", "BAD_SSML", "The SSML is not well-formed at line 1, column 2: reference to"
         " invalid character number."),
        ("a\ud800", "BAD_UNICODE", "Character 2 of the text is half a character (U+D800)."),
        ("a&#xd800;", "BAD_SSML", "The SSML is not well-formed at line 1, column 2: reference to"
         " invalid character number."),
        *[
            (f'\n <break time="{time}"/>', "BAD_SSML",
             f"The break at line 2, column 2 has the time {time!r}.")
            for time in ["0", "0s", "0.1ms", "-1s", "NaN", "1e9s", "61s", "5", "5 min", "", "١s"]
        ],
        ('<break strength="loud"/>', "BAD_SSML",
         "The break at line 1, column 1 has the strength 'loud'."),
        ('a<break time="40s"/>\n<break time="21s"/>', "BAD_SSML",
         "The pauses at line 2, column 1 add up to 61 s."),
        ('你 <voice name="anna">a</voice>', "VOICE_NOT_FOUND",
         "There is no voice 'anna', which the tag at line 1, column 3 asks for."),
        ('<voice name="../ana">a</voice>', "VOICE_NOT_FOUND",
         "There is no voice '../ana', which the tag at line 1, column 1 asks for."),
        ('<voice name="ana"\n style="angry">a</voice>', "STYLE_NOT_FOUND",
         "The voice 'ana' has no style 'angry', which the tag at line 1, column 1 asks for."),
        ('\n<express-as style="happy">a</express-as>', "STYLE_NOT_FOUND",
         "The voice of the request has no style 'happy', which the tag at line 2, column 1"
         " asks for."),
        *[
            (f'a<prosody rate="{rate}">b</prosody>', "BAD_SSML",
             f"The rate at line 1, column 2 is {rate!r}.")
            for rate in ["quick", "nan", "1e9", "+2", "20 %", "", "1,5"]
        ],
        *[
            (f'a<prosody rate="{rate}">b</prosody>', "BAD_SSML",
             f"The rate {rate!r} at line 1, column 2 makes a speed of {speed}.")
            for rate, speed in [("0", "0"), ("-100%", "0"), ("401%", "4.01"), ("-76%", "0.24")]
        ],
        ('<prosody rate="2"><prosody rate="x-fast">\n<prosody rate="fast">a', "BAD_SSML",
         "The rate 'fast' at line 2, column 1 makes a speed of 4.375."),
        ("a <sub>b</sub>", "BAD_SSML", "The element sub at line 1, column 3 has no alias."),
        ('<sub alias=" ">b</sub>', "BAD_SSML", "The element sub at line 1, column 1 has no alias."),
        ('<sub alias="b">a<break/></sub>', "BAD_SSML",
         "The element break at line 1, column 17 is in words that are spoken otherwise."),
        (f'<sub alias="b">{"a" * 501}</sub>', "BAD_SSML",
         "The sub at line 1, column 1 has 501 characters."),
        ('<say-as pinyin="qq9">重</say-as>', "BAD_PINYIN",
         "There is no pinyin syllable 'qq9', at line 1, column 1."),
        ("a <mark/>", "BAD_SSML", "The mark at line 1, column 3 has no name."),
        ('<speak xml:lang="a b">c</speak>', "BAD_SSML",
         "The xml:lang at line 1, column 1 is 'a b', which is no language tag."),
    ],
)  # fmt: skip
def test_errors_name_line_and_column(text: str, code: str, message: str) -> None:
    found = error(text)
    assert (found.code, found.message) == (code, message)
    assert found.hint


def test_hints_say_what_would_be_right() -> None:
    assert error('<voice name="anna">a</voice>').hint == "Did you mean ana?"
    assert error('<voice name="ana" style="x">a</voice>').hint == "It has happy, sad."
    assert "&amp;" in error("R&D").hint
    assert "begins at line 1, column 3" in error("a <b>c").hint


def test_no_entity_is_expanded_and_nothing_is_read() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    for text in [
        f'<!DOCTYPE s [<!ENTITY l0 "ha">{laughs}]><speak>&l9;</speak>',
        '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><speak>&x;</speak>',
        '<!DOCTYPE s SYSTEM "http://127.0.0.1:1/s.dtd"><speak>a</speak>',
        '<!DOCTYPE s [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><speak>a</speak>',
    ]:
        assert error(text).message == "The SSML has a DOCTYPE at line 1, column 1."
    assert error("<speak><!DOCTYPE s><a/></speak>").code == "BAD_SSML"


def test_limits_come_first() -> None:
    deep = "<w>" * (MAX_DEPTH - 1)
    assert rows(f"<speak>{deep}a{deep.replace('<', '</')}</speak>") == [("a",)]
    assert f"{MAX_DEPTH} elements deep at line 1" in error(f"<speak>{deep}<w>").message
    assert rows(f"{'<w/>' * MAX_TAGS}a") == [("a",)]
    assert "more than 1,000 elements" in error("<w/>" * 10_000).message
    long = "x" * MAX_ATTRIBUTE_CHARS
    assert f"has {MAX_ATTRIBUTE_CHARS + 1} characters" in error(f'<w y="{long}"/>').message
    voices = [f'<voice name="v{n}">a</voice>' for n in range(MAX_VOICES + 1)]
    assert len(parse_ssml("".join(voices[1:]), AnyVoice()).parts) == MAX_VOICES
    with pytest.raises(InvalidRequest, match=rf"{MAX_VOICES} voices and styles at line 1, column"):
        parse_ssml("".join(voices), AnyVoice())


def test_what_has_no_effect_is_named_once() -> None:
    text = """<speak xml:lang="en-us"><prosody pitch="high" volume="loud">a</prosody>
<prosody pitch="low">b</prosody><phoneme alphabet="ipa" ph="x">c</phoneme><foo/><bar/>
<audio src="https://127.0.0.1:1/a.wav">d</audio><lang xml:lang="fr">e</lang>
<say-as interpret-as="loudly">f</say-as><voice gender="male" xml:lang="en-GB">g</voice></speak>"""
    script = parse(text)
    assert script.language == "en-US"
    assert script.parts[0].text.text == "a bc de fg"
    assert script.warnings == (
        "The attribute pitch of prosody has no effect (line 1, column 25).",
        "The attribute volume of prosody has no effect (line 1, column 25).",
        "The element phoneme has no effect (line 2, column 33).",
        "The element foo at line 2, column 75 is not known; its words are spoken.",
        "The element audio has no effect (line 3, column 1).",
        "The language fr of a part of the text has no effect (line 3, column 49).",
        "The value 'loudly' of interpret-as has no effect (line 4, column 1).",
        "The element voice without a name has no effect (line 4, column 41).",
    )


def test_marks_are_before_the_words_that_follow() -> None:
    parts = parse(
        ' <mark name="a"/> One <mark name="b"/>two<mark name="c"/><break/><mark name="d"/>'
        '<break/>, three <mark name="e"/><sub alias="x">four</sub><mark name="f"/> '
    ).parts
    assert [part.text.text for part in parts] == ["One two,", 'three <sub alias="x">four</sub>']
    assert parts[0].marks == (Mark("a", 0), Mark("b", 4), Mark("c", 7))
    assert parts[1].marks == (Mark("d", 0), Mark("e", 6), Mark("f", len(parts[1].text.text)))
    changed = parse('a <mark name="g"/><mark name="h"/><voice name="ana">b</voice>').parts
    assert [part.marks for part in changed] == [(), (Mark("g", 0), Mark("h", 0))]
    last = parse('a<break/><mark name="g"/>!').parts
    assert [(part.text.text, part.marks) for part in last] == [("a!", (Mark("g", 2),))]


def test_spans_are_those_of_the_text_that_was_sent() -> None:
    text = (
        '<?xml version="1.0"?>\n é &amp; <![CDATA[<b>\r\n]]><p>x&#233;</p><sub alias="q">yz</sub>'
    )
    [part] = parse(text).parts
    found = {text[slice(*span)] for span in part.text.spans if span[0] < span[1]}
    assert found == {"é", " ", "&amp;", "<", "b", ">", "\r\n", "x", "&#233;", "y", "z"}
    wrapped = parse("a &lt; b").parts[0].text
    assert wrapped.spans == ((0, 1), (1, 2), (2, 6), (6, 7), (7, 8))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("&lt;b&gt;bold&lt;/b&gt;", "< b>bold< /b>"),
        ("<![CDATA[<br> &amp; &lt;]]>x", "< br> & amp; & lt;x"),
        ("&lt;<w>i</w>&gt; x", "< i> x"),
        ("&amp;lt;i&amp;gt; x", "& lt;i& gt; x"),
        ("&amp;<w>lt;</w>b", "& lt;b"),
        ("a &lt; b, 1 &lt; 2, R&amp;D", "a < b, 1 < 2, R&D"),
        ('&lt;sub alias="x"&gt;y&lt;/sub&gt;', '< sub alias="x">y< /sub>'),
        ("[pause] [voice:ana] {Happy}", "[pause] [voice:ana] {Happy}"),
        ("<p>One</p><p>Two!</p>", "One. Two!"),
        ("<s>Eins</s>\n<s><sub alias='zwei'>2</sub></s>Ende", "Eins. 2. Ende"),
        ("One\n\n- two\n# three", "One - two # three"),
    ],
)  # fmt: skip
def test_text_stays_text_when_it_is_cleaned(text: str, written: str) -> None:
    [part] = parse(text).parts
    assert spoken_text(clean_text(part.text.text, 500), "en").written == written


def test_aliases_of_any_signs_pass_cleaning() -> None:
    alias = "a < b > \"c\" 'd' & e &lt;f&gt; \uff02g"
    [part] = parse(f"<sub alias={quoteattr(alias)}>x &lt;y&gt;</sub>").parts
    spoken = spoken_text(clean_text(part.text.text, 500), "en", unnormalized=frozenset())
    assert spoken.written == "x < y>"
    assert re.findall(r"\b[a-g]\b", spoken.mapped.text) == list("abcdefg")


names = st.sampled_from(
    ["p", "s", "w", "emphasis", "prosody", "voice", "mstts:express-as", "sub", "say-as", "foo",
     "audio", "speak", "mark", "break", "br"]
)  # fmt: skip
attributes = st.dictionaries(
    st.sampled_from(["time", "strength", "name", "style", "rate", "alias", "interpret-as",
                     "pinyin", "format", "xml:lang", "pitch"]),
    st.sampled_from(["1s", "400ms", "weak", "none", "ana", "main", "ben", "happy", "fast", "90%",
                     "characters", "date", "dmy", "de", "World <Wide> \"Web\"", "x"]),
    max_size=2,
)  # fmt: skip
words = st.text(
    st.one_of(
        st.sampled_from("ab1 .,<>&;\n\t[]*_-/!'\"你。🙂é"),
        st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]),
    ),
    max_size=8,
)


def tag(name: str, given_attributes: dict[str, str], inside: str) -> str:
    written = "".join(f" {key}={quoteattr(value)}" for key, value in given_attributes.items())
    return f"<{name}{written}>{inside}</{name}>"


trees = st.recursive(
    words.map(escape),
    lambda inner: st.builds(tag, names, attributes, st.lists(inner, max_size=3).map("".join)),
    max_leaves=12,
)
plain_trees = st.recursive(
    words.map(escape),
    lambda inner: st.builds(
        tag,
        st.sampled_from(["p", "w", "foo", "speak", "break", "prosody", "br"]),
        st.sampled_from([{}, {"rate": "90%"}]),
        st.lists(inner, max_size=3).map("".join),
    ),
    max_leaves=12,
)


def spans_are_sound(script: Script, text: str) -> None:
    spans = [span for part in script.parts for span in part.text.spans]
    for start, end in spans:
        assert 0 <= start <= end <= len(text)
    for left, right in pairwise(spans):
        assert left == right or left[1] <= right[0], (left, right)


def parsed(text: str) -> Script | InvalidRequest:
    try:
        return parse(text)
    except InvalidRequest as refused:
        return refused


@given(st.lists(trees, max_size=4).map("".join))
def test_any_tree_is_a_script_or_an_error(text: str) -> None:
    script = parsed(text)
    if isinstance(script, InvalidRequest):
        assert script.hint
        assert re.search(r"line \d+, column \d+", script.message)
        return
    spans_are_sound(script, text)
    for part in script.parts:
        assert len(part.text.text) == len(part.text.spans)
        assert all(0 <= mark.at <= len(part.text.text) for mark in part.marks)


@given(st.lists(plain_trees, max_size=4).map("".join))
def test_all_words_are_kept_in_order(text: str) -> None:
    script = parsed(text)
    if isinstance(script, InvalidRequest):  # too deep, or a speed that is too low
        return
    sent = unescape(re.sub(r"<[^<>]*>", "", text))
    kept = "".join(part.text.text for part in script.parts)
    assert [char for char in kept if char.isalnum()] == [char for char in sent if char.isalnum()]


@given(st.text(max_size=80))
def test_any_text_is_a_script_or_an_error(text: str) -> None:
    script = parsed(text)
    if isinstance(script, InvalidRequest):
        assert script.code in ("BAD_SSML", "BAD_UNICODE")
    else:
        spans_are_sound(script, text)


def test_the_example_of_the_guide_is_what_the_guide_says() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "ssml.md").read_text()
    example = "\n".join(re.findall(r"^    (.*)", guide.split("\n\n")[2], flags=re.MULTILINE))
    script = parse(example)
    assert script.language == "en-GB"
    assert not script.warnings
    spoken = [spoken_text(clean_text(part.text.text, 500), "en") for part in script.parts]
    assert [one.mapped.text for one in spoken] == [
        "Hello.",
        "Are you there?",
        "I am!",
        "Come in quickly.",
        "World Wide Web, founded on August sixth, nineteen ninety one.",
    ]
    assert [row(part)[1:] for part in script.parts] == [
        (1.5,), (), ("ana/happy",), ("ana/happy", 1.25), ()
    ]  # fmt: skip
