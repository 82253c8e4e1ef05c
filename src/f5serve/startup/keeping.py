"""Weights that were fetched, copied to the network volume while the worker speaks already.

What was obtained flows in; a thread that copies it flows out. How it is copied is in
`models.volume`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from f5serve.errors import F5Error
from f5serve.models.cache_dirs import CacheDir
from f5serve.models.disk import format_bytes
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.models.resolve import ResolvedModel
from f5serve.models.volume import CopyCancelled, copy_to_volume
from f5serve.process import lower_priority

_log = logging.getLogger(__name__)

_NICER = 10


def is_wanted(obtained: ResolvedModel | None, volume: CacheDir | None) -> bool:
    """Whether there is a volume, and the model lies where it is gone with this machine."""
    if obtained is None or volume is None or obtained.source not in ("tier", "store", "hub"):
        return False
    return obtained.folder != volume.path


def keep_beside(
    obtained: ResolvedModel,
    volume: CacheDir,
    wanted: Callable[[], bool] = lambda: True,
    registry: Registry = PUBLISHED,
) -> threading.Thread:
    """Start copying; failing costs the next worker time, and nobody else anything."""

    def work() -> None:
        lower_priority(_NICER)
        began = time.monotonic()
        files = obtained.files
        try:
            if copy_to_volume(files, obtained.folder, volume, wanted, registry):
                size = sum(p.stat().st_size for p in (files.weights, files.vocab, files.vocoder))
                _log.info(
                    "%s, %s, is kept in %s for the next worker; copied in %.1f s",
                    *(files.model, format_bytes(size), volume.path, time.monotonic() - began),
                )
        except F5Error as error:
            _log.warning("the model is not kept on the volume: %s %s", error.code, error.message)
        except OSError as error:  # a volume may fail in any way
            _log.warning("the model is not kept on the volume: %s", error)
        except CopyCancelled:
            _log.info("the copy of the model is given up")

    thread = threading.Thread(target=work, name="f5-keep", daemon=True)
    thread.start()
    return thread
