"""Writers of the libraries behind `encode`: libsndfile, PyAV, and a resampler before either."""

from __future__ import annotations

import contextlib
from typing import IO, Any, Protocol

import numpy as np

from f5serve.types import FloatArray

MP3_COMPRESSION = 0.6
"""libsndfile's name for 64 kbit/s at 24 kHz. The rate is constant: of a variable one, readers guess
the length where no frame count stands in front, and read up to there only."""

MP3_GAIN = np.float32(1 / 0.95)
"""LAME makes sound at a constant rate 0.45 dB quieter than it is."""

AAC_BIT_RATE = 96_000

OGG_PAGE_MS = 200.0
"""Sound in one page of Ogg; a page costs about 35 bytes."""

_SET_OGG_PAGE_LATENCY_MS = 0x1302
"""Name in libsndfile: SFC_SET_OGG_PAGE_LATENCY_MS, since 1.1."""


class Writer(Protocol):
    """Writes one file, to whatever it was opened with."""

    def write(self, samples: FloatArray) -> None:
        """The next samples [nw], about a second of them at most."""
        ...

    def flush(self) -> None:
        """Write what can be written by now."""
        ...

    def close(self) -> None:
        """Write the rest; nothing may be written any more."""
        ...


class Resampled:
    """Passes samples on at another sample rate; it holds back some hundredths of a second.

    How samples are cut into pieces changes nothing of what comes out.
    """

    def __init__(self, writer: Writer, sample_rate: int, output_rate: int) -> None:
        import soxr

        self._writer = writer
        self._stream = soxr.ResampleStream(
            sample_rate, output_rate, 1, dtype="float32", quality="HQ"
        )

    def write(self, samples: FloatArray) -> None:
        self._writer.write(self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32)))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.write(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        self._writer.close()


class Soundfile:
    """libsndfile's formats.

    Args:
        kind: container and subtype.
        compression: see `compression_level`; None is the usual one.
    """

    def __init__(
        self,
        target: IO[bytes] | int,
        kind: tuple[str, str],
        sample_rate: int,
        compression: float | None,
    ) -> None:
        import soundfile

        container, subtype = kind
        self._gain = MP3_GAIN if container == "MP3" else np.float32(1.0)
        options: dict[str, Any] = {}
        if container == "MP3":
            options = {"bitrate_mode": "CONSTANT", "compression_level": MP3_COMPRESSION}
        if compression is not None:
            options["compression_level"] = compression
        self._file = soundfile.SoundFile(
            target, "w", sample_rate, 1, subtype, format=container, closefd=True, **options
        )
        if container == "OGG":
            _shorten_pages(self._file)

    def write(self, samples: FloatArray) -> None:
        self._file.write(np.clip(samples, -1.0, 1.0) * self._gain)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _shorten_pages(file: Any) -> None:
    """Have libsndfile write pages of Ogg that are soon full: it keeps up to a second back else.

    soundfile has no call for this setting; with one that lacks what is used here, pages stay long.
    """
    import soundfile

    with contextlib.suppress(AttributeError):
        value = soundfile._ffi.new("double*", OGG_PAGE_MS)
        soundfile._snd.sf_command(file._file, _SET_OGG_PAGE_LATENCY_MS, value, 8)


class Aac:
    """AAC in ADTS."""

    def __init__(self, target: IO[bytes], sample_rate: int) -> None:
        import av

        self._sample_rate = sample_rate
        self._output = av.open(target, "w", format="adts")
        self._stream: Any = self._output.add_stream("aac", rate=sample_rate, layout="mono")
        self._stream.bit_rate = AAC_BIT_RATE

    def write(self, samples: FloatArray) -> None:
        import av

        if not len(samples):
            return
        clipped = np.ascontiguousarray(np.clip(samples, -1.0, 1.0)[None])  # [1 nw]
        frame = av.AudioFrame.from_ndarray(clipped, format="fltp", layout="mono")
        frame.sample_rate = self._sample_rate
        self._output.mux(self._stream.encode(frame))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._output.mux(self._stream.encode(None))
        self._output.close()
