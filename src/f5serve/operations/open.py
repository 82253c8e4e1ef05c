"""The operations that the settings ask for."""

from __future__ import annotations

from f5serve.boot import boot
from f5serve.operations.desk import Operations, Options
from f5serve.settings import Settings
from f5serve.store.open import open_store
from f5serve.voices.open import open_library


def open_operations(settings: Settings, options: Options | None = None) -> Operations:
    """Operations over the store and with the engine of `settings`; nothing is loaded yet.

    Raises:
        InvalidRequest: BAD_SETTING.
        StorageFailed: EXTRA_MISSING.
    """
    store = open_store(settings)
    library = open_library(settings, store)
    return Operations(store, library, lambda: boot(settings).speech, settings, options)
