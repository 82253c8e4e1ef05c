"""Good recordings of every common format become waves; bad ones are refused by code, cheaply."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recordings import (
    av_encoded,
    encoded,
    long_silence_flac,
    lying_flac,
    noise,
    silence,
    tone,
    wav_header,
)

from f5serve.audio.decode import DecodeLimits, decode, decode_native
from f5serve.errors import BadAudio

Maker = Callable[[], bytes]
GOOD: dict[str, Maker] = {
    "wav": lambda: encoded(tone(2)),
    "wav 24 bit": lambda: encoded(tone(2), subtype="PCM_24"),
    "wav float": lambda: encoded(tone(2), subtype="FLOAT"),
    "wav 8 kHz": lambda: encoded(tone(2, 8_000), 8_000),
    "wav 192 kHz": lambda: encoded(tone(2, 192_000), 192_000),
    "wav stereo": lambda: encoded(np.stack([tone(2), tone(2)], axis=1)),
    "wav mu-law": lambda: encoded(tone(2, 8_000), 8_000, subtype="ULAW"),
    "rf64": lambda: encoded(tone(2), form="RF64"),
    "w64": lambda: encoded(tone(2), form="W64"),
    "flac": lambda: encoded(tone(2, 44_100), 44_100, "FLAC"),
    "mp3": lambda: encoded(tone(2, 44_100), 44_100, "MP3"),
    "ogg vorbis": lambda: encoded(tone(2, 44_100), 44_100, "OGG", "VORBIS"),
    "ogg opus": lambda: encoded(tone(2, 48_000), 48_000, "OGG", "OPUS"),
    "aiff": lambda: encoded(tone(2), form="AIFF"),
    "caf": lambda: encoded(tone(2), form="CAF"),
    "au": lambda: encoded(tone(2), form="AU"),
    "m4a": lambda: av_encoded(tone(2), "aac", "mp4"),
    "mov": lambda: av_encoded(tone(2), "aac", "mov"),
    "aac": lambda: av_encoded(tone(2), "aac", "adts"),
    "webm": lambda: av_encoded(tone(2, 48_000), "libopus", "webm", 48_000),
    "mkv": lambda: av_encoded(tone(2, 48_000), "aac", "matroska", 48_000),
}


def bad_samples(value: float) -> bytes:
    samples = tone(1)
    samples[1000] = value
    return encoded(samples, subtype="FLOAT")


BAD: dict[str, tuple[str, Maker]] = {
    "no bytes": ("AUDIO_EMPTY", lambda: b""),
    "no samples": ("AUDIO_EMPTY", lambda: encoded(silence(0))),
    "html": ("NOT_AUDIO", lambda: b"\n<!DOCTYPE html><html><body>404</body></html>"),
    "json": ("NOT_AUDIO", lambda: b'{"error": "not found"}'),
    "zip": ("NOT_AUDIO", lambda: b"PK\x03\x04" + encoded(tone(1))),
    "m3u8": ("NOT_AUDIO", lambda: b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"),
    "ffconcat": ("NOT_AUDIO", lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
    "text": ("NOT_AUDIO", lambda: b"This is a letter, not a recording."),
    "any bytes": ("NOT_AUDIO", lambda: bytes(range(256)) * 100),
    "avi": ("NOT_AUDIO", lambda: b"RIFF\x00\x10\x00\x00AVI " + bytes(4096)),
    "text behind ID3": ("AUDIO_DAMAGED", lambda: b"ID3" + b"just text " * 100),
    "zeros behind OggS": ("AUDIO_DAMAGED", lambda: b"OggS" + bytes(4096)),
    "zeros behind ftyp": ("AUDIO_DAMAGED", lambda: b"\0\0\0\x20ftypM4A " + bytes(4096)),
    "zeros behind EBML": ("AUDIO_DAMAGED", lambda: b"\x1aE\xdf\xa3" + bytes(4096)),
    "header only": ("AUDIO_DAMAGED", lambda: b"RIFF\0\0\0\0WAVE"),
    "NaN": ("AUDIO_NOT_FINITE", lambda: bad_samples(float("nan"))),
    "Inf": ("AUDIO_NOT_FINITE", lambda: bad_samples(float("inf"))),
    "6 hours": ("AUDIO_TOO_LONG", lambda: long_silence_flac(6 * 3600)),
    "61 s": ("AUDIO_TOO_LONG", lambda: encoded(silence(61))),
    "61 s m4a": ("AUDIO_TOO_LONG", lambda: av_encoded(tone(61), "aac", "mp4")),
    "61 s aac": ("AUDIO_TOO_LONG", lambda: av_encoded(tone(61), "aac", "adts")),
    "6 channels": ("AUDIO_TOO_MANY_CHANNELS", lambda: encoded(np.zeros((99, 6), np.float32))),
    "8 channels flac": (
        "AUDIO_TOO_MANY_CHANNELS",
        lambda: encoded(np.zeros((9999, 8), np.float32), form="FLAC"),
    ),
    "1,024 channels": (
        "AUDIO_TOO_MANY_CHANNELS",
        lambda: encoded(np.zeros((500, 1024), np.float32)),
    ),
    "65,535 channels": (
        "AUDIO_TOO_MANY_CHANNELS",
        lambda: wav_header(24_000, 65_535, 1 << 18) + bytes(1 << 18),
    ),
    "rate 0": ("AUDIO_BAD_RATE", lambda: wav_header(0, 1, 1000) + bytes(1000)),
    "rate 1": ("AUDIO_BAD_RATE", lambda: wav_header(1, 1, 1000) + bytes(1000)),
    "rate 4e9": ("AUDIO_BAD_RATE", lambda: wav_header(4_000_000_000, 1, 1000) + bytes(1000)),
    "rate 4 kHz au": ("AUDIO_BAD_RATE", lambda: encoded(tone(1, 4000), 4000, "AU")),
    "claims 2 GB": ("AUDIO_DAMAGED", lambda: wav_header(24_000, 1, 2_000_000_000) + bytes(20_000)),
    "flac claims 512 GiB": ("AUDIO_TOO_LONG", lambda: lying_flac(2**36 - 1)),
    "flac claims 50 s": ("AUDIO_DAMAGED", lambda: lying_flac(50 * 24_000)),
    "half a wav": ("AUDIO_DAMAGED", lambda: encoded(tone(2))[:50_000]),
    "half a flac": ("AUDIO_DAMAGED", lambda: encoded(noise(2), form="FLAC")[:40_000]),
    "half an mp3": ("AUDIO_DAMAGED", lambda: encoded(tone(20), form="MP3")[:20_000]),
    "half an m4a": ("AUDIO_DAMAGED", lambda: av_encoded(tone(20), "aac", "mp4")[:50_000]),
    "21 MB": ("AUDIO_TOO_LARGE", lambda: encoded(tone(1)) + bytes(20_000_000)),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_recordings(name: str) -> None:
    wave = decode(GOOD[name]())
    assert wave.sample_rate == 24_000
    assert wave.samples.dtype == np.float32
    assert wave.samples.ndim == 1
    assert wave.duration_s == pytest.approx(2.0, abs=0.06)
    middle = wave.samples[12_000:36_000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    loudest_hertz = np.argmax(np.abs(np.fft.rfft(middle)))  # 1 s: a bin is a hertz
    assert loudest_hertz == 220


@pytest.mark.parametrize("name", BAD)
def test_bad_recordings(name: str) -> None:
    code, make = BAD[name]
    data = make()
    start = time.perf_counter()
    with pytest.raises(BadAudio) as caught:
        decode(data)
    assert caught.value.code == code, caught.value.message
    assert caught.value.message.endswith(".")
    assert caught.value.message.count(". ") == 0
    assert caught.value.hint
    assert time.perf_counter() - start < 20, "a machine at rest takes 0.2 s"


def test_samples_come_through_exactly() -> None:
    samples = noise(0.5)
    wave = decode_native(encoded(samples, subtype="FLOAT"))
    np.testing.assert_array_equal(wave.samples, samples)


@pytest.mark.parametrize(("form", "subtype"), [("MP3", ""), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_blocks_are_seamless(form: str, subtype: str) -> None:
    import io

    import soundfile

    data = encoded(tone(8, 48_000), 48_000, form, subtype)
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_allclose(decode_native(data).samples, whole, atol=1e-6)


def test_channels_are_averaged() -> None:
    data = encoded(np.stack([tone(1, level=0.4), silence(1)], axis=1), subtype="FLOAT")
    np.testing.assert_allclose(decode_native(data).samples, tone(1, level=0.2), atol=1e-6)


def test_limits_are_the_callers() -> None:
    data = encoded(tone(3))
    assert decode(data, DecodeLimits(max_s=3.0)).duration_s == 3.0
    for limits, code in (
        (DecodeLimits(max_s=2.9), "AUDIO_TOO_LONG"),
        (DecodeLimits(max_bytes=1000), "AUDIO_TOO_LARGE"),
        (DecodeLimits(max_decoded_bytes=100_000), "AUDIO_TOO_LARGE"),
        (DecodeLimits(min_sample_rate=44_100), "AUDIO_BAD_RATE"),
        (DecodeLimits(memory_bytes=30_000_000), "AUDIO_DAMAGED"),
    ):
        with pytest.raises(BadAudio) as caught:
            decode(data, limits)
        assert caught.value.code == code


def test_a_decoder_that_takes_too_long_is_stopped() -> None:
    start = time.perf_counter()
    with pytest.raises(BadAudio, match=r"not decoded within 0\.01 s"):
        decode(encoded(tone(3)), DecodeLimits(timeout_s=0.01))
    assert time.perf_counter() - start < 15


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_stays_open() -> None:
    before = open_files()
    for name in ("NaN", "1,024 channels", "half a flac"):
        with pytest.raises(BadAudio):
            decode(BAD[name][1]())
    decode(encoded(tone(1)))
    assert open_files() == before


def test_memory_stays_small(tmp_path: Path) -> None:
    """Every bad file in one fresh process: its peak and its children's, above its baseline."""
    for number, (_, make) in enumerate(BAD.values()):
        (tmp_path / f"{number}.bin").write_bytes(make())
    (tmp_path / "longest.bin").write_bytes(
        encoded(np.zeros((60 * 192_000, 2), np.float32), 192_000, "FLAC")
    )
    code = """
import json, resource, sys
from pathlib import Path
from f5serve.audio.decode import decode
from f5serve.errors import BadAudio
def peaks(): return [resource.getrusage(who).ru_maxrss for who in (0, -1)]
baseline = peaks()[0]
for path in sorted(Path(sys.argv[1]).iterdir()):
    try: decode(path.read_bytes())
    except BadAudio: pass
print(json.dumps([peaks()[0] - baseline, peaks()[1]]))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    parent_kib, child_kib = json.loads(done.stdout)
    assert parent_kib < 512 * 1024
    assert child_kib < 512 * 1024


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("decode(av_encoded(tone(1), 'aac', 'mp4'))", "Reading m4a files needs PyAV"),
        ("encode(Wave(tone(1)), 'aac')", "Writing aac needs PyAV"),
        ("decode(encoded(tone(1)))", ""),
    ],
)
def test_without_pyav_the_extra_is_named(code: str, wanted: str) -> None:
    setup = """
import sys
sys.path.insert(0, sys.argv[1])
from recordings import av_encoded, encoded, tone
from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.errors import F5Error
from f5serve.types import Wave
made = av_encoded(tone(1), "aac", "mp4")
av_encoded = lambda *_: made
for name in [name for name in sys.modules if name.partition(".")[0] == "av"]:
    del sys.modules[name]
sys.modules["av"] = None
try:
"""
    answer = "except F5Error as error: print(error.code, error.message, error.hint)"
    command = [sys.executable, "-c", f"{setup} {code}\n{answer}", str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"MEDIA_EXTRA_MISSING {wanted}" if wanted else "")
    assert ("pip install 'f5serve[media]'" in done.stdout) == bool(wanted)
