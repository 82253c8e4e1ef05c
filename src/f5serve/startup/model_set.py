"""The models of F5_MODELS beside the first one, and how each is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from f5serve.errors import F5Error
from f5serve.models.cache_dirs import cache_dirs
from f5serve.models.installed import ModelFiles
from f5serve.models.local import find
from f5serve.models.own_models import known_models
from f5serve.models.registry import ModelSpec
from f5serve.process import memory_limit
from f5serve.settings import Settings, on_runpod
from f5serve.startup.loader import LoadOptions, load
from f5serve.startup.timeline import Timeline
from f5serve.startup.weights import should_download

if TYPE_CHECKING:
    from f5serve.models.disk import Progress
    from f5serve.synthesis.synthesizer import Synthesizer

ALL = "all"
"""In F5_MODELS: every model that is on this machine."""

PRELOAD = ":preload"
"""Behind a name in F5_MODELS: load it at the start."""

CPU_SHARE, GPU_SHARE = 0.6, 0.8
"""Parts of the memory that models may take where F5_MODEL_MEMORY is 0: steps need the rest."""


class ModelSet:
    """A `service.ModelSource` by the settings.

    Args:
        options: as the first model is loaded with; the others share its device.
    """

    def __init__(self, settings: Settings, options: LoadOptions) -> None:
        self._settings, self._options = settings, options
        self._registry = options.registry or known_models(settings)
        asked = [name.strip() for name in settings.models.split(",") if name.strip()]
        self._caches = [cache.path for cache in cache_dirs(settings, on_runpod())]
        self.preloaded = tuple(n.removesuffix(PRELOAD) for n in asked if n.endswith(PRELOAD))
        self._asked = tuple(name.removesuffix(PRELOAD) for name in asked)
        for name in self._asked:
            if name != ALL:
                self._registry.get_model(name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The first model, then those of F5_MODELS in their order."""
        first = self._settings.ckpt.stem if self._settings.ckpt else self._settings.model
        found = [first]
        for name in self._asked:
            found += self._here() if name == ALL else [name]
        return tuple(dict.fromkeys(found))

    @property
    def memory_bytes(self) -> int:
        """F5_MODEL_MEMORY, or a part of what the device has."""
        if self._settings.model_memory_gb:
            return int(self._settings.model_memory_gb * 1e9)
        shared = self._options.device.shared
        if shared is not None and shared.device.type == "cuda":
            return int(GPU_SHARE * shared.memory_bytes)
        return int(CPU_SHARE * memory_limit())

    def speaks(self, name: str, language: str) -> bool:
        """By the languages that the registry names."""
        spec = self._spec(name)
        return spec is not None and language in spec.languages

    def needs_bytes(self, name: str) -> int:
        """The size of its files, which is what they take unless their precision is changed."""
        spec, here = self._spec(name), self._find(name)
        if here is not None:
            return here.weights.stat().st_size
        return sum(file.size or 0 for file in spec.files if file.role == "weights") if spec else 0

    def load(self, name: str, on_loaded: Callable[[float], None]) -> Synthesizer:
        """Load a model; fetches it first where `should_download` says so.

        Raises:
            F5Error: as `startup.load`.
        """

        def on_progress(progress: Progress) -> None:
            if progress.total:
                on_loaded(progress.done / progress.total)

        settings = self._settings
        if name != self.names[0]:  # F5_CKPT and the stand-in are of the first model alone
            settings = replace(settings, model=name, ckpt=None, vocab=None, arch="")
            fetch = "always" if should_download(settings) else "never"
            settings = replace(settings, engine="f5", fetch_models=fetch)
        options = replace(
            self._options, spec=None, weights="", timeline=Timeline(), on_progress=on_progress
        )
        return load(settings, options).synthesizer

    def _spec(self, name: str) -> ModelSpec | None:
        try:
            return self._registry.get_model(name)
        except F5Error:  # a checkpoint of one's own
            return None

    def _here(self) -> list[str]:
        return [spec.id for spec in self._registry.models if self._find(spec.id)]

    def _find(self, name: str) -> ModelFiles | None:
        """The model on this machine."""
        if self._spec(name) is None:
            return None
        folders = [self._settings.models_dir, *self._caches]
        found = (find(name, folder, self._registry) for folder in folders)
        return next(filter(None, found), None)
