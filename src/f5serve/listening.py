"""Who listens in this process, and to what: recordings of voices, and speech that was just made.

    Settings -> Ear -> Hearing of the voice library

Settings flow in. Nothing is loaded until something has to be heard. This module must not know
requests, jobs or doors.
"""

from __future__ import annotations

import logging
from functools import partial

from f5serve.errors import ModelUnavailable
from f5serve.model_cache.find import hub_caches
from f5serve.recognition import Ear, Whisper, find_model
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.types import Comparison, Heard, Wave
from f5serve.voices.hearing import NOBODY, Hearing
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.open import open_library

_log = logging.getLogger(__name__)


def open_ear(settings: Settings) -> Ear | None:
    """What the settings hear with, None for nothing; it is loaded when it is first used.

    Raises:
        ModelUnavailable: as `recognition.find_model`.
    """
    caches = hub_caches(settings.models_dir)
    folder = find_model(settings.recogniser, settings.models_dir, caches)
    return Ear(Whisper(folder, settings.device, settings.threads)) if folder else None


def open_voices(settings: Settings, store: ObjectStore, ear: Ear | None) -> VoiceLibrary:
    """A library that listens to what is put into it."""
    return open_library(settings, store, hearing_of(settings, ear))


def hearing_of(settings: Settings, ear: Ear | None) -> Hearing:
    """An ear in the terms of the voice library."""
    if ear is None:
        return NOBODY
    return Hearing(
        hear=partial(_hear, ear),
        compare=partial(_compare, ear) if settings.transcript_wer else None,
        words_of=ear.words_of,
        max_error_rate=settings.transcript_wer,
    )


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
