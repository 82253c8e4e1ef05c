"""Speech recognition of one process: recogniser, aligners and verification, made when first used.

    Settings -> SpeechRecognition -> Transcriber of the voices, VerificationPolicy of Synthesizer

Nothing is imported before the recogniser is asked for, and no model loaded before it is used.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from f5serve.errors import ModelUnavailable
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.alignment.aligners import Aligners
    from f5serve.asr import Ear
    from f5serve.asr_types import Transcript, WordErrors
    from f5serve.store.base import ObjectStore
    from f5serve.synthesis.verification import VerificationPolicy
    from f5serve.types import Wave, WordTiming
    from f5serve.voices.library import VoiceLibrary
    from f5serve.voices.prepare import Transcriber

_log = logging.getLogger(__name__)


class SpeechRecognition:
    """What one process hears with, for all who listen; safe for threads.

    Args:
        settings: name recogniser and aligner.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: tuple[Ear | None] | None = None
        self._aligners: Aligners | None = None

    def open(self) -> Ear | None:
        """What the settings hear with, None for nothing; its model is loaded at its first use.

        Raises:
            ModelUnavailable: as `asr.find_model`.
        """
        with self._lock:
            if self._opened is None:
                self._opened = (_open(self._settings),)
            return self._opened[0]

    def aligners(self) -> Aligners:
        """Who finds out when words are heard; nothing is loaded yet."""
        from f5serve.alignment.aligners import Aligners

        settings = self._settings
        with self._lock:
            if self._aligners is None:
                folder = settings.models_dir / "aligners"
                self._aligners = Aligners(settings.aligner, folder, settings.device)
            return self._aligners

    def verification_policy(self) -> VerificationPolicy | None:
        """What speech can be sent through; errors as `open`."""
        from f5serve.synthesis.verification import VerificationPolicy

        ear, settings = self.open(), self._settings
        return VerificationPolicy(ear, settings.verify_wer, settings.verify_tries) if ear else None

    def hearing(self) -> Transcriber:
        """All of it in the terms of the voice library; errors as `open`."""
        from f5serve.voices.prepare import Transcriber

        ear, max_wer = self.open(), self._settings.transcript_wer
        return Transcriber(
            transcribe=partial(_hear, ear) if ear else None,
            compare=partial(_compare, ear) if ear and max_wer else None,
            align=partial(_words_of, self.aligners(), ear),
            max_error_rate=max_wer,
        )

    def library(self, store: ObjectStore) -> VoiceLibrary:
        """A voice library that listens to what is put into it; errors as `open`."""
        from f5serve.voices.library import open_library

        return open_library(self._settings, store, self.hearing())


def _open(settings: Settings) -> Ear | None:
    from f5serve.asr import Ear, Whisper, find_model
    from f5serve.models.local import hub_caches

    caches = hub_caches(settings.models_dir)
    folder = find_model(settings.recogniser, settings.models_dir, caches)
    return Ear(Whisper(folder, settings.device, settings.threads)) if folder else None


def _hear(ear: Ear, wave: Wave, language: str) -> Transcript | None:
    if language and not ear.recogniser.understands(language):
        return None
    return ear.hear(wave, language, word_times=True)


def _compare(ear: Ear, wave: Wave, text: str, language: str) -> WordErrors | None:
    try:
        return ear.compare(wave, text, language)
    except ModelUnavailable as error:  # a transcript that nobody can check is believed
        _log.warning("a transcript was not compared with its recording: %s", error.message)
        return None


def _words_of(
    aligners: Aligners, ear: Ear | None, wave: Wave, text: str, language: str
) -> Sequence[WordTiming]:
    """By an aligner, which is the more exact; else by what the recogniser hears where."""
    found = aligners.align(wave, text, language).words
    return found if found or ear is None else ear.words_of(wave, text, language)
