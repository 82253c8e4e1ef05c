"""Broken frames, floods, slow and silent clients, and the end of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from f5serve.errors import F5Error
from f5serve.wyoming.protocol import MAX_PAYLOAD_BYTES, Channel, FrameLimits
from f5serve.wyoming.server import ServerLimits
from tests.service.house import PATIENCE_S, CountingTone, run
from tests.wyoming.house import TEXT, error_in, house, kinds, until

LINE_BYTES = 65_536 + 12 * 5_000

BROKEN = {
    "no JSON": (b"GET / HTTP/1.1\r\n\r\n", "BAD_EVENT"),
    "no UTF-8": (b"\xff\xfe\n", "BAD_EVENT"),
    "an empty line": (b"\n", "BAD_EVENT"),
    "a list": (b"[1, 2]\n", "BAD_EVENT"),
    "no type": (b"{}\n", "BAD_EVENT"),
    "a type that is a number": (b'{"type": 5}\n', "BAD_EVENT"),
    "data that is a list": (b'{"type": "synthesize", "data": []}\n', "BAD_EVENT"),
    "data behind that is a list": (b'{"type": "describe", "data_length": 2}\n[]', "BAD_EVENT"),
    "data behind that is no JSON": (b'{"type": "describe", "data_length": 2}\n{{', "BAD_EVENT"),
    "a negative length": (b'{"type": "describe", "data_length": -1}\n', "BAD_EVENT"),
    "a length that is true": (b'{"type": "describe", "payload_length": true}\n', "BAD_EVENT"),
    "a length with a fraction": (b'{"type": "describe", "data_length": 1.5}\n', "BAD_EVENT"),
    "a number of many digits": (
        b'{"type": "x", "data_length": ' + b"9" * 9_999 + b"}\n",
        "BAD_EVENT",
    ),
    "nested too deeply": (b'{"type": ' + b"[" * 60_000 + b"\n", "BAD_EVENT"),
    "a line without an end": (b"a" * (2 * LINE_BYTES + 100_000), "EVENT_TOO_LARGE"),
    "a line that is too long": (b"a" * (LINE_BYTES + 1) + b"\n", "EVENT_TOO_LARGE"),
    "long data": (
        b'{"type": "synthesize", "data_length": %d}\n' % (LINE_BYTES + 1),
        "EVENT_TOO_LARGE",
    ),
    "a long payload": (
        b'{"type": "describe", "payload_length": %d}\n' % (MAX_PAYLOAD_BYTES + 1),
        "EVENT_TOO_LARGE",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_frames_are_one_error(tmp_path: Path, name: str) -> None:
    data, code = BROKEN[name]

    async def story() -> None:
        async with house(tmp_path) as here:
            error = error_in(await here.send(data))
            assert error.code == code
            assert len(error.text) < 300
            await here.until_left()
            assert kinds(await here.ask(Synthesize(TEXT).event()))[-1] == "audio-stop"

    run(story)


def read_all(data: bytes) -> list[object]:
    """What is read of these bytes: events, then an error code or None."""

    async def story() -> list[object]:
        reader = asyncio.StreamReader(limit=1_000)
        reader.feed_data(data)
        reader.feed_eof()
        channel = Channel(reader, None, FrameLimits(1_000, 500))  # type: ignore[arg-type]
        found: list[object] = []
        try:
            while (event := await channel.read()) is not None:
                found.append((event.type, dict(event.data)))
        except F5Error as error:
            found.append(error.code)
        return found

    return asyncio.run(story())


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_events_or_an_error(data: bytes) -> None:
    for found in read_all(data):
        assert isinstance(found, tuple) or found in ("BAD_EVENT", "EVENT_TOO_LARGE")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
HEADS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["describe", "synthesize"]) | JSON,
        "data": JSON,
        "data_length": st.integers(-2, 40) | JSON,
        "payload_length": st.integers(-2, 40) | JSON,
    },
)


@given(HEADS, st.binary(max_size=60))
@settings(deadline=None)
def test_any_head_is_an_event_or_an_error(head: dict[str, object], behind: bytes) -> None:
    for found in read_all(json.dumps(head).encode() + b"\n" + behind):
        assert isinstance(found, tuple) or found in ("BAD_EVENT", "EVENT_TOO_LARGE")


def test_data_may_stand_in_the_line_and_payloads_are_dropped() -> None:
    frames = (
        b'{"type": "a", "data": {"x": 1, "y": 1}, "data_length": 8, "payload_length": 3}\n'
        b'{"y": 2}abc{"type": "b"}\n'
    )
    assert read_all(frames) == [("a", {"x": 1, "y": 2}), ("b", {})]


def test_unknown_events_are_dropped(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            await client.write_event(Event("select-program", {"name": "f5serve"}))
            await client.write_event(Event("audio-chunk", {"rate": 16_000}, b"\0" * 5_000))
            await client.write_event(Describe().event())
            assert kinds(await until(client, "info")) == ["info"]

    run(story)


def test_a_flood_of_events_waits_while_speech_is_made(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            here.tone.hold()
            assert client._writer is not None
            client._writer.transport.set_write_buffer_limits(high=1_000)
            await client.write_event(Synthesize(TEXT).event())
            await asyncio.to_thread(here.tone.at_work.wait, PATIENCE_S)
            ping = Event("ping", {"text": "a" * 50_000})

            async def flood() -> None:
                for _ in range(2_000):  # 100 MB
                    await client.write_event(ping)

            flooding = asyncio.create_task(flood())
            async with asyncio.timeout(PATIENCE_S):
                while client._writer.transport.get_write_buffer_size() < 1_000:
                    await asyncio.sleep(0.01)
            assert not flooding.done()  # what is not read stays with its sender
            here.tone.release()
            assert kinds(await until(client, "pong"))[-2:] == ["audio-stop", "pong"]
            flooding.cancel()
            await asyncio.wait({flooding})

    run(story)


def test_idle_clients_disturb_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            idle = [await here.connect() for _ in range(200)]
            async with asyncio.timeout(PATIENCE_S):
                while len(here.server) < 200:
                    await asyncio.sleep(0.01)
            assert kinds(await here.ask(Synthesize(TEXT).event()))[-1] == "audio-stop"
            for _, writer in idle:
                writer.close()
            await here.until_left()

    run(story)


def test_the_longest_idle_client_makes_room(tmp_path: Path) -> None:
    async def story() -> None:
        limits = ServerLimits(max_connections=3, min_idle_s=0.0)
        async with house(tmp_path, limits) as here:
            first, *others = [await here.connect() for _ in range(3)]
            assert kinds(await here.ask(Synthesize(TEXT).event()))[-1] == "audio-stop"
            with contextlib.suppress(ConnectionError):
                assert await first[0].read() == b""
            for _, writer in (first, *others):
                writer.close()

    run(story)


def test_a_client_too_many_is_told_so(tmp_path: Path) -> None:
    async def story() -> None:
        limits = ServerLimits(max_connections=1, min_idle_s=3600.0)
        async with house(tmp_path, limits) as here, here.client() as client:
            await client.write_event(Describe().event())
            await until(client, "info")
            async with here.client() as late:
                assert error_in(await until(late, "never")).code == "BUSY"

    run(story)


def test_a_client_who_says_nothing_is_closed(tmp_path: Path) -> None:
    async def story() -> None:
        limits = ServerLimits(idle_s=0.5)
        async with house(tmp_path, limits, request_timeout_s=1.0) as here:
            silent, _ = await here.connect()
            async with here.client() as streaming:
                await streaming.write_event(SynthesizeStart().event())
                with contextlib.suppress(ConnectionError):
                    assert await silent.read() == b""
                    assert await until(streaming, "never") == []
            await here.until_left()

    run(story)


def test_half_an_event_is_waited_for_but_not_long(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, ServerLimits(event_timeout_s=0.05)) as here:
            for half in (b"{", b'{"type": "synthesize", "data_length": 99}\n{'):
                assert error_in(await here.send(half)).code == "EVENT_TOO_SLOW"

    run(story)


def test_a_slow_reader_is_waited_for_and_in_the_end_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        tone = CountingTone(s_per_byte=4.0)  # 40 MB
        async with house(tmp_path, tone=tone, request_timeout_s=2.0) as here:
            bare = socket.socket()
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            bare.connect(("127.0.0.1", here.port))
            text = " ".join(["This is a sentence."] * 12)
            bare.sendall(
                json.dumps({"type": "synthesize", "data": {"text": text}}).encode() + b"\n"
            )
            async with asyncio.timeout(PATIENCE_S):
                while len(here.server) == 0:
                    await asyncio.sleep(0.01)
            await here.until_left()
            assert "a reader took nothing" in caplog.text
            bare.close()

    run(story)


def test_a_client_that_vanishes_within_its_text_stops_the_device(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            _, writer = await here.connect()
            start = b'{"type": "synthesize-start"}\n'
            text = {"type": "synthesize-chunk", "data": {"text": "This is the first clause, "}}
            writer.write(start + json.dumps(text).encode() + b"\n")
            assert await asyncio.to_thread(here.tone.at_work.wait, PATIENCE_S)
            reset = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            writer.transport.abort()
            here.tone.release()
            await here.until_left()
            assert here.tone.spoken == ["This is the first clause,"]

    run(story)


def test_the_end_of_the_server_lets_speech_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as idle, here.client() as client:
            here.tone.hold()
            await client.write_event(Synthesize(TEXT).event())
            assert await asyncio.to_thread(here.tone.at_work.wait, PATIENCE_S)
            closing = asyncio.create_task(here.server.close(PATIENCE_S))
            assert await until(idle, "never") == []
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await here.connect()
            here.tone.release()
            assert kinds(await until(client, "never")) == [
                "audio-start",
                "audio-chunk",
                "audio-stop",
            ]
            await closing

    run(story)


def test_the_end_of_the_server_does_not_wait_for_ever(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            await client.write_event(SynthesizeStart().event())
            await client.write_event(SynthesizeChunk("This is the first clause, ").event())
            await until(client, "audio-chunk")
            await here.server.close(0.05)
            with contextlib.suppress(ConnectionError):
                await client.write_event(SynthesizeStop().event())
                assert "synthesize-stopped" not in kinds(await until(client, "never"))
            assert len(here.server) == 0

    run(story)
