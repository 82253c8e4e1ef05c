"""WebSockets of the server in small, with the `websockets` package's own client."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.http.house import House

PATH = "/v1/audio/speech/stream"
CONFIG = {"type": "session.config", "voice": "default"}
SOON_S = 60.0
FIRST, SECOND, THIRD = (
    "This is the very first clause, ",
    "and it goes on for a while. ",
    "Here is another sentence. ",
)


class Caller:
    """One socket of a caller."""

    def __init__(self, link: ClientConnection) -> None:
        self.link = link

    def send(self, **message: Any) -> None:
        self.link.send(json.dumps(message))

    def configure(self, **fields: Any) -> None:
        self.send(**{**CONFIG, **fields})

    def write(self, text: str) -> None:
        """A text, word by word."""
        for word in text.split(" "):
            self.send(type="input.text", text=f"{word} " if word else "")

    def done(self) -> None:
        self.send(type="input.done")

    def next(self) -> dict[str, Any] | bytes:
        message = self.link.recv(SOON_S)
        return json.loads(message) if isinstance(message, str) else message

    def until(self, kind: str) -> list[dict[str, Any] | bytes]:
        """Messages up to the first of a kind."""
        found: list[dict[str, Any] | bytes] = []
        while True:
            found.append(self.next())
            last = found[-1]
            if isinstance(last, dict) and last.get("type") == kind:
                return found

    def rest(self) -> list[dict[str, Any] | bytes]:
        """All that comes until the socket is closed."""
        found: list[dict[str, Any] | bytes] = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                found.append(self.next())
        return found

    def ended(self) -> tuple[list[dict[str, Any] | bytes], int]:
        """All that still comes, and the close code."""
        return self.rest(), self.link.close_code or 0


@contextlib.contextmanager
def calling(home: House, path: str = PATH, **options: Any) -> Iterator[Caller]:
    """A socket, closed at the end; `options` of the client."""
    options.setdefault("open_timeout", SOON_S)
    options.setdefault("close_timeout", SOON_S)
    with connect(home.url.replace("http", "ws", 1) + path, **options) as link:
        yield Caller(link)


def refused(home: House, path: str = PATH, **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of a socket that must not open."""
    with pytest.raises(InvalidStatus) as caught, calling(home, path, **options):
        pass
    answer = caught.value.response
    body = json.loads(answer.body or b"")
    error = body["detail" if path.startswith("/v1/text-to-speech/") else "error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, error


def kinds(messages: list[dict[str, Any] | bytes]) -> list[str]:
    """Types of messages, each run of sound once."""
    found: list[str] = []
    for message in messages:
        kind = "sound" if isinstance(message, bytes) else str(message["type"])
        if kind not in ("sound", "audio.chunk") or found[-1:] != [kind]:
            found.append(kind)
    return found


def sound_in(messages: list[dict[str, Any] | bytes]) -> bytes:
    """The sound of all messages."""
    parts = [
        message if isinstance(message, bytes) else base64.b64decode(message.get("audio_b64", ""))
        for message in messages
    ]
    return b"".join(parts)


def error_in(messages: list[dict[str, Any] | bytes]) -> dict[str, Any]:
    """The only error."""
    found = [one for one in messages if isinstance(one, dict) and one["type"] == "error"]
    assert len(found) == 1, found
    return found[0]
