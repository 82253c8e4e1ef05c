"""Decodes an untrusted recording in a process of its own, with limits on memory and time.

Started by decode.py as `python -I child.py INPUT REPORT SAMPLES LIMITS`: three file descriptors and
the limits as JSON. It limits itself before it imports a decoder, finds the parts of the file and
whether they are whole, looks at each header before it decodes, and stops at the first limit. Of
f5serve it imports modules that need no library: imports are most of its start-up time.

Report: {"refused": code, "value": ...} or {"sample_rate", "channels", "frames"}, the samples being
float32, interleaved, in the byte order of the machine.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from f5serve.audio.parts import Part

UNKNOWN_FRAMES = 1 << 62
"""From here on libsndfile's count means that the header does not say how long the stream is."""

MISSING_S = 0.1
"""Sound that decoders may keep back or drop at the ends of a part."""


class Refused(Exception):
    """The recording breaks a limit: an error code of decode.py, and the value that broke it."""

    def __init__(self, code: str, value: object = None) -> None:
        super().__init__(code)
        self.report = {"refused": code, "value": value}
        self.is_damage = code == "AUDIO_DAMAGED"


class _Unread(Exception):
    """libsndfile does not read a part, or not to its end; FFmpeg may.

    Args:
        refused: the reason, if FFmpeg does not either.
        without_av: the reason where it is not installed.
    """

    def __init__(self, refused: Refused, without_av: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused
        self.without_av = without_av


def main(arguments: list[str]) -> None:
    input_fd, report_fd, samples_fd = map(int, arguments[:3])
    limits = json.loads(arguments[3])
    _limit_self(limits)
    try:
        with os.fdopen(input_fd, "rb") as recording, os.fdopen(samples_fd, "wb") as samples:
            report = _decode(recording, samples, limits)
    except Refused as refused:
        report = refused.report
    except MemoryError:
        report = Refused("AUDIO_DAMAGED", "it asks for too much memory").report
    os.write(report_fd, json.dumps(report).encode())


def _limit_self(limits: dict[str, Any]) -> None:
    # numpy's OpenBLAS reserves memory for each core it sees, more than the limit on a large host.
    os.putenv("OPENBLAS_NUM_THREADS", "1")
    largest = max(limits["max_decoded_bytes"], limits["max_bytes"] + (1 << 16))
    for what, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, largest),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (value if hard < 0 else min(value, hard),) * 2)


