"""Checks of what f5serve works with: store, job records, voices and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from f5serve.doctor.facts import Facts, ModelFacts, StoreFacts
from f5serve.doctor.findings import Finding, finding, ok

WARN_SKEW_S = 60.0
"""Seconds between two clocks that are worth a warning."""
MAX_SKEW_S = 900.0
"""S3 refuses requests from clocks that are further apart."""
SLOW_S = 10.0
_STEPS = {
    "open": "opening",
    "put": "writing",
    "get": "reading back",
    "url": "signing",
    "delete": "removing",
}
_REFUSED = {
    *["MODEL_MISSING", "UNKNOWN_MODEL", "CHECKPOINT_INCOMPLETE", "LICENSE_FORBIDS"],
    "UNKNOWN_ARCH",
}
"""Reasons for which no engine can be chosen that have a row of their own."""


def check_store(facts: Facts) -> Iterator[Finding]:
    """Whether the store keeps, returns, signs and removes."""
    store = facts.store
    if store is None:
        return
    if store.is_shared and facts.package("boto3") is None:
        yield finding("EXTRA_MISSING", "no boto3")
    elif store.step:
        message, step = f"{store.description}: {store.message}", _STEPS[store.step]
        if store.step == "delete":
            yield finding("STORE_KEEPS", message, step=step, hint=store.hint)
        else:
            failed = finding("STORE_FAILED", message, code=store.code, step=step, hint=store.hint)
            yield replace(failed, exit_code=store.exit_code)
    else:
        yield from _working(store)


def _working(store: StoreFacts) -> Iterator[Finding]:
    if store.tried:
        tried = "put, read, signed and removed" if store.has_urls else "put, read and removed"
        yield ok("store", "store", f"{store.description}: {tried} in {store.seconds:.1f} s")
    if store.url_error:
        yield finding("URL_UNREADABLE", store.url_error)
    if store.skew_s is not None and abs(store.skew_s) > WARN_SKEW_S:
        too_far = abs(store.skew_s) > MAX_SKEW_S
        value = f"{-store.skew_s:+.0f} s"
        yield finding("CLOCK_SKEW", value, level="fatal" if too_far else None)
    if store.seconds > SLOW_S:
        yield finding("STORE_SLOW", f"{store.seconds:.1f} s")


def check_jobs(facts: Facts) -> Iterator[Finding]:
    """Whether the records of the newest jobs can be read."""
    if facts.jobs is not None:
        yield from unreadable_records(facts.jobs.unreadable, facts.jobs.first)


def unreadable_records(counts: Mapping[str, int], first: str) -> Iterator[Finding]:
    """Findings about records that could not be read: their number by code, and one key."""
    for code in ("RECORD_DAMAGED", "RECORD_TOO_NEW"):
        if count := counts.get(code, 0):
            yield finding(code, f"{count}, such as {first}")


def check_voices(facts: Facts) -> Iterator[Finding]:
    """Whether the library can be listed, and all of it be read."""
    voices = facts.voices
    if voices is None:
        return
    if voices.code:
        yield finding("VOICES_FAILED", voices.message, code=voices.code, hint=voices.hint)
        return
    if voices.unreadable:
        total = voices.count + voices.unreadable
        yield finding("VOICES_UNREADABLE", f"{voices.unreadable} of {total}")
    yield ok("voices", "voices", f"{voices.count} in the library, and the built-in one")


def check_models(facts: Facts) -> Iterator[Finding]:
    """What would speak, and whether its files are the ones that were published."""
    models = facts.models
    if models is None:
        return
    if aside := models.put_aside:
        more = f" and {len(aside) - 3} more" if aside[3:] else ""
        yield finding("MODEL_FILES_PUT_ASIDE", ", ".join(map(str, aside[:3])) + more)
    if models.code == "MODEL_MISSING" and models.may_fetch:
        yield _to_fetch(facts)
    elif models.code == "MODEL_MISSING" and not models.engine_installed:
        return  # check_torch reports what is missing first
    elif models.code:
        row = models.code if models.code in _REFUSED else "NO_ENGINE"
        refused = finding(row, models.message, code=models.code, hint=models.hint)
        yield replace(refused, exit_code=models.exit_code)
    elif models.kind != "standin":
        yield _files(models)
    elif facts.settings.engine == "standin":
        yield ok("models", "model", "the built-in speaker, as F5_ENGINE says")
    else:
        value = f"no weights of {facts.settings.model}"
        yield finding("STANDIN_SPEAKS", value, level="warning" if facts.on_runpod else None)


def _to_fetch(facts: Facts) -> Finding:
    offline = facts.variables.get("HF_HUB_OFFLINE", "")
    shared = facts.store is not None and facts.store.is_shared
    if offline.lower() in ("1", "true", "yes", "on") and not shared:
        return finding("OFFLINE_WITHOUT_MODELS", f"HF_HUB_OFFLINE={offline}")
    return finding("MODELS_TO_FETCH", facts.settings.model)


def _files(models: ModelFacts) -> Finding:
    wrong = [file for file in models.files if file.state == "changed"]
    if wrong:
        found = (f"{file.path} is {file.sha256[:16]}" for file in wrong)
        return finding("MODEL_CHANGED", "; ".join(found))
    if models.hash_error:
        return finding("MODEL_NOT_HASHED", models.hash_error)
    states = [file.state for file in models.files]
    counts = [f"{states.count(state)} {state}" for state in ("ok", "unknown") if state in states]
    hashes = f", sha256 {' and '.join(counts)}" if counts else ""
    note = f". {models.note}" if models.note else ""
    return ok("models", "model", f"{models.model}, {len(models.files)} files{hashes}{note}")
