"""Subtitle files as scripts: cues, times, voices, what is left out, and every kind of bad file."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysubs2 import SSAEvent, SSAFile

from f5serve.errors import InvalidRequest
from f5serve.text.cue_files import (
    MAX_CUES,
    MAX_FILE_BYTES,
    MAX_FILE_CHARS,
    MAX_TIME_S,
    decode_subtitles,
    read_cue_file,
    show_time,
)
from f5serve.text.cues import parse_cues
from f5serve.text.script import Part, Script

DATA = Path(__file__).parents[1] / "data" / "subtitles"
FILES = sorted(DATA.iterdir())


class Voices:
    """The voices of a library, in any case, and the styles of each; "" is that of the request."""

    def __init__(self, styles: Mapping[str, Sequence[str]]) -> None:
        self._styles = styles

    def styles(self, voice: str) -> frozenset[str] | None:
        found = self._styles.get(voice.lower())
        return None if found is None else frozenset(found)

    def similar(self, voice: str) -> Sequence[str]:
        return [name for name in self._styles if name and name[0] == voice[:1].lower()]


NAMES = Voices(
    {
        "": ["calm"],
        "ana": ["happy", "very_calm"],
        "boris": [],
        "ana_cold": [],
        "12": [],
        "мария": [],
    }
)
Row = tuple[float, float, str, str, str]


def rows(script: Script) -> list[Row]:
    return [
        (part.start_s or 0.0, part.end_s or 0.0, part.voice, part.style, part.text.text)
        for part in script.parts
    ]


def parse(text: str, format: str = "") -> list[Row]:
    return rows(parse_cues(text, NAMES, format))


def srt(*texts: str) -> str:
    """A file with these cues, a second each."""
    return "\n".join(
        f"{n + 1}\n00:00:{n:02d},000 --> 00:00:{n + 1:02d},000\n{text}\n"
        for n, text in enumerate(texts)
    )


def spoken(*texts: str) -> list[str]:
    return [part.text.text for part in parse_cues(srt(*texts), NAMES).parts]


def ass(*lines: str, columns: str = "Layer, Start, End, Name, Text") -> str:
    return "\n".join(["[Script Info]", "", "[Events]", f"Format: {columns}", *lines])


def refusal(text: str, format: str = "") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_cues(text, NAMES, format)
    assert caught.value.code == "BAD_SUBTITLES"
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    return caught.value


def check_parts(parts: Sequence[Part], text: str) -> None:
    """What is true of each script of a file."""
    assert parts
    assert [part.start_s for part in parts] == sorted(part.start_s or 0.0 for part in parts)
    for part in parts:
        assert part.start_s is not None
        assert part.end_s is not None
        assert 0 <= part.start_s <= part.end_s <= MAX_TIME_S
        words = part.text.text
        assert words == " ".join(words.split())
        assert any(map(str.isalnum, words))
        assert len(words) == len(part.text.spans)
        for character, (start, end) in zip(words, part.text.spans, strict=True):
            assert 0 <= start <= end <= len(text)
            if end - start == 1 and character.isalnum():
                assert character == text[start]


EXPECTED: dict[str, tuple[list[Row], list[str]]] = {
    "dialogue.srt": (
        [
            (0.5, 2.0, "ana", "", "Have you seen the harbour?"),
            (2.25, 3.054, "ana", "happy", "It is lovely!"),
            (3.054, 4.1, "boris", "", "It rains, as ever."),
            (5.0, 6.0, "", "", "An index is missing here, and a line is empty."),
            (7.0, 8.0, "", "", "Room 42"),
            (9.5, 11.0, "", "", 'narrator: He said "5 < 7".'),
        ],
        [
            "Cues without words to speak: 2 of 7, first cue 5 in line 20.",
            "Sounds in brackets and lyrics beside words, which are not spoken: 1, first '[sighs]' "
            "in cue 2 in line 6.",
        ],
    ),
    "captions.vtt": (
        [
            (1.0, 2.5, "Ana", "", "Have you seen the harbour?"),
            (2.5, 571.158, "Ana", "happy", "Yes!"),
            (571.158, 3604.0, "", "", "It rains & rains here."),
            (3605.0, 3606.0, "", "", "港です <3"),
        ],
        [
            "Cues without words to speak: 1 of 4, first cue 4 in line 29.",
            "Places with a voice that does not exist, where the voice of the request speaks: 1, "
            "first 'Boris Ivanov' in cue 2 in line 20. Did you mean boris?",
        ],
    ),
    "film.ass": (
        [
            (0.5, 2.0, "ANA", "", "Have you seen it?"),
            (2.5, 4.0, "boris", "", "It rains, as ever, and ever."),
            (4.0, 6.0, "", "", "Good morning --> all"),
            (6.0, 7.0, "ana", "happy", "Bye!"),
        ],
        [
            "Cues without words to speak: 1 of 6, first cue 4 in line 16.",
            "Places with a voice that does not exist, where the voice of the request speaks: 1, "
            "first 'Harbour Master' in cue 5 in line 17.",
        ],
    ),
    "old.ssa": (
        [
            (1.0, 2.5, "boris", "", "Good morning, all."),
            (3.0, 4.25, "", "", "Good evening."),
        ],
        [],
    ),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_written_by_hand(path: Path) -> None:
    text = path.read_bytes().decode()
    script = parse_cues(text, NAMES)
    found, warnings = EXPECTED[path.name]
    assert rows(script) == found
    assert list(script.warnings) == warnings
    check_parts(script.parts, text)
    assert rows(parse_cues(text.replace("\r\n", "\n").replace("\n", "\r"), NAMES)) == found


@pytest.mark.parametrize(
    ("times", "start_s", "end_s"),
    [
        ("00:00:01,000 --> 00:00:02,500", 1.0, 2.5),
        ("00:00:01.000 --> 00:00:02.5", 1.0, 2.5),
        ("0:0:1,25-->0:0:2", 1.25, 2.0),
        ("00:01,000 --> 00:02,000", 1.0, 2.0),
        ("03:59:59,999 --> 04:00:00,000", 14399.999, 14400.0),
        ("00:00:01,000 --> 00:00:01,000", 1.0, 1.0),
        ("00: 00: 01, 250 -> 00: 00: 02, 500", 1.25, 2.5),
        ("00：00：01，000 → 00：00：02，000", 1.0, 2.0),
        (" 00:00:01,000 –> 00:00:02,000  align:start", 1.0, 2.0),
        ("00:00:01,123456 --> 00:00:02,000", 1.123456, 2.0),
    ],
)
def test_times(times: str, start_s: float, end_s: float) -> None:
    assert parse(f"1\n{times}\nHello.\n") == [(start_s, end_s, "", "", "Hello.")]


@pytest.mark.parametrize(
    "times",
    [
        "nan --> nan",
        "00:00:0x,000 --> 00:00:04,000",
        "-00:00:01,000 --> 00:00:04,000",
        "00:00:01,000 -->",
        "--> 00:00:04,000",
        "00:60:01,000 --> 01:10:04,000",
        "00:00:60,000 --> 00:01:04,000",
        "1e3 --> 2e3",
        "00:00:01,000 00:00:04,000",
        "00:00:01,000 - - 00:00:04,000",
        "00:00:01,1234567890 --> 00:00:04,000",
        "9999999999:00:01,000 --> 00:00:04,000",
        "00:00:01:500 --> 00:00:04:000",
        "00:00:01,000 --> 00:00:04,000align",
    ],
)
def test_times_that_cannot_be_read(times: str) -> None:
    error = refusal(f"1\n00:00:00,000 --> 00:00:00,900\nHello.\n\n2\n{times}\nYou.\n")
    assert error.message == f"The times of cue 2 in line 6 cannot be read: {times!r}."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no subtitles"),
        (" \r\n\n", "no subtitles"),
        ("Hello there.", "no subtitles"),
        ("[00:12.00]A line of lyrics", "no subtitles"),
        ("{0}{25}MicroDVD", "no subtitles"),
        ("WEBVTT\n\nNOTE nothing\n", "file of VTT has no cue"),
        (ass(), "file of ASS has no cue"),
        (ass("Comment: 0,0:00:01.00,0:00:02.00,,Hi"), "no cue"),
        (srt("♪"), "None of the 1 cues has a word"),
        (srt("...", "[music]", "<i></i>"), "None of the 3 cues has a word"),
        ("\x00\x01--> \x00", "no text: character 1 is a zero"),
        (srt("Hello.").encode("utf-16-le").decode(), "no text: character 2 is a zero"),
        ("00:00:02,000 --> 00:00:01,999\nHi", "Cue 1 in line 1 ends at 00:00:01.999, before"),
        ("00:00:02,000 --> 4:00:00,001\nHi", "ends at 04:00:00.001; 4 hours are the most"),
        ("999999999:00:00,0 --> 999999999:00:00,5\nHi", "4 hours are the most"),
        (ass("Dialogue: 0,0:00:01.00"), "Cue 1 in line 5 has 2 of 5 columns"),
        (ass("Dialogue: 0,soon,0:00:01.00,,Hi"), "times of cue 1 in line 5 cannot be read"),
        (ass("Dialogue: 0,-0:00:01.00,0:00:01.00,,Hi"), "cannot be read"),
        (ass("Dialogue: 0,0:00:02.00,0:00:01.00,,Hi"), "before it starts"),
        (ass(columns="Text, Start, End"), "line 4 have the text before the times"),
    ],
)
def test_files_that_cannot_be_used(text: str, says: str) -> None:
    assert says in refusal(text).message


def test_a_file_has_a_limited_number_of_cues() -> None:
    cue = "00:00:01,000 --> 00:00:02,000\nHi {}\n\n"
    whole = "".join(cue.format(n) for n in range(MAX_CUES))
    assert len(parse_cues(whole, NAMES).parts) == MAX_CUES
    assert "begins cue 10,001; 10,000 are the most" in refusal(whole + cue).message
    line = "Dialogue: 0,0:00:01.00,0:00:02.00,,Hi {}"
    lines = [line.format(n) for n in range(MAX_CUES + 1)]
    assert "10,000 are the most" in refusal(ass(*lines)).message


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{\\an8}<font color=\"#ff0000\" size='3'>Up</font> <b>we</b> go", "Up we go"),
        ("I <3 you, 2 < 3 > 1", "I <3 you, 2 < 3 > 1"),
        ("One<br>two\\Nthree\\hfour", "One two three four"),
        ("- Yes.\n- No.\n-5 degrees.", "Yes. No. -5 degrees."),
        ("–Oui.", "Oui."),
        ("♪♪ la la ♪♪\nHello", "Hello"),
        ("Hello ♪", "Hello"),
        ("[MAN] Hello [laughs] you", "Hello you"),
        ("(whispers) Hello", "(whispers) Hello"),
        ("[pinyin:chong2] 重庆", "[pinyin:chong2] 重庆"),
        ('<say-as pinyin="dao3">倒</say-as>', '<say-as pinyin="dao3">倒</say-as>'),
        ("a &lt;b&gt; c &amp; d", "a <b> c & d"),
        ("{not a tag} Hello", "{not a tag} Hello"),
    ],
)
def test_what_is_left_out(text: str, result: str) -> None:
    assert spoken(text) == [result]


@pytest.mark.parametrize(
    ("text", "voice", "style", "result"),
    [
        ("ana: Hello.", "ana", "", "Hello."),
        ("<i>Ana : Hello.</i>", "Ana", "", "Hello."),
        ("- ana:Hello.", "ana", "", "Hello."),
        ("ana：你好", "ana", "", "你好"),
        ("мария: Привет", "мария", "", "Привет"),
        ("ana_happy: Hello.", "ana", "happy", "Hello."),
        ("ana_HAPPY: Hello.", "ana", "happy", "Hello."),
        ("ana_cold: Hello.", "ana_cold", "", "Hello."),
        ("ana_very_calm: Hello.", "ana", "very_calm", "Hello."),
        ("main: Hello.", "", "", "Hello."),
        ("main_calm: Hello.", "", "calm", "Hello."),
        ("<v ana>Hello.", "ana", "", "Hello."),
        ("ana:\nHello\nyou.", "ana", "", "Hello you."),
        # What names no voice stays text.
        ("clara: Hello.", "", "", "clara: Hello."),
        ("ana_sad: Hello.", "", "", "ana_sad: Hello."),
        ("I met ana: she waved.", "", "", "I met ana: she waved."),
        ("ana:12 is a place", "", "", "ana:12 is a place"),
        ("12: Hello.", "", "", "12: Hello."),
        ("_happy: Hello.", "", "", "_happy: Hello."),
        ("calm: Hello.", "", "", "calm: Hello."),
    ],
)
def test_who_speaks(text: str, voice: str, style: str, result: str) -> None:
    script = parse_cues(srt(text), NAMES)
    assert rows(script) == [(0.0, 1.0, voice, style, result)]
    assert script.warnings == ()


def test_voices_within_a_cue_share_its_time_by_letters() -> None:
    text = "ana: One two.\nand three\nboris: Four.\nana: Five six."
    assert parse(srt(text)) == [
        (0.0, 0.56, "ana", "", "One two. and three"),
        (0.56, 0.72, "boris", "", "Four."),
        (0.72, 1.0, "ana", "", "Five six."),
    ]


def test_unknown_actors_are_warned_about_once() -> None:
    lines = [
        f"Dialogue: 0,0:00:0{n}.00,0:00:09.00,{name},Hi {n}"
        for n, name in ((2, "Clara"), (0, "Bo"))
    ]
    script = parse_cues(ass(*lines), NAMES)
    assert [part.voice for part in script.parts] == ["", ""]
    assert script.warnings == (
        "Places with a voice that does not exist, where the voice of the request speaks: 2, first"
        " 'Bo' in cue 2 in line 6. Did you mean boris?",
    )
    long = parse_cues(ass(f"Dialogue: 0,0:00:01.00,0:00:09.00,{'x' * 5000},Hi"), NAMES)
    assert "'" + "x" * 40 + "...'" in long.warnings[0]


def test_a_file_has_a_limited_length() -> None:
    rest = srt("Hi.")
    assert parse(rest + " " * (MAX_FILE_CHARS - len(rest)))
    assert "1,000,000 characters" in refusal(" " * MAX_FILE_CHARS + rest).message
    with pytest.raises(InvalidRequest, match="more than 4,000,000 bytes") as caught:
        decode_subtitles(b" " * (MAX_FILE_BYTES + 1))
    assert caught.value.code == "BAD_SUBTITLES"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_bytes_are_decoded(encoding: str) -> None:
    text = srt("Grüße, 世界.")
    assert parse(decode_subtitles(text.encode(encoding))) == [(0.0, 1.0, "", "", "Grüße, 世界.")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (srt("Grüße.").encode("latin-1"), "not in UTF-8: byte 35 (line 3) is 0xfc."),
        (b"\xff\xfea", "not in UTF-16: byte 3."),
        (b"\x89PNG\r\n", "not in UTF-8: byte 1 (line 1) is 0x89."),
    ],
)
def test_bytes_in_other_encodings(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_subtitles(data)
    assert says in caught.value.message
    assert caught.value.code == "BAD_SUBTITLES"


def test_a_file_has_a_limited_number_of_voices() -> None:
    most = Voices({f"v{n}": [] for n in range(40)})
    assert len(parse_cues(srt(*[f"v{n}: Hi." for n in range(32)]), most).parts) == 32
    with pytest.raises(InvalidRequest, match="With cue 33 in line 130 there are more than 32 voi"):
        parse_cues(srt(*[f"v{n}: Hi." for n in range(33)]), most)


def test_cues_are_sorted_and_layers_with_equal_texts_are_one() -> None:
    lines = [
        "Dialogue: 0,0:00:05.00,0:00:06.00,,Later",
        "Dialogue: 0,0:00:01.00,0:00:02.00,,{\\blur3}Sooner",
        "Dialogue: 1,0:00:01.00,0:00:02.00,,Sooner",
        "Dialogue: 1,0:00:01.00,0:00:02.00,,Sooner, too",
        "Dialogue: 2,0:00:01.00,0:00:02.00,,{\\1c&H00&}Sooner",
        "Dialogue: 2,0:00:01.00,0:00:02.50,,Sooner",
    ]
    texts = [part.text.text for part in parse_cues(ass(*lines), NAMES).parts]
    assert texts == ["Sooner", "Sooner, too", "Sooner", "Later"]


def test_drawings_begin_and_end_within_a_line() -> None:
    text = "One{\\p1}m 0 0{\\pos(1,2)} l 5 5{\\p0} two {\\p0\\p2}b 1 1"
    line = f"Dialogue: 0,0:00:01.00,0:00:02.00,,{text}"
    assert [part.text.text for part in parse_cues(ass(line), NAMES).parts] == ["One two"]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        # A number is an index only where one is expected.
        ("00:01,0 --> 00:02,0\nThe answer is\n42\n00:03,0 --> 00:04,0\nYes", ["The answer is 42"]),
        ("1\n00:01,0 --> 00:02,0\n42\n\n00:03,0 --> 00:04,0\nYes", ["42"]),
        ("1\n00:01,0 --> 00:02,0\n42\n2\n00:03,0 --> 00:04,0\nYes", ["42"]),
        ("1\n00:01,0 --> 00:02,0\n2\n00:03,0 --> 00:04,0\nYes", []),
        ("\n\n 1 \n00:01,0 --> 00:02,0\n\n\nLate\n\n\n2\n00:03,0 --> 00:04,0\nYes", ["Late"]),
        ("WEBVTT\n00:01.0 --> 00:02.0\nHi\n\nany name\n00:03.0 --> 00:04.0\nYes", ["Hi"]),
        ("WEBVTT\n\n00:01.0 --> 00:02.0\nHi\nyou\n00:03.0 --> 00:04.0\nYes", ["Hi you"]),
        ("WEBVTT\n\n00:01.0 --> 00:02.0\nHi\nNOTE is text\n\n00:03.0 --> 00:04.0\nYes",
         ["Hi NOTE is text"]),
    ],
)  # fmt: skip
def test_where_a_text_ends(text: str, texts: list[str]) -> None:
    found = [part.text.text for part in parse_cues(text, NAMES).parts]
    assert found == [*texts, "Yes"]


def test_lines_of_no_cue_are_named() -> None:
    script = parse_cues("By a friend\n\n" + srt("Hi."), NAMES)
    assert script.warnings == ("Line 1 belongs to no cue and is not spoken.",)
    file = "WEBVTT\n\nNOTE x\n\nlost\nwords\n\n00:01.000 --> 00:02.000\nHi"
    assert parse_cues(file, NAMES).warnings == ("Line 5 belongs to no cue and is not spoken.",)
    assert parse_cues("\ufeff" + srt("Hi."), NAMES).warnings == ()


def test_the_heading_says_the_format_and_vtt_may_lack_one() -> None:
    bare = "00:01.000 --> 00:02.000\n<00:01.500>Hi <any thing>you\n\nNOTE x\n"
    assert parse(bare, "vtt") == [(1.0, 2.0, "", "", "Hi you")]
    assert parse(bare, "srt") == [(1.0, 2.0, "", "", "<00:01.500>Hi <any thing>you NOTE x")]
    for format in ("", "srt", "ass", "vtt"):
        assert parse("WEBVTT\n\n" + bare, format) == [(1.0, 2.0, "", "", "Hi you")]
        assert parse(srt("Hi."), format) == [(0.0, 1.0, "", "", "Hi.")]
        assert read_cue_file(ass("Dialogue: 0,0:00:01.00,0:00:02.00,,Hi"), format).format == "ass"
    assert parse("Dialogue: 0,0:00:01.00,0:00:02.00,D,ana,0,0,0,,Hi, you") == [
        (1.0, 2.0, "ana", "", "Hi, you")
    ]


def test_text_that_cannot_be_spoken_is_named_with_its_cue() -> None:
    with pytest.raises(InvalidRequest, match=r"^Cue 2 in line 6 cannot be spoken: ") as caught:
        parse_cues(srt("Hi.", "Half \ud83d."), NAMES)
    assert caught.value.code == "BAD_UNICODE"


def test_times_are_shown_to_the_millisecond() -> None:
    assert show_time(3723.0456) == "01:02:03.046"


WORDS = st.text(st.sampled_from("abz Üñ漢字.,!?'42"), min_size=1, max_size=30).filter(
    lambda text: any(map(str.isalnum, text))
)
TIMED = st.lists(
    st.tuples(st.integers(0, 35_999), st.integers(0, 500), WORDS), min_size=1, max_size=8
)


@given(TIMED, st.sampled_from(["srt", "vtt", "ass", "ssa"]))
def test_what_another_program_has_written_is_read(
    cues: list[tuple[int, int, str]], format: str
) -> None:
    file = SSAFile()
    for start, length, text in cues:
        file.append(SSAEvent(10 * start, 10 * (start + length), text))
    text = file.to_string(format)
    found = [(start, end, words) for start, end, _, _, words in parse(text)]
    wanted = [
        (start / 100, (start + length) / 100, " ".join(words.split()))
        for start, length, words in sorted(cues, key=lambda cue: cue[0])
    ]
    assert found == list(dict.fromkeys(wanted))


def parts_or_code(text: str, format: str = "") -> str:
    """The code of the error for a file; "" where it is a script as scripts are."""
    code = ""
    try:
        check_parts(parse_cues(text, NAMES, format).parts, text)
    except InvalidRequest as error:
        code = error.code
    assert code in ("", "BAD_SUBTITLES", "BAD_UNICODE", "NOT_TEXT")
    return code


PIECES = st.sampled_from(
    [
        *["WEBVTT", "\n", "\n\n", "\r", "1", "00:00:01,000", " --> ", "-->", "00:02.5", "NOTE"],
        *["[Script Info]", "[Events]\n", "Format: Start, End, Text\n", "Dialogue: ", "Comment: "],
        *["0,", "0:00:01.00,", "9:59:59.99,", "ana: ", "<v ana>", "</v>", "<i>", "{\\p1}", "{"],
        *["♪", "[", "]", "\\N", "&lt;", "Hello", "漢", "\ufeff", "\u115f", "\ud800", "<", ">"],
    ]
)  # fmt: skip


@given(
    st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join), st.sampled_from(["", "vtt"])
)
def test_any_text_is_a_script_or_an_error(text: str, format: str) -> None:
    parts_or_code(text, format)


def damaged(text: str, rng: random.Random) -> str:
    """A file in which a few things are left out, doubled, swapped or written over."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice([1, 1, 3, 20]))
        other = rng.choice([*"\n\r\0\ufeff:,.->9-<{}[]♪", "-->", "nan", "\n\n", "ana: ", "WEBVTT"])
        new = rng.choice(["", other, text[at:end] * 2, text[at:end][::-1], text[at:end].upper()])
        text = text[:at] + new + text[end:]
    return text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_damaged_files_are_scripts_or_errors(path: Path) -> None:
    rng = random.Random(path.name)
    good = path.read_bytes().decode()
    codes = [parts_or_code(damaged(good, rng)) for _ in range(500)]
    assert 20 < codes.count("") < 480


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_time_that_is_damaged_becomes_text(path: Path) -> None:
    """Each character of each time is written over once: times may differ, words never have them."""
    good = path.read_bytes().decode()
    for cue in read_cue_file(good).cues:
        start = sum(map(len, good.splitlines(keepends=True)[: cue.line - 1]))
        line = good[start : cue.place[0]].rstrip()
        for at in (index for index, character in enumerate(line) if character in ":,.->"):
            text = f"{good[: start + at]}x{good[start + at + 1 :]}"
            try:
                parts = parse_cues(text, NAMES).parts
            except InvalidRequest:
                continue
            assert not any("00:0" in part.text.text for part in parts), line
