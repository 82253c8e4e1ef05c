"""Decodes untrusted recordings in any common format to 24 kHz mono waves.

Nothing that a file says about itself is believed. In this order: size, first bytes, header and
limits, samples; the last two in a child process with limits on memory, time and output (child.py).
Every error is a `BadAudio` that names the value; decision 3 gives the reasons for the limits.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from f5serve.audio.edit import resample, to_mono
from f5serve.audio.parts import id3_bytes, memory_file, zeros
from f5serve.audio.riff import read_riff
from f5serve.errors import BadAudio
from f5serve.types import SAMPLE_RATE, FloatArray, Wave

_CHILD = Path(__file__).with_name("child.py")
_REPORT_BYTES = 4096
_HEAD_BYTES = 4096

_ERRORS: dict[str, tuple[str, str]] = {
    "NOT_AUDIO": (
        "The recording is not audio that can be read: {0}.",
        "Send a wav, flac, mp3, ogg or m4a file.",
    ),
    "AUDIO_EMPTY": ("The recording holds no sound at all.", "Record it again, or export it anew."),
    "AUDIO_TOO_LARGE": (
        "The recording has {0:,} bytes; {1:,} is the limit.",
        "Send a shorter clip, mono, or in a compressed format.",
    ),
    "AUDIO_TOO_LONG": (
        "The recording lasts {0:,.1f} s; {1:g} s is the limit.",
        "Send the few seconds that matter.",
    ),
    "AUDIO_TOO_MANY_CHANNELS": (
        "The recording has {0:,} channels; {1} is the limit.",
        "Send it in mono or stereo.",
    ),
    "AUDIO_BAD_RATE": (
        "The recording has a sample rate of {0:,} Hz; it must be within {1[0]:,} and {1[1]:,} Hz.",
        "Export it at 24,000 or 44,100 Hz.",
    ),
    "AUDIO_NOT_FINITE": (
        "The recording holds samples that are not numbers (NaN or infinite).",
        "Export it again as 16-bit wav.",
    ),
    "AUDIO_DAMAGED": (
        "The recording is damaged: {0}.",
        "Save it again, for example with `ffmpeg -i RECORDING again.wav`.",
    ),
    "MEDIA_EXTRA_MISSING": (
        "Reading {0} files needs PyAV, which is not installed.",
        "Run pip install 'f5serve[media]', or send wav, flac, mp3 or ogg.",
    ),
}


class Container(NamedTuple):
    """A format of file: its name, who decodes it, and what FFmpeg calls it."""

    name: str
    decoder: str = "soundfile"
    demuxer: str = ""


_BY_START = (
    (b"RF64", Container("wav", demuxer="wav")),
    (b"riff\x2e\x91\xcf\x11", Container("w64", demuxer="w64")),
    (b"fLaC", Container("flac", demuxer="flac")),
    (b"OggS", Container("ogg", demuxer="ogg")),
    (b"caff", Container("caf", demuxer="caf")),
    (b".snd", Container("au", demuxer="au")),
    (b"\x1aE\xdf\xa3", Container("webm", "av", "matroska")),
    (b"#!AMR", Container("amr", "av", "amr")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container("wma", "av", "asf")),
)
_NOT_SOUND = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"#EXT", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"MThd", "a MIDI score, which holds notes and no sound"),
    (b"{", "JSON text"),
    (b"<", "a web page or XML"),
)


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What a recording may be; beyond it, it is refused before it is decoded.

    Attributes:
        max_bytes: of the file.
        max_s: of sound, seconds.
        max_channels: more than stereo is not a recording of one speaker.
        min_sample_rate: below it speech is not intelligible, Hz.
        max_sample_rate: above it no recorder goes, Hz.
        max_decoded_bytes: of all samples of all channels as float32.
        timeout_s: of the child process, wall clock.
        cpu_s: of the child process, processor time, whole seconds.
        memory_bytes: address space of the child process.
    """

    max_bytes: int = 20_000_000
    max_s: float = 60.0
    max_channels: int = 2
    min_sample_rate: int = 8_000
    max_sample_rate: int = 192_000
    max_decoded_bytes: int = 256_000_000
    timeout_s: float = 30.0
    cpu_s: int = 10
    memory_bytes: int = 600_000_000


LONG = DecodeLimits(
    max_bytes=200_000_000,
    max_s=1_800.0,
    max_decoded_bytes=1_000_000_000,
    timeout_s=300.0,
    cpu_s=200,
    memory_bytes=2_500_000_000,
)
"""What a recording may be that is only listened to, not spoken from: half an hour, which is 170 MB
of samples at 24 kHz."""


def decode(data: bytes, limits: DecodeLimits | None = None) -> Wave:
    """Decode a recording to mono at 24 kHz; loudness and edges stay as recorded.

    wav, flac, mp3, ogg (Vorbis, Opus), aiff, au and caf are read by libsndfile; m4a, mp4, webm,
    mkv, aac, amr and wma by FFmpeg through PyAV, the extra `media`.

    Raises:
        BadAudio: a code of the table above.
    """
    return resample(decode_native(data, limits), SAMPLE_RATE)


def decode_native(data: bytes, limits: DecodeLimits | None = None) -> Wave:
    """As `decode`, but at the sample rate of the recording."""
    limits = limits or DecodeLimits()
    with memory_file() as file:
        found = decode_into(file, data, limits)
        raw = bytearray(found.frames * found.channels * 4)
        os.preadv(file.fileno(), [raw], 0)
    samples = np.frombuffer(raw, dtype=np.float32).reshape(-1, found.channels)
    check_finite(samples)
    return Wave(to_mono(samples), found.sample_rate)


