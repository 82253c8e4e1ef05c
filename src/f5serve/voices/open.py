"""The library that the settings ask for, over a store that is open already."""

from __future__ import annotations

from f5serve.download.url import FetchLimits
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.voices.hearing import NOBODY, Hearing
from f5serve.voices.library import LibraryOptions, VoiceLibrary


def open_library(settings: Settings, store: ObjectStore, hearing: Hearing = NOBODY) -> VoiceLibrary:
    """A library; nothing is read or written yet."""
    return VoiceLibrary(
        store,
        settings.data_dir / "cache" / "voices",
        require_consent=settings.require_consent,
        hearing=hearing,
        options=LibraryOptions(web=FetchLimits(allow_http=settings.allow_http_urls)),
    )
