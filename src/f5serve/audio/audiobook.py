"""Writes audiobooks wave by wave: m4b with chapters, or mp3, flac, opus or wav with tags.

The memory of a writer does not grow with the sound, but for a m4b's index, of 6 MB an hour. A file
has its name once it is complete.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from f5serve.audio.encode import check_sample_rate
from f5serve.audio.filters import pieces
from f5serve.audio.leveling import Leveler, Leveling
from f5serve.audio.pictures import Picture
from f5serve.audio.writers import AAC_BIT_RATE
from f5serve.types import SAMPLE_RATE, FloatArray, s_to_samples

BookFormat = Literal["m4b", "mp3", "flac", "opus", "wav"]


class _Codec(NamedTuple):
    container: str
    codec: str
    bit_rate: int
    takes_cover: bool
    options: Mapping[str, str] = {}


_CODECS: dict[BookFormat, _Codec] = {
    "m4b": _Codec("mp4", "aac", AAC_BIT_RATE, True, {"movflags": "+faststart", "brand": "M4B "}),
    "mp3": _Codec("mp3", "libmp3lame", 64_000, True, {"id3v2_version": "3"}),
    "flac": _Codec("flac", "flac", 0, True),
    "opus": _Codec("ogg", "libopus", 48_000, False),
    "wav": _Codec("wav", "pcm_s16le", 0, False),
}
MP3_SCALES = {
    **dict.fromkeys((64_000, 96_000, 128_000, 160_000), 0.95),
    192_000: 0.97,
    **dict.fromkeys((256_000, 320_000), 1.0),
}
"""How much quieter LAME makes sound at each constant bit rate."""

ROOM_TONE_DB = -75.0
"""RMS level of the silence that is added in front and behind; silence without any noise sounds as
if the player had stopped."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What a file says of itself; empty fields are left out.

    Attributes:
        composer: the narrator, as players of audiobooks show it.
        track: number of a chapter and how many there are, as "3/20".
    """

    title: str = ""
    artist: str = ""
    album: str = ""
    album_artist: str = ""
    composer: str = ""
    genre: str = "Audiobook"
    date: str = ""
    comment: str = ""
    track: str = ""

    def as_dict(self) -> dict[str, str]:
        """By FFmpeg's names."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class BookFileOptions:
    """How a file is written.

    Attributes:
        output_rate: Hz; 0 is that of the sound.
        bit_rate: bits per second; 0 is the format's usual one; of mp3 one of `MP3_SCALES`.
        head_s, tail_s: room tone before and behind the sound.
    """

    format: BookFormat = "m4b"
    output_rate: int = 0
    bit_rate: int = 0
    leveling: Leveling = field(default_factory=Leveling)
    head_s: float = 0.0
    tail_s: float = 0.0


