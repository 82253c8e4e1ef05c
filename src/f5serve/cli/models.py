"""`f5serve models`: list, pull, verify, convert, push and sync weights.

Arguments and settings flow in, paths, verdicts or JSON on stdout and an exit code flow out; what is
going on is told on stderr. What a model is and how it gets here is in `models`; `list`, `push`
and `sync` are in modules of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from f5serve.cli.meter import Meter
from f5serve.cli.models_parser import DTYPES
from f5serve.errors import F5Error, InvalidRequest, ModelUnavailable
from f5serve.models.disk import cannot_write, format_bytes
from f5serve.models.local import ModelFiles, artifact_path, find, find_published, get_published
from f5serve.models.registry import PUBLISHED, ModelSpec, Registry, check_license
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.models.verify import FileCheck


def run(args: argparse.Namespace, settings: Settings, registry: Registry = PUBLISHED) -> int:
    """Run one action; returns the exit code.

    Raises:
        F5Error: as the action does; the command line reports it.
    """
    from f5serve.cli import models_list as cli_models_list
    from f5serve.cli import models_store as cli_models_store

    action = {
        "list": cli_models_list.show,
        "pull": _pull,
        "verify": _verify,
        "convert": _convert,
        "push": cli_models_store.push,
        "sync": cli_models_store.pull_from_store,
    }[args.action]
    return action(args, settings, registry)


def _pull(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    from f5serve.models.hub import pull
    from f5serve.models.hub_client import HubSource

    spec = registry.get(args.model)
    check_license(spec, settings.require_commercial_license)
    tell(f"{spec.id}: {_license(spec)}")
    if spec.note:
        tell(f"{spec.id}: {spec.note}")
    wanted = [file for file in (*spec.files, *registry.vocoder.files) if file.role != "config"]
    sizes = [file.size for file in wanted if file.size]
    if len(sizes) == 3 and not find_published(spec.id, settings.models_dir, registry=registry):
        tell(f"{spec.id}: {format_bytes(sum(sizes))} to download, with its vocoder.")
    source = HubSource(settings.hub_endpoint, settings.hub_token, settings.hub_timeout_s)
    with Meter() as meter:
        files = pull(spec.id, source, settings.models_dir, meter, registry)
    print_files(files, args.json)
    return 0


def _license(spec: ModelSpec) -> str:
    permits = "permits" if spec.commercial else "does not permit"
    return f"{spec.license}, which {permits} commercial use."


def print_files(files: ModelFiles, as_json: bool) -> None:
    """Print where the parts of a model are."""
    said = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(files).items()}
    if as_json:
        print(json.dumps(said, indent=1))
    else:
        for name in ("weights", "vocab", "vocoder"):
            print(f"{name:8} {said[name]}")


def _verify(args: argparse.Namespace, settings: Settings, registry: Registry) -> int:
    from f5serve.models.verify import verify

    here = settings.models_dir
    names = args.models or [m.id for m in registry.models if find(m.id, here, registry=registry)]
    if not names:
        tell("No model is on this machine.")
    checks: dict[Path, FileCheck] = {}
    for name in names:
        with Meter() as meter:
            found = verify(name, here, meter, registry)
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
    from f5serve.models.verify import record_artifact

    given = Path(args.model)
    if given.is_file():
        weights, arch, license, model_id = given, args.arch, "", ""
        out = args.output or given.with_name(f"{given.stem}.f5serve.safetensors")
    elif given.suffix or given.parent != Path():
        raise _wrong_argument(
            f"There is no file {args.model}.", "NO_SUCH_FILE", "Look at its path."
        )
    else:
        spec = registry.get_model(args.model)
        check_license(spec, settings.require_commercial_license)
        weights, license, model_id = (
            get_published(spec.id, settings.models_dir, registry).weights,
            spec.license,
            spec.id,
        )
        arch, out = (
            args.arch or spec.arch,
            args.output or artifact_path(settings.models_dir, spec.id),
        )
    if not arch:
        raise _wrong_argument(
            "The architecture of that checkpoint is not known.",
            "ARCH_REQUIRED",
            "Name it with --arch, e.g. F5TTS_v1_Base; a file does not tell v0 from v1.",
        )
    convert_file(weights, arch, out, license, args.dtype)
    if model_id and out == artifact_path(settings.models_dir, model_id):
        record_artifact(settings.models_dir, model_id)
    size = out.stat().st_size
    said = {"output": str(out), "arch": arch, "size": size, "source": str(weights)}
    print(json.dumps(said) if args.json else f"{out}  {format_bytes(size)}")
    return 0


def _wrong_argument(message: str, code: str, hint: str) -> F5Error:
    return InvalidRequest(message, code=code, hint=hint)


def convert_file(weights: Path, arch: str, out: Path, license: str, dtype: str) -> None:
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
    tell(f"Converting {weights.name} as {arch}; this takes a minute.")
    convert(weights, arch, out, license=license, dtype=DTYPES[dtype])


def tell(sentence: str) -> None:
    """Say on stderr what is going on."""
    print(sentence, file=sys.stderr)
