"""The settings of a bucket that is the store; `settings.Settings` holds them beside all others.

Variables flow in, values flow out. What they mean together is decided in `store.config`.
"""

from __future__ import annotations

from dataclasses import dataclass

from f5serve.http_settings import HttpSettings
from f5serve.setting_values import one_of, setting


@dataclass(frozen=True, slots=True)
class BucketSettings(HttpSettings):
    """Where the bucket is served, and the keys to it; names as other programs have them."""

    s3_bucket: str = setting("S3_BUCKET", "", str, "Bucket that is the store.")
    s3_endpoint_url: str = setting(
        "AWS_ENDPOINT_URL",
        "",
        str,
        "Where the bucket is served, e.g. `https://s3.us-west-001.backblazeb2.com`; empty for "
        "Amazon.",
    )
    s3_public_url: str = setting(
        "F5_S3_PUBLIC_URL",
        "",
        str,
        "Where callers reach the bucket's server, if not at AWS_ENDPOINT_URL, e.g. "
        "`https://files.example.com`: signed URLs in answers lead there.",
    )
    s3_region: str = setting(
        "AWS_REGION", "", str, "Region of the bucket; read from known endpoints when empty."
    )
    s3_access_key: str = setting(
        "AWS_ACCESS_KEY_ID", "", str, "Access key of the bucket.", secret=True
    )
    s3_secret_key: str = setting(
        "AWS_SECRET_ACCESS_KEY", "", str, "Secret of that key.", secret=True
    )
    s3_session_token: str = setting(
        "AWS_SESSION_TOKEN", "", str, "Token that temporary keys come with.", secret=True
    )
    s3_addressing: str = setting(
        "S3_ADDRESSING",
        "path",
        one_of("path", "virtual", "auto"),
        "Whether the bucket's name is in the path or in the host of URLs.",
    )
    s3_ca_bundle: str = setting(
        "AWS_CA_BUNDLE", "", str, "PEM file of certificates to trust, for a server of your own."
    )
    bucket_endpoint_url: str = setting(
        "BUCKET_ENDPOINT_URL",
        "",
        str,
        "RunPod's name for endpoint and bucket in one: `https://host/bucket` or "
        "`https://bucket.host`.",
    )
    bucket_access_key_id: str = setting(
        "BUCKET_ACCESS_KEY_ID", "", str, "Access key for BUCKET_ENDPOINT_URL.", secret=True
    )
    bucket_secret_access_key: str = setting(
        "BUCKET_SECRET_ACCESS_KEY", "", str, "Secret of that key.", secret=True
    )
