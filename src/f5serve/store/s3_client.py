"""A boto3 client whose calls end by a deadline, are retried where that helps, and fail in words.

boto3's own retries are off. The ones here honour Retry-After, end with one deadline for all
attempts, and cover the body of an answer, which boto3's leave out.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.store.deadlines import CallAbandoned, Deadline, DeadlineExecutor, TryDeadline
from f5serve.store.s3_errors import (
    S3Failed,
    cut,
    from_exception,
    from_response,
    stalled,
)

T = TypeVar("T")
Boto3Client = Any
"""boto3 brings no types."""

_log = logging.getLogger(__name__)
_MAX_PAUSE_S = 8.0
_CLOCK_TTL_S = 300.0
_MAX_CONNECTIONS = 64
_RANGE_NOT_SATISFIABLE = 416
_MAX_HUNG = 256
"""Abandoned calls whose sockets have not timed out yet: a server may send a byte now and then."""


@dataclass(frozen=True, slots=True)
class S3Limits:
    """Time limits and sizes of transfers.

    Attributes:
        operation_s: seconds for one call, all attempts and pauses included; a call that moves
            bytes has `bytes / min_bytes_per_s` more.
        connect_s, read_s: seconds for a connection, and of silence on one.
        first_try_s: seconds for the first attempt of a read, beyond the time that its bytes take;
            each further one has twice as many. A server that was deaf for a moment is asked again
            before its connections time out. Writes have no such limit: the server might still do
            what it received.
        attempts: of one request, the first included.
        pause_s: mean pause before the second attempt; doubles each time.
        min_bytes_per_s: slowest transfer that is accepted.
        window_s: seconds over which that is measured.
        part_bytes: size of the parts of a transfer; S3 takes uploads in parts of 5 MiB at least.
        connections: parts under way at once.
    """

    operation_s: float = 60.0
    connect_s: float = 5.0
    read_s: float = 20.0
    first_try_s: float = 6.0
    attempts: int = 4
    pause_s: float = 0.4
    min_bytes_per_s: int = 100_000
    window_s: float = 30.0
    part_bytes: int = 16 << 20
    connections: int = 4


@dataclass(frozen=True, slots=True)
class S3Options:
    """A bucket and how to reach it.

    Attributes:
        bucket: its name.
        prefix: put before every key, e.g. "f5"; a key itself, or "".
        endpoint_url: e.g. "https://s3.us-west-001.backblazeb2.com"; "" is Amazon's.
        region: as the provider names it; "" lets boto3 decide.
        access_key, secret_key, session_token: credentials; when empty boto3 looks for a profile
            or a role of this machine.
        addressing: "path", "virtual" or "auto".
        ca_bundle: PEM file of certificates to trust; "" is the usual ones.
        public_url: endpoint that signed URLs lead to, where callers need another; "" is the same.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    addressing: str = "path"
    ca_bundle: str = ""
    public_url: str = ""
    limits: S3Limits = S3Limits()


class S3Client:
    """boto3 clients of one bucket, with retries, deadlines and the server's clock.

    Safe for threads and after a fork.

    Raises:
        StorageFailed: EXTRA_MISSING when boto3 is not installed.
    """

    def __init__(self, options: S3Options) -> None:
        _require_boto3()
        self.options = options
        self.limits = options.limits
        self._lock = threading.Lock()
        self._executor = DeadlineExecutor("f5-s3", _MAX_HUNG)
        self._client: Boto3Client = None
        self._signer: Boto3Client = None
        self._pid = 0
        self._clock: tuple[float, float] | None = None

    def deadline(self, size: int = 0) -> Deadline:
        """The deadline of a call that moves `size` bytes."""
        return Deadline(self.limits.operation_s + size / self.limits.min_bytes_per_s)

    def call(
        self,
        request: Callable[[Boto3Client], T],
        key: str = "",
        deadline: Deadline | None = None,
        is_read: bool = False,
    ) -> T:
        """The result of `request(client)`, retried when the failure may pass.

        Args:
            request: safe to repeat; runs in another thread.
            key: its name in errors.
            deadline: of all attempts; `operation_s` from now without one.
            is_read: whether it changes nothing; see `first_try_s`.

        Raises:
            KeyMissing, StorageFailed: the last attempt's failure.
        """
        deadline = deadline or self.deadline()
        for attempt in range(1, self.limits.attempts + 1):
            try_s = self.limits.first_try_s * 2.0 ** (attempt - 1)
            try:
                return self._attempt(
                    request, key, deadline.for_one_try(try_s) if is_read else deadline
                )
            except S3Failed as error:
                pause = pause_s(error, attempt, self.limits)
                is_last = attempt == self.limits.attempts or pause >= deadline.left_s()
                if not error.retryable or is_last:
                    _log.warning("%s: %s, attempt %d", self.describe(), error.server_code, attempt)
                    raise
            time.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(
        self, request: Callable[[Boto3Client], T], key: str, deadline: Deadline | TryDeadline
    ) -> T:
        client = self.boto3()
        with map_errors(key):
            try:
                # Timeouts of sockets start anew with every byte, and looking up a name has none.
                return self._executor.run(lambda: request(client), deadline)
            except CallAbandoned:
                raise stalled() from None

    @property
    def hung(self) -> int:
        """Calls that were abandoned and have not returned."""
        return self._executor.hung

    def boto3(self) -> Boto3Client:
        """The client of this process; a forked child makes its own."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = _make_client(self.options)
                self._client.meta.events.register("after-call.s3", self._read_clock)
                self._client.meta.events.register_first("needs-retry.s3", _stop_at_redirect)
                self._client.meta.events.register("before-parse.s3", _refuse_cut)
                self._pid = os.getpid()
            return self._client

    def signer(self) -> Boto3Client:
        """The client that signs URLs, without a request: the host is part of what is signed."""
        if not self.options.public_url:
            return self.boto3()
        with self._lock:
            if self._signer is None:
                elsewhere = replace(self.options, endpoint_url=self.options.public_url)
                self._signer = _make_client(elsewhere)
            return self._signer

    def server_time(self) -> float | None:
        """Seconds since 1970 by the server's clock; None when its last answer is too old."""
        clock = self._clock
        if clock is None or not 0 <= time.time() - clock[1] <= _CLOCK_TTL_S:
            return None
        return time.time() + clock[0]

    def _read_clock(self, parsed: Any, **_: Any) -> None:
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        with contextlib.suppress(ValueError, TypeError):
            # The header has whole seconds; half of one is the best guess at the rest.
            offset_s = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()
            self._clock = (offset_s, time.time())

    def describe(self) -> str:
        """One line for logs, without secrets."""
        options = self.options
        place = f" at {options.endpoint_url}" if options.endpoint_url else ""
        folder = f"/{options.prefix}" if options.prefix else ""
        return f"bucket {options.bucket}{folder}{place}"


