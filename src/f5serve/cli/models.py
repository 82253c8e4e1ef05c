"""`f5serve models`: list, register, pull, verify, convert, push and sync weights.

Paths, verdicts or JSON go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from f5serve.cli.model_options import MODEL_DTYPES
from f5serve.cli.output import ProgressBar
from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.models.aligners import ALIGNER, pull_aligner
from f5serve.models.bucket import published_ids, sync
from f5serve.models.disk import cannot_write, format_bytes
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.installed import (
    ModelFiles,
    find_installed,
    read_version,
    remove_other_versions,
)
from f5serve.models.local import (
    FileCheck,
    find,
    find_published,
    get_published,
    is_converted,
    verify,
)
from f5serve.models.own_models import add_own, known_models, remove_own
from f5serve.models.publish import (
    PublishResult,
    collect_files,
    converted_path,
    install_converted,
    publish,
)
from f5serve.models.registry import (
    ANY_VOCAB,
    UNKNOWN_LICENSE,
    ModelSpec,
    Registry,
    check_usable,
    parse_spec,
)
from f5serve.settings import Settings
from f5serve.store.config import open_store

_SHOWN_LANGUAGES = 4


def run(args: argparse.Namespace, settings: Settings, registry: Registry | None = None) -> int:
    """Run one action; returns the exit code.

    Args:
        registry: of the models; None is `known_models`.

    Raises:
        F5Error: as the action does; the command line reports it.
    """
    action = {
        "list": _list,
        "add": _add,
        "remove": _remove,
        "pull": _pull,
        "verify": _verify,
        "convert": _convert,
        "push": _push,
        "sync": _sync,
    }[args.action]
    return action(args, settings, registry or known_models(settings))


def _list(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """The models of the registry; with --store, which of them are in the store."""
    stored = published_ids(open_store(settings)) if args.store else None
    specs = [
        spec
        for spec in (*registry.models, *(() if args.language else (registry.vocoder,)))
        if (not args.language or args.language in spec.languages)
        and (spec.commercial or not args.commercial)
    ]
    rows = [_row(spec, settings, registry, stored) for spec in specs]
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        heads = ("MODEL", "LANGUAGES", "LICENCE", "HERE", "VERIFIED")
        _print_table([(*heads, "STORE") if args.store else heads, *map(_cells, rows)])
        for spec in specs:
            if spec.text_note:
                print(f"{spec.id}: {spec.text_note}")
    if registry.damage is None:
        return 0
    _log(f"error: {registry.damage.message} {registry.damage.hint}")
    return registry.damage.exit_code


def _row(
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
        "on_disk": _form_of(here, settings.models_dir) if here else None,
        "text": asdict(spec.text),
        "source": spec.source,
        "verified": spec.verified,
        "note": spec.remarks,
    }
    return row if stored is None else {**row, "in_store": spec.id in stored}


def _form_of(here: ModelFiles, models_dir: Path) -> str:
    """In which form a model is used, of those that are here."""
    version = read_version(here.weights.parent)
    if version is not None and version.manifest.about.version:  # of the f5serve that pushed it
        return "synced"
    return "converted" if is_converted(here, models_dir) else "published"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    cells = (
        row["id"],
        _shorten(row["languages"]) or "-",
        row["license"],
        row["on_disk"] or "absent",
        "yes" if row["verified"] else "no",
    )
    return (*cells, "yes" if row["in_store"] else "-") if "in_store" in row else cells


def _shorten(languages: list[str]) -> str:
    shown = languages[:_SHOWN_LANGUAGES]
    more = len(languages) - len(shown)
    return " ".join([*shown, *([f"+{more}"] if more else [])])


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def _add(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """Register a model of one's own."""
    files = [
        {"role": "weights", "path": args.file},
        {"role": "vocab", "path": args.vocab or ANY_VOCAB},
    ]
    entry = {
        "id": args.name,
        "repo": args.repo,
        "files": files,
        "arch": args.arch,
        "license": args.license or UNKNOWN_LICENSE,
        "commercial": args.commercial,
        "languages": args.language,
        "text": {"lower_case": args.lower_case, "prefix": args.prefix},
        "source": "models add",
    }
    try:
        spec = parse_spec(entry | ({"revision": args.revision} if args.revision else {}))
    except ValueError as error:
        raise InvalidRequest(
            f"That model cannot be registered: {error}.",
            code="BAD_OPTION",
            hint="See: f5serve models add --help.",
        ) from None
    path = add_own(spec, settings.models_dir)
    _log(f"{spec.id} is registered in {path}. Next: f5serve models pull {spec.id}")
    print(json.dumps(asdict(spec)) if args.json else spec.id)
    return 0