def _decode(recording: BinaryIO, samples: BinaryIO, limits: dict[str, Any]) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from f5serve.audio.containers import parts_of
    from f5serve.audio.parts import Damaged

    data = memoryview(mmap.mmap(recording.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        parts = parts_of(limits["name"], data)
    except Damaged as damaged:
        raise Refused("AUDIO_DAMAGED", str(damaged)) from None
    report: dict[str, Any] = {}
    for part in parts:
        report = _add_part(part, samples, limits, report)
    return report


def _add_part(
    part: Part, samples: BinaryIO, limits: dict[str, Any], before: dict[str, Any]
) -> dict[str, Any]:
    """Decode a part behind those `before`; returns what the report says of all together."""
    from f5serve.audio.parts import memory_file

    limits = limits | {"frames_before": before.get("frames", 0)}
    with memory_file() as file:
        file.writelines(part.pieces)
        file.seek(0)
        report = _decode_part(part, file, samples, limits)
    for name in ("sample_rate", "channels"):
        if before and report[name] != before[name]:
            raise Refused("AUDIO_DAMAGED", f"files of different {name} are joined in it")
    return report | {"frames": report["frames"] + limits["frames_before"]}


def _decode_part(
    part: Part, file: IO[bytes], samples: BinaryIO, limits: dict[str, Any]
) -> dict[str, Any]:
    start = samples.tell()
    try:
        if limits["decoder"] == "soundfile":
            return _soundfile(part, file, samples, limits)
        return _av(part, file, samples, limits)
    except _Unread as unread:
        samples.seek(start)
        samples.truncate()
        file.seek(0)
        try:
            return _av(part, file, samples, limits)
        except ImportError:
            raise unread.without_av from None
        except Refused as refused:
            # FFmpeg knows less about these formats, unless the sound breaks a limit.
            raise (unread.refused if refused.is_damage else refused) from None


def _damaged(message: str) -> Refused:
    return Refused("AUDIO_DAMAGED", f"its decoder says {message.strip(' .').replace('. ', ', ')!r}")


def _check_header(
    sample_rate: int, channels: int, frames: int | None, limits: dict[str, Any]
) -> int:
    """Refuse what the header alone rules out; returns the frames that may be decoded."""
    if channels > limits["max_channels"]:
        raise Refused("AUDIO_TOO_MANY_CHANNELS", channels)
    if not limits["min_sample_rate"] <= sample_rate <= limits["max_sample_rate"]:
        raise Refused("AUDIO_BAD_RATE", sample_rate)
    before = limits["frames_before"]
    if frames is not None:
        total = frames + before
        if total > limits["max_s"] * sample_rate:
            raise Refused("AUDIO_TOO_LONG", total / sample_rate)
        if total * channels * 4 > limits["max_decoded_bytes"]:
            raise Refused("AUDIO_TOO_LARGE", total * channels * 4)
    allowed = min(limits["max_s"] * sample_rate, limits["max_decoded_bytes"] // (4 * channels))
    return max(0, int(allowed) - int(before))


def _check_length(found: int, expected_s: float | None, sample_rate: int) -> None:
    """Refuse a part of which less sound came out than is in it."""
    if expected_s is not None and found < (expected_s - MISSING_S) * sample_rate:
        seconds = f"{expected_s:.2f} s of sound announced, {found / sample_rate:.2f} s found"
        raise Refused("AUDIO_DAMAGED", seconds)


def _soundfile(
    part: Part, recording: IO[bytes], samples: BinaryIO, limits: dict[str, Any]
) -> dict[str, Any]:
    import soundfile

    try:
        file = soundfile.SoundFile(recording.fileno(), closefd=False)
    except soundfile.SoundFileRuntimeError as error:
        refused = _damaged(str(error).rpartition(": ")[2])
        raise _Unread(refused, refused) from None
    try:
        with file:
            return _soundfile_samples(part, file, samples, limits)
    except soundfile.SoundFileRuntimeError as error:
        raise _damaged(str(error).rpartition(": ")[2]) from None


def _soundfile_samples(
    part: Part, file: Any, samples: BinaryIO, limits: dict[str, Any]
) -> dict[str, Any]:
    rate, channels = file.samplerate, file.channels
    announced = None if file.frames >= UNKNOWN_FRAMES else file.frames
    most = _check_header(rate, channels, announced, limits)
    # In one piece: libsndfile's mp3 decoder drops samples where a block ends. Memory that is not
    # written to costs nothing.
    block = memoryview(bytearray((most + 1) * channels * 4))
    frames = file.buffer_read_into(block, dtype="float32")
    if frames > most:
        raise Refused("AUDIO_TOO_LONG", (frames + limits["frames_before"]) / rate)
    samples.write(block[: frames * channels * 4])
    if announced is not None:
        _check_length(frames, announced / rate, rate)
    try:
        _check_length(frames, part.expected_s, rate)
    except Refused as refused:
        if limits["name"] != "mp3":
            raise
        # All frames are there, and mpg123 guesses their number where no tag can tell it.
        without_av = Refused("MEDIA_EXTRA_MISSING", "some mp3")
        raise _Unread(refused, without_av) from None
    return {"sample_rate": rate, "channels": channels, "frames": frames}


def _av(
    part: Part, recording: IO[bytes], samples: BinaryIO, limits: dict[str, Any]
) -> dict[str, Any]:
    report = _av_pass(recording, samples, limits)
    announced = report.pop("announced")
    if limits["name"] == "m4a" and (_is_short(report, announced) or not report["frames"]):
        report = _by_edits(report, recording, samples, limits)
    elif _is_short(report, announced):
        raise Refused("AUDIO_DAMAGED", f"{announced} samples announced, {report['frames']} found")
    _check_length(report["frames"], part.expected_s, report["sample_rate"])
    return report


def _is_short(report: dict[str, Any], announced: int | None) -> bool:
    least = 0.95 * (announced or 0) - 0.3 * report["sample_rate"]
    return bool(report["frames"] < least)


def _by_edits(
    edited: dict[str, Any], recording: IO[bytes], samples: BinaryIO, limits: dict[str, Any]
) -> dict[str, Any]:
    """What is left by a list of edits that shows less than it says, or nothing at all.

    The sound that it was taken from has to be whole, and stands for it where nothing is left.
    """
    recording.seek(0)
    with Path(os.devnull).open("wb") as nowhere:
        kept = nowhere if edited["frames"] else samples
        whole = _av_pass(recording, kept, limits, ignore_editlist="1")
    announced = whole.pop("announced")
    if _is_short(whole, announced):
        raise Refused("AUDIO_DAMAGED", f"{announced} samples announced, {whole['frames']} found")
    return edited if edited["frames"] else whole


def _av_pass(
    recording: IO[bytes], samples: BinaryIO, limits: dict[str, Any], **options: str
) -> dict[str, Any]:
    import av

    av.logging.set_level(None)
    options |= {"enable_drefs": "0"}
    try:
        # The demuxer is named: playlists and other formats that open further files stay shut.
        with av.open(recording, format=limits["demuxer"], options=options) as file:
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
    announced = _av_announced_frames(file, stream, rate)
    most = _check_header(rate, channels, announced, limits)
    frames = 0
    for block, length in _av_blocks(file, stream, rate, channels):
        frames += length
        if frames > most:
            raise Refused("AUDIO_TOO_LONG", (frames + limits["frames_before"]) / rate)
        samples.write(block)
    report = {"sample_rate": rate, "channels": channels, "frames": frames}
    return report | {"announced": announced}


def _av_announced_frames(file: Any, stream: Any, rate: int) -> int | None:
    if file.format.name in ("aac", "amr", "mp3"):  # no header: FFmpeg guesses from the first frames
        return None
    if stream.duration is not None and stream.time_base is not None:
        return int(stream.duration * stream.time_base * rate)
    if len(file.streams) > 1:  # the duration may be that of pictures
        return None
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


if __name__ == "__main__":
    main(sys.argv[1:])
