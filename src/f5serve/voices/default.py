"""The voice that speaks when none is given: a recording in the public domain, shipped in the wheel.

In flows nothing, out flows a `Voice`. data/SOURCE.md says where the recording comes from.
"""

from __future__ import annotations

from importlib import resources

from f5serve.audio.encode import read_wav
from f5serve.types import Voice
from f5serve.voices.names import DEFAULT_NAME
from f5serve.voices.prepare import make_voice


def default_voice() -> Voice:
    """The packaged voice; its recording is prepared already, so no decoder is started."""
    data = resources.files("f5serve.voices") / "data"
    wave = read_wav((data / "default.wav").read_bytes())
    ref_text = (data / "default.txt").read_text(encoding="utf-8").strip()
    return make_voice(DEFAULT_NAME, wave, ref_text, language="en")
