"""Untrusted recordings in any common format to 24 kHz mono waves.

Nothing that a file says about itself is believed. In this order: size, first bytes, header and
limits, samples; the last two in a child process with limits on memory, time and output (child.py).
Every refusal is a `BadAudio` that names the value. Why the limits are what they are:
docs/decisions/0003-reference-audio-checks.md.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from f5serve.audio.edit import resample, to_mono
from f5serve.audio.refusals import refuse
from f5serve.audio.sniff import Container, read_riff, sniff
from f5serve.types import Wave
from f5serve.units import SAMPLE_RATE

_CHILD = Path(__file__).with_name("child.py")
_REPORT_BYTES = 4096


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
        BadAudio: codes in refusals.py.
    """
    return resample(decode_native(data, limits), SAMPLE_RATE)


def decode_native(data: bytes, limits: DecodeLimits | None = None) -> Wave:
    """As `decode`, but at the sample rate of the recording."""
    limits = limits or DecodeLimits()
    if not data:
        raise refuse("AUDIO_EMPTY")
    if len(data) > limits.max_bytes:
        raise refuse("AUDIO_TOO_LARGE", len(data), limits.max_bytes)
    container = sniff(data)
    if container.decoder == "av" and importlib.util.find_spec("av") is None:
        raise refuse("MEDIA_EXTRA_MISSING", container.name)
    _check_riff(data, limits)
    return _wave(*_decode_apart(data, container, limits), limits)


def _check_riff(data: bytes, limits: DecodeLimits) -> None:
    """Look at a wav's header before libsndfile does, which hides what is wrong with it."""
    riff = read_riff(data)
    if riff is None:
        return
    if riff.channels > limits.max_channels:
        raise refuse("AUDIO_TOO_MANY_CHANNELS", riff.channels, limits.max_channels)
    if not limits.min_sample_rate <= riff.sample_rate <= limits.max_sample_rate:
        raise refuse("AUDIO_BAD_RATE", riff.sample_rate, _limit_of("AUDIO_BAD_RATE", limits))


def _wave(report: dict[str, Any], raw: bytearray, limits: DecodeLimits) -> Wave:
    if "refused" in report:
        raise refuse(report["refused"], report["value"], _limit_of(report["refused"], limits))
    channels = report["channels"]
    samples = np.frombuffer(raw, dtype=np.float32).reshape(-1, channels)
    if not len(samples):
        raise refuse("AUDIO_EMPTY")
    # A sum is not finite if any sample is not, and needs no array of flags.
    if not np.isfinite(np.add.reduce(samples, axis=None, dtype=np.float64)):
        raise refuse("AUDIO_NOT_FINITE")
    return Wave(to_mono(samples), report["sample_rate"])


def _limit_of(code: str, limits: DecodeLimits) -> Any:
    return {
        "AUDIO_TOO_LONG": limits.max_s,
        "AUDIO_TOO_LARGE": limits.max_decoded_bytes,
        "AUDIO_TOO_MANY_CHANNELS": limits.max_channels,
        "AUDIO_BAD_RATE": (limits.min_sample_rate, limits.max_sample_rate),
    }.get(code)


def _decode_apart(
    data: bytes, container: Container, limits: DecodeLimits
) -> tuple[dict[str, Any], bytearray]:
    told_limits = asdict(limits) | container._asdict()
    with _scratch() as given, _scratch() as told, _scratch() as heard:
        os.write(given, data)
        os.lseek(given, 0, os.SEEK_SET)
        command = [sys.executable, "-I", str(_CHILD), *map(str, (given, told, heard))]
        try:
            done = subprocess.run(
                [*command, json.dumps(told_limits)],
                pass_fds=(given, told, heard),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=limits.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise refuse("AUDIO_DAMAGED", f"not decoded within {limits.timeout_s:g} s") from None
        report = os.pread(told, _REPORT_BYTES, 0)
        if done.returncode or not report:
            raise refuse("AUDIO_DAMAGED", f"its decoder stopped ({done.returncode})")
        return json.loads(report), _read_all(heard, limits.max_decoded_bytes)


@contextmanager
def _scratch() -> Iterator[int]:
    """A nameless file: in memory where the system has such, for a disk may be full."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("f5serve")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, max_bytes: int) -> bytearray:
    buffer = bytearray(min(os.fstat(descriptor).st_size, max_bytes))
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.readinto(buffer)
    return buffer
