"""`f5serve lexicon`: lists, shows, changes, imports and exports rules of pronunciation."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.fallback.kokoro import voice_names
from f5serve.settings import Settings
from f5serve.store.config import open_store
from f5serve.text.lexicon_files import MAX_FILE_BYTES, dump_json, dump_pls, read_lexicon
from f5serve.text.lexicon_rules import LexiconRule, parse_rule, parse_selector
from f5serve.voices.bulk_import import read_file
from f5serve.voices.lexicon_records import StoredLexicon
from f5serve.voices.lexicons import LexiconEntry, LexiconLibrary
from f5serve.voices.libraries import open_library

LIBRARY = "library"
"""What lists call the lexicon for all voices."""


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run one action; returns the exit code."""
    library = open_library(settings, open_store(settings))
    lexicons = LexiconLibrary(library.store, library, voice_names())
    actions = {
        "list": _list,
        "show": _show,
        "add": _add,
        "remove": _remove,
        "import": _import,
        "export": _export,
    }
    return actions[args.action](args, lexicons)


def _list(args: argparse.Namespace, lexicons: LexiconLibrary) -> int:
    page = lexicons.page()
    entries = [*page.lexicons]
    while page.next:
        page = lexicons.page(page.next)
        entries += page.lexicons
    if args.json:
        found = [{**asdict(entry), "voice": entry.voice or None} for entry in entries]
        print(json.dumps({"lexicons": found, "count": len(found)}))
        return 0
    for entry in entries:
        print(f"{entry.voice or LIBRARY}: {_describe(entry)}")
    return 0


def _describe(entry: LexiconEntry) -> str:
    if entry.error:
        return f"cannot be read ({entry.error})"
    return f"{entry.rules:,} rule{'' if entry.rules == 1 else 's'}"


def _show(args: argparse.Namespace, lexicons: LexiconLibrary) -> int:
    lexicon = lexicons.get(args.voice)
    if args.json:
        print(json.dumps(_as_dict(lexicon)))
        return 0
    for rule in lexicon.rules:
        print(f"{rule.text} -> {rule.pinyin or rule.alias}{_remark(rule)}")
    if not lexicon.rules:
        print("there are no rules", file=sys.stderr)
    return 0


def _as_dict(lexicon: StoredLexicon) -> dict[str, Any]:
    return {
        "voice": lexicon.voice or None,
        "rules": [rule.as_dict() for rule in lexicon.rules],
        "count": len(lexicon.rules),
        "updated_at": lexicon.updated_at,
        "revision": lexicon.revision,
    }


def _remark(rule: LexiconRule) -> str:
    remarks = [
        "pinyin" if rule.pinyin else "",
        rule.language,
        "these capitals only" if rule.case_sensitive else "",
        "" if rule.word_boundaries else "also inside words",
    ]
    shown = ", ".join(filter(None, remarks))
    return f"  ({shown})" if shown else ""


def _add(args: argparse.Namespace, lexicons: LexiconLibrary) -> int:
    fields = {
        "text": args.text,
        "alias": args.alias,
        "pinyin": args.pinyin,
        "case_sensitive": args.case_sensitive,
        "word_boundaries": not args.inside_words,
        "language": args.language,
    }
    rule = parse_rule(fields)
    changed = lexicons.patch(args.voice, [rule])
    if args.json:
        print(json.dumps({"rule": rule.as_dict(), "count": len(changed.lexicon.rules)}))
        return 0
    verb = "replaced" if changed.replaced else "added"
    print(f"{rule.text} -> {rule.pinyin or rule.alias}{_remark(rule)}: {verb}")
    return 0


def _remove(args: argparse.Namespace, lexicons: LexiconLibrary) -> int:
    selector = parse_selector({"text": args.text, "language": args.language})
    changed = lexicons.patch(args.voice, remove=[selector])
    if not changed.removed:
        where = f"--voice {args.voice}" if args.voice else "the library"
        raise InvalidRequest(
            f"There is no rule for {args.text[:80]!r} in the lexicon of {where}.",
            code="RULE_NOT_FOUND",
            hint="f5serve lexicon show lists the rules; --voice NAME those of a voice.",
        )
    if args.json:
        print(json.dumps({"removed": changed.removed, "count": len(changed.lexicon.rules)}))
        return 0
    print(f"{args.text}: {changed.removed} removed, {len(changed.lexicon.rules):,} left")
    return 0


def _import(args: argparse.Namespace, lexicons: LexiconLibrary) -> int:
    data = (
        sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        if args.file == "-"
        else read_file(Path(args.file), MAX_FILE_BYTES)
    )
    rules = read_lexicon(data)
    if args.replace:
        lexicon = lexicons.put(args.voice, rules)
    else:
        lexicon = lexicons.patch(args.voice, rules).lexicon
    if args.json:
        print(json.dumps({"imported": len(rules), "count": len(lexicon.rules)}))
        return 0
    print(f"{len(rules):,} rules imported, {len(lexicon.rules):,} in the lexicon")
    return 0


def _export(args: argparse.Namespace, lexicons: LexiconLibrary) -> int:
    lexicon = lexicons.get(args.voice)
    data = dump_pls(lexicon.rules) if args.format == "pls" else dump_json(lexicon.rules)
    if args.file == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return 0
    try:
        Path(args.file).write_bytes(data)
    except OSError as error:
        raise StorageFailed(
            f"{args.file} cannot be written: {error.strerror or error}.",
            code="OUTPUT_NOT_WRITTEN",
            hint="Give another file; - is standard output.",
        ) from None
    print(f"{args.file}: {len(lexicon.rules):,} rules", file=sys.stderr)
    return 0
