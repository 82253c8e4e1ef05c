"""Subtitles, read back by readers that are not the writer: the same words, at the same times."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from itertools import pairwise

import ass
import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.alignment.subtitles import (
    FORMATS,
    MAX_COLUMNS,
    MAX_ROWS,
    MEDIA_TYPES,
    as_dict,
    escape_ass,
    join_words,
    segment_cues,
    width,
    write,
)
from f5serve.types import Alignment, WordTiming

NASTY = (  # words, between spaces
    r"{\pos(0,0)} {\an8} a\Nb \ { } --> -- <script> <b> &amp; & < > =1+1 +1 -1 @SUM(A1) ' \" , "
    '"a,b" NOTE WEBVTT 5 00:00:01,000 a\u0301 \U0001f600 你 ครับ [music] | ; STYLE Dialogue: '
    "\ufeff \u202e \ud800 a\x00b \x7f[31m \\h \\n {\\k50} <00:01.000>"
)
VISIBLE = st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"])
words = st.one_of(st.sampled_from(NASTY.split(" ")), st.text(VISIBLE, min_size=1, max_size=12))


def aligned(texts: list[str], step_s: float = 0.4) -> Alignment:
    timings = (
        WordTiming(text, index * step_s, (index + 0.8) * step_s, 0.9)
        for index, text in enumerate(texts)
    )
    return Alignment(tuple(timings), "exact", 0.9)


def shown(text: str) -> str:
    """What should be seen: without what has no width, brackets for braces, one space for any."""
    text = text.translate({ord("{"): "(", ord("}"): ")", 0x2060: None, 0xD800: "\ufffd"})
    return "".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())


def one(texts: list[str]) -> str:
    return shown("".join(texts))


@settings(max_examples=150)
@given(st.lists(words, max_size=12), st.sampled_from(["line", "word"]))
def test_srt_comes_back(texts: list[str], mode: str) -> None:
    told = write(aligned(texts), "srt", mode).decode()
    cues = list(srt.parse(told))
    assert one([cue.content for cue in cues]) == one(texts)
    assert told.count("-->") == len(cues)
    assert not re.search(r"<[A-Za-z/!]", told)
    assert all(left.end <= right.start for left, right in pairwise(cues))


@settings(max_examples=150)
@given(st.lists(words, max_size=12), st.sampled_from(["line", "word"]))
def test_vtt_comes_back(texts: list[str], mode: str) -> None:
    told = write(aligned(texts), "vtt", mode).decode()
    cues = list(webvtt.from_buffer(io.StringIO(told)))
    assert one([html.unescape(cue.raw_text) for cue in cues]) == one(texts)
    body = told.replace(" --> ", "")
    assert "<" not in body
    assert "-->" not in body


@settings(max_examples=150)
@given(st.lists(words, max_size=12), st.sampled_from(["line", "word"]))
def test_ass_comes_back(texts: list[str], mode: str) -> None:
    told = write(aligned(texts), "ass", mode).decode()
    events = list(ass.parse_string(told).events)
    seen = [re.sub(r"\{\\k\d+\}", "", event.text).replace(r"\N", "") for event in events]
    assert one(seen) == one(texts)
    assert not any("{" in text or re.search(r"\\[^\u2060]", text) for text in seen)


@settings(max_examples=150)
@given(st.lists(words, max_size=12))
def test_csv_comes_back_and_no_cell_is_a_formula(texts: list[str]) -> None:
    told = write(aligned(texts), "csv").decode()
    head, *rows = csv.reader(io.StringIO(told, newline=""))
    assert head == ["word", "start_time", "end_time", "confidence"]
    assert not any(row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\0")) for row in rows)
    unmarked = [re.sub(r"^'(?=[=+@-])", "", row[0]) for row in rows]
    assert shown("".join(unmarked)) == one(texts)


@given(st.lists(words, max_size=12))
def test_json_tells_the_words_as_they_are(texts: list[str]) -> None:
    alignment = aligned(texts)
    told = json.loads(write(alignment, "json"))
    fine = [word for word in map(as_dict, alignment.words) if word["word"] != "\ud800"]
    assert [word for word in told["word_timings"] if word["word"] != "?"] == [
        word for word in fine if word["word"] != "?"
    ]
    assert told["word_count"] == len(texts)


def test_times_are_told_to_the_millisecond() -> None:
    alignment = Alignment((WordTiming("Hi.", 1.2345, 3661.9876, 0.5),), "ctc", 0.5)
    (cue,) = srt.parse(write(alignment, "srt", "word").decode())
    assert cue.start.total_seconds() == pytest.approx(1.2345, abs=0.0006)
    assert cue.end.total_seconds() == pytest.approx(3661.9876, abs=0.0006)
    assert b"01:01:01.988" in write(alignment, "vtt", "word")
    assert b"3661.988" in write(alignment, "csv")


def test_karaoke_fills_the_line_word_by_word() -> None:
    (event,) = ass.parse_string(write(aligned(["One", "two", "three."]), "ass").decode()).events
    assert event.text == r"{\k40}One {\k40}two {\k" + event.text[-9:-7] + "}three."
    total = sum(map(int, re.findall(r"\\k(\d+)", event.text)))
    assert total == round(100 * (event.end - event.start).total_seconds())


@pytest.mark.parametrize("format", FORMATS)
def test_no_words_make_an_empty_file(format: str) -> None:
    told = write(Alignment(), format).decode()
    assert "-->" not in told
    assert "Dialogue" not in told
    assert MEDIA_TYPES[format]


LONG = (
    "When the sunlight strikes raindrops in the air, they act as a prism and form a rainbow; the "
    "rainbow is a division of white light into many beautiful colors. These take the shape of a "
    "long round arch, with its path high above, and its two ends apparently beyond the horizon."
)


def test_lines_end_where_sentences_and_clauses_do() -> None:
    lines = segment_cues(aligned(LONG.split(), 0.3).words)
    assert [line.text.split()[-1] for line in lines] == [
        *["air,", "rainbow;", "colors.", "above,", "horizon."]
    ]
    for line in lines:
        assert len(line.rows) <= MAX_ROWS
        assert all(width(row) <= MAX_COLUMNS for row in line.text.split("\n"))
    assert " ".join(line.text for line in lines).split() == LONG.split()


def test_titles_and_numbers_of_items_end_no_line() -> None:
    texts = "It was 9 a.m., Dr. Smith paid No. 5 in full. 1. Take it. He is 12. We are not."
    lines = segment_cues(aligned(texts.split()).words)
    assert [line.text.replace("\n", " ") for line in lines] == [
        "It was 9 a.m., Dr. Smith paid No. 5 in full.", "1. Take it.", "He is 12.", "We are not.",
    ]  # fmt: skip


def test_a_pause_ends_a_line() -> None:
    first, second = WordTiming("One", 0.0, 0.3, 1.0), WordTiming("two", 2.0, 2.3, 1.0)
    one_line, other = segment_cues([first, second])
    assert (one_line.text, other.text) == ("One", "two")
    assert one_line.end_s == 1.0, "shown for a second, as nothing follows at once"
    assert other.end_s == 3.0


@given(st.lists(words.filter(lambda w: w.isprintable()), max_size=40), st.floats(0.05, 2.0))
def test_lines_keep_every_word_in_order_and_never_overlap(texts: list[str], step_s: float) -> None:
    timings = aligned(texts, step_s).words
    lines = segment_cues(timings)
    assert [word for line in lines for word in line.words] == list(timings)
    for left, right in pairwise(lines):
        assert left.start_s < left.end_s <= right.start_s


@pytest.mark.parametrize(
    ("parts", "text"),
    [(["Hi", "you."], "Hi you."), (["你", "好，", "世", "界。"], "你好，世界。"), ([], "")],
)
def test_words_join_as_their_script_does(parts: list[str], text: str) -> None:
    assert join_words(parts) == text


def test_override_tags_are_shown_not_obeyed() -> None:
    assert escape_ass(r"{\b1}") == "(\\\u2060b1)"