@dataclass(frozen=True, slots=True)
class RawSamples:
    """Samples in a file: float32, interleaved, in the byte order of the machine; at least one."""

    sample_rate: int
    channels: int
    frames: int


def decode_into(file: IO[bytes], data: bytes, limits: DecodeLimits) -> RawSamples:
    """Decode a recording into a file with a descriptor; whether samples are numbers is not checked.

    Raises:
        BadAudio: a code of the table above.
    """
    if not data:
        raise audio_error("AUDIO_EMPTY")
    if len(data) > limits.max_bytes:
        raise audio_error("AUDIO_TOO_LARGE", len(data), limits.max_bytes)
    container = sniff(data)
    if container.decoder == "av" and importlib.util.find_spec("av") is None:
        raise audio_error("MEDIA_EXTRA_MISSING", container.name)
    _check_riff(data, limits)
    report = _decode_in_child(file, data, container, limits)
    if "refused" in report:
        raise audio_error(report["refused"], report["value"], _limit_of(report["refused"], limits))
    size = min(os.fstat(file.fileno()).st_size, limits.max_decoded_bytes)
    frames = size // (4 * report["channels"])
    if not frames:
        raise audio_error("AUDIO_EMPTY")
    return RawSamples(report["sample_rate"], report["channels"], frames)


def check_finite(samples: FloatArray) -> None:
    """Refuse samples that are not numbers.

    Raises:
        BadAudio: AUDIO_NOT_FINITE.
    """
    # A sum is not finite if any sample is not, and needs no array of flags.
    if not np.isfinite(np.add.reduce(samples, axis=None, dtype=np.float64)):
        raise audio_error("AUDIO_NOT_FINITE")


def _check_riff(data: bytes, limits: DecodeLimits) -> None:
    """Look at a wav's header before libsndfile does, which hides what is wrong with it."""
    riff = read_riff(data)
    if riff is None:
        return
    if riff.channels > limits.max_channels:
        raise audio_error("AUDIO_TOO_MANY_CHANNELS", riff.channels, limits.max_channels)
    if not limits.min_sample_rate <= riff.sample_rate <= limits.max_sample_rate:
        raise audio_error("AUDIO_BAD_RATE", riff.sample_rate, _limit_of("AUDIO_BAD_RATE", limits))


def _limit_of(code: str, limits: DecodeLimits) -> Any:
    return {
        "AUDIO_TOO_LONG": limits.max_s,
        "AUDIO_TOO_LARGE": limits.max_decoded_bytes,
        "AUDIO_TOO_MANY_CHANNELS": limits.max_channels,
        "AUDIO_BAD_RATE": (limits.min_sample_rate, limits.max_sample_rate),
    }.get(code)


def _decode_in_child(
    samples: IO[bytes], data: bytes, container: Container, limits: DecodeLimits
) -> dict[str, Any]:
    """The child's report; it writes the samples. See child.py."""
    arguments = json.dumps(asdict(limits) | container._asdict())
    with memory_file() as recording, memory_file() as report:
        recording.write(data)
        recording.seek(0)
        descriptors = [file.fileno() for file in (recording, report, samples)]
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(_CHILD), *map(str, descriptors), arguments],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=limits.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise audio_error(
                "AUDIO_DAMAGED", f"not decoded within {limits.timeout_s:g} s"
            ) from None
        found = os.pread(report.fileno(), _REPORT_BYTES, 0)
        if done.returncode or not found:
            raise audio_error("AUDIO_DAMAGED", f"its decoder stopped ({done.returncode})")
        answer: dict[str, Any] = json.loads(found)
        return answer


def sniff(data: bytes) -> Container:
    """The container of `data`.

    A tag in front is passed over, as are zeros, which some programs leave there.

    Raises:
        BadAudio: code NOT_AUDIO.
    """
    tag = id3_bytes(data)
    container = _by_start(data[tag : tag + _HEAD_BYTES])
    if container is not None:
        return container
    behind = tag + zeros(data, tag)
    is_mpeg = _by_frame_header(data[behind : behind + _HEAD_BYTES])
    return is_mpeg or (Container("mp3", demuxer="mp3") if tag else _refuse(data[:_HEAD_BYTES]))


def _by_start(data: bytes) -> Container | None:
    for start, container in _BY_START:
        if data.startswith(start):
            return container
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return Container("wav", demuxer="wav")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return Container("aiff", demuxer="aiff")
    if data[4:8] == b"ftyp":
        return Container("m4a", "av", "mp4")
    return None


def _by_frame_header(data: bytes) -> Container | None:
    """MPEG audio without a tag in front: eleven set bits, then fields with forbidden values."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    if layer == 0 and data[1] & 0xF0 == 0xF0:
        return Container("aac", "av", "aac")
    if version == 1 or layer == 0 or data[2] >> 4 == 15 or data[2] >> 2 & 3 == 3:
        return None
    return Container("mp3", demuxer="mp3")


def _refuse(data: bytes) -> Container:
    text = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    for start, name in _NOT_SOUND:
        if text.startswith(start):
            raise audio_error("NOT_AUDIO", f"it is {name}")
    raise audio_error("NOT_AUDIO", f"it begins with {data[:8].hex(' ')}")


def audio_error(code: str, *values: Any) -> BadAudio:
    """The error for `code`, its sentence filled with `values`."""
    sentence, hint = _ERRORS[code]
    return BadAudio(sentence.format(*values), code=code, hint=hint)
