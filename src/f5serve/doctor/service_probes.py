"""Probes of what f5serve works with: store, job records, voices, models, kernels and the build.

Nothing is changed; a small object is put into the store and removed.
"""

from __future__ import annotations

import contextlib
import shutil
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from f5serve import build
from f5serve.doctor.checks_settings import uses_bucket
from f5serve.doctor.facts import (
    BuildFacts,
    Facts,
    InstalledFile,
    JobFacts,
    KernelFacts,
    ModelFacts,
    StoreFacts,
    VoiceFacts,
)
from f5serve.doctor.probes import hash_files
from f5serve.doctor.sources import Sources
from f5serve.engine import kernel_files
from f5serve.errors import F5Error, StorageFailed
from f5serve.models.disk import unreadable
from f5serve.models.local import known_hashes, quarantined
from f5serve.models.own_models import known_models
from f5serve.models.registry import Registry, check_usable
from f5serve.settings import Settings
from f5serve.startup.select import EngineSpec, select_engine

if TYPE_CHECKING:
    from f5serve.store.base import ObjectStore

PREFIX = "_meta/probe/"
_FETCH_S = 15.0
_VOICE_RECORDS = "voices/_records/"
_JOBS = 100
"""Newest jobs whose records are read."""


def probe_services(facts: Facts) -> Facts:
    """The facts with those of the store, its voices and its newest jobs."""
    from f5serve.store.config import open_store
    from f5serve.store.namespace import tenant_store

    settings = facts.settings
    is_shared = uses_bucket(settings)
    try:
        store = open_store(settings)
    except F5Error as error:
        return replace(facts, store=_failure(StoreFacts("store", is_shared), "open", error))
    found = probe_store(store, is_shared, settings.s3_ca_bundle)
    if found.step in ("put", "get"):
        return replace(facts, store=found)
    own = tenant_store(store, settings.tenant)
    voices, jobs = _probe_voices(settings, store), _probe_jobs(own)
    return replace(facts, store=found, voices=voices, jobs=jobs)


def probe_store(store: ObjectStore, is_shared: bool, ca_bundle: str = "") -> StoreFacts:
    """Put a small object into the store, read it back, fetch its signed URL and remove it.

    Args:
        is_shared: whether other machines see it.
        ca_bundle: PEM file of the authorities to trust; "" for the system's.
    """
    facts = StoreFacts(description=store.describe(), is_shared=is_shared, tried=True)
    began = time.perf_counter()
    key, content = f"{PREFIX}{uuid.uuid4().hex}", uuid.uuid4().bytes
    step = "put"
    try:
        store.put(key, content)
        step = "get"
        if store.get(key) != content:
            raise StorageFailed(
                "The store returned other data than was written.",
                code="STORE_FORGETS",
                hint="Check that nothing else writes under _meta/probe/.",
            )
        step = "url"
        url = store.url(key, expires_s=60)
        if url.startswith(("http:", "https:")):
            facts = replace(facts, has_urls=True, url_error=_fetch(url, content, ca_bundle))
        facts = replace(facts, skew_s=_skew(store.now))
        step = "delete"
        store.delete(key)
    except F5Error as error:
        facts = _failure(facts, step, error)
        if step != "delete":
            with contextlib.suppress(F5Error):
                store.delete(key)
    return replace(facts, seconds=time.perf_counter() - began)


def _failure(facts: StoreFacts, step: str, error: F5Error) -> StoreFacts:
    return replace(
        facts,
        step=step,
        code=error.code,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
    )


def _fetch(url: str, content: bytes, ca_bundle: str) -> str:
    """Why what a URL leads to is not `content`, or ""."""
    try:
        context = ssl.create_default_context(cafile=ca_bundle or None)
        with urllib.request.urlopen(url, timeout=_FETCH_S, context=context) as answer:
            found = answer.read(len(content) + 1)
    except urllib.error.HTTPError as error:
        error.close()
        return f"the server answered {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))[:200]
    return "" if found == content else "other bytes came"


def _skew(now: Callable[[], float]) -> float:
    """The store's clock less ours; a request in the middle of it takes half its time each way."""
    before = time.time()
    theirs = now()
    return theirs - (before + time.time()) / 2


def _probe_jobs(store: ObjectStore) -> JobFacts | None:
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


def _probe_voices(settings: Settings, store: ObjectStore) -> VoiceFacts:
    from f5serve.voices.libraries import open_library
    from f5serve.voices.names import is_public

    try:
        library = open_library(settings, store)
        found = [record.name for record in library.list(update_index=False)]
        named = {name for name in found if not is_public(name)}
        records = sum(entry.key.endswith(".json") for entry in library.store.list(_VOICE_RECORDS))
    except F5Error as error:
        return VoiceFacts(code=error.code, message=error.message, hint=error.hint)
    return VoiceFacts(len(named), max(0, records - len(named)))


