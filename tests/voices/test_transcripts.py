"""Words out of the files that people keep beside recordings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.voices.transcripts import decode_text, read_srt, read_table, read_words

SRT = """1
00:00:00,000 --> 00:00:00,500
He <i>was</i> not

2
00:00:00,500 --> 00:00:01,250 X1:1 X2:2
{\\an8}an ill-disposed
young man.

3
00:00:01,250 --> 00:00:02,000
1984
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_srt(end: str) -> None:
    expected = "He was not an ill-disposed young man. 1984"
    assert read_srt(SRT.replace("\n", end)) == expected


def test_srt_that_is_not_quite_srt() -> None:
    assert read_srt("") == ""
    assert read_srt("Just words.\nAnd more.") == "Just words. And more."
    assert read_srt("00:00.5 --> 00:01.0\nShort times") == "Short times"
    assert read_srt("1\n00:00:00,0 --> 00:00:01,0\n42\n2\n00:00:01,0 --> 00:00:02,0\nx") == "42 x"
    assert read_srt("1 < 2 and 3 > 2") == "1 < 2 and 3 > 2"


def test_word_timings() -> None:
    assert read_words(
        "word,start_time,end_time,confidence\nHi,0.0,0.2,0.9\nthere.,0.2,0.5,1\n"
    ) == ("Hi there.")
    assert read_words('word,start_time,end_time,confidence\n"Hi,",0,1,1\nyou,1,2,1') == "Hi, you"
    table = "word,start_time,end_time,confidence\nHi,0.0,0.2,0.9\nthere.,0.2,0.5,1\n"
    assert read_words(table) == "Hi there."
    assert read_words('word,start_time,end_time,confidence\n"Hi,",0,1,1\nyou,1,2,1') == "Hi, you"
    assert read_words("word,start_time,end_time,confidence\nHi,,0,1,1\nyou,1,2,1") == "Hi, you"
    assert read_words("Word;Start;End\nHi;0,5;1\n\nyou;1;2") == "Hi you"
    assert read_words("word\nHi\nyou") == "Hi you"
    assert read_words("file,text\na.wav,Hi") is None
    assert read_words("") is None


def test_tables() -> None:
    assert read_table('file,text\na.wav,"Hi, you."\nwavs/b.wav,Yes.\nc.wav\n') == {
        "a.wav": "Hi, you.",
        "wavs/b.wav": "Yes.",
    }
    assert read_table("speaker|Filename|x|Transcript\n1|a|y|Hi.") == {"a": "Hi."}
    assert read_table("a.wav\tHi.") is None
    assert read_table("word,start_time\nHi,0") is None
    assert read_table("") is None
    assert read_table('file,text\na.wav,"' + "x" * 200_000) is None  # the csv module's own limit


def test_encodings() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert decode_text("Grüße 你好".encode(encoding), "t") == "Grüße 你好"
    for data in ("Grüße".encode("latin-1"), b"\xff\xfe\x00", b"\x80"):
        with pytest.raises(InvalidRequest) as caught:
            decode_text(data, "t.txt")
        assert caught.value.code == "NOT_TEXT"
    with pytest.raises(InvalidRequest) as caught:
        decode_text(b"x" * 11, "t.txt", 10)
    assert caught.value.code == "TEXT_TOO_LONG"


@given(st.text(max_size=200) | st.text("word,;\t|\n\"'-> 0:file text", max_size=80))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    assert isinstance(read_srt(text), str)
    assert read_words(text) is None or "\n\n" not in (read_words(text) or "")
    assert read_table(text) is None or isinstance(read_table(text), dict)
