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
    from f5serve.asr.word_errors import SpeechChecker
    from f5serve.asr_types import Transcript, WordErrors
    from f5serve.store.base import ObjectStore
    from f5serve.synthesis.verification import VerificationPolicy
    from f5serve.types import Wave, WordTiming
    from f5serve.voices.libraries import VoiceLibraries
    from f5serve.voices.library import VoiceLibrary
    from f5serve.voices.prepare import Transcriber

_log = logging.getLogger(__name__)


class SpeechRecognition:
    """The recogniser and the aligners of one process; safe for threads.

    Args:
        settings: name recogniser and aligner.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: tuple[SpeechChecker | None] | None = None
        self._aligners: Aligners | None = None

    def open(self) -> SpeechChecker | None:
        """The recogniser of the settings, None for none; its model is loaded at its first use.

        Raises:
            ModelUnavailable: as `find_model`.
        """
        with self._lock:
            if self._opened is None:
                self._opened = (_open(self._settings),)
            return self._opened[0]

    def aligners(self) -> Aligners:
        """The aligners of the settings; nothing is loaded yet."""
        from f5serve.alignment.aligners import Aligners

        settings = self._settings
        with self._lock:
            if self._aligners is None:
                folder = settings.models_dir / "aligners"
                self._aligners = Aligners(settings.aligner, folder)
            return self._aligners

    def verification_policy(self) -> VerificationPolicy | None:
        """What speech can be sent through; errors as `open`."""
        from f5serve.synthesis.verification import VerificationPolicy

        checker, settings = self.open(), self._settings
        if checker is None:
            return None
        return VerificationPolicy(checker, settings.verify_wer, settings.verify_tries)

    def hearing(self) -> Transcriber:
        """All of it in the terms of the voice library; errors as `open`."""
        from f5serve.voices.prepare import Transcriber

        checker, max_wer = self.open(), self._settings.transcript_wer
        return Transcriber(
            transcribe=partial(_transcribe, checker) if checker else None,
            compare=partial(_compare, checker) if checker and max_wer else None,
            align=partial(_align, self.aligners(), checker),
            max_error_rate=max_wer,
        )

    def libraries(self, store: ObjectStore) -> VoiceLibraries:
        """Voice libraries that listen to what is put into them; errors as `open`.

        Args:
            store: the whole store.
        """
        from f5serve.voices.libraries import VoiceLibraries

        return VoiceLibraries(self._settings, store, self.hearing())

    def library(self, store: ObjectStore) -> VoiceLibrary:
        """That of F5_TENANT; as `libraries`."""
        return self.libraries(store).of(self._settings.tenant)


def _open(settings: Settings) -> SpeechChecker | None:
    from f5serve.asr.whisper import Whisper, find_model
    from f5serve.asr.word_errors import SpeechChecker
    from f5serve.models.other_layouts import hub_caches

    caches = hub_caches(settings.models_dir)
    folder = find_model(settings.recogniser, settings.models_dir, caches)
    return SpeechChecker(Whisper(folder, settings.device, settings.threads)) if folder else None


def _transcribe(checker: SpeechChecker, wave: Wave, language: str) -> Transcript | None:
    if language and not checker.recogniser.supports(language):
        return None
    return checker.recogniser.transcribe(wave, language, word_times=True)


def _compare(checker: SpeechChecker, wave: Wave, text: str, language: str) -> WordErrors | None:
    try:
        return checker.compare(wave, text, language)
    except ModelUnavailable as error:  # a transcript that cannot be checked is believed
        _log.warning("a transcript was not compared with its recording: %s", error.message)
        return None


def _align(
    aligners: Aligners, checker: SpeechChecker | None, wave: Wave, text: str, language: str
) -> Sequence[WordTiming]:
    """By an aligner, which is more exact, else by the word times of the recogniser."""
    found = aligners.align(wave, text, language).words
    return found if found or checker is None else checker.align(wave, text, language)
