"""Whatever is sent over a WebSocket: one clear end, no fault in the log, nothing left behind.

F5_FUZZ_SECONDS=600 before a command tries new examples for so long, in place of a few.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from f5serve.http.sockets import SocketLimits
from tests.http.house import House, house
from tests.http.sockets import CONFIG, PATH, calling, sound_in
from tests.http.test_streaming import until

SECONDS = float(os.environ.get("F5_FUZZ_SECONDS", "0"))
EXAMPLES = 200 if SECONDS else 50
PATHS = (
    PATH,
    "/v1/text-to-speech/default/stream-input?output_format=pcm_8000",
    "/v1/text-to-speech/default/multi-stream-input?auto_mode=true",
)
CODES = {1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 1013}
"""How a socket may end, whatever was sent: not by a fault of ours, 1011."""

IDLE = 1_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk"), max_text_chars=300) as made:
        made.app.state.socket_limits = SocketLimits(first_message_s=0.5, idle_s=0.5)
        yield made


@dataclass(frozen=True)
class Sent:
    """Bytes of a client, and how it leaves."""

    path: str
    data: bytes
    leaves: str


_WORDS = st.sampled_from(["Hello ", "there. ", " ", "", "***", "A clause, ", "\ud83d", "\0", "é"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_NAMES = st.sampled_from(
    [
        *("type", "text", "voice", "response_format", "speed", "split_granularity", "seed"),
        *("stream_audio", "word_timestamps", "ref_audio", "language", "lexicon", "api_key"),
        *("context_id", "flush", "close_context", "close_socket", "voice_settings", "xi_api_key"),
        *("generation_config", "pronunciation_dictionary_locators", "authorization"),
    ]
)
_OURS = st.sampled_from(
    [
        CONFIG,
        {**CONFIG, "split_granularity": "clause", "stream_audio": True, "word_timestamps": True},
        {"type": "input.text", "text": "This is a clause, and more of it. "},
        {"type": "input.done"},
        {"type": "session.close"},
        {"text": " "},
        {"text": "This is a clause, and more of it. ", "flush": True},
        {"text": "Of a context. ", "context_id": "a"},
        {"context_id": "a", "close_context": True},
        {"close_socket": True},
        {"text": ""},
    ]
)
_MESSAGES = st.one_of(
    _OURS,
    st.builds(lambda a, b: {**a, **b}, _OURS, st.dictionaries(_NAMES, _VALUES, max_size=3)),
    st.dictionaries(_NAMES, _VALUES, max_size=4),
    _VALUES,
)


def _frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def _fragments(data: bytes, size: int) -> bytes:
    parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    frames = [
        _frame(Opcode.CONT if number else Opcode.TEXT, part, number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
    return b"".join(frames)


_TEXTS = _MESSAGES.map(lambda value: json.dumps(value).encode())
_FRAMES = st.one_of(
    _TEXTS.map(lambda data: _frame(Opcode.TEXT, data)),
    _TEXTS.map(lambda data: _frame(Opcode.TEXT, data)),
    st.builds(_fragments, _TEXTS, st.integers(1, 9)),
    _TEXTS.map(lambda data: _frame(Opcode.TEXT, data[:-1])),
    _TEXTS.map(lambda data: _frame(Opcode.BINARY, data)),
    st.binary(max_size=60),
    st.binary(max_size=30).map(lambda data: _frame(Opcode.TEXT, data)),
    st.sampled_from(
        [
            _frame(Opcode.PING, b"x" * 125) * 500,
            _frame(Opcode.PONG, b"unasked"),
            _frame(Opcode.TEXT, b"{}") * 2_000,
            _frame(Opcode.TEXT, b"", fin=False) + _frame(Opcode.CONT, b"", fin=False) * 1_100,
            _frame(Opcode.CLOSE, struct.pack("!H", 1000)),
            _frame(Opcode.CLOSE, b"\x03"),
            _frame(Opcode.TEXT, b"x" * 70_000),
            b"\x81\xff" + struct.pack("!Q", 1 << 62),
        ]
    ),
)
_SENT = st.builds(
    Sent,
    st.sampled_from(PATHS),
    st.builds(b"".join, st.lists(_FRAMES, max_size=8)),
    st.sampled_from(["close", "stay", "reset", "half"]),
)


def opened(home: House, path: str) -> socket.socket:
    """A bare connection that has become a WebSocket."""
    place = urlsplit(home.url)
    link = socket.create_connection((place.hostname, place.port), 60)
    link.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += link.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return link


def close_codes(data: bytes) -> list[int]:
    """The codes of the close frames among frames of the server; checks that all are whole."""
    codes, at = [], 0
    while at + 2 <= len(data):
        opcode, size = data[at] & 15, data[at + 1]
        assert data[at] & 0x70 == 0
        assert size < 128
        at += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        if opcode == Opcode.TEXT and at + size <= len(data):
            json.loads(data[at : at + size])
        elif opcode == Opcode.CLOSE and size >= 2:
            codes.append(int.from_bytes(data[at : at + 2], "big"))
        at += size
    return codes


def try_out(home: House, sent: Sent) -> None:
    """Send it all, and hear the end."""
    with opened(home, sent.path) as link:
        with suppress(OSError):
            link.sendall(sent.data)
            if sent.leaves == "close":
                link.sendall(_frame(Opcode.CLOSE, struct.pack("!H", 1000)))
            elif sent.leaves == "reset":
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            elif sent.leaves == "half":
                link.shutdown(socket.SHUT_WR)
        data = bytearray()
        with suppress(ConnectionResetError):
            while not close_codes(bytes(data)) and (part := link.recv(1 << 16)):
                data += part
    codes = close_codes(bytes(data))
    assert len(codes) <= 1
    assert set(codes) <= CODES, (codes, sent)


def test_nothing_that_is_sent_is_a_fault(home: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    def attempt(sent: Sent) -> None:
        try_out(home, sent)

    end = time.monotonic() + SECONDS
    while True:
        options = settings(
            max_examples=EXAMPLES,
            derandomize=not SECONDS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        options(given(_SENT)(attempt))()
        if time.monotonic() >= end:
            break
    assert [record.getMessage() for record in caplog.records] == []
    until(lambda: len(home.service.operations._registry) == 0)
    assert speaks(home)


def speaks(home: House) -> bool:
    """Whether a new socket is served as ever."""
    with calling(home) as caller:
        caller.configure()
        caller.write("Hello there.")
        caller.done()
        return bool(sound_in(caller.until("session.done")))


def test_many_idle_and_half_open_sockets_hold_nobody_up(home: House) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE, (hard - 500) // 2)
    home.app.state.socket_limits = SocketLimits(first_message_s=600, idle_s=600)
    try:
        with ExitStack() as stack:
            links = [stack.enter_context(opened(home, path)) for path in PATHS * (count // 3)]
            for number, link in enumerate(links):
                if number % 3 == 0:  # half of a frame
                    link.sendall(_frame(Opcode.TEXT, json.dumps(CONFIG).encode())[:20])
            assert speaks(home)
            assert home.speak().status_code == 200
            for link in links:  # nothing was sent to them, and none was closed
                link.setblocking(False)
                with pytest.raises(BlockingIOError):
                    link.recv(1)
        assert speaks(home)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