class AudiobookWriter:
    """Writes one file; as a context manager it completes it, or removes it where an error ends it.

    Args:
        path: of the file; what is there is replaced at the end.
        cover: for formats that have one: m4b, mp3 and flac.
        sample_rate: of the sound, Hz.

    Raises:
        InvalidRequest: SAMPLE_RATE_NOT_SUPPORTED.
        ValueError: a bit rate that mp3 does not have.
        OSError: the file cannot be written; every method may raise it.
    """

    def __init__(
        self,
        path: Path,
        options: BookFileOptions,
        tags: Tags,
        cover: Picture | None = None,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial")
        self._options = options
        self._sample_rate = sample_rate
        self._rate = options.output_rate or sample_rate
        self._samples = self._encoded = 0
        self._chapters: list[tuple[int, str]] = []
        check_sample_rate("aac" if options.format == "m4b" else options.format, self._rate)
        self._partial.touch()  # FFmpeg opens it with the first sound only
        self._output: Any = None
        try:
            self._open(_CODECS[options.format], tags, cover)
            self.write(_room_tone(options.head_s, sample_rate))
        except BaseException:
            self.abort()
            raise

    def _open(self, codec: _Codec, tags: Tags, cover: Picture | None) -> None:
        import av

        bit_rate = self._options.bit_rate or codec.bit_rate
        self._gain = np.float32(1.0)
        if self._options.format == "mp3":
            if bit_rate not in MP3_SCALES:
                raise ValueError(f"mp3 has no bit rate of {bit_rate}")
            self._gain = np.float32(1 / MP3_SCALES[bit_rate])
        self._leveler = Leveler(self._options.leveling, self._sample_rate, self._rate)
        self._output = av.open(
            str(self._partial), "w", format=codec.container, options=dict(codec.options)
        )
        stream: Any = self._output.add_stream(codec.codec, rate=self._rate, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
        self._stream = stream
        # Ogg has its tags with the stream.
        (self._stream if codec.container == "ogg" else self._output).metadata.update(tags.as_dict())
        if cover is not None and codec.takes_cover:
            self._add_cover(cover)

    def _add_cover(self, cover: Picture) -> None:
        import av
        from av.stream import Disposition

        stream: Any = self._output.add_stream(cover.codec, rate=1)
        stream.width, stream.height = cover.width, cover.height
        stream.pix_fmt = cover.pixel_format
        stream.disposition = Disposition.attached_pic.value
        packet = av.Packet(cover.data)
        packet.stream = stream
        packet.pts = packet.dts = 0
        packet.time_base = Fraction(1, 1)
        packet.is_keyframe = True
        self._output.start_encoding()
        self._output.mux_one(packet)

    @property
    def position_s(self) -> float:
        """Where the next sound will be heard, in seconds of the file."""
        return self._samples / self._sample_rate

    def begin_chapter(self, title: str) -> None:
        """Let a chapter begin with the next sound; only a m4b has marks."""
        if self._chapters and self._chapters[-1][0] == self._samples:
            self._chapters.pop()
        self._chapters.append((self._samples, title))

    def write(self, samples: FloatArray) -> None:
        """The next samples [nw]."""
        self._samples += len(samples)
        for piece in pieces(samples, self._sample_rate):
            self._encode(self._leveler.add(piece))

    def close(self) -> None:
        """Complete the file."""
        self.write(_room_tone(self._options.tail_s, self._sample_rate))
        self._encode(self._leveler.end())
        if not self._encoded:
            raise ValueError("an audiobook without sound")
        self._output.mux(self._stream.encode(None))
        if self._options.format == "m4b" and self._chapters:
            self._output.set_chapters(self._marks())
        self._output.close()
        self._partial.replace(self._path)

    def abort(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(OSError, ValueError):
            if self._output is not None:
                self._output.close()
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise

    def _marks(self) -> list[dict[str, Any]]:
        # Room tone in front belongs to the first chapter.
        starts = [0, *(start for start, _ in self._chapters[1:])]
        return [
            {
                "id": number,
                "start": start,
                "end": end,
                "time_base": Fraction(1, self._sample_rate),
                "metadata": {"title": title},
            }
            for number, ((_, title), start, end) in enumerate(
                zip(self._chapters, starts, [*starts[1:], self._samples], strict=True)
            )
        ]

    def _encode(self, samples: FloatArray) -> None:
        import av

        if not len(samples):
            return
        clipped = (np.clip(samples, -1.0, 1.0) * self._gain)[None]  # [1 nw]
        frame = av.AudioFrame.from_ndarray(clipped, format="fltp", layout="mono")
        frame.sample_rate = self._rate
        # Without times the encoder's delay would be heard.
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._encoded
        self._encoded += len(samples)
        self._output.mux(self._stream.encode(frame))


def _room_tone(seconds: float, sample_rate: int) -> FloatArray:
    """Quiet noise, the same each time."""
    noise = np.random.default_rng(0).standard_normal(s_to_samples(seconds, sample_rate))
    return np.asarray(noise * 10 ** (ROOM_TONE_DB / 20), np.float32)
