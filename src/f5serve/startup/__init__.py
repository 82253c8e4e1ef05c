"""Settings to a Speech that is ready to speak, and where the seconds went.

    Settings -> Choice -> weights -> Engine -> warm-up -> Speech

What can be refused is refused before torch or onnxruntime is imported. They are imported in a
thread of their own while weights are looked for, downloaded and hashed. Nothing heavy is imported
with this package, and it must not know about requests or doors.
"""

from __future__ import annotations

from f5serve.startup.choice import QUALITY_STEPS, RANDOM, Choice, choose, default_options
from f5serve.startup.start import Booted, Start, begin, boot, start
from f5serve.startup.timeline import Step, Timeline
from f5serve.startup.weights import check

__all__ = [
    "QUALITY_STEPS",
    "RANDOM",
    "Booted",
    "Choice",
    "Start",
    "Step",
    "Timeline",
    "begin",
    "boot",
    "check",
    "choose",
    "default_options",
    "start",
]
