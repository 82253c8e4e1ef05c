"""The process that opens a stranger's recording: bytes in, a report and raw samples out.

Started by decode.py as `python -I child.py GIVEN TOLD HEARD LIMITS`: three file descriptors (the
recording, the report, the samples) and the limits as JSON. It limits itself before it imports a
decoder, looks at the header before it decodes, and stops at the first limit. It must not import
f5serve: what it imports is what it takes to start.

Report: {"refused": code, "value": ...} or {"sample_rate", "channels", "frames"}, the samples being
float32, interleaved, in the byte order of the machine.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

UNKNOWN_FRAMES = 1 << 62
"""libsndfile's answer for a stream whose header does not say how long it is."""


class Refused(Exception):
    """The recording breaks a limit: a code of decode.py, and the value that broke it."""

    def __init__(self, code: str, value: object = None) -> None:
        super().__init__(code)
        self.report = {"refused": code, "value": value}


def main(arguments: list[str]) -> None:
    given, told, heard = map(int, arguments[:3])
    limits = json.loads(arguments[3])
    _limit_self(limits)
    try:
        with os.fdopen(given, "rb") as recording, os.fdopen(heard, "wb") as samples:
            report = _DECODERS[limits["decoder"]](recording, samples, limits)
    except Refused as refused:
        report = refused.report
    except MemoryError:
        report = Refused("AUDIO_DAMAGED", "it asks for too much memory").report
    os.write(told, json.dumps(report).encode())


def _limit_self(limits: dict[str, Any]) -> None:
    # numpy's OpenBLAS reserves memory for each core it sees, more than the limit on a large host.
    os.putenv("OPENBLAS_NUM_THREADS", "1")
    for what, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, limits["max_decoded_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (value if hard < 0 else min(value, hard),) * 2)


def _damaged(said: str) -> Refused:
    return Refused("AUDIO_DAMAGED", f"its decoder says {said.strip(' .').replace('. ', ', ')!r}")


def _check_header(
    sample_rate: int, channels: int, frames: int | None, limits: dict[str, Any]
) -> int:
    """Refuse what the header alone rules out; returns the frames that may be decoded."""
    if channels > limits["max_channels"]:
        raise Refused("AUDIO_TOO_MANY_CHANNELS", channels)
    if not limits["min_sample_rate"] <= sample_rate <= limits["max_sample_rate"]:
        raise Refused("AUDIO_BAD_RATE", sample_rate)
    if frames is not None:
        if frames > limits["max_s"] * sample_rate:
            raise Refused("AUDIO_TOO_LONG", frames / sample_rate)
        if frames * channels * 4 > limits["max_decoded_bytes"]:
            raise Refused("AUDIO_TOO_LARGE", frames * channels * 4)
    allowed = limits["max_decoded_bytes"] // (4 * channels)
    return min(int(limits["max_s"] * sample_rate), int(allowed))


def _soundfile(recording: BinaryIO, samples: BinaryIO, limits: dict[str, Any]) -> dict[str, Any]:
    import soundfile

    try:
        with soundfile.SoundFile(recording.fileno(), closefd=False) as file:
            return _soundfile_samples(file, samples, limits)
    except soundfile.SoundFileRuntimeError as error:
        raise _damaged(str(error).rpartition(": ")[2]) from None


def _soundfile_samples(file: Any, samples: BinaryIO, limits: dict[str, Any]) -> dict[str, Any]:
    expected = None if file.frames >= UNKNOWN_FRAMES else file.frames
    most = _check_header(file.samplerate, file.channels, expected, limits)
    # In one piece: libsndfile's mp3 decoder drops samples where a block ends. Memory that is not
    # written to costs nothing.
    block = memoryview(bytearray((most + 1) * file.channels * 4))
    frames = file.buffer_read_into(block, dtype="float32")
    if frames > most:
        raise Refused("AUDIO_TOO_LONG", frames / file.samplerate)
    samples.write(block[: frames * file.channels * 4])
    # Seek tables and frame counts of compressed formats are a little off at times.
    if expected is not None and frames < 0.98 * expected - 0.1 * file.samplerate:
        raise Refused("AUDIO_DAMAGED", f"{expected} samples announced, {frames} found")
    return {"sample_rate": file.samplerate, "channels": file.channels, "frames": frames}


def _av(recording: BinaryIO, samples: BinaryIO, limits: dict[str, Any]) -> dict[str, Any]:
    import av

    av.logging.set_level(None)
    try:
        # The demuxer is named: playlists and other formats that open further files stay shut.
        with av.open(recording, format=limits["demuxer"], options={"enable_drefs": "0"}) as file:
            return _av_samples(file, samples, limits)
    except av.FFmpegError as error:
        raise _damaged(error.strerror or type(error).__name__) from None


def _av_samples(file: Any, samples: BinaryIO, limits: dict[str, Any]) -> dict[str, Any]:
    if not file.streams.audio:
        raise Refused("NOT_AUDIO", "it holds no sound")
    stream = file.streams.audio[0]
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    if not rate or not channels:
        raise Refused("AUDIO_DAMAGED", "its header names no sample rate or channels")
    expected = _av_announced_frames(file, stream, rate)
    most = _check_header(rate, channels, expected, limits)
    frames = 0
    for block, length in _av_blocks(file, stream, rate, channels):
        frames += length
        if frames > most:
            raise Refused("AUDIO_TOO_LONG", frames / rate)
        samples.write(block)
    if expected is not None and frames < 0.95 * expected - 0.3 * rate:
        raise Refused("AUDIO_DAMAGED", f"{expected} samples announced, {frames} found")
    return {"sample_rate": rate, "channels": channels, "frames": frames}


def _av_announced_frames(file: Any, stream: Any, rate: int) -> int | None:
    if file.format.name in ("aac", "amr"):  # no header: FFmpeg guesses from the first frames
        return None
    if stream.duration is not None and stream.time_base is not None:
        return int(stream.duration * stream.time_base * rate)
    return None if file.duration is None else int(file.duration * rate // 1_000_000)


def _av_blocks(
    file: Any, stream: Any, rate: int, channels: int
) -> Iterator[tuple[memoryview, int]]:
    import av

    layout = "mono" if channels == 1 else "stereo"
    resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
    for frame in file.decode(stream):
        if frame.sample_rate != rate or frame.layout.nb_channels != channels:
            raise Refused("AUDIO_DAMAGED", "its sample rate or channels change on the way")
        for part in resampler.resample(frame):
            yield memoryview(part.planes[0])[: part.samples * channels * 4], part.samples


_DECODERS = {"soundfile": _soundfile, "av": _av}

if __name__ == "__main__":
    main(sys.argv[1:])
