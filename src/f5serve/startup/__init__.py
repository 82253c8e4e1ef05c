"""Startup: settings to a loaded model, and where the seconds went.

    Settings -> EngineSpec -> weights -> Engine -> warm-up -> Synthesizer

What can be refused is refused before torch or onnxruntime is imported. They are imported in a
thread of their own while weights are looked for, downloaded and hashed. Nothing heavy is imported
with this package.
"""

from __future__ import annotations

from f5serve.startup.loader import LoadedModel, LoadOptions, load, load_in_background
from f5serve.startup.select import (
    QUALITY_STEPS,
    RANDOM,
    EngineSpec,
    default_options,
    select_engine,
)
from f5serve.startup.timeline import Step, Timeline
from f5serve.startup.weights import check_engine

__all__ = [
    "QUALITY_STEPS",
    "RANDOM",
    "EngineSpec",
    "LoadOptions",
    "LoadedModel",
    "Step",
    "Timeline",
    "check_engine",
    "default_options",
    "load",
    "load_in_background",
    "select_engine",
]
