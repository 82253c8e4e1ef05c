"""HTTP client of a running server: bodies are streamed, its errors raised as `F5Error`.

An error says what failed: the address, the connection or the server. Redirects are not followed,
so a key is sent to no other host.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit
from weakref import WeakSet

from f5serve import build
from f5serve.errors import F5Error, InvalidRequest, ModelUnavailable, StorageFailed

CONNECT_S = 10.0
SILENCE_S = 900.0
"""Longest time that a server may take for its next byte: slow machines speak long sentences."""

_PART_BYTES = 1 << 16
_MOST_BYTES = 64_000_000
"""Of a body that is taken as a whole."""

_MOST_ERROR_BYTES = 1_000_000


class ServerClient:
    """A server under its URL.

    Args:
        url: http or https, with a path before /v1 where there is one.
        key: sent with each request; "" sends none.

    Raises:
        InvalidRequest: BAD_OPTION.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self._parts = _split(url)
        self.url = self._parts.geturl().rstrip("/")
        if not key.isascii() or not key.isprintable():
            raise InvalidRequest(
                "The key holds characters that cannot be sent.",
                code="BAD_OPTION",
                hint="Give it as `f5serve keys new` has printed it.",
            )
        self._headers = {"User-Agent": f"f5serve/{build.stamp().version}"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._connections = WeakSet[http.client.HTTPConnection]()

    def get(self, path: str) -> bytes:
        """The whole body.

        Raises:
            F5Error: see `StreamedResponse`.
        """
        with self.open(path) as answer:
            data = b"".join(answer.parts(_MOST_BYTES))
        return data

    def open(self, path: str) -> StreamedResponse:
        """The answer to a GET, before its body has come."""
        return self._ask("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> StreamedResponse:
        """The answer to a JSON body, before its own body has come."""
        return self._ask("POST", path, json.dumps(body).encode())

    def delete(self, path: str) -> bytes:
        """The whole body of the answer to a DELETE; errors as `get`."""
        with self._ask("DELETE", path) as answer:
            return b"".join(answer.parts(_MOST_BYTES))

    def upload(
        self, path: str, fields: Mapping[str, str], field: str, file: tuple[str, bytes]
    ) -> bytes:
        """The whole body of the answer to a form with a file; errors as `get`.

        Args:
            field: of the file.
            file: its name and its bytes.
        """
        boundary = secrets.token_hex(16)
        name = "".join(
            c if c.isascii() and (c.isalnum() or c in ".-") else "_" for c in file[0][-60:]
        )
        heads = [f'name="{key}"\r\n\r\n' for key in fields]
        heads.append(f'name="{field}"; filename="{name}"\r\n\r\n')
        values = [*(value.encode() for value in fields.values()), file[1]]
        start = f"--{boundary}\r\nContent-Disposition: form-data; "
        parts = (
            f"{start}{head}".encode() + value for head, value in zip(heads, values, strict=True)
        )
        body = b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])
        content_type = f"multipart/form-data; boundary={boundary}"
        with self._ask("POST", path, body, content_type) as answer:
            return b"".join(answer.parts(_MOST_BYTES))

    def abort(self) -> None:
        """End calls that are running in other threads; they raise StorageFailed."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError, AttributeError):  # it is not connected
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> StreamedResponse:
        kind = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=CONNECT_S)
        headers = {**self._headers, "Content-Type": content_type} if body else self._headers
        self._connections.add(connection)
        try:
            connection.connect()
            connection.sock.settimeout(SILENCE_S)
            connection.request(method, self._parts.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise StorageFailed(
                f"{self.url} cannot be reached: {_reason(error)}.",
                code="SERVER_UNREACHABLE",
                hint="Check the address, and that `f5serve serve` runs there.",
                retryable=True,
            ) from None
        return StreamedResponse(self.url, connection, response)


class StreamedResponse:
    """A response whose status is 200, 201 or 202; closed at the end of `with`.

    Attributes:
        first_part_at: `time.monotonic()` when its body began to arrive; None before.

    Raises:
        InvalidRequest: what the server refuses, with its code.
        ModelUnavailable: it is not ready, or cannot do that.
        StorageFailed: it failed otherwise.
    """

    def __init__(
        self,
        url: str,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
    ) -> None:
        self._url = url
        self._connection = connection
        self._response = response
        self.first_part_at: float | None = None
        if response.status not in (200, 201, 202):
            with self:
                raise self._refusal()

    def header(self, name: str) -> str:
        """A header, or ""."""
        return self._response.getheader(name) or ""

    def parts(self, most: int | None = None) -> Iterator[bytes]:
        """The body as it arrives.

        Raises:
            StorageFailed: CONNECTION_LOST before its end, ANSWER_TOO_LARGE beyond `most` bytes.
        """
        announced = self.header("Content-Length")
        size = 0
        while part := self._read():
            self.first_part_at = self.first_part_at or time.monotonic()
            size += len(part)
            if most is not None and size > most:
                raise StorageFailed(
                    f"The answer of {self._url} is larger than {most:,} bytes.",
                    code="ANSWER_TOO_LARGE",
                    hint="Check that it is f5serve.",
                )
            yield part
        if announced.isdecimal() and size != int(announced):
            raise self._lost(size)

    def _read(self) -> bytes:
        try:
            return self._response.read1(_PART_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(None, error) from None

    def _refusal(self) -> F5Error:
        status = self._response.status
        data = b""
        with contextlib.suppress(F5Error):
            data = b"".join(self.parts(_MOST_ERROR_BYTES))
        message, code = _parse_error(data)
        kind: type[F5Error] = InvalidRequest if status < 500 else StorageFailed
        if status in (501, 503):
            kind = ModelUnavailable
        return kind(
            message or f"{self._url} answered with status {status}.",
            code=code or "SERVER_REFUSED",
            hint=f"So {self._url} has answered, with status {status}.",
            retryable=status in (429, 503),
        )

    def _lost(self, size: int | None, error: Exception | None = None) -> StorageFailed:
        why = _reason(error) if error else f"it ended after {size:,} bytes"
        return StorageFailed(
            f"{self._url} stopped in the middle of its answer: {why}.",
            code="CONNECTION_LOST",
            hint="Send it again; the server's log may say why.",
            retryable=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._response.close()
        self._connection.close()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_good = is_good and (parts.port is None or 0 < parts.port < 65_536)
    except ValueError:
        is_good = False
    if not is_good or not url.isascii() or parts.username or parts.query or parts.fragment:
        shown = url if "@" not in url else "with a name or password in it"
        raise InvalidRequest(
            f"--server is {shown[:100]!r}.",
            code="BAD_OPTION",
            hint="Give an address such as http://127.0.0.1:8000; a key goes into --key.",
        )
    return parts


def _parse_error(data: bytes) -> tuple[str, str]:
    """Message and code of an error in OpenAI's shape; empty for anything else."""
    try:
        error = json.loads(data)["error"]
        message, code = error["message"], error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""
    is_text = isinstance(message, str)
    return message if is_text else "", code.upper() if isinstance(code, str) else ""


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, http.client.HTTPException):
        return f"it does not speak HTTP as expected ({type(error).__name__})"
    return str(getattr(error, "strerror", None) or error).rstrip(".")
