"""Recordings to test with, good and bad, made on the spot."""

from __future__ import annotations

import functools
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from f5serve.audio.frames import read_frame

DATA = Path(__file__).parents[1] / "data"
Samples = NDArray[np.float32]


def tone(seconds: float, rate: int = 24_000, level: float = 0.3, hertz: float = 220.0) -> Samples:
    """A sine wave."""
    time_s = np.arange(round(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * np.pi * hertz * time_s), dtype=np.float32)


def noise(seconds: float, rate: int = 24_000) -> Samples:
    """White noise, the same each time."""
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * rate))
    return samples.astype(np.float32)


def silence(seconds: float, rate: int = 24_000) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * rate), dtype=np.float32)


def encoded(samples: Samples, rate: int = 24_000, form: str = "WAV", subtype: str = "") -> bytes:
    """Samples [nw] or [nw c] as a file of libsndfile's."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype or None)
    return file.getvalue()


def av_encoded(samples: Samples, codec: str, container: str, rate: int = 24_000) -> bytes:
    """Samples [nw] as a file of FFmpeg's."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


def wav_header(rate: int, channels: int, data_bytes: int, bits: int = 16) -> bytes:
    """The 44 bytes in front of PCM samples, with whatever they shall claim."""
    block = min(channels * bits // 8, 65_535)
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * block % 2**32, block, bits)
    riff = min(36 + data_bytes, 2**32 - 1)
    return (
        b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
        + b"data" + struct.pack("<I", data_bytes)
    )  # fmt: skip


def lying_flac(claimed_samples: int) -> bytes:
    """A short FLAC whose header claims another length (36 bits of STREAMINFO)."""
    data = bytearray(encoded(tone(0.5), form="FLAC"))
    assert data[:4] == b"fLaC"
    # 4 bytes of marker, 4 of block header, 10 of sizes, then rate/channels/bits/total in 8.
    (packed,) = struct.unpack_from(">Q", data, 18)
    struct.pack_into(">Q", data, 18, packed >> 36 << 36 | claimed_samples)
    return bytes(data)


@functools.cache
def long_silence_flac(seconds: float, rate: int = 8_000) -> bytes:
    """Hours of silence in a small file."""
    file = io.BytesIO()
    block = silence(60.0, rate)
    with soundfile.SoundFile(file, "w", rate, 1, format="FLAC") as output:
        for _ in range(round(seconds / 60)):
            output.write(block)
    return file.getvalue()


@functools.cache
def speech(rate: int = 24_000) -> Samples:
    """7.1 s of a person, whose words are not all alike: where a part is missing is heard."""
    samples, own_rate = soundfile.read(DATA / "librivox-0870.wav", dtype="float32")
    return np.asarray(soxr.resample(samples, own_rate, rate), dtype=np.float32)


class Pipe(io.RawIOBase):
    """What a program writes to that cannot go back to correct a header."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def piped(codec: str, container: str, rate: int = 24_000, **options: str) -> bytes:
    """`speech` as FFmpeg writes it to a pipe."""
    import av

    pipe = Pipe()
    with av.open(pipe, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech(rate)[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.codec_context.format, "mono", rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return bytes(pipe.data)


@functools.cache
def vbr_mp3(rate: int = 24_000, lead_s: float = 0.0) -> bytes:
    """`speech` behind silence at a variable bit rate, without the frame that tells its length."""
    samples = np.concatenate([silence(lead_s, rate), speech(rate)])
    data = encoded(samples, rate, "MP3")
    assert b"Xing" in data[:200]
    frame = read_frame(data)
    assert frame is not None
    return data[frame.size :]


def resized(data: bytes, name: bytes, size: int, order: str = "<I", behind: int = 4) -> bytes:
    """A file in which the chunk `name` claims another size, and the whole claims it as well."""
    new = bytearray(data)
    struct.pack_into(order, new, data.index(name) + behind, size)
    return bytes(new)


def id3(size: int = 300) -> bytes:
    """A tag as it stands in front of files."""
    return b"ID3\x04\0\0" + bytes([0, 0, size >> 7, size & 127]) + b"TSSE".ljust(size, b"\0")


ID3V1 = b"TAG".ljust(128, b"\0")
"""A tag as it stands behind files."""
