"""A file is read to the end of its sound or refused, whatever its header says of its length."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import (
    ID3V1,
    av_encoded,
    encoded,
    id3,
    noise,
    piped,
    resized,
    silence,
    speech,
    tone,
    vbr_mp3,
)

from f5serve.audio.containers import parts_of
from f5serve.audio.decode import decode, decode_native, sniff
from f5serve.audio.encode_stream import open_encoder
from f5serve.audio.parts import Damaged, Part
from f5serve.errors import BadAudio
from f5serve.types import AudioFormat

Maker = Callable[[], bytes]
SPEECH_S = 7.1


def wav(size: int | None = None, off: int = 0, **how: str) -> bytes:
    """`speech` in a wav that claims `size` bytes of sound, or is off by some."""
    data = encoded(speech(), **how)
    true = struct.unpack_from("<I", data, data.index(b"data") + 4)[0]
    return resized(data, b"data", true + off if size is None else size)


def streamed(format: AudioFormat) -> bytes:
    encoder = open_encoder(format)
    return b"".join(map(encoder.add, np.array_split(speech(), 9))) + encoder.end()


def flac_of(total: int) -> bytes:
    """A flac as it is written to a pipe, which claims `total` samples."""
    data = bytearray(encoded(speech(), form="FLAC"))
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
    data[18:26] = packed.to_bytes(8, "big")
    data[26:42] = bytes(16)  # whoever cannot go back does not write the checksum either
    return bytes(data)


def form(kind: str, name: bytes, size: int, order: str, behind: int = 4) -> bytes:
    return resized(encoded(speech(), form=kind), name, size, order, behind)


def edited(segment: int, media_time: int) -> bytes:
    """An m4a whose list of edits is changed."""
    data = bytearray(av_encoded(speech(), "aac", "mp4"))
    struct.pack_into(">IIi", data, data.index(b"elst") + 8, 1, segment, media_time)
    return bytes(data)


OGG = functools.partial(encoded, form="OGG")
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
ONCE: dict[str, Maker] = {
    "wav, 0xFFFFFFFF": lambda: wav(0xFFFF_FFFF),
    "wav, 0x7FFFFFFF": lambda: wav(0x7FFF_FFFF),
    "wav, 0": lambda: wav(0),
    "wav, all but its header": lambda: wav(off=44),
    "wav, 8 bytes less": lambda: wav(off=-8),
    "wav of floats, open": lambda: wav(0xFFFF_FFFF, subtype="FLOAT"),
    "wav, a list behind": lambda: wav() + b"LIST\x05\0\0\0INFO\0\0",
    "wav, a tag behind": lambda: wav() + ID3V1,
    "wav, zeros behind": lambda: wav() + bytes(9_999),
    "wav, tags behind": lambda: wav() + ID3V1 + id3() + bytes(7),
    "mp3 of FFmpeg's": lambda: av_encoded(speech(), "libmp3lame", "mp3"),
    "wav, a tag in front": lambda: id3() + wav(),
    "rf64, open": lambda: form("RF64", b"ds64", 0, "<Q", 16),
    "w64, 0": lambda: form("W64", b"data", 0, "<Q", 16),
    "w64, open": lambda: form("W64", b"data", 2**64 - 1, "<Q", 16),
    "aiff, 0": lambda: form("AIFF", b"SSND", 0, ">I"),
    "aiff, open": lambda: form("AIFF", b"SSND", 0xFFFF_FFFF, ">I"),
    "au, open": lambda: form("AU", b".snd", 0xFFFF_FFFF, ">I", 8),
    "au, 0": lambda: form("AU", b".snd", 0, ">I", 8),
    "caf, open": lambda: form("CAF", b"data", -1, ">q"),
    "flac, 0": lambda: flac_of(0),
    "flac, too few": lambda: flac_of(50_000),
    "flac, any number": lambda: flac_of(2**36 - 1),
    "flac, tags": lambda: id3() + encoded(speech(), form="FLAC") + ID3V1,
    "vbr mp3": lambda: vbr_mp3(),
    "vbr mp3, 44.1 kHz": lambda: vbr_mp3(44_100),
    "vbr mp3, 8 kHz": lambda: vbr_mp3(8_000),
    "vbr mp3, tags": lambda: id3() + vbr_mp3() + ID3V1,
    "mp3, zeros in front": lambda: bytes(1_001) + vbr_mp3(),
    "mp3, zeros behind": lambda: vbr_mp3() + bytes(1_001),
    "mp3, a byte too many": lambda: vbr_mp3()[:9_000] + b"\0" + vbr_mp3()[9_000:],
    "ogg, zeros behind": lambda: OGG(speech(), subtype="VORBIS") + bytes(99),
    "m4a, edits that end too late": lambda: edited(99_000, 1024),
    "m4a, edits of no length": lambda: edited(0, 1024),
    "streamed wav": lambda: streamed("wav"),
    "streamed mp3": lambda: streamed("mp3"),
    "streamed flac": lambda: streamed("flac"),
    "streamed opus": lambda: streamed("opus"),
    "streamed aac": lambda: streamed("aac"),
    "pipe: wav": lambda: piped("pcm_s16le", "wav"),
    "pipe: rf64": lambda: piped("pcm_s16le", "wav", rf64="auto"),
    "pipe: adpcm": lambda: piped("adpcm_ms", "wav"),
    "pipe: mp3 in wav": lambda: piped("libmp3lame", "wav"),
    "pipe: aiff": lambda: piped("pcm_s16be", "aiff"),
    "pipe: au": lambda: piped("pcm_s16be", "au"),
    "pipe: w64": lambda: piped("pcm_s16le", "w64"),
    "pipe: caf": lambda: piped("pcm_s16be", "caf"),
    "pipe: flac": lambda: piped("flac", "flac"),
    "pipe: mp3": lambda: piped("libmp3lame", "mp3"),
    "pipe: mp2": lambda: piped("mp2", "mp2"),
    "pipe: aac": lambda: piped("aac", "adts"),
    "pipe: amr": lambda: piped("libopencore_amrnb", "amr", 8_000),
    "pipe: opus": lambda: piped("libopus", "ogg", 48_000),
    "pipe: webm": lambda: piped("libopus", "webm", 48_000),
    "pipe: live webm": lambda: piped("libopus", "webm", 48_000, live="1"),
    "pipe: mkv": lambda: piped("aac", "matroska"),
    "pipe: mp4": lambda: piped("aac", "mp4", **FRAGMENTS),
    "pipe: opus in mp4": lambda: piped("libopus", "mp4", 48_000, **FRAGMENTS),
}
TWICE: dict[str, Maker] = {
    "wav": lambda: 2 * wav(),
    "open wav": lambda: 2 * wav(0xFFFF_FFFF),
    "aiff": lambda: 2 * encoded(speech(), form="AIFF"),
    "w64": lambda: 2 * encoded(speech(), form="W64"),
    "au": lambda: 2 * encoded(speech(), form="AU"),
    "caf": lambda: 2 * encoded(speech(), form="CAF"),
    "flac": lambda: 2 * encoded(speech(), form="FLAC"),
    "mp3": lambda: 2 * encoded(speech(), form="MP3"),
    "mp3 with tags": lambda: 2 * (id3() + encoded(speech(), form="MP3") + ID3V1),
    "mp3 with zeros": lambda: 2 * (bytes(500) + encoded(speech(), form="MP3")),
    "streamed mp3": lambda: 2 * streamed("mp3"),
    "vorbis": lambda: 2 * OGG(speech(), subtype="VORBIS"),
    "opus": lambda: 2 * streamed("opus"),
    "aac": lambda: 2 * streamed("aac"),
    "webm": lambda: 2 * piped("libopus", "webm", 48_000),
    "m4a": lambda: 2 * av_encoded(speech(), "aac", "mp4"),
}
CUT = {
    **{name: ONCE[name] for name in ONCE if name.startswith(("flac", "m4a"))},
    **{name: ONCE[name] for name in ("pipe: aac", "pipe: amr", "pipe: opus", "pipe: webm",
                                     "pipe: mkv", "pipe: mp4", "vbr mp3")},
    "wav": wav,
    "aiff": lambda: encoded(speech(), form="AIFF"),
    "au": lambda: encoded(speech(), form="AU"),
    "w64": lambda: encoded(speech(), form="W64"),
    "caf": lambda: encoded(speech(), form="CAF"),
    "mp3": lambda: encoded(speech(), form="MP3"),
    "vorbis": TWICE["vorbis"],
    "webm twice": TWICE["webm"],
}  # fmt: skip
"""What says where it ends, or that it goes on."""


_made: dict[Maker, bytes] = {}


def made(table: dict[str, Maker], name: str) -> bytes:
    """A file of a table, which is made once."""
    make = table[name]
    if make not in _made:
        _made[make] = make()
    return _made[make]


def likeness(heard: np.ndarray, begin_s: float, said: np.ndarray | None = None) -> float:
    """How much what is heard from there on, give or take 0.1 s, is like `speech`: 1 is the same."""
    said, heard = levels(speech()) if said is None else said, levels(heard)
    begins = round(100 * begin_s) + np.arange(-10, 11)
    found = [heard[begin:][: len(said)] for begin in begins if begin >= 0]
    return max(float(np.corrcoef(said[: len(x)], x)[0, 1]) for x in found if len(x) > len(said) - 9)


def levels(samples: np.ndarray) -> np.ndarray:
    """Of each 10 ms."""
    windows = samples[: len(samples) // 240 * 240].reshape(-1, 240)
    return np.log(1e-3 + np.abs(windows).mean(axis=1))


@pytest.mark.parametrize("name", ONCE)
def test_everything_is_read(name: str) -> None:
    wave = decode(made(ONCE, name))
    assert SPEECH_S - 0.03 <= wave.duration_s <= SPEECH_S + 0.15
    assert likeness(wave.samples, 0) > 0.9


@pytest.mark.parametrize("name", TWICE)
def test_files_that_were_joined_are_one(name: str) -> None:
    wave = decode(made(TWICE, name))
    assert 2 * SPEECH_S - 0.03 <= wave.duration_s <= 2 * SPEECH_S + 0.3
    assert likeness(wave.samples, 0) > 0.9
    assert likeness(wave.samples, wave.duration_s / 2) > 0.9


@pytest.mark.parametrize("name", CUT)
def test_what_was_cut_is_refused(name: str) -> None:
    data, share = made(CUT, name), 0.97 if len(name) % 2 else 0.4
    with pytest.raises(BadAudio) as caught:
        # An odd place: where a frame or a page ends by chance, no container tells that it was cut.
        decode(data[: int(len(data) * share) | 1])
    assert caught.value.code == "AUDIO_DAMAGED"


def test_silence_in_front_is_no_reason_to_guess() -> None:
    wave = decode(vbr_mp3(lead_s=5.0))
    assert wave.duration_s == pytest.approx(12.1, abs=0.15)
    assert likeness(wave.samples, 5.0) > 0.9


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (lambda: vbr_mp3()[:9_000] + noise(1).tobytes() + vbr_mp3()[9_000:], "not a frame"),
        (lambda: vbr_mp3()[:9_000] + bytes(9_000) + vbr_mp3()[9_000:], "not a frame"),
        (lambda: vbr_mp3() + b"Words. " * 999, "not a frame"),
        (lambda: OGG(tone(1)) + b"?" * 99 + OGG(tone(1)), "not a page"),
        (lambda: OGG(tone(1)) + ID3V1 + b"more" + OGG(tone(1)), "not a page"),
        (lambda: wav() + b"\x01\x02\x03" * 9_999, "not known to be anything"),
        (lambda: encoded(speech(), form="FLAC")[:60_000] + encoded(speech(), form="FLAC")[70_000:],
         "lost sync"),
        (lambda: 2 * wav() + encoded(speech(48_000), 48_000), "different sample_rate"),
        (lambda: 1_002 * encoded(tone(0.001)), "more than 1,000 files are joined"),
    ],
)  # fmt: skip
def test_what_is_in_between_is_told(data: Maker, why: str) -> None:
    with pytest.raises(BadAudio, match=why) as caught:
        decode(data())
    assert caught.value.code == "AUDIO_DAMAGED"


def test_a_list_of_edits_is_followed() -> None:
    """It is what players show: the words are those of that."""
    wave = decode(edited(3_000, 1024 + 24_000))
    assert wave.duration_s == pytest.approx(3.0, abs=0.05)
    assert likeness(wave.samples, 0, levels(speech()[24_000:96_000])) > 0.9


def test_pictures_may_be_longer_than_the_sound() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        pictures = output.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        sound = output.add_stream("aac", rate=24_000, layout="mono")
        for _ in range(40):
            shown = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            output.mux(pictures.encode(shown))
        frame = av.AudioFrame.from_ndarray(tone(1)[None], format="fltp", layout="mono")
        frame.sample_rate = 24_000
        output.mux([*sound.encode(frame), *sound.encode(None), *pictures.encode(None)])
    assert decode(file.getvalue()).duration_s == pytest.approx(1, abs=0.06)


def test_one_channel_upside_down_is_heard() -> None:
    said = speech()
    for other in (-said, -0.7 * said, 0.02 * noise(7.1) - 0.9 * said):
        wave = decode(encoded(np.stack([said, other], axis=1), subtype="FLOAT"))
        np.testing.assert_allclose(wave.samples, said, atol=1e-6)
    alike = decode(encoded(np.stack([said, 0.5 * said], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(alike.samples, 0.75 * said, atol=1e-6)


def test_silence_of_two_channels_is_silence() -> None:
    assert not decode_native(encoded(np.stack([silence(1)] * 2, axis=1))).samples.any()


def test_without_pyav_nothing_is_read_in_part(tmp_path: Path) -> None:
    """What libsndfile reads, it reads to its end; else the extra is named."""
    files = {name: made(ONCE, name) for name in ONCE} | {
        f"2 {name}": made(TWICE, name) for name in TWICE
    }
    files = {name: data for name, data in files.items() if sniff(data).decoder == "soundfile"}
    for number, data in enumerate(files.values()):
        (tmp_path / f"{number}").write_bytes(data)
    kinds = [sniff(data)._asdict() for data in files.values()]
    code = """
