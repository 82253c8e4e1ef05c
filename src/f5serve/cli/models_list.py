"""`f5serve models list`: what can be had, under which licence, what is here and in the store.

Settings flow in, a table or JSON on stdout flows out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterable
from typing import Any

from f5serve.models.bucket import published_ids
from f5serve.models.disk import format_bytes
from f5serve.models.local import ModelFiles, artifact_path, find, find_published
from f5serve.models.registry import ModelSpec, Registry
from f5serve.settings import Settings
from f5serve.store.config import open_store


def show(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """Print every model of the registry; with --store, which of them are in the store.

    Raises:
        F5Error: the store does not answer.
    """
    stored = published_ids(open_store(settings)) if args.store else None
    specs = (*registry.models, registry.vocoder)
    rows = [_describe(spec, settings, registry, stored) for spec in specs]
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    heads = ("MODEL", "LANGUAGES", "LICENCE", "COMMERCIAL", "SIZE", "HERE")
    _print_table([(*heads, "STORE") if args.store else heads, *map(_cells, rows)])
    return 0


def _describe(
    spec: ModelSpec, settings: Settings, registry: Registry, stored: Collection[str] | None
) -> dict[str, Any]:
    is_model = spec is not registry.vocoder
    here = find(spec.id, settings.models_dir, registry=registry) if is_model else None
    sizes = [file.size for file in spec.files if file.role in ("weights", "vocoder")]
    row = {
        "id": spec.id,
        "repo": spec.repo,
        "revision": spec.revision,
        "arch": spec.arch,
        "languages": list(spec.languages),
        "license": spec.license,
        "commercial": spec.commercial,
        "size": here.weights.stat().st_size if here else next(iter(sizes), None),
        "on_disk": _form(here, settings, registry) if here else None,
        "note": spec.note,
    }
    return row if stored is None else {**row, "in_store": spec.id in stored}


def _form(here: ModelFiles, settings: Settings, registry: Registry) -> str:
    """In which form a model is used, of those that are here."""
    if here.weights == artifact_path(settings.models_dir, here.model):
        return "converted"
    published = find_published(here.model, settings.models_dir, registry=registry)
    return "published" if here == published else "synced"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    cells = (
        row["id"],
        " ".join(row["languages"]) or "-",
        row["license"],
        "yes" if row["commercial"] else "no",
        format_bytes(row["size"]) if row["size"] else "?",
        row["on_disk"] or "-",
    )
    return (*cells, "yes" if row["in_store"] else "-") if "in_store" in row else cells


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