def probe_models(facts: Facts) -> ModelFacts:
    """What `startup.load` would select here, and whether it would download weights first."""
    settings = facts.settings
    registry = known_models(settings)
    may_fetch = _would_fetch(facts)
    known = ModelFacts(kind="", model=settings.model, may_fetch=may_fetch)
    known = replace(
        known,
        needs=_needed(settings.model, registry),
        engine_installed=facts.torch is not None,
        put_aside=tuple(quarantined(settings.models_dir)),
    )
    try:
        spec = select_engine(settings)
        if may_fetch:
            check_usable(registry.get(settings.model), settings.require_commercial_license)
    except F5Error as error:
        return _refused(known, error)
    except OSError as error:  # a folder or name that cannot even be looked at
        return _refused(known, unreadable(settings.ckpt or settings.models_dir, error))
    if spec.files is not None:
        here = _known_files(spec, settings)
        note = "" if settings.ckpt else registry.get(spec.model).remarks
        return replace(known, kind="f5", model=spec.model, files=here, note=note)
    if may_fetch:
        return replace(known, kind="f5", code="MODEL_MISSING")
    speaks = facts.package("onnxruntime") is not None
    return replace(known, kind="standin", engine_installed=speaks)


def _refused(known: ModelFacts, error: F5Error) -> ModelFacts:
    return replace(
        known,
        code=error.code,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
        may_fetch=known.may_fetch and error.code == "MODEL_MISSING",
    )


def _would_fetch(facts: Facts) -> bool:
    """As `startup.weights.should_download`, for the machine that is looked at."""
    settings = facts.settings
    own = settings.ckpt or settings.vocab or settings.arch
    if own or settings.engine == "standin" or settings.fetch_models == "never":
        return False
    asked = settings.fetch_models == "always" or settings.engine == "f5" or facts.on_runpod
    return asked and facts.torch is not None


def _needed(model: str, registry: Registry) -> int:
    """Bytes of a model and its vocoder as published; 0 when they are not known."""
    try:
        files = (*registry.get(model).files, *registry.vocoder.files)
    except F5Error:
        return 0
    return sum(file.size or 0 for file in files)


def _known_files(spec: EngineSpec, settings: Settings) -> tuple[InstalledFile, ...]:
    """Files of the model with the hashes that they must have, as far as they are known."""
    files = spec.files
    assert files is not None
    known: dict[Path, str | None] = dict.fromkeys((files.weights, files.vocab, files.vocoder))
    if settings.ckpt is None:
        known = known_hashes(files, settings.models_dir, known_models(settings))
    return tuple(InstalledFile(path, sha256 or "") for path, sha256 in known.items())


def hash_models(models: ModelFacts, sources: Sources) -> ModelFacts:
    """The facts with the hashes that the model's files have."""
    if not models.files:
        return models
    found, error = hash_files(sources, [file.path for file in models.files])
    files = tuple(replace(file, sha256=found.get(file.path, "")) for file in models.files)
    return replace(models, files=files, hash_error=error)


def probe_kernels(facts: Facts, sources: Sources) -> KernelFacts | None:
    """Whether the GPU that torch has found gets kernels; None without one."""
    run = facts.torch_run
    if run is None or not run.devices:
        return None
    path = facts.variables.get("PATH")
    compilers = any(shutil.which(name, path=path) for name in ("gcc", "clang"))
    can_compile = compilers and facts.package("triton") is not None
    folder = sources.kernels or kernel_files.FOLDER
    try:
        kernel_files.choose(folder, kernel_files.source_hash(), (), run.devices[0].capability)
    except kernel_files.KernelsUnusable as reason:
        return KernelFacts(str(reason), can_compile)
    return KernelFacts("", can_compile)


def probe_build(package: Path = build.PACKAGE) -> BuildFacts:
    """The stamp of a copy, and which of its files and libraries are not the ones it was built of.

    A checkout is meant to be changed, so nothing of it is compared.
    """
    try:
        stamp = build.stamp(package)
    except F5Error as error:
        return BuildFacts("", "", error=error.message)
    if package.parent.name == "src":
        return BuildFacts(str(stamp), stamp.commit, is_checkout=True)
    return BuildFacts(
        str(stamp),
        stamp.commit,
        dirty=bool(stamp.dirty),
        differing=tuple(str(one) for one in build.verify_files(stamp, package)),
        libraries=tuple(build.verify_libraries(stamp)),
    )