import json, sys
sys.modules["av"] = None
from dataclasses import asdict
from f5serve.audio.child import Refused, _decode
from f5serve.audio.decode import DecodeLimits
for number, kind in enumerate(json.loads(sys.argv[2])):
    with open(f"{sys.argv[1]}/{number}", "rb") as file, open(f"{sys.argv[1]}/out", "w+b") as out:
        try:
            report = _decode(file, out, asdict(DecodeLimits()) | kind)
            print(report["frames"] / report["sample_rate"])
        except Refused as refused:
            print(refused.report["refused"])
"""
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(kinds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = dict(zip(files, done.stdout.split(), strict=True))
    read = {name: float(said) for name, said in told.items() if not said.startswith(("A", "M"))}
    assert set(told) - set(read) <= {"pipe: mp3 in wav", "pipe: mp2"}
    for name, seconds in read.items():
        assert seconds >= (2 if name.startswith("2 ") else 1) * SPEECH_S - 0.03


TRAPS: dict[str, Maker] = {
    "frames": lambda: (b"\xff\xf3\x14\xc4" + bytes(20)) * 200_000,
    "syncs": lambda: b"\xff\xfb\x90\0" * 2_500_000,
    "chunks": lambda: encoded(tone(0.1))[:12] + b"junk\0\0\0\0" * 1_000_000,
    "boxes": lambda: av_encoded(tone(1), "aac", "mp4") + b"\0\0\0\x08free" * 1_100_000,
    "files": lambda: 90_000 * encoded(tone(0.001)),
    "blocks": lambda: encoded(tone(1), form="FLAC")[:100] + b"\xff\xf8" * 5_000_000,
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_of_many_small_things_ends(name: str) -> None:
    began = time.perf_counter()
    with pytest.raises(BadAudio):
        decode(TRAPS[name]())
    assert time.perf_counter() - began < 25, "a machine at rest takes 2 s"


@pytest.mark.parametrize("place", [0.3, 0.9])
@pytest.mark.parametrize("form", ["FLAC", "OGG"])
def test_a_changed_byte_is_told_where_there_are_checksums(form: str, place: float) -> None:
    data = bytearray(encoded(speech(), form=form))
    data[int(place * len(data))] ^= 0x10
    with pytest.raises(BadAudio) as caught:
        decode(bytes(data))
    assert caught.value.code == "AUDIO_DAMAGED"


SMALL = {
    "wav": encoded(tone(0.05)),
    "w64": encoded(tone(0.05), form="W64"),
    "aiff": encoded(tone(0.05), form="AIFF"),
    "au": encoded(tone(0.05), form="AU"),
    "caf": encoded(tone(0.05), form="CAF"),
    "flac": encoded(tone(0.05), form="FLAC"),
    "ogg": encoded(tone(0.05), form="OGG"),
    "mp3": id3() + encoded(tone(0.2), form="MP3") + ID3V1,
    "aac": av_encoded(tone(0.1), "aac", "adts"),
    "amr": av_encoded(tone(0.1, 8_000), "libopencore_amrnb", "amr", 8_000),
    "m4a": av_encoded(tone(0.05), "aac", "mp4"),
    "webm": av_encoded(tone(0.05, 48_000), "libopus", "webm", 48_000),
}


def test_every_container_has_parts() -> None:
    for name, data in SMALL.items():
        assert sniff(data).name == name
        (part,) = parts_of(name, memoryview(data))
        assert sum(map(len, part.pieces)) == pytest.approx(len(data), abs=500)


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=4),
    st.floats(0, 1),
    st.integers(0, 1),
)
def test_any_bytes_are_parts_or_damaged(
    name: str, changes: list[tuple[float, bytes]], cut: float, again: int
) -> None:
    data = bytearray(SMALL[name] * (1 + again))
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    data = data[: int(len(data) * (1 - cut * 0.2))]
    parts: list[Part] = []
    with contextlib.suppress(Damaged):
        parts = parts_of(name, memoryview(bytes(data)))
    assert all(part.expected_s is None or part.expected_s >= 0 for part in parts)
    assert sum(len(piece) for part in parts for piece in part.pieces) <= len(data) + 1_500
