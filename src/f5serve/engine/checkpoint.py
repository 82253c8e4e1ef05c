"""A weight file becomes a model, without a second copy in memory.

Modules are built without storage and take the file's own pages as parameters wherever the stored
tensor serves as it is. What has to be made (fused projections, another precision) is made in small
groups, each from a mapping of its own, so that pages already used do not stay resident.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from f5serve.engine.config import ModelConfig, infer_config, parse_config, preset
from f5serve.engine.dit import DiT
from f5serve.engine.published import (
    WeightSource,
    checkpoint_shapes,
    is_time_layer,
    random_tensors,
    weight_map,
)
from f5serve.engine.schedule import ScheduleCache
from f5serve.engine.unett import UNetT
from f5serve.engine.weight_file import CheckpointFile, OpenTensors
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


def build(arch: ModelConfig) -> Backbone:
    """The modules of `arch` without storage."""
    with torch.device("meta"):
        return DiT(arch) if arch.backbone == "dit" else UNetT(arch)


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
        arch = _artifact_arch(file, arch_name)
        parts = {k: WeightSource((k,)) for k in file.shapes if not k.startswith(SCHEDULE_PREFIX)}
        shipped = _shipped(file, arch)
        time_layers = _time_layers_of(original, arch_name) if original else None
    else:
        arch = validate_keys(file, arch_name)
        parts = weight_map(arch)
        shipped = {}
        time_layers = file.open
    model = build(arch)
    load_into(model, materialize(file.open, parts, placement))
    return model, ScheduleCache(arch, placement.device, placement.dtype, shipped, time_layers)


def load_random(
    arch: ModelConfig, placement: DeviceAndDtype, seed: int
) -> tuple[Backbone, ScheduleCache]:
    """A model of `arch` on random weights, for tests and benchmarks; it speaks noise."""
    tensors = random_tensors(arch, seed)
    model = build(arch)
    load_into(model, materialize(lambda: nullcontext(tensors), weight_map(arch), placement))
    time_layers = {k: v for k, v in tensors.items() if is_time_layer(k)}
    schedules = ScheduleCache(
        arch, placement.device, placement.dtype, {}, lambda: nullcontext(time_layers)
    )
    return model, schedules


def validate_keys(file: CheckpointFile, arch_name: str) -> ModelConfig:
    """The architecture of a published checkpoint, every tensor accounted for.

    Raises:
        ModelUnavailable: code CHECKPOINT_MISMATCH, naming keys that are missing, superfluous or
            of another shape.
    """
    arch = infer_config(preset(arch_name), file.shapes)
    expected = checkpoint_shapes(arch)
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
    return arch


def materialize(
    open_tensors: OpenTensors, parts: Mapping[str, WeightSource], placement: DeviceAndDtype
) -> dict[str, Tensor]:
    """Our parameters from a file; those that serve as they lie may stay in the file's pages."""
    made: dict[str, Tensor] = {}
    serve = placement.in_place and placement.device.type == "cpu"
    with open_tensors() as tensors:  # its pages stay mapped as long as a parameter lies in them
        for name, part in parts.items():
            if serve and part.is_zero_copy:
                value = part.load(tensors)
                if value.dtype is placement.dtype:
                    made[name] = value
    rest = [name for name in parts if name not in made]
    for start in range(0, len(rest), _GROUP):
        with open_tensors() as tensors:
            for name in rest[start : start + _GROUP]:
                value = parts[name].load(tensors)
                made[name] = value.to(
                    placement.device, placement.dtype, copy=parts[name].is_zero_copy
                )
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
        arch = parse_config(file.metadata.get("architecture", ""))
    except ValueError:
        raise _damaged(file, "its header names no architecture") from None
    if arch_name != arch.name:
        raise ModelUnavailable(
            f"{file.path.name} was converted as {arch.name}, not as {arch_name}.",
            code="CHECKPOINT_MISMATCH",
            hint=f"Name the architecture {arch.name}.",
        )
    return arch


def _shipped(file: CheckpointFile, arch: ModelConfig) -> dict[int, Tensor]:
    rows = 6 * arch.depth + 2 if arch.backbone == "dit" else 1
    names: dict[int, str] = {}
    for name, shape in file.shapes.items():
        if name.startswith(SCHEDULE_PREFIX):
            steps = shape[0] if shape else 0
            if name != f"{SCHEDULE_PREFIX}{steps}" or shape[1:] != (rows, arch.dim):
                raise _damaged(file, f"{name} is of the shape {list(shape)}")
            names[steps] = name
    if not names:
        raise _damaged(file, "it holds no schedules")
    with file.open() as tensors:
        return {steps: tensors[name] for steps, name in names.items()}


def _damaged(file: CheckpointFile, why: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{file.path.name} is no converted checkpoint as this version writes them: {why}.",
        code="CHECKPOINT_DAMAGED",
        hint="Convert the checkpoint again with `f5serve models convert`.",
    )


def _time_layers_of(original: Path, arch_name: str) -> OpenTensors:
    """Opens the time layers of the original; it is looked at only when a schedule asks for them."""

    def open_time_layers() -> AbstractContextManager[Mapping[str, Tensor]]:
        file = CheckpointFile.inspect(original)
        validate_keys(file, arch_name)
        return file.open()

    return open_time_layers
