"""The doctor's visit to the store: a trial of it, and what it holds that cannot be read.

Facts of the machine flow in, facts of its store flow out. Nothing is changed but a small object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from f5serve.doctor.checks_environ import uses_bucket
from f5serve.doctor.facts import Facts, JobFacts, StoreFacts, VoiceFacts
from f5serve.errors import F5Error
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.store.base import ObjectStore

_VOICE_RECORDS = "voices/_records/"
_JOBS = 100
"""Newest jobs whose records are read."""


def try_store_of(facts: Facts) -> tuple[StoreFacts, VoiceFacts | None, JobFacts | None]:
    """What a trial of the store, its voices and its newest jobs tell."""
    from f5serve.doctor.store_trial import try_store, unopened
    from f5serve.store.config import open_store

    settings = facts.settings
    is_shared = uses_bucket(settings)
    try:
        store = open_store(settings)
    except F5Error as error:
        return unopened(error, is_shared), None, None
    found = try_store(store, is_shared, settings.s3_ca_bundle)
    if found.step in ("put", "get"):
        return found, None, None
    return found, _look_at_voices(settings, store), _look_at_jobs(store)


def _look_at_jobs(store: ObjectStore) -> JobFacts | None:
    """Which records of the newest jobs cannot be read; None where they cannot be listed."""
    from f5serve.jobs.history import RecentJobs
    from f5serve.jobs.store import JobStore

    job_store = JobStore(store)
    try:
        RecentJobs(job_store, lambda name, snapshot: name).page(_JOBS)
    except F5Error:
        return None
    damage = job_store.reader.damage
    return JobFacts(damage.counts(), damage.first())


def _look_at_voices(settings: Settings, store: ObjectStore) -> VoiceFacts:
    from f5serve.voices.library import open_library

    try:
        named = {record.name for record in open_library(settings, store).list(update_index=False)}
        records = sum(entry.key.endswith(".json") for entry in store.list(_VOICE_RECORDS))
    except F5Error as error:
        return VoiceFacts(code=error.code, message=error.message, hint=error.hint)
    return VoiceFacts(len(named), max(0, records - len(named)))
