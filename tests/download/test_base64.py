"""Base64 input: valid text decodes, all other is refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.download.url import decode_base64
from f5serve.errors import InvalidRequest

WAV = "UklGRgAAAABXQVZF"


@given(st.binary(min_size=1, max_size=200), st.integers(1, 200))
def test_round_trip_within_the_limit(data: bytes, limit: int) -> None:
    text = base64.b64encode(data).decode()
    if len(data) <= limit:
        assert decode_base64(text, limit, "voice_file") == data
        assert decode_base64(f"data:audio/wav;base64,{text}", limit, "voice_file") == data
    else:
        with pytest.raises(InvalidRequest) as caught:
            decode_base64(text, limit, "voice_file")
        assert caught.value.code == "BASE64_TOO_LARGE"


@pytest.mark.parametrize(
    "prefix",
    ["data:audio/x-wav;base64,", "data:audio/webm;codecs=opus;base64,",
     "data:application/octet-stream;base64,", "data:audio/mp4;codecs=mp4a.40.2;base64,"],
)  # fmt: skip
def test_prefixes_of_browsers(prefix: str) -> None:
    assert decode_base64(prefix + WAV, 100, "voice_file") == b"RIFF\0\0\0\0WAVE"


@pytest.mark.parametrize(
    "text",
    ["", "=", "====", "a", "ab", "abc", "ab=", "a===", "aGVsbG8=extra", "aGVsbG8==", "aGVs bG8=",
     "aGVs\nbG8=",
     "aGVsbG8=\n", " aGVsbG8=", "aGVsbG8", "aGV$bG8=", "-_-_", "aGVsbG8=aGVsbG8=", "=aGVsbG8",
     "aGVsbGé=",
     "ａＧＶｓ", "aGVs\0bG8=", "data:audio/wav;base64,", "data:,aGVsbG8=", "data:;base64,aGVs",
     "data:aGVs",
     "data:audio/wav,aGVs", "data:audio/wav;base64;aGVs", "xdata:audio/wav;base64,aGVs",
     "data:audio/wav;base64,data:audio/wav;base64,aGVs", "data:audio/wav;base64,aGVs,aGVs",
     "\ud800aaa",
     "file:///etc/passwd", "https://files.example/a.wav"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_base64(text, 100, "voice_file")
    assert caught.value.code == "BASE64_INVALID"
    assert caught.value.message.startswith("voice_file is ")


@given(st.binary(min_size=3, max_size=60), st.integers(0, 100), st.sampled_from(" \n\t=-_$é\0,"))
def test_a_foreign_character_anywhere_is_refused(data: bytes, at: int, extra: str) -> None:
    text = base64.b64encode(data).decode()
    at %= len(text.rstrip("="))
    with pytest.raises(InvalidRequest):
        decode_base64(text[:at] + extra + text[at:], 1000, "voice_file")


def test_the_length_is_looked_at_before_decoding() -> None:
    text = "!" * 30_000_000  # would be BASE64_INVALID if anything looked at it
    with pytest.raises(InvalidRequest) as caught:
        decode_base64(text, 20_000_000, "voice_file")
    assert caught.value.code == "BASE64_TOO_LARGE"
    assert "20,000,000 bytes" in caught.value.message
