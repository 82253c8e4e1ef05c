"""Models that are on this machine already, in any of several folders, and whether they are whole.

A model id and folders flow in, `Nearby`s flow out, those with converted weights first, within
milliseconds; `damage` then hashes the one that is about to be used. This module must not know
stores or the hub.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.errors import StorageFailed
from f5serve.models import records, synced
from f5serve.models.find import ARTIFACTS_FOLDER, ModelFiles, artifact_path, find
from f5serve.models.hashes import OnProgress, quiet
from f5serve.models.quarantine import put_aside
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.models.sync import verify_synced
from f5serve.models.verify import artifact_id, changed

_log = logging.getLogger(__name__)

Kind = Literal["baked", "cache", "tier"]


@dataclass(frozen=True, slots=True)
class Nearby:
    """A model that seems to be whole, going by names and sizes.

    Attributes:
        kind: baked into the image, in the cache of another program, or fetched earlier.
        folder: laid out as F5_MODELS_DIR; where records about the model are.
    """

    kind: Kind
    folder: Path
    files: ModelFiles

    @property
    def where(self) -> Path:
        """What to tell people."""
        return self.files.weights.parent if self.kind == "cache" else self.folder

    @property
    def is_converted(self) -> bool:
        """Whether the weights are what `models convert` wrote, or what was put into the store."""
        homes = (self.folder / ARTIFACTS_FOLDER, self.folder / synced.SYNCED_FOLDER)
        return any(self.files.weights.is_relative_to(home) for home in homes)


def look(
    model_id: str, models_dir: Path, tiers: Sequence[Path], registry: Registry = PUBLISHED
) -> list[Nearby]:
    """What is here of a model, best first.

    Args:
        models_dir: F5_MODELS_DIR; it counts as baked unless it is one of the tiers.
        tiers: folders that are written to at run time.
    """
    found = []
    for folder in dict.fromkeys((models_dir, *tiers)):
        with contextlib.suppress(OSError):  # a folder that may not be read holds nothing for us
            if files := find(model_id, folder, registry=registry):
                own: Kind = "tier" if folder in tiers else "baked"
                inside = files.weights.is_relative_to(folder)
                found.append(Nearby(own if inside else "cache", folder, files))
    return sorted(found, key=lambda one: not one.is_converted)


def damage(
    one: Nearby, on_progress: OnProgress = quiet, registry: Registry = PUBLISHED
) -> list[str]:
    """What is wrong with a model, each in a few words; empty when every known hash is right.

    The image's own files are taken as they are: whoever made it has checked them, and it does not
    change. A damaged file in a folder of ours is put aside, and so is absent next time.
    """
    if one.kind == "baked":
        return []
    if one.files.weights.is_relative_to(one.folder / synced.SYNCED_FOLDER):
        whole = verify_synced(one.folder, one.files.model, on_progress)
        if whole == one.files:
            return []
        return [f"{one.files.weights.parent.name} is damaged, or was just replaced"]
    try:
        wrong = changed(one.files, one.folder, on_progress, registry)
    except StorageFailed as error:
        return [error.message.rstrip(".")]
    for path in wrong:
        aside = put_aside(path, one.folder) if path.is_relative_to(one.folder) else None
        if aside and path == artifact_path(one.folder, one.files.model):
            record = records.path(one.folder, artifact_id(one.files.model))
            _log.warning("to use it all the same: rename it to %s and remove %s", path, record)
    return [f"{path.name} is damaged" for path in wrong]
