"""Who listens in this process, and to what: recordings of voices, and speech that was just made.

    Settings -> Ears -> Ear -> Hearing of the voice library, Gate of Speech

Settings flow in. Nothing is imported until somebody asks for the ear, and nothing loaded until
something has to be heard. This module must not know requests, jobs or doors.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from f5serve.errors import ModelUnavailable
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.heard import Comparison, Heard
    from f5serve.recognition import Ear
    from f5serve.store.base import ObjectStore
    from f5serve.types import Wave
    from f5serve.verification import Gate
    from f5serve.voices.hearing import Hearing
    from f5serve.voices.library import VoiceLibrary

_log = logging.getLogger(__name__)


class Ears:
    """The one ear of a process, for all who listen; safe for threads.

    Args:
        settings: name the recogniser.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: tuple[Ear | None] | None = None

    def open(self) -> Ear | None:
        """What the settings hear with, None for nothing; its model is loaded at its first use.

        Raises:
            ModelUnavailable: as `recognition.find_model`.
        """
        with self._lock:
            if self._opened is None:
                self._opened = (_open(self._settings),)
            return self._opened[0]

    def gate(self) -> Gate | None:
        """What speech can be sent through; errors as `open`."""
        from f5serve.verification import Gate

        ear, settings = self.open(), self._settings
        return Gate(ear, settings.verify_wer, settings.verify_tries) if ear else None

    def hearing(self) -> Hearing:
        """The ear in the terms of the voice library; errors as `open`."""
        from f5serve.voices.hearing import NOBODY, Hearing

        ear, settings = self.open(), self._settings
        if ear is None:
            return NOBODY
        return Hearing(
            hear=partial(_hear, ear),
            compare=partial(_compare, ear) if settings.transcript_wer else None,
            words_of=ear.words_of,
            max_error_rate=settings.transcript_wer,
        )

    def library(self, store: ObjectStore) -> VoiceLibrary:
        """A voice library that listens to what is put into it; errors as `open`."""
        from f5serve.voices.open import open_library

        return open_library(self._settings, store, self.hearing())


def _open(settings: Settings) -> Ear | None:
    from f5serve.model_cache.find import hub_caches
    from f5serve.recognition import Ear, Whisper, find_model

    caches = hub_caches(settings.models_dir)
    folder = find_model(settings.recogniser, settings.models_dir, caches)
    return Ear(Whisper(folder, settings.device, settings.threads)) if folder else None


def _hear(ear: Ear, wave: Wave, language: str) -> Heard | None:
    if language and not ear.recogniser.understands(language):
        return None
    return ear.hear(wave, language, word_times=True)


def _compare(ear: Ear, wave: Wave, text: str, language: str) -> Comparison | None:
    try:
        return ear.compare(wave, text, language)
    except ModelUnavailable as error:  # a transcript that nobody can check is believed
        _log.warning("a transcript was not compared with its recording: %s", error.message)
        return None
