"""Checks of the environment: what is misspelled, half set or contradicts something else.

Whether a key opens a bucket is found out by the probe of the store.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from f5serve.doctor.facts import Facts
from f5serve.doctor.findings import Finding, Level, finding, ok
from f5serve.errors import InvalidRequest
from f5serve.secrets import EXPIRES_SOON_S, bare_url
from f5serve.settings import Settings, read_address, takes_jobs
from f5serve.store.config import region_of, s3_options

_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_BUCKET = ("BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY")
_OTHER_CREDENTIALS = (
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_SET_BY_RUNPOD = ("RUNPOD_WEBHOOK_POST_OUTPUT", "RUNPOD_WEBHOOK_PING", "RUNPOD_ENDPOINT_ID")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_settings(facts: Facts) -> Iterator[Finding]:
    """Everything about variables; one ok finding when nothing is wrong."""
    found = [
        *_values(facts),
        *_credentials(facts),
        *_endpoints(facts.settings),
        *_bucket(facts.settings),
        *_store(facts),
        *_runpod(facts),
    ]
    hub = facts.settings.hub_endpoint
    if _split(hub).scheme not in ("http", "https"):
        found.append(finding("HUB_NO_SCHEME", bare_url(hub)[:80]))
    yield from found
    if not found:
        count = sum(name.startswith("F5_") for name in facts.variables)
        yield ok("environment", "settings", f"{count} F5_ variables, all known")


def uses_bucket(settings: Settings) -> bool:
    """Whether the store is a bucket, by the names alone."""
    if settings.store:
        return settings.store.startswith("s3://")
    return bool(settings.s3_bucket or settings.bucket_endpoint_url)


def _split(text: str) -> SplitResult:
    """The parts of a URL; empty parts where the text is no URL."""
    try:
        return urlsplit(text)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _values(facts: Facts) -> Iterator[Finding]:
    for name, message, hint in facts.bad_settings:
        yield finding("BAD_SETTING", message, name=name, hint=hint)
    for sentence in facts.unknown_settings:
        yield finding("UNKNOWN_SETTING", sentence=f"{sentence}.".replace("?.", "?"))
    url_s, days = facts.settings.url_expires_s, facts.settings.retention_days
    if 0 < days * 86400 < url_s:
        yield finding("URL_OUTLIVES_RESULT", f"F5_URL_EXPIRES_S={url_s}, F5_RETENTION_DAYS={days}")
    wyoming = facts.settings.wyoming
    host = read_address(wyoming)[0] if wyoming else "127.0.0.1"
    if host not in _LOOPBACK and not host.startswith("127."):
        yield finding("WYOMING_WITHOUT_KEYS", wyoming)
    for key in facts.settings.api_keys:
        left_s = key.seconds_left(time.time())
        if left_s < EXPIRES_SOON_S:
            row = "KEY_EXPIRED" if left_s <= 0 else "KEY_EXPIRES_SOON"
            yield finding(row, f"last day {key.last_day}, UTC", name=key.name)


def _credentials(facts: Facts) -> Iterator[Finding]:
    settings, variables = facts.settings, facts.variables
    if not uses_bucket(settings):
        return
    values = {
        _AWS: (settings.s3_access_key, settings.s3_secret_key),
        _BUCKET: (settings.bucket_access_key_id, settings.bucket_secret_access_key),
    }
    for names, (key, secret) in values.items():
        if bool(key) != bool(secret):
            missing = names[0] if secret else names[1]
            yield finding("S3_KEYS_HALF_SET", f"missing: {missing}", key=names[0], secret=names[1])
        for name, value in zip(names, (key, secret), strict=True):
            if value and (value[0] in "\"'" or value[-1] in "\"'" or re.search(r"\s", value)):
                yield finding("S3_KEY_QUOTED", f"{len(value)} characters", name=name)
    if any(any(pair) for pair in values.values()) or _has_other_credentials(facts):
        return
    level: Level | None = "fatal" if facts.on_runpod else None
    if any(name in variables for name in (*_AWS, *_BUCKET)):
        yield finding("S3_KEYS_EMPTY", "set, 0 characters", level=level)
    else:
        yield finding("S3_KEYS_MISSING", "not set", level=level)


def _has_other_credentials(facts: Facts) -> bool:
    home = facts.variables.get("HOME", "")
    in_file = bool(home) and os.path.isfile(f"{home}/.aws/credentials")  # noqa: PTH113
    return in_file or any(facts.variables.get(name) for name in _OTHER_CREDENTIALS)


def _endpoints(settings: Settings) -> Iterator[Finding]:
    for name, text in (
        ("AWS_ENDPOINT_URL", settings.s3_endpoint_url),
        ("BUCKET_ENDPOINT_URL", settings.bucket_endpoint_url),
    ):
        if text:
            yield from _endpoint(name, text, settings.s3_region)
    bundle = settings.s3_ca_bundle
    if bundle and uses_bucket(settings) and not os.path.exists(bundle):  # noqa: PTH110
        yield finding("CA_BUNDLE_MISSING", bundle)


def _endpoint(name: str, text: str, wanted_region: str) -> Iterator[Finding]:
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield finding("ENDPOINT_NO_SCHEME", bare_url(text), name=name)
        return
    if name == "AWS_ENDPOINT_URL" and parts.path.strip("/"):
        yield finding("ENDPOINT_WITH_PATH", bare_url(text), name=name)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        yield finding("ENDPOINT_HTTP", bare_url(text), name=name)
    region = region_of(f"{parts.scheme}://{parts.hostname}")
    is_named = region not in ("", "us-east-1", "auto") or ".us-east-1." in parts.hostname
    if is_named and wanted_region and wanted_region.lower() != region.lower():
        yield finding("ENDPOINT_OTHER_REGION", f"{wanted_region}, and {region}", name=name)


def _bucket(settings: Settings) -> Iterator[Finding]:
    bucket = settings.s3_bucket
    if bucket and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket):
        yield finding("BUCKET_NAME", bare_url(bucket)[:80])
    elif bucket and settings.bucket_endpoint_url and not settings.store:
        try:
            s3_options(settings)
        except InvalidRequest as error:
            if "BUCKET_ENDPOINT_URL" in error.message and "Only one" not in error.message:
                yield finding("BUCKETS_DIFFER", error.message)
    elif name := _bucket_without_name(settings):
        yield finding("BUCKET_MISSING", "the store is a folder", name=name)


def _bucket_without_name(settings: Settings) -> str:
    """The variable that speaks of a bucket while none is named, or ""."""
    if settings.store or uses_bucket(settings):
        return ""
    if settings.s3_endpoint_url:
        return "AWS_ENDPOINT_URL"
    return "BUCKET_ACCESS_KEY_ID" if settings.bucket_access_key_id else ""


def _store(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    kind = settings.store.split(":")[0]
    bucket = settings.s3_bucket
    folder = _split(settings.store).path or str(settings.data_dir)
    if settings.store and kind not in ("memory", "file", "s3"):
        yield finding("BAD_STORE", bare_url(settings.store)[:80])
    elif bucket and settings.store and _split(settings.store).netloc != bucket:
        yield finding("STORE_OVERRULED", f"{kind} store, bucket {bucket}")
    elif kind == "memory" and facts.on_runpod:
        yield finding("STORE_IN_MEMORY")
    elif (
        facts.on_runpod
        and not uses_bucket(settings)
        and not _bucket_without_name(settings)
        and not folder.startswith("/runpod-volume/")
    ):
        yield finding("STORE_NOT_SHARED", "no bucket")
    if settings.publish_models and not uses_bucket(settings):
        yield finding("PUBLISH_WITHOUT_BUCKET")


def _runpod(facts: Facts) -> Iterator[Finding]:
    variables = facts.variables
    if takes_jobs(variables):
        if not variables.get("RUNPOD_AI_API_KEY"):
            yield finding("RUNPOD_KEY_MISSING")
    elif facts.on_runpod:
        if facts.settings.mode == "worker":
            yield finding("RUNPOD_NO_QUEUE", "RUNPOD_WEBHOOK_GET_JOB is not set")
    elif left := [name for name in _SET_BY_RUNPOD if variables.get(name)]:
        yield finding("RUNPOD_LEFTOVERS", ", ".join(left))
    for name in ("RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"):
        if variables.get(name, "").upper() == "DEBUG":
            yield finding("RUNPOD_LOG_DEBUG", name=name)
