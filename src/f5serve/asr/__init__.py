"""Speech recognition by a Whisper model on this machine, and word errors against a known text.

    Wave -> Whisper.hear -> Heard -> wording.compare -> Comparison

- `models`: which models there are, and where on the disk.  `whisper`: one of them, loaded late.
- `wording`: text to comparable words, and the distance of two texts.  `ear`: both together.
"""

from f5serve.asr.ear import Ear
from f5serve.asr.models import ModelFolder, find_model, installed
from f5serve.asr.whisper import Whisper

__all__ = ["Ear", "ModelFolder", "Whisper", "find_model", "installed"]