def _remove(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """Forget a model of one's own."""
    path = remove_own(args.name, settings.models_dir)
    _log(f"{args.name} is no longer in {path}; weights that were pulled stay on the disk.")
    print(json.dumps({"id": args.name}) if args.json else args.name)
    return 0


def _pull(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    source = HubSource(settings.hub_endpoint, settings.hub_token, settings.hub_timeout_s)
    if args.model in ("aligner", ALIGNER.id):
        _log(f"{ALIGNER.id}: {ALIGNER.license}, which permits commercial use. {ALIGNER.note}")
        with ProgressBar() as progress:
            folder = pull_aligner(source, settings.models_dir, progress)
        print(json.dumps({"aligner": str(folder)}) if args.json else f"aligner  {folder}")
        return 0
    spec = registry.get(args.model)
    check_usable(spec, settings.require_commercial_license)
    permits = "permits" if spec.commercial else "does not permit"
    _log(f"{spec.id}: {spec.license}, which {permits} commercial use.")
    if spec.remarks:
        _log(f"{spec.id}: {spec.remarks}")
    wanted = [file for file in (*spec.files, *registry.vocoder.files) if file.role != "config"]
    sizes = [file.size for file in wanted if file.size]
    if len(sizes) == 3 and not find_published(spec.id, settings.models_dir, registry=registry):
        _log(f"{spec.id}: {format_bytes(sum(sizes))} to download, with its vocoder.")
    with ProgressBar() as progress:
        files = pull(spec.id, source, settings.models_dir, progress, registry)
    _print_files(files, args.json)
    return 0


def _print_files(files: ModelFiles, as_json: bool) -> None:
    """Print where the parts of a model are."""
    answer = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(files).items()}
    if as_json:
        print(json.dumps(answer, indent=1))
    else:
        for name in ("weights", "vocab", "vocoder"):
            print(f"{name:8} {answer[name]}")


def _verify(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    here = settings.models_dir
    names = args.models or [m.id for m in registry.models if find(m.id, here, registry=registry)]
    if not names:
        _log("No model is on this machine.")
    checks: dict[Path, FileCheck] = {}
    for name in names:
        with ProgressBar() as progress:
            found = verify(name, here, progress, registry)
        checks |= {check.path: check for check in found}
    _print_checks(list(checks.values()), args.json)
    bad = any(check.state in ("changed", "missing") for check in checks.values())
    return ModelUnavailable.exit_code if bad else 0


def _print_checks(checks: list[FileCheck], as_json: bool) -> None:
    if as_json:
        print(
            json.dumps([{**asdict(check), "path": str(check.path)} for check in checks], indent=1)
        )
        return
    for check in checks:
        print(f"{check.state:8} {check.path}")
        if check.state == "changed":
            print(f"         expected {check.expected}\n         found    {check.actual}")


def _convert(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    given, spec, published = Path(args.model), None, None
    if given.is_file():
        weights, arch = given, args.arch
        out = args.output or given.with_name(f"{given.stem}.f5serve.safetensors")
    elif given.suffix or given.parent != Path():
        raise InvalidRequest(
            f"There is no file {args.model}.", code="NO_SUCH_FILE", hint="Look at its path."
        )
    else:
        spec = registry.get_model(args.model)
        check_usable(spec, settings.require_commercial_license)
        published = get_published(spec.id, settings.models_dir, registry)
        weights, arch = published.weights, args.arch or spec.arch
        out = args.output or converted_path(settings.models_dir, spec.id)
    if not arch:
        raise InvalidRequest(
            "The architecture of that checkpoint is not known.",
            code="ARCH_REQUIRED",
            hint="Name it with --arch, e.g. F5TTS_v1_Base; v0 and v1 files look alike.",
        )
    _convert_file(weights, arch, out, spec.license if spec else "", args.dtype)
    if spec and published and not args.output:
        out = install_converted(spec, out, published, settings.models_dir).weights
    size = out.stat().st_size
    answer = {"output": str(out), "arch": arch, "size": size, "source": str(weights)}
    print(json.dumps(answer) if args.json else f"{out}  {format_bytes(size)}")
    return 0


def _convert_file(weights: Path, arch: str, out: Path, license: str, dtype: str) -> None:
    """Write the artifact of a checkpoint; `dtype` is "fp16" or "fp32".

    Raises:
        ModelUnavailable: ENGINE_NOT_INSTALLED, or as the engine.
        StorageFailed: NO_SPACE, NOT_WRITABLE or OUTPUT_UNWRITABLE.
    """
    try:
        from f5serve.engine.convert import convert
    except ImportError as error:
        raise ModelUnavailable(
            f"Weights are converted with the engine, and {error.name} is not installed.",
            code="ENGINE_NOT_INSTALLED",
            hint="Install it: pip install 'f5serve[engine]'.",
        ) from None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out.parent, 0, error) from None
    _log(f"Converting {weights.name} as {arch}; this takes a minute.")
    convert(weights, arch, out, license=license, dtype=MODEL_DTYPES[dtype])


def _push(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """Publish a model of this machine."""
    spec = _model(args.model, settings, registry)

    def convert(weights: Path, out: Path, form: str) -> None:
        _convert_file(weights, spec.arch, out, spec.license, form)

    plan = collect_files(spec.id, args.dtype, settings.models_dir, convert, registry)
    store = open_store(settings)
    _log(f"Publishing {spec.id} ({args.dtype}) into {store.describe()}.")
    with ProgressBar() as progress:
        published = publish(store, plan, progress, args.again)
    print(json.dumps(_as_dict(published)) if args.json else _as_line(published))
    return 0


def _sync(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    """Bring a model from the store onto this machine."""
    spec = _model(args.model, settings, registry)
    store = open_store(settings)
    with ProgressBar() as progress:
        files = sync(store, spec.id, settings.models_dir, progress)
    version = find_installed(spec.id, settings.models_dir) if args.remove_others else None
    if version is not None:
        remove_other_versions(version)
    _print_files(files, args.json)
    return 0


def _model(name: str, settings: Settings, registry: Registry) -> ModelSpec:
    spec = registry.get_model(name)
    check_usable(spec, settings.require_commercial_license)
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
    made = f"{manifest.about.model}: {format_bytes(manifest.size)} in {len(manifest.files)} files"
    sent = f"{format_bytes(published.sent_bytes)} sent" if published.sent else "all of it was there"
    state = "now current" if published.changed else "current as before"
    return f"{made}, {sent}; manifest {manifest.sha256[:16]}, {state}"


def _log(sentence: str) -> None:
    print(sentence, file=sys.stderr)
