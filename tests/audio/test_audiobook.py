"""Audiobooks decode to what went in, with chapters, tags and cover, at the loudness asked for."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pytest
from recordings import DATA, Samples, noise, silence, tone
from tests.conftest import IS_FULL

from f5serve.audio.acx import acx_options, acx_problems, report_file
from f5serve.audio.audiobook import (
    MP3_SCALES,
    AudiobookWriter,
    BookFileOptions,
    BookFormat,
    Tags,
)
from f5serve.audio.decode import decode
from f5serve.audio.leveling import leveling_to
from f5serve.audio.loudness import LoudnessMeter
from f5serve.audio.pictures import Picture, read_picture
from f5serve.errors import InvalidRequest

FORMATS: tuple[BookFormat, ...] = get_args(BookFormat)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
TAGS = Tags(
    title="Die Lampe – 灯",
    artist="Ana Lind",
    album="Die Lampe",
    composer="Kim",
    date="2021",
    comment="made by a test",
    track="3/20",
)


def jpeg() -> bytes:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 32, 16, "yuvj420p"
    encoder.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(np.zeros((16, 32, 3), np.uint8), format="rgb24")
    frame = frame.reformat(format="yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def written(path: Path, samples: Samples, options: BookFileOptions, **given: Any) -> Path:
    """A file of these samples, in pieces of all sizes."""
    with AudiobookWriter(path, options, **{"tags": Tags(), **given}) as writer:
        for part in np.split(samples, [1, 778, 30_000]):
            writer.write(part)
    return path


def tags_of(path: Path) -> dict[str, str]:
    with av.open(str(path)) as file:
        return {k.lower(): v for k, v in (file.metadata | file.streams.audio[0].metadata).items()}


@pytest.mark.parametrize("format", FORMATS)
def test_sound_and_tags_come_back(format: BookFormat, tmp_path: Path) -> None:
    samples = np.concatenate([tone(1.5), silence(0.5), tone(1.0)])
    path = written(tmp_path / "a", samples, BookFileOptions(format), tags=TAGS)
    found = decode(path.read_bytes()).samples
    assert abs(len(found) - len(samples)) < 0.05 * 24_000
    loud = np.flatnonzero(np.abs(found) > 0.15)
    gaps = loud[np.flatnonzero(np.diff(loud) > 6_000)[0] :][:2]
    assert loud[0] / 24_000 < 0.003
    assert gaps / 24_000 == pytest.approx([1.5, 2.0], abs=0.003)
    rms = float(np.sqrt(np.mean(np.square(found[6_000:30_000]))))
    assert 20 * np.log10(rms / (0.3 / 2**0.5)) == pytest.approx(0, abs=0.1)
    tags = tags_of(path)
    wanted = TAGS.as_dict() | {"genre": "Audiobook"}
    if format == "wav":  # RIFF has no chunk for them
        wanted = {k: v for k, v in wanted.items() if k not in ("composer", "album_artist")}
    tags["track"] = tags.get("track", tags.get("tracknumber", ""))
    assert {name: tags.get(name) for name in wanted} == wanted
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_chapters_of_an_m4b(tmp_path: Path) -> None:
    """Each begins within a millisecond of its first sound."""
    path = tmp_path / "book.m4b"
    lengths, starts = [1.0, 0.7301, 2.0049], []
    with AudiobookWriter(path, BookFileOptions(head_s=0.5, tail_s=1.0), TAGS) as writer:
        for number, length in enumerate(lengths):
            writer.begin_chapter("left out")
            writer.begin_chapter(f"第{number}章 “é”")
            starts.append(writer.position_s)
            writer.write(tone(length, hertz=300.0 + 200 * number))
            writer.write(silence(0.25))
    assert path.read_bytes()[4:12] == b"ftypM4B "
    assert path.read_bytes().find(b"moov") < path.read_bytes().find(b"mdat")
    with av.open(str(path)) as file:
        chapters = file.chapters()
        times = [(float(c["start"] * c["time_base"]), c["metadata"]["title"]) for c in chapters]
        end = float(chapters[-1]["end"] * chapters[-1]["time_base"])
    assert starts == pytest.approx([0.5, 1.75, 2.7301], abs=1e-4)
    assert [time for time, _ in times] == pytest.approx([0.0, *starts[1:]], abs=0.001)
    assert [title for _, title in times] == ["第0章 “é”", "第1章 “é”", "第2章 “é”"]
    assert end == pytest.approx(0.5 + sum(lengths) + 0.75 + 1.0, abs=0.001)
    found = decode(path.read_bytes()).samples
    for start in starts:  # the sound of a chapter begins where its mark is
        at = round(start * 24_000)
        assert np.max(np.abs(found[at - 1_200 : at - 120])) < 0.05
        assert np.max(np.abs(found[at : at + 1_200])) > 0.2


def test_ten_thousand_chapters(tmp_path: Path) -> None:
    path = tmp_path / "book.m4b"
    with AudiobookWriter(path, BookFileOptions(), Tags()) as writer:
        for number in range(10_000):
            writer.begin_chapter(f"Chapter {number}")
            writer.write(silence(0.01))
    with av.open(str(path)) as file:
        chapters = file.chapters()
    assert len(chapters) == 10_000
    assert chapters[9_999]["metadata"]["title"] == "Chapter 9999"


@pytest.mark.parametrize("format", ["m4b", "mp3", "flac"])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_covers_come_back(format: BookFormat, kind: str, tmp_path: Path) -> None:
    data = PNG if kind == "png" else jpeg()
    cover = read_picture(data)
    path = written(tmp_path / "a", tone(0.5), BookFileOptions(format), cover=cover)
    with av.open(str(path)) as file:
        stream = next(s for s in file.streams if s.type == "video")
        assert int(stream.disposition) & 1024
        packet = next(p for p in file.demux(stream) if p.size)
        assert bytes(packet) == data


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", PNG[:16], PNG[:16] + bytes(20), b"\xff\xd8\xff\xe0", b"\xff\xd8\xff" * 99],
)
def test_pictures_that_are_no_covers(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_picture(data)
    assert caught.value.code == "BAD_COVER"


def test_sizes_of_pictures() -> None:
    assert read_picture(PNG) == Picture(PNG, "png", "rgba", 1, 1)
    found = read_picture(jpeg())
    assert (found.codec, found.width, found.height) == ("mjpeg", 32, 16)


@pytest.mark.parametrize("bit_rate", MP3_SCALES)
def test_levels_of_mp3_at_each_bit_rate(bit_rate: int, tmp_path: Path) -> None:
    options = BookFileOptions("mp3", 44_100, bit_rate)
    report = report_file(written(tmp_path / "a.mp3", tone(3.0, level=0.1), options))
    assert report.rms_db == pytest.approx(-23.01, abs=0.1)
    assert report.bit_rate == bit_rate
    with pytest.raises(ValueError, match="bit rate"):
        AudiobookWriter(tmp_path / "b", BookFileOptions("mp3", bit_rate=65_000), Tags())
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp3"]


def speech() -> Samples:
    """Words with pauses, quiet noise below all of it."""
    words = decode((DATA / "librivox-0870.wav").read_bytes()).samples
    clean = np.concatenate([words, silence(0.8), 0.5 * words, silence(0.8), words])
    clean[np.abs(clean) < 0.01] *= 0.03  # the recording's own noise is above the limit
    return clean + np.resize(noise(1.0), len(clean)) * np.float32(0.001)


@pytest.mark.parametrize("format", FORMATS)
def test_loudness_to_a_target_in_two_passes(format: BookFormat, tmp_path: Path) -> None:
    meter = LoudnessMeter()
    meter.add(speech())
    first = meter.result()
    leveling = leveling_to(-18.0, first.integrated_lufs, first.true_peak_db, -1.0)
    path = written(tmp_path / "a", speech(), BookFileOptions(format, leveling=leveling))
    report = report_file(path)
    assert report.integrated_lufs == pytest.approx(-18.0, abs=0.5)
    assert report.true_peak_db < -0.5


def test_a_file_for_acx(tmp_path: Path) -> None:
    meter = LoudnessMeter()
    meter.add(speech())
    options = acx_options(meter.result())
    report = report_file(written(tmp_path / "a.mp3", speech(), options))
    assert acx_problems(report) == ()
    assert (report.codec, report.sample_rate, report.channels) == ("mp3", 44_100, 1)
    assert report.bit_rate == 192_000
    assert report.rms_db == pytest.approx(-20.0, abs=0.5)
    assert report.head_s == pytest.approx(0.75, abs=0.1)
    assert report.noise_floor_db < -60


def test_what_acx_would_refuse_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", tone(3.0, level=0.9), BookFileOptions("flac"))
    problems = " ".join(acx_problems(report_file(path)))
    for told in ("flac", "24,000 Hz", "RMS", "peak", "noise floor", "begins", "end lasts"):
        assert told in problems
    quiet = written(tmp_path / "b.mp3", tone(3.0, level=0.01), BookFileOptions("mp3"))
    assert "64 kbit/s" in " ".join(acx_problems(report_file(quiet)))


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.m4b"
    path.write_bytes(b"old")
    with contextlib.suppress(KeyError), AudiobookWriter(path, BookFileOptions(), Tags()) as writer:
        writer.write(tone(1.0))
        raise KeyError
    with (
        pytest.raises(ValueError, match="without sound"),
        AudiobookWriter(path, BookFileOptions(), Tags()),
    ):
        pass
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.m4b"]
    with pytest.raises(InvalidRequest) as caught:
        AudiobookWriter(tmp_path / "b", BookFileOptions("opus", 22_050), Tags())
    assert caught.value.code == "SAMPLE_RATE_NOT_SUPPORTED"
    assert [one.name for one in tmp_path.iterdir()] == ["a.m4b"]
    with pytest.raises(OSError, match="No such file"):
        AudiobookWriter(tmp_path / "none" / "a", BookFileOptions(), Tags())


@pytest.mark.parametrize("format", ["m4b", "mp3"])
def test_memory_stays(format: str, tmp_path: Path) -> None:
    """Minutes more, or an hour, take what a m4b's index needs, in a process of its own."""
    seconds = 3_600 if IS_FULL else 450
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from f5serve.audio.audiobook import AudiobookWriter, BookFileOptions, Tags
from f5serve.audio.loudness import LoudnessMeter
block = np.random.default_rng(0).normal(0, 0.05, 24_000).astype(np.float32)
meter, peaks = LoudnessMeter(), []
with AudiobookWriter(Path(sys.argv[2]), BookFileOptions(sys.argv[1]), Tags("a")) as writer:
    for second in range(int(sys.argv[3])):
        if second % 60 == 0:
            writer.begin_chapter(str(second))
        writer.write(block)
        meter.add(block[:2_400])
        if second % 150 == 149:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[-1] - peaks[0])
"""
    command = [sys.executable, "-c", code, format, str(tmp_path / "a"), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2_000 + 6_000 * seconds / 3_600  # KiB
