"""Judges the environment: what is misspelled, half set or contradicts something else.

Facts flow in, findings flow out. Only what can be known without asking anybody is judged here;
whether a key opens a bucket is the store's trial.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from f5serve.doctor.facts import Facts
from f5serve.doctor.findings import SETTING, Finding, ok
from f5serve.errors import InvalidRequest
from f5serve.masking import bare_url
from f5serve.settings import Settings, takes_jobs
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
_OF_A_WORKER = ("RUNPOD_WEBHOOK_POST_OUTPUT", "RUNPOD_WEBHOOK_PING", "RUNPOD_ENDPOINT_ID")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_environment(facts: Facts) -> Iterator[Finding]:
    """Everything about variables; one ok finding when there is nothing to say."""
    found = [
        *_names(facts),
        *_credentials(facts),
        *_endpoint(facts.settings),
        *_bucket(facts),
        *_store(facts),
        *_runpod(facts),
        *_hub(facts),
    ]
    yield from found
    if not found:
        count = sum(name.startswith("F5_") for name in facts.variables)
        yield ok("environment", "settings", f"{count} F5_ variables, all known")


def _split(text: str) -> SplitResult:
    """The parts of a URL; of what is none, parts that are empty."""
    try:
        return urlsplit(text)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _fatal(code: str, what: str, value: str, why: str, fix: str) -> Finding:
    return Finding("fatal", "environment", code, what, value, why, fix, SETTING)


def _warning(code: str, what: str, value: str, why: str, fix: str) -> Finding:
    return Finding("warning", "environment", code, what, value, why, fix)


def _names(facts: Facts) -> Iterator[Finding]:
    for name, message, hint in facts.bad_settings:
        yield _fatal(
            "BAD_SETTING",
            f"{name} does not take this value.",
            message,
            "f5serve does not start with a setting that it cannot read.",
            hint,
        )
    for sentence in facts.unknown_settings:
        yield _warning(
            "UNKNOWN_SETTING",
            f"{sentence}.".replace("?.", "?"),
            "",
            "It has no effect, so something else than you meant happens.",
            "Correct the name or remove it; docs/reference/settings.md has them all.",
        )
    settings = facts.settings
    if 0 < settings.retention_days * 86400 < settings.url_expires_s:
        yield _warning(
            "URL_OUTLIVES_RESULT",
            "Signed URLs last longer than the results that they lead to.",
            f"F5_URL_EXPIRES_S={settings.url_expires_s}, "
            f"F5_RETENTION_DAYS={settings.retention_days}",
            "A URL that has not expired leads to nothing.",
            "Raise F5_RETENTION_DAYS, or lower F5_URL_EXPIRES_S.",
        )


def uses_bucket(settings: Settings) -> bool:
    """Whether the store is a bucket, as far as names tell."""
    if settings.store:
        return settings.store.startswith("s3://")
    return bool(settings.s3_bucket or settings.bucket_endpoint_url)


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
            yield _fatal(
                "S3_KEYS_HALF_SET",
                f"Only one of {names[0]} and {names[1]} is set.",
                f"missing: {names[0] if secret else names[1]}",
                "A key without its secret opens no bucket.",
                "Set both.",
            )
        for name, value in zip(names, (key, secret), strict=True):
            if value and (value[0] in "\"'" or value[-1] in "\"'" or re.search(r"\s", value)):
                yield _fatal(
                    "S3_KEY_QUOTED",
                    f"{name} holds quotes or spaces.",
                    f"{len(value)} characters",
                    "No key has any; the server answers 403 to every request.",
                    "Set the bare value; an env file takes quotes as part of it.",
                )
    if any(any(pair) for pair in values.values()) or _has_other_credentials(facts):
        return
    if any(name in variables for name in (*_AWS, *_BUCKET)):
        what, value = "The credentials of the bucket are set and empty.", "set, 0 characters"
        code = "S3_KEYS_EMPTY"
    else:
        what, value = "There are no credentials for the bucket.", "not set"
        code = "S3_KEYS_MISSING"
    why = "Without a key or a role, every call to the bucket fails."
    fix = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, on RunPod as secrets of the endpoint."
    if facts.on_runpod:
        yield _fatal(code, what, value, why, fix)
    else:
        yield _warning(code, what, value, why, fix)


def _has_other_credentials(facts: Facts) -> bool:
    home = facts.variables.get("HOME", "")
    there = bool(home) and os.path.isfile(f"{home}/.aws/credentials")  # noqa: PTH113
    return there or any(facts.variables.get(name) for name in _OTHER_CREDENTIALS)


def _endpoint(settings: Settings) -> Iterator[Finding]:
    for name, text in (
        ("AWS_ENDPOINT_URL", settings.s3_endpoint_url),
        ("BUCKET_ENDPOINT_URL", settings.bucket_endpoint_url),
    ):
        if not text:
            continue
        parts = _split(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield _fatal(
                "ENDPOINT_NO_SCHEME",
                f"{name} is no URL.",
                bare_url(text),
                "The S3 library refuses it before any request.",
                "Write it with https:// in front, e.g. https://s3.us-west-001.backblazeb2.com.",
            )
            continue
        if name == "AWS_ENDPOINT_URL" and parts.path.strip("/"):
            yield _fatal(
                "ENDPOINT_WITH_PATH",
                f"{name} holds a path.",
                bare_url(text),
                "The bucket's name belongs into S3_BUCKET; here it would be there twice.",
                "Remove what comes after the host.",
            )
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            yield _warning(
                "ENDPOINT_HTTP",
                f"{name} is http, not https.",
                bare_url(text),
                "Recordings travel readable, and providers such as Backblaze refuse it.",
                "Write https://.",
            )
        region = region_of(f"{parts.scheme}://{parts.hostname}")
        is_named = region not in ("", "us-east-1", "auto") or ".us-east-1." in parts.hostname
        if is_named and settings.s3_region and settings.s3_region.lower() != region.lower():
            yield _warning(
                "ENDPOINT_OTHER_REGION",
                f"AWS_REGION is another region than that of {name}.",
                f"{settings.s3_region}, and {region}",
                "Signatures hold the region; a server of another one refuses them with 403.",
                "Remove AWS_REGION: it is read from the endpoint.",
            )
    bundle = settings.s3_ca_bundle
    if bundle and uses_bucket(settings) and not os.path.exists(bundle):  # noqa: PTH110
        yield _fatal(
            "CA_BUNDLE_MISSING",
            "AWS_CA_BUNDLE leads to no file.",
            bundle,
            "No connection to the bucket can be made without it.",
            "Remove AWS_CA_BUNDLE, or put the PEM file there.",
        )


def _bucket(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    bucket = settings.s3_bucket
    if bucket and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket):
        yield _fatal(
            "BUCKET_NAME",
            "S3_BUCKET is not the name of a bucket.",
            bare_url(bucket)[:80],
            "It takes the bare name; a prefix goes into F5_STORE.",
            "Write the name alone, or F5_STORE=s3://bucket/prefix.",
        )
    elif bucket and settings.bucket_endpoint_url and not settings.store:
        try:
            s3_options(settings)
        except InvalidRequest as error:
            if "BUCKET_ENDPOINT_URL" in error.message and "Only one" not in error.message:
                yield _fatal(
                    "BUCKETS_DIFFER",
                    "S3_* and BUCKET_* name different buckets or servers.",
                    error.message,
                    "One worker would write where another does not read.",
                    "Remove BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and "
                    "BUCKET_SECRET_ACCESS_KEY, or S3_BUCKET and AWS_ENDPOINT_URL.",
                )
    elif not uses_bucket(settings) and not settings.store:
        half = [
            name
            for name, value in (
                ("AWS_ENDPOINT_URL", settings.s3_endpoint_url),
                ("BUCKET_ACCESS_KEY_ID", settings.bucket_access_key_id),
            )
            if value
        ]
        if half:
            yield _warning(
                "BUCKET_MISSING",
                f"{half[0]} is set, and S3_BUCKET is not.",
                "the store is a folder",
                "Voices and results stay on this machine.",
                "Set S3_BUCKET to the bucket's name.",
            )


def _store(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    kind = settings.store.split(":")[0]
    bucket = settings.s3_bucket
    if settings.store and kind not in ("memory", "file", "s3"):
        yield _fatal(
            "BAD_STORE",
            "F5_STORE names no store.",
            bare_url(settings.store)[:80],
            "Voices and results have no place.",
            "Write file:///folder, s3://bucket/prefix or memory:.",
        )
    elif bucket and settings.store and _split(settings.store).netloc != bucket:
        yield _warning(
            "STORE_OVERRULED",
            "F5_STORE is set, so S3_BUCKET does not choose the store.",
            f"{kind} store, bucket {bucket}",
            "Voices and results go elsewhere than the bucket's name says.",
            "Remove F5_STORE or S3_BUCKET.",
        )
    elif kind == "memory" and facts.on_runpod:
        yield _warning(
            "STORE_IN_MEMORY",
            "F5_STORE is memory: on a worker.",
            "",
            "Voices and results are gone when it ends, a few seconds after its last job.",
            "Set S3_BUCKET, or F5_STORE to a bucket or a folder on a volume.",
        )
    elif facts.on_runpod and not uses_bucket(settings):
        yield from _not_shared(facts)
    if settings.publish_models and not uses_bucket(settings):
        yield _warning(
            "PUBLISH_WITHOUT_BUCKET",
            "F5_PUBLISH_MODELS is 1, and the store is no bucket.",
            "",
            "The weights are copied to where only this machine finds them.",
            "Set S3_BUCKET, or remove F5_PUBLISH_MODELS.",
        )


def _not_shared(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    folder = _split(settings.store).path or str(settings.data_dir)
    if "BUCKET_MISSING" in {finding.code for finding in _bucket(facts)}:
        return
    if not folder.startswith("/runpod-volume/"):
        yield _warning(
            "STORE_NOT_SHARED",
            "This worker keeps voices and results on its own disk.",
            "no bucket",
            "Another worker answers the next call, and knows neither voice nor job.",
            "Set S3_BUCKET and its keys, or F5_DATA_DIR to a folder on the network volume.",
        )


def _runpod(facts: Facts) -> Iterator[Finding]:
    variables = facts.variables
    if takes_jobs(variables):
        if not variables.get("RUNPOD_AI_API_KEY"):
            yield _warning(
                "RUNPOD_KEY_MISSING",
                "RUNPOD_AI_API_KEY is not set.",
                "",
                "RunPod's SDK sends no sign of life without it, and the worker may count as dead.",
                "Leave RUNPOD_* variables to RunPod; do not set or empty them in the template.",
            )
    elif facts.on_runpod:
        if facts.settings.mode == "worker":
            yield _warning(
                "RUNPOD_NO_QUEUE",
                "This endpoint of RunPod has no queue, and F5_MODE is worker.",
                "RUNPOD_WEBHOOK_GET_JOB is not set",
                "No job will ever come, and nothing answers the load balancer.",
                "Set F5_MODE=serve, or make the endpoint one with a queue.",
            )
    else:
        left = [name for name in _OF_A_WORKER if variables.get(name)]
        if left:
            yield _warning(
                "RUNPOD_LEFTOVERS",
                "Variables of a RunPod worker are set outside of one.",
                ", ".join(left),
                "Without RUNPOD_WEBHOOK_GET_JOB no jobs are taken: the worker runs in local mode.",
                "Unset them; only RunPod sets them, all together.",
            )
    for name in ("RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"):
        if variables.get(name, "").upper() == "DEBUG":
            yield _warning(
                "RUNPOD_LOG_DEBUG",
                f"{name} is DEBUG.",
                "",
                "RunPod's SDK then prints every answer with its signed URLs.",
                f"Set {name}=INFO.",
            )


def _hub(facts: Facts) -> Iterator[Finding]:
    endpoint = facts.settings.hub_endpoint
    if _split(endpoint).scheme not in ("http", "https"):
        yield _warning(
            "HUB_NO_SCHEME",
            "HF_ENDPOINT is no URL.",
            bare_url(endpoint)[:80],
            "No weights can be pulled from there.",
            "Write it with https://, or remove it.",
        )
