"""Maps boto3's exceptions and a server's answers to errors with a cause and a hint.

A server's code is repeated, its message never: that may hold key ids and host names.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from f5serve.errors import (
    F5Error,
    KeyMissing,
    StorageFailed,
    means_too_many_files,
    too_many_files,
)


class S3Failed(StorageFailed):
    """A failure of the bucket or of the network.

    Attributes:
        retry_after_s: how long the server asked to wait; 0 when it did not.
        server_code: the server's own code, or the name of boto3's exception.
    """

    retry_after_s: float = 0.0
    server_code: str = ""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """The fixed parts of an error."""

    code: str
    sentence: str
    hint: str
    retryable: bool = False


_WRONG_KEY = ErrorInfo(
    "S3_WRONG_KEY",
    "The bucket's server does not know the access key id",
    "Check AWS_ACCESS_KEY_ID (or BUCKET_ACCESS_KEY_ID) and that it belongs to this endpoint.",
)
_WRONG_SECRET = ErrorInfo(
    "S3_WRONG_SECRET",
    "The secret does not belong to the access key id",
    "Check AWS_SECRET_ACCESS_KEY (or BUCKET_SECRET_ACCESS_KEY): whole, without quotes or spaces.",
)
_TOKEN = ErrorInfo(
    "S3_WRONG_KEY",
    "The temporary credentials of the bucket are expired or wrong",
    "Renew AWS_SESSION_TOKEN and the key that came with it, or use a permanent key.",
)
_CLOCK = ErrorInfo(
    "S3_CLOCK_SKEW",
    "The clock of this machine differs too much from that of the bucket's server",
    "Set the clock of this machine, for example by NTP.",
)
_NO_BUCKET = ErrorInfo(
    "S3_NO_BUCKET",
    "There is no such bucket",
    "Check S3_BUCKET, make the bucket, or check that AWS_ENDPOINT_URL is the one it lives at.",
)
_REGION = ErrorInfo(
    "S3_WRONG_REGION",
    "The bucket lives in another region or at another endpoint",
    "Set AWS_REGION and AWS_ENDPOINT_URL to those that the bucket's page shows.",
)
_NOT_S3 = ErrorInfo(
    "S3_WRONG_ENDPOINT",
    "What answered is not an S3 service",
    "Check AWS_ENDPOINT_URL: the S3 endpoint, with https://, not the page of the console.",
)
_CAP = ErrorInfo(
    "S3_CAP_REACHED",
    "The account's cap on downloads, calls or storage is reached",
    "Raise the cap on the provider's page, or wait until it starts anew (usually at midnight GMT).",
)
_SLOW_DOWN = ErrorInfo(
    "S3_SLOW_DOWN",
    "The bucket's server asks for fewer requests",
    "Try again later; lower the number of workers when it stays.",
    retryable=True,
)
_SERVER = ErrorInfo(
    "S3_SERVER_FAILED",
    "The bucket's server failed",
    "Try again; look at the provider's status page when it stays.",
    retryable=True,
)
_FORBIDDEN = ErrorInfo(
    "S3_FORBIDDEN",
    "The bucket's server does not permit this",
    "Give the key the rights to get, put, delete and list in this bucket; where listing is not "
    "permitted, a missing object can look like this too.",
)
_FULL = ErrorInfo(
    "NO_SPACE", "The bucket is full", "Remove objects, or raise the quota of the bucket."
)
_TRANSFER = ErrorInfo("S3_CUT", "The transfer was damaged on its way", "Try again.", retryable=True)
UNSUPPORTED = ErrorInfo(
    "S3_UNSUPPORTED",
    "The bucket's server does not have this operation",
    "Use a service that has the basic operations of S3.",
)
_REFUSED = ErrorInfo(
    "S3_REFUSED",
    "The bucket's server refused the request",
    "Check the settings of the bucket; the code says what it did not like.",
)
_NO_CREDENTIALS = ErrorInfo(
    "S3_NO_CREDENTIALS",
    "No credentials for the bucket are set",
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
)
_TLS = ErrorInfo(
    "S3_TLS",
    "No trusted TLS connection to the bucket's server can be made",
    "Check https or http in AWS_ENDPOINT_URL; for a certificate of your own set AWS_CA_BUNDLE.",
)
_UNREACHABLE = ErrorInfo(
    "S3_UNREACHABLE",
    "The bucket's server cannot be reached",
    "Check AWS_ENDPOINT_URL, the network, and proxies in between.",
    retryable=True,
)
_CUT = ErrorInfo(
    "S3_CUT",
    "The bucket's server broke off the transfer",
    "Try again; check https or http in AWS_ENDPOINT_URL, and proxies in between, when it stays.",
    retryable=True,
)
_STALLED = ErrorInfo(
    "S3_STALLED",
    "The bucket's server is silent or too slow",
    "Try again; check the network when it stays.",
    retryable=True,
)
_SETTINGS = ErrorInfo(
    "S3_BAD_SETTINGS",
    "The settings of the bucket cannot be used",
    "Check S3_BUCKET, AWS_ENDPOINT_URL, AWS_REGION and AWS_CA_BUNDLE.",
)

_SERVER_CODES = (
    (_WRONG_KEY, "InvalidAccessKeyId"),
    (_WRONG_SECRET, "SignatureDoesNotMatch"),
    (_TOKEN, "ExpiredToken InvalidToken TokenRefreshRequired"),
    (_CLOCK, "RequestTimeTooSkewed RequestExpired"),
    (_NO_BUCKET, "NoSuchBucket InvalidBucketName"),
    (_REGION, "PermanentRedirect TemporaryRedirect AuthorizationHeaderMalformed InvalidRegion"),
    (_REGION, "AuthorizationQueryParametersError IllegalLocationConstraintException"),
    (_SLOW_DOWN, "SlowDown SlowDownRead SlowDownWrite ServiceUnavailable Busy Throttling"),
    (_SLOW_DOWN, "ThrottlingException TooManyRequests TooManyRequestsException"),
    (_SLOW_DOWN, "RequestLimitExceeded BandwidthLimitExceeded"),
    (_SERVER, "InternalError RequestTimeout OperationAborted"),
    (_FULL, "XMinioStorageFull QuotaExceeded XMinioQuotaExceeded"),
    (_TRANSFER, "BadDigest XAmzContentSHA256Mismatch IncompleteBody"),
    (UNSUPPORTED, "NotImplemented XNotImplemented"),
)
_EXCEPTIONS = (
    (_NO_CREDENTIALS, "NoCredentialsError PartialCredentialsError CredentialRetrievalError"),
    (_STALLED, "ReadTimeoutError TimeoutError"),
    (_CUT, "IncompleteReadError ResponseStreamingError ConnectionClosedError ProtocolError"),
    (_CUT, "FlexibleChecksumError"),
    (_NOT_S3, "ResponseParserError ResponseParserInvalidXMLError"),
    (_SETTINGS, "ParamValidationError ProfileNotFound ConfigParseError InvalidRegionError"),
)
_BY_SERVER_CODE = {name: info for info, names in _SERVER_CODES for name in names.split()}
_BY_EXCEPTION = {name: info for info, names in _EXCEPTIONS for name in names.split()}
_BY_STATUS = {
    **dict.fromkeys([301, 302, 307, 308], _REGION),
    **dict.fromkeys([401, 403], _FORBIDDEN),
    **dict.fromkeys([404, 405], _NOT_S3),
    **dict.fromkeys([408, 500, 502, 504], _SERVER),
    **dict.fromkeys([429, 503], _SLOW_DOWN),
    501: UNSUPPORTED,
    507: _FULL,
}
_BROKEN_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""Connections that ended inside TLS, which is no fault of the certificate."""


