"""`f5serve voices`: lists, adds, imports and removes the voices that `say -v` takes by name."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from f5serve.cli.voice_input import read_ref_text
from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import voice_names
from f5serve.secrets import PUBLIC
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.config import open_store
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.voices.bulk_import import ImportResult, import_folder, read_recording
from f5serve.voices.garbage import GcOptions
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import DEFAULT_NAME, casefold, check_new_style, is_public
from f5serve.voices.records import Consent, VoiceRecord


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run one action; returns the exit code."""
    store = open_store(settings)
    library = SpeechRecognition(settings).library(store)
    if args.action in ("remove", "delete"):
        return _remove(args, library, store if settings.tenant == PUBLIC else None)
    action = {"list": _list, "add": _add, "import": _import, "gc": _gc}[args.action]
    return action(args, library)


def as_dict(record: VoiceRecord, styles: Sequence[str]) -> dict[str, Any]:
    """A voice of the library for machines, with the names that a job's answer has."""
    return {
        "name": record.voice,
        "engine": "any",
        "source": "library",
        "read_only": is_public(record.voice),
        "voice_file": record.voice_file,
        "text_file": record.text_file,
        "size": record.audio.size,
        "last_modified": record.updated_at,
        "duration_s": record.duration_s,
        "language": record.language,
        "normalize": record.normalize,
        "styles": list(styles),
        "consent_by": record.consent.by if record.consent else "",
        "needs_review": record.needs_review,
        "transcript_confidence": record.transcript_confidence,
    }


def _list(args: argparse.Namespace, library: VoiceLibrary) -> int:
    voices: list[dict[str, Any]] = [{"name": DEFAULT_NAME, "engine": "any", "source": "packaged"}]
    records, styles = library.list(), library.all_styles()
    voices += [as_dict(record, styles.get(casefold(record.name), ())) for record in records]
    voices += [{"name": n, "engine": "standin", "source": "standin"} for n in voice_names()]
    if args.json:
        print(json.dumps({"voices": voices, "count": len(voices)}))
        return 0
    for voice in voices:
        print(f"{voice['name']}{_remark(voice)}")
    return 0


def _remark(voice: dict[str, Any]) -> str:
    if voice["source"] == "standin":
        return "  (stand-in speaker)"
    if voice["source"] == "library" and not voice["text_file"]:
        return "  (without a transcript: cannot be used yet)"
    length = "  (read-only)" if voice.get("read_only") else ""
    length += f"  ({voice['duration_s']:.1f} s)" if voice.get("duration_s") else ""
    if voice.get("styles"):
        length += f"  (styles: {', '.join(voice['styles'])})"
    if voice.get("transcript_confidence") is None:
        return length
    return f"{length}  (transcript written by a recogniser: read it)"


def _add(args: argparse.Namespace, library: VoiceLibrary) -> int:
    path = Path(args.file)
    recording = read_recording(path)
    ref_text = read_ref_text(args, path, is_needed=not library.can_transcribe)
    record = library.put(
        *(args.name, recording, ref_text, args.language, _consent(args)),
        normalize=args.normalize,
        style=args.style or "",
    )
    voice = library.get(record.voice, record.style)
    if args.json:
        added = as_dict(record, library.styles(record.voice))
        print(json.dumps(added | {"style": record.style, "warnings": list(voice.warnings)}))
        return 0
    print(f"{_called(record.voice, record.style)}: {record.duration_s:.1f} s kept")
    if record.needs_review:
        print(f"heard: {voice.ref_text}")
        print("hint: if that is wrong, add it again with --ref-text", file=sys.stderr)
    _print_notes(voice.warnings)
    return 0


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _remove(args: argparse.Namespace, library: VoiceLibrary, shared: ObjectStore | None) -> int:
    """Remove a voice; `shared` as in `erase_voice`."""
    style = None if args.style is None else check_new_style(args.style)
    if not args.with_results:
        library.delete(args.name, style)
        removed = {"removed": args.name} | ({"style": style} if style else {})
        print(json.dumps(removed) if args.json else f"{_called(args.name, style)}: removed")
        return 0

    from f5serve.service.erasure import erase_voice  # its package takes pydantic with it

    if style is not None:
        from f5serve.service.voices import with_results_of_style

        raise with_results_of_style()

    def on_progress(looked: int, went: int) -> None:
        print(f"{looked:,} jobs looked at, {went:,} removed", file=sys.stderr, flush=True)

    erased = erase_voice(library, library.store, args.name, on_progress, shared)
    if args.json:
        print(json.dumps({"removed": args.name, "results": asdict(erased)}))
        return 0
    print(
        f"{args.name}: removed, with {erased.jobs} jobs and {erased.cache_entries} cache entries,"
        f" {erased.files} files, {erased.bytes:,} bytes; {erased.consents} recorded consents"
    )
    if erased.at_work:
        print(f"hint: {erased.at_work} jobs are being made now; run it again when they have ended")
    return 0


def _called(name: str, style: str | None) -> str:
    return f"{name}, style {style}" if style else name


def _gc(args: argparse.Namespace, library: VoiceLibrary) -> int:
    on_file = print if args.dry_run and not args.json else None
    swept = library.collect_garbage(GcOptions(dry_run=args.dry_run, on_file=on_file))
    if args.json:
        print(json.dumps({**asdict(swept), "dry_run": args.dry_run}))
        return 0
    verb = "would go" if args.dry_run else "removed"
    print(f"{verb}: {swept.files} recordings and words, {swept.bytes:,} bytes")
    return 0


def _import(args: argparse.Namespace, library: VoiceLibrary) -> int:
    outcomes = []
    for outcome in import_folder(library, Path(args.folder), _consent(args)):
        outcomes.append(outcome)
        if not args.json:
            _print_result(outcome)
    failed = sum(outcome.error is not None for outcome in outcomes)
    if args.json:
        files = _as_dicts(outcomes)
        print(json.dumps({"files": files, "count": len(files), "failed": failed}))
    else:
        print(f"{len(outcomes) - failed} of {len(outcomes)} recordings are voices", file=sys.stderr)
    return InvalidRequest.exit_code if failed else 0


def _print_result(outcome: ImportResult) -> None:
    if outcome.error is None:
        print(f"{outcome.file}: {outcome.status} as {outcome.name}", flush=True)
        _print_notes(outcome.warnings)
    else:
        error = outcome.error
        print(f"{outcome.file}: failed: {error.message} {error.hint}".rstrip(), flush=True)


def _as_dicts(outcomes: Iterable[ImportResult]) -> list[dict[str, Any]]:
    return [
        {"file": outcome.file, "name": outcome.name, "what": outcome.status}
        | ({"warnings": list(outcome.warnings)} if outcome.warnings else {})
        | (outcome.error.as_dict() if outcome.error else {})
        for outcome in outcomes
    ]


def _consent(args: argparse.Namespace) -> Consent | None:
    return None if args.consent_by is None else Consent(args.consent_by)
