"""What processes of the tests do at the same time: get one model onto one small disk."""

from __future__ import annotations

from pathlib import Path

from f5serve.errors import F5Error
from f5serve.models.cache_dirs import CacheDir
from f5serve.models.resolve import ModelSources, resolve_model
from f5serve.store.local import LocalStore
from tests.models.conftest import REGISTRY


def get_model(store: Path, tiers: list[Path]) -> tuple[str, str]:
    """Where the model lies in the end and its source, or the code of the error and ""."""
    places = ModelSources(
        models_dir=tiers[0] / "no image",
        cache_dirs=tuple(CacheDir(tier) for tier in tiers),
        open_store=lambda: LocalStore(store),
    )
    try:
        got = resolve_model("pinned", places, registry=REGISTRY)
    except F5Error as error:
        return error.code, ""
    return str(got.folder), got.source
