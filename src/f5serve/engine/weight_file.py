"""Weight files on disk: what they hold, without reading the weights; then tensors by short name.

`.safetensors` and `.pt` files look the same from here. Prefixes and nesting of the published
checkpoints are removed, and entries that are no weights of the backbone are left out.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from f5serve.errors import ModelUnavailable

_NESTS = ("ema_model_state_dict", "model_state_dict", "state_dict")
_PREFIXES = ("module.", "ema_model.", "transformer.")
_NOT_WEIGHTS = ("initted", "step", "mel_spec.", "rotary_embed.")
_SAFE_TORCH = (2, 10)

OpenTensors = Callable[[], AbstractContextManager[Mapping[str, Tensor]]]
"""Opens weights for a while: tensors by short name."""


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A weight file that has been looked at, not read.

    Attributes:
        shapes: short name -> shape.
        stored: short name -> name in the file.
        metadata: what a safetensors header carries; empty for .pt files.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    stored: Mapping[str, str] = field(repr=False)
    metadata: Mapping[str, str]

    @classmethod
    def inspect(cls, path: Path) -> CheckpointFile:
        """Read names, shapes and metadata.

        Raises:
            ModelUnavailable: codes MODEL_MISSING, CHECKPOINT_DAMAGED, TORCH_TOO_OLD.
        """
        if not path.is_file():
            raise ModelUnavailable(
                f"There is no weight file {path}.",
                code="MODEL_MISSING",
                hint="Check the path, or pull the weights with `f5serve models pull`.",
            )
        with _damage_named(path):
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    shapes = {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}  # noqa: SIM118
                    metadata = dict(file.metadata() or {})
            else:
                shapes = {k: tuple(v.shape) for k, v in _load_pickle(path).items()}
                metadata = {}
        stored = {_short(name): name for name in shapes}
        stored = {k: v for k, v in stored.items() if not k.startswith(_NOT_WEIGHTS)}
        return cls(path, {k: shapes[v] for k, v in stored.items()}, stored, metadata)

    @contextmanager
    def open(self) -> Iterator[Mapping[str, Tensor]]:
        """Tensors by short name, mapped from the file; read when first touched.

        Leaving the context lets the pages go, except those that a tensor still uses.
        """
        if self.path.suffix == ".safetensors":
            with _damage_named(self.path):
                file = safe_open(self.path, framework="pt")
            with file:
                yield _Lazy(file, self.stored)
        else:
            with _damage_named(self.path):
                tensors = _load_pickle(self.path)
            yield {short: tensors[name] for short, name in self.stored.items()}


class _Lazy(Mapping[str, Tensor]):
    """Tensors of an open safetensors file, made when asked for."""

    def __init__(self, file: Any, stored: Mapping[str, str]) -> None:
        self._file = file
        self._stored = stored

    def __getitem__(self, short: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(self._stored[short])
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def _short(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _load_pickle(path: Path) -> dict[str, Tensor]:
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _SAFE_TORCH:
        raise ModelUnavailable(
            f"torch {torch.__version__} cannot read {path.name} safely.",
            code="TORCH_TOO_OLD",
            hint="Install torch 2.10 or newer, or use the .safetensors file of the model.",
        )
    loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    for nest in _NESTS:
        if isinstance(loaded, dict) and isinstance(loaded.get(nest), dict):
            loaded = loaded[nest]
    return {k: v for k, v in loaded.items() if isinstance(v, Tensor)}


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else "cut short"
        raise ModelUnavailable(
            f"{path.name} cannot be read as a weight file: {first_line}",
            code="CHECKPOINT_DAMAGED",
            hint="Delete the file and fetch it again; `f5serve models verify` tells which are bad.",
        ) from None