def from_exception(error: BaseException, key: str = "") -> F5Error:
    """The error for an exception of boto3 or below; `key` is its name in errors, if any."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        return from_response(answer, key)
    if any(means_too_many_files(e) for e in _exception_chain(error)):
        return too_many_files()
    name = type(error).__name__
    tls = [e for e in _exception_chain(error) if isinstance(e, ssl.SSLError)]
    if tls:
        return s3_error(_UNREACHABLE if isinstance(tls[0], _BROKEN_TLS) else _TLS, name)
    if name in _BY_EXCEPTION:
        return s3_error(_BY_EXCEPTION[name], name)
    if isinstance(error, ValueError) or any(
        isinstance(e, FileNotFoundError) for e in _exception_chain(error)
    ):
        return s3_error(_SETTINGS, name)  # the file is that of the certificates
    return s3_error(_TLS if name == "SSLError" else _UNREACHABLE, name)


def stalled() -> S3Failed:
    """The error for a call beyond its deadline."""
    return s3_error(_STALLED, "deadline")


def cut() -> S3Failed:
    """The error for an incomplete answer."""
    return s3_error(_CUT, "too few bytes")


def from_response(answer: dict[str, Any], key: str = "") -> F5Error:
    """The error for a server's answer, as boto3 parsed it."""
    code = str(answer.get("Error", {}).get("Code", ""))
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,63}", code):
        code = ""
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchKey":
        return KeyMissing(key)
    message = str(answer.get("Error", {}).get("Message", ""))
    if status == 403 and re.search(
        r"\bcap\b.{0,20}\b(exceeded|reached)|caps ?& ?alerts", message, re.I
    ):
        info = _CAP
    else:
        info = _BY_SERVER_CODE.get(code) or _BY_STATUS.get(status) or _other(status, code)
    if status == 403 and info.retryable:  # some servers name other codes
        info = _FORBIDDEN
    failure = s3_error(info, f"HTTP {status}" + (f" {code}" if code else ""))
    failure.retry_after_s = _retry_after_s(answer)
    return failure


def _other(status: int, code: str) -> ErrorInfo:
    if status >= 500:
        return _SERVER
    return _REFUSED if code else _NOT_S3


def s3_error(info: ErrorInfo, detail: str) -> S3Failed:
    """The error with `detail`, such as the server's own code, in its message."""
    failure = S3Failed(
        f"{info.sentence} ({detail}).",
        code=info.code,
        hint=info.hint,
        retryable=info.retryable,
    )
    failure.server_code = detail
    return failure


def _retry_after_s(answer: dict[str, Any]) -> float:
    text = str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", ""))
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _exception_chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and all wrapped in it, by the several ways in which libraries wrap them."""
    todo, seen = [error], set[int]()
    while todo and len(seen) < 20:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        inner.append(getattr(one, "kwargs", {}).get("error"))
        todo.extend(e for e in inner if isinstance(e, BaseException))
