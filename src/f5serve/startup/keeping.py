"""Weights that were fetched, copied to the network volume while the worker speaks already.

What was obtained flows in; a thread that copies it flows out. How it is copied is in
`models.keep`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from f5serve.errors import F5Error
from f5serve.models.keep import Unwanted, describe, keep
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.models.sources import Obtained
from f5serve.models.tiers import Tier
from f5serve.waits import lower_priority

_log = logging.getLogger(__name__)

_NICER = 10


def is_wanted(obtained: Obtained | None, volume: Tier | None) -> bool:
    """Whether there is a volume, and the model lies where it is gone with this machine."""
    if obtained is None or volume is None or obtained.source not in ("tier", "store", "hub"):
        return False
    return obtained.folder != volume.models


def keep_beside(
    obtained: Obtained,
    volume: Tier,
    wanted: Callable[[], bool] = lambda: True,
    registry: Registry = PUBLISHED,
) -> threading.Thread:
    """Start copying; failing costs the next worker time, and nobody else anything."""

    def work() -> None:
        lower_priority(_NICER)
        began = time.monotonic()
        try:
            if keep(obtained.files, obtained.folder, volume, wanted, registry):
                seconds = time.monotonic() - began
                _log.info("%s; copied in %.1f s", describe(obtained.files, volume), seconds)
        except F5Error as error:
            _log.warning("the model is not kept on the volume: %s %s", error.code, error.message)
        except OSError as error:  # a volume may fail in any way
            _log.warning("the model is not kept on the volume: %s", error)
        except Unwanted:
            _log.info("the copy of the model is given up")

    thread = threading.Thread(target=work, name="f5-keep", daemon=True)
    thread.start()
    return thread
