"""Checkpoints: weight files on disk, and their tensors as a model without a second copy in memory.

Modules are built without storage and take the file's own pages as parameters wherever tensors are
stored as they are used. What has to be made (fused projections, another precision) is made in small
groups, each from a mapping of its own, so that pages already used do not stay resident.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from f5serve.engine.config import ModelConfig, infer_config, parse_config, preset
from f5serve.engine.dit import DiT
from f5serve.engine.schedule import ScheduleCache
from f5serve.engine.unett import UNetT
from f5serve.engine.weight_map import (
    OpenTensors,
    WeightSource,
    checkpoint_shapes,
    is_time_layer,
    random_tensors,
    weight_map,
)
from f5serve.errors import ModelUnavailable

ARTIFACT_FORMAT = "f5serve-1"
SCHEDULE_PREFIX = "schedule."
_GROUP = 24

Backbone = DiT | UNetT


@dataclass(frozen=True, slots=True)
class DeviceAndDtype:
    """Where parameters go and in which precision they are kept.

    Attributes:
        in_place: whether they may stay in the file's pages. Not when they are only the source of
            something else: those pages would stay in memory beside it.
    """

    device: torch.device
    dtype: torch.dtype
    in_place: bool = True


def build(config: ModelConfig) -> Backbone:
    """The modules of `config` without storage."""
    with torch.device("meta"):
        return DiT(config) if config.backbone == "dit" else UNetT(config)


def load(
    path: Path, arch_name: str, placement: DeviceAndDtype, original: Path | None = None
) -> tuple[Backbone, ScheduleCache]:
    """Load a published checkpoint or a converted artifact.

    Args:
        arch_name: a preset; an artifact knows its own and must agree.
        original: the checkpoint an artifact was made from, for schedules it does not carry.

    Raises:
        ModelUnavailable: codes CHECKPOINT_MISMATCH, CHECKPOINT_DAMAGED, MODEL_MISSING.
        InvalidRequest: code UNKNOWN_ARCH.
    """
    file = CheckpointFile.inspect(path)
    if file.metadata.get("format") == ARTIFACT_FORMAT:
        config = _artifact_arch(file, arch_name)
        sources = {k: WeightSource((k,)) for k in file.shapes if not k.startswith(SCHEDULE_PREFIX)}
        precomputed = _precomputed(file, config)
        time_layers = _open_time_layers_of(original, arch_name) if original else None
    else:
        config = validate_keys(file, arch_name)
        sources = weight_map(config)
        precomputed = {}
        time_layers = file.open
    model = build(config)
    load_into(model, materialize(file.open, sources, placement))
    return model, ScheduleCache(config, placement.device, placement.dtype, precomputed, time_layers)


def load_random(
    config: ModelConfig, placement: DeviceAndDtype, seed: int
) -> tuple[Backbone, ScheduleCache]:
    """A model of `config` on random weights, for tests and benchmarks; it speaks noise."""
    tensors = random_tensors(config, seed)
    model = build(config)
    load_into(model, materialize(lambda: nullcontext(tensors), weight_map(config), placement))
    time_layers = {k: v for k, v in tensors.items() if is_time_layer(k)}
    schedules = ScheduleCache(
        config, placement.device, placement.dtype, {}, lambda: nullcontext(time_layers)
    )
    return model, schedules


def validate_keys(file: CheckpointFile, arch_name: str) -> ModelConfig:
    """The architecture of a published checkpoint, every tensor accounted for.

    Raises:
        ModelUnavailable: code CHECKPOINT_MISMATCH, naming keys that are missing, superfluous or
            of another shape.
    """
    config = infer_config(preset(arch_name), file.shapes)
    expected = checkpoint_shapes(config)
    missing = sorted(expected.keys() - file.shapes.keys())
    extra = sorted(file.shapes.keys() - expected.keys())
    wrong = [
        f"{name} is {list(file.shapes[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in file.shapes and file.shapes[name] != shape
    ]
    faults = [
        f"{len(names)} {what}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        for what, names in (("missing", missing), ("unknown", extra), ("of another shape", wrong))
        if names
    ]
    if faults:
        raise ModelUnavailable(
            f"{file.path.name} does not fit {arch_name}; tensors {'; '.join(faults)}.",
            code="CHECKPOINT_MISMATCH",
            hint="Check that the file is complete and that the architecture is the one it was "
            "trained with.",
        )
    return config


def materialize(
    open_tensors: OpenTensors, sources: Mapping[str, WeightSource], placement: DeviceAndDtype
) -> dict[str, Tensor]:
    """Our parameters from a file; those that are stored as they are used may stay in its pages."""
    made: dict[str, Tensor] = {}
    in_file = placement.in_place and placement.device.type == "cpu"
    with open_tensors() as tensors:  # its pages stay mapped as long as a parameter is in them
        for name, source in sources.items():
            if in_file and source.is_zero_copy:
                value = source.load(tensors)
                if value.dtype is placement.dtype:
                    made[name] = value
    rest = [name for name in sources if name not in made]
    for start in range(0, len(rest), _GROUP):
        with open_tensors() as tensors:
            for name in rest[start : start + _GROUP]:
                source = sources[name]
                value = source.load(tensors)
                # What is not made anew is copied, so that the file's pages go.
                copy = source.is_zero_copy
                made[name] = value.to(placement.device, placement.dtype, copy=copy)
    return made


def load_into(model: Backbone, parameters: dict[str, Tensor]) -> None:
    """Give `model` its parameters without copying them.

    Raises:
        ModelUnavailable: code CHECKPOINT_DAMAGED when an artifact does not hold what it should.
    """
    try:
        model.load_state_dict(parameters, assign=True)
    except RuntimeError as error:
        raise ModelUnavailable(
            f"The converted weights do not fit: {str(error).splitlines()[-1].strip()}",
            code="CHECKPOINT_DAMAGED",
            hint="Convert the checkpoint again with `f5serve models convert`.",
        ) from None
    model.requires_grad_(False).eval()


def _artifact_arch(file: CheckpointFile, arch_name: str) -> ModelConfig:
    try:
        config = parse_config(file.metadata.get("architecture", ""))
    except ValueError:
        raise _damaged(file, "its header names no architecture") from None
    if arch_name != config.name:
        raise ModelUnavailable(
            f"{file.path.name} was converted as {config.name}, not as {arch_name}.",
            code="CHECKPOINT_MISMATCH",
            hint=f"Name the architecture {config.name}.",
        )
    return config


def _precomputed(file: CheckpointFile, config: ModelConfig) -> dict[int, Tensor]:
    names: dict[int, str] = {}
    for name, shape in file.shapes.items():
        if name.startswith(SCHEDULE_PREFIX):
            steps = shape[0] if shape else 0
            if name != f"{SCHEDULE_PREFIX}{steps}" or shape[1:] != (
                config.n_modulations,
                config.dim,
            ):
                raise _damaged(file, f"{name} is of the shape {list(shape)}")
            names[steps] = name
    if not names:
        raise _damaged(file, "it holds no schedules")
    with file.open() as tensors:
        return {steps: tensors[name] for steps, name in names.items()}


def _damaged(file: CheckpointFile, why: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{file.path.name} is not a converted checkpoint of this version: {why}.",
        code="CHECKPOINT_DAMAGED",
        hint="Convert the checkpoint again with `f5serve models convert`.",
    )


def _open_time_layers_of(original: Path, arch_name: str) -> OpenTensors:
    """Opens the time layers of the original; it is inspected only when a schedule asks for them."""

    def open_time_layers() -> AbstractContextManager[Mapping[str, Tensor]]:
        file = CheckpointFile.inspect(original)
        validate_keys(file, arch_name)
        return file.open()

    return open_time_layers


_STATE_DICT_KEYS = ("ema_model_state_dict", "model_state_dict", "state_dict")
_PREFIXES = ("module.", "model.", "ema_model.", "transformer.", "_orig_mod.")
"""Of wrappers, in any order and more than once: torch.compile and transformers add their own."""

_NOT_WEIGHTS = ("initted", "step", "mel_spec.", "rotary_embed.", "vocoder.")
_SAFE_TORCH = (2, 10)


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """What a `.safetensors` or `.pt` file holds; its weights are not read.

    Prefixes and nesting of the published checkpoints are removed, and entries that are no weights
    of the backbone are left out.

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
        with _name_damage(path):
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    shapes = {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}  # noqa: SIM118
                    metadata = dict(file.metadata() or {})
            else:
                shapes = {k: tuple(v.shape) for k, v in _load_pickle(path).items()}
                metadata = {}
        # Where a file holds the trained weights as well as their average, the average is taken.
        names = sorted(shapes, key=lambda name: "ema_model." in name)
        stored = {_strip_prefix(name): name for name in names}
        stored = {k: v for k, v in stored.items() if not k.startswith(_NOT_WEIGHTS)}
        return cls(path, {k: shapes[v] for k, v in stored.items()}, stored, metadata)

    @contextmanager
    def open(self) -> Iterator[Mapping[str, Tensor]]:
        """Tensors by short name, mapped from the file; read when first touched.

        Leaving the context lets the pages go, except those that a tensor still uses.
        """
        if self.path.suffix == ".safetensors":
            with _name_damage(self.path):
                file = safe_open(self.path, framework="pt")
            with file:
                yield _Lazy(file, self.stored)
        else:
            with _name_damage(self.path):
                tensors = _load_pickle(self.path)
            yield {short: tensors[name] for short, name in self.stored.items()}


class _Lazy(Mapping[str, Tensor]):
    """Tensors of an open safetensors file, read on access."""

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


def _strip_prefix(name: str) -> str:
    while prefix := next(filter(name.startswith, _PREFIXES), ""):
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
    for key in _STATE_DICT_KEYS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    return {k: v for k, v in loaded.items() if isinstance(v, Tensor)}


@contextmanager
def _name_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else "cut short"
        raise ModelUnavailable(
            f"{path.name} cannot be read as a weight file: {first_line}",
            code="CHECKPOINT_DAMAGED",
            hint="Delete the file and fetch it again; `f5serve models verify` tells which are bad.",
        ) from None