def _refuse_cut(operation_model: Any, response_dict: Any, **_: Any) -> None:
    """Raise S3_CUT for an answer that is shorter than its Content-Length.

    boto3 takes a listing without its end for an empty one, and an error without its code for that
    of another service.
    """
    body = response_dict["body"]
    length = response_dict["headers"].get("content-length", "")
    has_body = operation_model.http.get("method") != "HEAD" and isinstance(body, bytes)
    if has_body and length.isdecimal() and len(body) < int(length):
        raise cut()


def _stop_at_redirect(response: Any, **_: Any) -> None:
    """Let boto3 follow a redirect only when the answer names the region.

    Otherwise it asks for the region with a HEAD that is redirected too, about which it asks again,
    until the stack is full.
    """
    if response is None:  # no answer at all
        return
    meta = response[1].get("ResponseMetadata", {})
    named = response[1].get("Error", {}).get("Region") or meta.get("HTTPHeaders", {}).get(
        "x-amz-bucket-region"
    )
    if not named and (meta.get("HTTPStatusCode") in (301, 302, 307, 308)):
        raise from_response(response[1])


@contextlib.contextmanager
def map_errors(key: str = "") -> Iterator[None]:
    """Turn what boto3 and the network raise into errors that say what to do."""
    import botocore.exceptions
    import botocore.parsers
    import urllib3.exceptions

    try:
        yield
    except F5Error:
        raise
    except (
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
        botocore.parsers.ResponseParserError,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
    ) as error:
        failure = from_exception(error, key)
        _log.debug("%s from %s", failure.code, type(error).__name__)
        raise failure from None  # boto3's words may hold hosts and key ids


def get_range(boto: Boto3Client, place: dict[str, str], first: int, last: int) -> Any:
    """The answer for bytes `first` to `last` of an object; None where the object has none of them.

    Args:
        place: Bucket and Key.
    """
    try:
        return boto.get_object(Range=f"bytes={first}-{last}", **place)
    except boto.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != _RANGE_NOT_SATISFIABLE:
            raise
        return None


def pause_s(error: S3Failed, attempt: int, limits: S3Limits) -> float:
    """Seconds to wait after attempt number `attempt`: Retry-After, and a back-off with jitter."""
    mean_s = min(_MAX_PAUSE_S, limits.pause_s * 2.0 ** (attempt - 1))
    return error.retry_after_s + mean_s * random.uniform(0.5, 1.5)


def _require_boto3() -> None:
    try:
        import boto3  # noqa: F401
    except ImportError:
        raise StorageFailed(
            "This install cannot talk to buckets: boto3 is missing.",
            code="EXTRA_MISSING",
            hint="pip install 'f5serve[s3]'",
        ) from None


def _make_client(options: S3Options) -> Boto3Client:
    import boto3.session
    from botocore.config import Config

    if bool(options.access_key) != bool(options.secret_key):
        raise InvalidRequest(
            "Only one half of the bucket's credentials is set.",
            code="BAD_SETTING",
            hint="Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither.",
        )
    config = Config(
        # boto3 presigns URLs of other providers with version 2, which most refuse.
        signature_version="s3v4",
        # Trailers and CRC32 headers are refused by many compatible servers. A signed payload is
        # understood by all, and lets the server check what arrived.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": options.addressing, "payload_signing_enabled": True},
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=options.limits.connect_s,
        read_timeout=options.limits.read_s,
        max_pool_connections=_MAX_CONNECTIONS,
        tcp_keepalive=True,
    )
    with map_errors():
        session = boto3.session.Session(
            aws_access_key_id=options.access_key or None,
            aws_secret_access_key=options.secret_key or None,
            aws_session_token=options.session_token or None,
            region_name=options.region or None,
        )
        return session.client(
            "s3",
            endpoint_url=options.endpoint_url or None,
            verify=options.ca_bundle or None,
            config=config,
        )
