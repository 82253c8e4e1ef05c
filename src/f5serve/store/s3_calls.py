"""One call to a bucket: bounded in time, tried again when that can help, its failure explained.

`S3Options` and functions of a boto3 client flow in, their results flow out. The library is told
not to repeat anything: repeating here honours Retry-After, ends with one deadline, and covers the
body of an answer, which the library leaves out. This module must not know keys or values.
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

from f5serve.errors import F5Error, InvalidRequest
from f5serve.store.helpers import Deadline, GivenUp, HelperThreads, TryDeadline
from f5serve.store.s3_errors import S3Failed, cut, extra_missing, from_answer, stalled, translate

T = TypeVar("T")
Client = Any
"""A boto3 client; the library brings no types."""

_log = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 8.0
_CLOCK_AGE_S = 300.0
_POOL = 64
_MOST_HUNG = 256
"""Calls given up whose sockets have not timed out yet: a server may send a byte now and then."""


@dataclass(frozen=True, slots=True)
class S3Limits:
    """How long things may take and how large their pieces are.

    Attributes:
        operation_s: most seconds for one call, all attempts and pauses included; a call that
            moves bytes has `bytes / min_bytes_per_s` more.
        connect_s, read_s: most seconds for a connection, and of silence on one.
        first_try_s: most seconds for the first try of a read, beyond the time that its bytes take;
            each further one has twice as many. A server that was deaf for a moment is asked anew
            before its connections time out; not to write, as it might still do what it heard.
        attempts: tries of one request, the first included.
        pause_s: about what passes before the second; doubles each time.
        min_bytes_per_s: slowest transfer that is accepted.
        window_s: seconds over which that is measured.
        part_bytes: size of the pieces of a transfer; S3 takes uploads in parts of 5 MiB at least.
        connections: pieces under way at once.
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
        region: as the provider names it; "" lets the library decide.
        access_key, secret_key, session_token: credentials; when empty the library looks for a
            profile or a role of this machine.
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


class S3Calls:
    """The way to a bucket: makes the client, runs requests, knows the server's clock."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self.limits = options.limits
        self._lock = threading.Lock()
        self._helpers = HelperThreads("f5-s3", _MOST_HUNG)
        self._client: Client = None
        self._signer: Client = None
        self._pid = 0
        self._clock: tuple[float, float] | None = None

    def run(
        self,
        request: Callable[[Client], T],
        key: str = "",
        deadline: Deadline | None = None,
        is_read: bool = False,
    ) -> T:
        """The result of `request(client)`, tried again when the failure may pass.

        Args:
            request: must be safe to repeat; runs in a thread of its own.
            key: what errors call it.
            deadline: end of all attempts; `operation_s` from now without one.
            is_read: whether it changes nothing; see `first_try_s`.

        Raises:
            KeyMissing, StorageFailed: the last attempt's failure.
        """
        deadline = deadline or Deadline(self.limits.operation_s)
        for attempt in range(1, self.limits.attempts + 1):
            try:
                try_s = self.limits.first_try_s * 2.0 ** (attempt - 1)
                until = deadline.for_one_try(try_s) if is_read else deadline
                return self.once(request, key, until)
            except S3Failed as error:
                pause = pause_s(error, attempt, self.limits)
                last = attempt == self.limits.attempts or pause >= deadline.left_s()
                if not error.retryable or last:
                    _log.warning("%s: %s, attempt %d", self.describe(), error.server_code, attempt)
                    raise
            time.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def once(self, request: Callable[[Client], T], key: str, deadline: Deadline | TryDeadline) -> T:
        """One attempt of `run`."""
        client = self.client()
        with translated(key):
            try:
                # Timeouts of sockets start anew with every byte, and looking up a name has none.
                return self._helpers.run(lambda: request(client), deadline)
            except GivenUp:
                raise stalled() from None

    @property
    def hung(self) -> int:
        """Calls that were given up and have not returned."""
        return self._helpers.hung

    def client(self) -> Client:
        """The client of this process; a forked child makes its own."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = _make_client(self.options)
                self._client.meta.events.register("after-call.s3", self._read_clock)
                self._client.meta.events.register_first("needs-retry.s3", _stop_at_redirect)
                self._client.meta.events.register("before-parse.s3", _refuse_cut)
                self._pid = os.getpid()
            return self._client

    def signer(self) -> Client:
        """The client that signs URLs, which asks nothing: the host is part of what is signed."""
        if not self.options.public_url:
            return self.client()
        with self._lock:
            if self._signer is None:
                elsewhere = replace(self.options, endpoint_url=self.options.public_url)
                self._signer = _make_client(elsewhere)
            return self._signer

    def server_time(self) -> float | None:
        """Seconds since 1970 by the server's clock; None when it has not answered lately.

        A machine that slept, or was restored from a snapshot, finds its last answer too old.
        """
        clock = self._clock
        if clock is None or not 0 <= time.time() - clock[1] <= _CLOCK_AGE_S:
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
    """Let no answer pass that is shorter than it says.

    The library would take a listing without its end for an empty one, and an error without its
    code for that of another service.
    """
    body = response_dict["body"]
    told = response_dict["headers"].get("content-length", "")
    has_body = operation_model.http.get("method") != "HEAD" and isinstance(body, bytes)
    if has_body and told.isdecimal() and len(body) < int(told):
        raise cut()


def _stop_at_redirect(response: Any, **_: Any) -> None:
    """Let the library follow a redirect only when the answer names the region.

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
        raise from_answer(response[1])


@contextlib.contextmanager
def translated(key: str = "") -> Iterator[None]:
    """Turn whatever the S3 library raises into an error that says what to do."""
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
        failure = translate(error, key)
        _log.debug("%s from %s", failure.code, type(error).__name__)
        raise failure from None  # the library's own words may hold hosts and key ids


def pause_s(error: S3Failed, attempt: int, limits: S3Limits) -> float:
    """Seconds to wait after attempt number `attempt`: what the server asked, and some at random."""
    about = min(_LONGEST_PAUSE_S, limits.pause_s * 2.0 ** (attempt - 1))
    return error.retry_after_s + about * random.uniform(0.5, 1.5)


def require_library() -> None:
    """Raise EXTRA_MISSING where the S3 library is not installed."""
    try:
        import boto3  # noqa: F401 - the use is elsewhere, and must not be met unprepared
    except ImportError:
        raise extra_missing() from None


def _make_client(options: S3Options) -> Client:
    import boto3.session
    from botocore.config import Config

    if bool(options.access_key) != bool(options.secret_key):
        raise InvalidRequest(
            "Only one half of the bucket's credentials is set.",
            code="BAD_SETTING",
            hint="Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither.",
        )
    config = Config(
        # Version 2, the library's choice for presigned URLs of other providers, is refused by most.
        signature_version="s3v4",
        # Trailers and CRC32 headers are refused by many compatible servers. A signed payload is
        # understood by all, and lets the server check what arrived.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": options.addressing, "payload_signing_enabled": True},
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=options.limits.connect_s,
        read_timeout=options.limits.read_s,
        max_pool_connections=_POOL,
        tcp_keepalive=True,
    )
    with translated():
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
