"""`f5serve models push` and `sync`: weights of this machine into the store, and back.

Arguments and settings flow in, what came of it on stdout and an exit code flow out; progress is
told on stderr. How it is done is in `models.publish` and `models.bucket`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from f5serve.cli.meter import Meter
from f5serve.cli.models import convert_file, print_files, tell
from f5serve.models.bucket import sync
from f5serve.models.disk import format_bytes
from f5serve.models.local import find_installed, remove_other_versions
from f5serve.models.publish import PublishResult, collect_files, publish
from f5serve.models.registry import ModelSpec, Registry, check_license
from f5serve.settings import Settings
from f5serve.store.config import open_store


def push(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """Publish a model of this machine.

    Raises:
        F5Error: as `collect_files`, `convert_file` and `publish`.
    """
    spec = _model(args.model, settings, registry)

    def convert(weights: Path, out: Path, form: str) -> None:
        convert_file(weights, spec.arch, out, spec.license, form)

    plan = collect_files(spec.id, args.dtype, settings.models_dir, convert, registry)
    store = open_store(settings)
    tell(f"Publishing {spec.id} ({args.dtype}) into {store.describe()}.")
    with Meter() as meter:
        published = publish(store, plan, meter, args.again)
    print(json.dumps(_as_dict(published)) if args.json else _as_line(published))
    return 0


def pull_from_store(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """Bring a model from the store onto this machine.

    Raises:
        F5Error: as `sync`.
    """
    spec = _model(args.model, settings, registry)
    store = open_store(settings)
    with Meter() as meter:
        files = sync(store, spec.id, settings.models_dir, meter)
    version = find_installed(spec.id, settings.models_dir) if args.remove_others else None
    if version is not None:
        remove_other_versions(version)
    print_files(files, args.json)
    return 0


def _model(name: str, settings: Settings, registry: Registry) -> ModelSpec:
    spec = registry.get_model(name)
    check_license(spec, settings.require_commercial_license)
    return spec


def _as_dict(published: PublishResult) -> dict[str, object]:
    manifest = published.manifest
    return {
        "model": manifest.about.model,
        "manifest": manifest.sha256,
        "files": [file.path for file in manifest.files],
        "size": manifest.size,
        "sent": list(published.sent),
        "sent_bytes": published.sent_bytes,
        "changed": published.changed,
    }


def _as_line(published: PublishResult) -> str:
    manifest = published.manifest
    said = f"{manifest.about.model}: {format_bytes(manifest.size)} in {len(manifest.files)} files"
    sent = f"{format_bytes(published.sent_bytes)} sent" if published.sent else "all of it was there"
    state = "now current" if published.changed else "current as before"
    return f"{said}, {sent}; manifest {manifest.sha256[:16]}, {state}"
