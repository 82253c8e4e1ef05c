"""Every way in which a recording is refused: code, sentence and hint, in one table."""

from __future__ import annotations

from typing import Any

from f5serve.errors import BadAudio

_TABLE: dict[str, tuple[str, str]] = {
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


def refuse(code: str, *values: Any) -> BadAudio:
    """The error for `code`, its sentence filled with `values`."""
    sentence, hint = _TABLE[code]
    return BadAudio(sentence.format(*values), code=code, hint=hint)
