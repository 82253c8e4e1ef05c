"""Opens the store that the settings name: a folder, a bucket or memory.

No request is sent: a store that cannot be used raises an error at its first call.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from f5serve.errors import InvalidRequest
from f5serve.secrets import bare_url
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore, is_key
from f5serve.store.bounded import BoundedStore, SpareDescriptors
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.store.s3_client import S3Options

_log = logging.getLogger(__name__)

_REGIONS = (  # hosts that contain their region
    r"(?:.+\.)?s3[.-]([a-z0-9-]+)\.(?:backblazeb2|wasabisys|amazonaws)\.com(?:\.cn)?",
    r"(?:.+\.)?s3\.([a-z0-9-]+)\.(?:scw\.cloud|io\.cloud\.ovh\.net)",
    r"(?:.+\.)?([a-z0-9-]+)\.digitaloceanspaces\.com",
    r"s3api-([a-z0-9-]+)\.runpod\.io",
)
_BUCKET_IN_HOST = (  # bucket, and the host without it
    r"(.+)\.(s3[.-].+)",
    r"([^.]+)\.([^.]+\.r2\.cloudflarestorage\.com)",
    r"(.+)\.(storage\.googleapis\.com)",
    r"([^.]+)\.([^.]+\.digitaloceanspaces\.com)",
)


def open_store(settings: Settings) -> BoundedStore:
    """The store that `settings` name; each of its calls has a deadline.

    F5_STORE comes first, then S3_BUCKET with AWS_*, then BUCKET_ENDPOINT_URL with BUCKET_*, then
    the folder `store` in F5_DATA_DIR.

    Raises:
        InvalidRequest: BAD_SETTING, for settings that are invalid or contradict one another.
        StorageFailed: EXTRA_MISSING, for a bucket without boto3.
    """
    store = _from_url(settings) if settings.store else _from_bucket_settings(settings)
    _log.info("store: %s", store.describe())
    # Calls to a bucket have deadlines of their own, and those to memory never wait.
    has_deadlines = not isinstance(store, LocalStore)
    return BoundedStore(store, inner_has_deadlines=has_deadlines, spares=SpareDescriptors())


def s3_options(settings: Settings) -> S3Options | None:
    """The bucket that S3_BUCKET or BUCKET_ENDPOINT_URL and the settings beside them name, or None.

    Raises:
        InvalidRequest: BAD_SETTING.
    """
    shared = _split_endpoint(settings)
    if not settings.s3_bucket and shared is None:
        _warn_incomplete(settings)
        return None
    if shared is None:
        return _aws(settings, settings.s3_bucket, "")
    bucket, prefix, endpoint = shared
    if settings.s3_bucket and settings.s3_bucket != bucket:
        raise _setting_error(
            f"S3_BUCKET is {settings.s3_bucket!r}, and BUCKET_ENDPOINT_URL names {bucket!r}.",
            "Remove one of the two.",
        )
    if settings.s3_bucket and settings.s3_endpoint_url.rstrip("/") not in ("", endpoint):
        raise _setting_error(
            "AWS_ENDPOINT_URL and BUCKET_ENDPOINT_URL name different servers.",
            "Remove one of the two.",
        )
    return _options(settings, bucket, prefix, endpoint, _shared_keys(settings))


def _from_url(settings: Settings) -> ObjectStore:
    parts = urlsplit(settings.store)
    if settings.s3_bucket or settings.bucket_endpoint_url:
        _warn_ignored(settings, parts)
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and len(parts.path) > 1:
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return _bucket_store(_named_bucket(settings, parts))
    raise _setting_error(
        f"F5_STORE is {bare_url(settings.store)!r}.",
        "It takes file:///folder, s3://bucket/prefix or memory:",
    )


def _named_bucket(settings: Settings, parts: SplitResult) -> S3Options:
    shared = _split_endpoint(settings)
    prefix = parts.path.strip("/")
    if shared is not None and shared[0] == parts.netloc and not settings.s3_endpoint_url:
        return _options(settings, parts.netloc, prefix, shared[2], _shared_keys(settings))
    return _aws(settings, parts.netloc, prefix)


def _from_bucket_settings(settings: Settings) -> ObjectStore:
    options = s3_options(settings)
    if options is None:
        return LocalStore(settings.data_dir / "store")
    return _bucket_store(options)


def _bucket_store(options: S3Options) -> ObjectStore:
    from f5serve.store.s3 import S3Store

    if (urlsplit(options.endpoint_url).hostname or "").endswith(".runpod.io"):
        _log.warning("RunPod's storage has no signed URLs: links to results will not work")
    return S3Store(options)


def _aws(settings: Settings, bucket: str, prefix: str) -> S3Options:
    keys = (settings.s3_access_key, settings.s3_secret_key)
    if bool(keys[0]) != bool(keys[1]):
        raise _setting_error(
            "Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set.", "Set both."
        )
    endpoint = settings.s3_endpoint_url.rstrip("/")
    if endpoint:
        parts = _split_url(endpoint, "AWS_ENDPOINT_URL")
        if parts.path:
            raise _setting_error(
                f"AWS_ENDPOINT_URL is {bare_url(endpoint)!r}.",
                "It takes https://host, without the bucket: that goes into S3_BUCKET.",
            )
    return _options(settings, bucket, prefix, endpoint, keys)


def _options(
    settings: Settings, bucket: str, prefix: str, endpoint: str, keys: tuple[str, str]
) -> S3Options:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket):
        raise _setting_error(
            f"{bucket!r} is not the name of a bucket.", "Check S3_BUCKET or F5_STORE."
        )
    if prefix and not is_key(prefix):
        raise _setting_error(
            f"{prefix!r} cannot be put before keys.", "Use letters, digits, _, -, . and single /."
        )
    public = settings.s3_public_url.rstrip("/")
    if public and _split_url(public, "F5_S3_PUBLIC_URL").path:
        raise _setting_error(
            f"F5_S3_PUBLIC_URL is {bare_url(public)!r}.",
            "It takes https://host, without the bucket.",
        )
    return S3Options(
        bucket=bucket,
        prefix=prefix,
        endpoint_url=endpoint,
        region=settings.s3_region or region_of(endpoint),
        access_key=keys[0],
        secret_key=keys[1],
        session_token=settings.s3_session_token if keys[0] == settings.s3_access_key else "",
        addressing=settings.s3_addressing,
        ca_bundle=settings.s3_ca_bundle,
        public_url=public,
    )


def region_of(endpoint: str) -> str:
    """The region in an endpoint's host, as its provider writes it; "" for Amazon's default."""
    host = urlsplit(endpoint).hostname or ""
    for pattern in _REGIONS:
        found = re.fullmatch(pattern, host)
        if found:
            return found[1].upper() if host.endswith(".runpod.io") else found[1]
    if host.endswith(".r2.cloudflarestorage.com"):
        return "auto"
    return "us-east-1" if endpoint else ""


def _split_endpoint(settings: Settings) -> tuple[str, str, str] | None:
    """Bucket, prefix and plain endpoint in BUCKET_ENDPOINT_URL; None where it is not set."""
    text = settings.bucket_endpoint_url.rstrip("/")
    if not text:
        return None
    parts = _split_url(text, "BUCKET_ENDPOINT_URL")
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    if parts.path:
        bucket, _, prefix = parts.path.strip("/").partition("/")
        return bucket, prefix, f"{parts.scheme}://{host}{port}"
    known = re.escape(settings.s3_bucket)
    patterns = (rf"({known})\.(.+)", *_BUCKET_IN_HOST) if known else _BUCKET_IN_HOST
    for pattern in patterns:
        found = re.fullmatch(pattern, host)
        if found:
            return found[1], "", f"{parts.scheme}://{found[2]}{port}"
    if settings.s3_bucket:
        return settings.s3_bucket, "", f"{parts.scheme}://{host}{port}"
    raise _setting_error(
        f"BUCKET_ENDPOINT_URL is {bare_url(text)!r}, which names no bucket.",
        "Write it as https://host/bucket, or set S3_BUCKET too.",
    )


def _shared_keys(settings: Settings) -> tuple[str, str]:
    keys = (settings.bucket_access_key_id, settings.bucket_secret_access_key)
    if bool(keys[0]) != bool(keys[1]):
        raise _setting_error(
            "Only one of BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY is set.", "Set both."
        )
    return keys if keys[0] else (settings.s3_access_key, settings.s3_secret_key)


def _split_url(text: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        usable = usable and parts.username is None
    except ValueError:
        raise _setting_error(f"{name} is no URL.", "It takes https://host.") from None
    if not usable:
        raise _setting_error(f"{name} is {bare_url(text)!r}.", "It takes https://host.")
    return parts


def _warn_ignored(settings: Settings, parts: SplitResult) -> None:
    names = [
        name
        for name, value in (
            ("S3_BUCKET", settings.s3_bucket),
            ("BUCKET_ENDPOINT_URL", settings.bucket_endpoint_url),
        )
        if value and not (parts.scheme == "s3" and parts.netloc in value)
    ]
    if names:
        _log.warning("F5_STORE is set, so %s does not choose the store", " and ".join(names))


def _warn_incomplete(settings: Settings) -> None:
    if settings.s3_endpoint_url:
        _log.warning("AWS_ENDPOINT_URL is set and S3_BUCKET is not: the store is a folder")
    if settings.bucket_access_key_id:
        _log.warning("BUCKET_ACCESS_KEY_ID is set and no bucket is: the store is a folder")


def _setting_error(message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(message, code="BAD_SETTING", hint=hint)
