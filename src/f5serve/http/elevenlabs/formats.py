"""Names of `output_format`: codec, sample rate in Hz and, where there is one, kbit/s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from f5serve.audio.encode import MEDIA_TYPES
from f5serve.audio.encode_stream import Encoder, open_encoder
from f5serve.http.errors import BadField
from f5serve.types import AudioFormat

DEFAULT_FORMAT = "mp3_44100_128"

_MP3 = ((22_050, 32), (24_000, 48), *((44_100, kbps) for kbps in (32, 64, 96, 128, 192)))
_MP3_48K = tuple((48_000, kbps) for kbps in (128, 192, 240, 320))
_RAW_RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MPEG1_NEAREST = {240: 224}
"""MPEG-1 has no 240 kbit/s."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A file as ElevenLabs names it.

    Attributes:
        bit_rate_kbps: 0 for formats without one.
    """

    name: str
    format: AudioFormat
    sample_rate: int
    bit_rate_kbps: int = 0

    @property
    def media_type(self) -> str:
        """Its Content-Type."""
        return MEDIA_TYPES[self.format]

    @property
    def fields(self) -> dict[str, Any]:
        """The same as fields of `TTSRequest`."""
        fields = {"response_format": self.format, "sample_rate": self.sample_rate}
        return {**fields, "bit_rate_kbps": self.bit_rate_kbps} if self.bit_rate_kbps else fields

    def open_encoder(self) -> Encoder:
        """An encoder of waves at 24 kHz."""
        return open_encoder(
            self.format, output_rate=self.sample_rate, bit_rate_kbps=self.bit_rate_kbps
        )


def _all() -> dict[str, OutputFormat]:
    found = [
        OutputFormat(f"mp3_{rate}_{kbps}", "mp3", rate, _MPEG1_NEAREST.get(kbps, kbps))
        for rate, kbps in (*_MP3, *_MP3_48K)
    ]
    found += [
        OutputFormat(f"opus_48000_{kbps}", "opus", 48_000, kbps) for kbps in (32, 64, 96, 128, 192)
    ]
    found += [OutputFormat(f"pcm_{rate}", "pcm", rate) for rate in _RAW_RATES]
    found += [OutputFormat(f"wav_{rate}", "wav", rate) for rate in _RAW_RATES]
    found += [OutputFormat("ulaw_8000", "ulaw", 8_000), OutputFormat("alaw_8000", "alaw", 8_000)]
    return {one.name: one for one in found}


OUTPUT_FORMATS = _all()


def parse_output_format(name: str | None) -> OutputFormat:
    """The format of this name; without one, ElevenLabs' default.

    Raises:
        BadField: BAD_OPTION, with all names.
    """
    found = OUTPUT_FORMATS.get(name or DEFAULT_FORMAT)
    if found is None:
        raise BadField(
            f"output_format is {str(name)[:40]!r}.",
            code="BAD_OPTION",
            hint=f"It takes {', '.join(OUTPUT_FORMATS)}.",
            param="output_format",
        )
    return found
