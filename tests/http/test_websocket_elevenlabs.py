"""ElevenLabs' WebSockets: one text or several at a time, spoken while they are written."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from websockets.exceptions import ConnectionClosed

from f5serve.http.routers.elevenlabs_stream import MAX_CONTEXTS
from tests.http.house import House, house
from tests.http.sockets import FIRST, SECOND, THIRD, Caller, calling, refused
from tests.http.sound import heard_s
from tests.http.test_streaming import until

ONE = "/v1/text-to-speech/default/stream-input"
MULTI = "/v1/text-to-speech/default/multi-stream-input"
PCM = "?output_format=pcm_24000"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk")) as made:
        yield made


def outputs(messages: list[Any]) -> dict[str, list[dict[str, Any]]]:
    """Messages by context, each of which must be JSON."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        assert isinstance(message, dict)
        found[message.get("contextId") or ""].append(message)
    return found


def sound(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(one["audio"]) for one in messages if one.get("audio"))


def finals(messages: list[Any]) -> list[str]:
    return [str(one.get("contextId")) for one in messages if one.get("isFinal")]


def write(caller: Caller, text: str, **fields: Any) -> None:
    for word in text.split():
        caller.send(text=f"{word} ", **fields)


def until_final(caller: Caller) -> list[Any]:
    found: list[Any] = []
    while not (found and found[-1].get("isFinal")):
        found.append(caller.next())
    return found


def test_a_text_is_spoken_while_it_is_written(home: House) -> None:
    before = len(home.tone.spoken)
    with calling(home, ONE + PCM) as caller:
        settings = {"stability": 0.5, "similarity_boost": 0.8, "speed": 1.0}
        schedule = {"chunk_length_schedule": [120, 160, 250, 290]}
        caller.send(text=" ", voice_settings=settings, generation_config=schedule)
        write(caller, FIRST, try_trigger_generation=True)
        first = caller.next()
        assert home.tone.spoken[before:] == [FIRST.strip()]
        write(caller, SECOND + THIRD)
        caller.send(text="")
        messages, closed = caller.ended()
    assert closed == 1000
    messages = [first, *messages]
    assert all("contextId" not in one for one in messages)
    assert messages[-1] == {
        "audio": None,
        "isFinal": True,
        "alignment": None,
        "normalizedAlignment": None,
    }
    whole = sound(outputs(messages)[""])
    assert heard_s(whole, "pcm") > 4
    assert " ".join(home.tone.spoken[before:]) == (FIRST + SECOND + THIRD).strip()


@pytest.mark.parametrize("sync", [False, True])
def test_each_character_has_its_time(home: House, sync: bool) -> None:
    with calling(home, f"{ONE}{PCM}&sync_alignment={str(sync).lower()}") as caller:
        caller.send(text=" ")
        caller.send(text=FIRST, flush=True)
        first = []
        while not (first and first[-1]["alignment"]):
            first.append(caller.next())
        caller.send(text=SECOND)
        caller.send(text="")
        messages, _ = caller.ended()
    parts = [first, messages]
    for text, part in zip((FIRST, SECOND), parts, strict=True):
        (times,) = [one["alignment"] for one in part if one["alignment"]]
        assert times == next(one["normalizedAlignment"] for one in part if one["alignment"])
        assert "".join(times["chars"]) == f"{text.rstrip()} "
        starts, durations = times["charStartTimesMs"], times["charDurationsMs"]
        before_ms = round(1000 * heard_s(sound(first), "pcm")) if sync and part is messages else 0
        assert starts[0] == pytest.approx(before_ms, abs=1)
        ends = [start + long for start, long in zip(starts, durations, strict=True)]
        assert ends[:-1] == starts[1:]
        seconds = heard_s(sound(part), "pcm")
        assert ends[-1] - starts[0] == pytest.approx(1000 * seconds, abs=1)


@pytest.mark.parametrize(
    ("name", "format", "rate"),
    [("mp3_44100_128", "mp3", 1), ("opus_48000_64", "opus", 1), ("pcm_8000", "pcm", 1 / 3)],
)
def test_formats_have_elevenlabs_names(home: House, name: str, format: str, rate: float) -> None:
    with calling(home, f"{ONE}?output_format={name}") as caller:
        caller.send(text=FIRST)
        caller.send(text="")
        messages, _ = caller.ended()
    seconds = heard_s(sound(outputs(messages)[""]), format)
    assert seconds / rate == pytest.approx(1.8, abs=0.3)


def test_contexts_are_independent(home: House) -> None:
    with calling(home, MULTI + PCM) as caller:
        for name in ("a", "b"):
            caller.send(text=" ", context_id=name, voice_settings={"speed": 1.0})
        write(caller, f"{FIRST} says a. ", context_id="a")
        write(caller, f"{FIRST} says b, who is a little slower. ", contextId="b")
        write(caller, f"{FIRST} says nobody. ")
        caller.send(context_id="a", flush=True)
        caller.send(context_id="b", flush=True, text="And more.")
        caller.send(flush=True)
        caller.send(context_id="a", close_context=True)
        messages = until_final(caller)
        assert finals(messages) == ["a"]
        caller.send(context_id="a", close_context=True)  # it is closed
        caller.send(context_id="b", text="")  # keeps it open
        caller.send(close_socket=True)
        rest, closed = caller.ended()
    assert closed == 1000
    assert sorted(finals(rest)) == ["b", "default"]
    told = outputs(messages + rest)
    assert set(told) == {"a", "b", "default"}
    for name, text in [("a", "says a."), ("b", "And more."), ("default", "nobody. ")]:
        assert sound(told[name])
        chars = [c for one in told[name] if one["alignment"] for c in one["alignment"]["chars"]]
        assert "".join(chars).startswith(FIRST)
        assert text.strip() in "".join(chars)


def test_closing_a_context_stops_the_device_at_its_next_step(tmp_path: Path) -> None:
    with house(tmp_path) as home, calling(home, MULTI + PCM) as caller:
        home.tone.hold()
        caller.send(text=FIRST + SECOND, context_id="a")
        assert home.tone.at_work.wait(60)
        caller.send(context_id="a", close_context=True)
        assert finals([caller.next()]) == ["a"]  # at once, though the device is still held
        caller.send(text=THIRD + "So.", context_id="b", flush=True)
        home.tone.release()
        caller.send(context_id="b", close_context=True)  # what was flushed is spoken
        messages = until_final(caller)
        assert set(outputs(messages)) == {"b"}
        assert sound(outputs(messages)["b"])
        assert home.tone.spoken[0] == FIRST.strip()
        assert " ".join(home.tone.spoken[1:]) == THIRD + "So."


def test_closing_a_context_again_stops_what_was_flushed(tmp_path: Path) -> None:
    with house(tmp_path) as home, calling(home, MULTI + PCM) as caller:
        home.tone.hold()
        caller.send(text=FIRST + SECOND, context_id="a", flush=True)
        caller.send(context_id="a", close_context=True)
        assert home.tone.at_work.wait(60)
        caller.send(context_id="a", close_context=True)
        assert finals([caller.next()]) == ["a"]
        jobs = home.service.operations._registry
        until(lambda: all(job.is_cancelling for job in jobs._jobs.values()))
        home.tone.release()
        until(lambda: len(jobs) == 0)
        assert home.tone.steps == 1


def test_in_auto_mode_each_message_is_spoken_as_it_is(home: House) -> None:
    with calling(home, f"{MULTI}{PCM}&auto_mode=true") as caller:
        caller.send(text="Just so", context_id="a")
        assert sound([caller.next()])  # type: ignore[list-item]


def test_an_error_is_about_its_context(home: House) -> None:
    with calling(home, MULTI.replace("default", "nobody") + PCM) as caller:
        caller.send(text="Hello there. ", context_id="a", flush=True)
        problem = caller.next()
        assert isinstance(problem, dict)
        assert {name: problem[name] for name in ("error", "code", "param", "contextId")} == {
            "error": "voice_not_found",
            "code": 1008,
            "param": "voice",
            "contextId": "a",
        }
        caller.send(text="This is dropped. ", context_id="a", flush=True)
        for fields, code in [
            ({"text": 3}, "bad_option"),
            ({"text": "More. ", "voice_settings": {"speed": 9}}, "bad_option"),
            ({"text": "x" * 5_001}, "text_too_long"),
            ({"text": " ", "pronunciation_dictionary_locators": [{"id": "x"}]}, "bad_option"),
        ]:
            caller.send(context_id=f"b{code}{len(str(fields))}", **fields)
            problem = caller.next()
            assert isinstance(problem, dict)
            assert problem["error"] == code
            assert problem["contextId"].startswith("b")
        for number in range(MAX_CONTEXTS + 1):
            caller.send(text=" ", context_id=f"c{number}")
        problem = caller.next()
        assert isinstance(problem, dict)
        assert (problem["error"], problem["contextId"]) == (
            "too_many_contexts",
            f"c{MAX_CONTEXTS}",
        )
        caller.send(close_socket=True)
        messages, closed = caller.ended()
    assert sorted(finals(messages)) == [f"c{number}" for number in range(MAX_CONTEXTS)]
    assert closed == 1000


def test_an_error_ends_a_stream_input(home: House) -> None:
    for first, code in [
        ({"text": "Hello there. ", "voice_settings": {"speed": "fast"}}, "bad_option"),
        ({"text": "x" * 5_001}, "text_too_long"),
        ({"text": " ", "generation_config": {"chunk_length_schedule": [1]}}, "bad_option"),
    ]:
        with calling(home, ONE) as caller:
            caller.send(**first)
            messages, closed = caller.ended()
        assert closed == 1008
        assert messages[-1]["error"] == code  # type: ignore[index]
        assert (caller.link.close_reason or "").startswith(code)


def test_a_message_that_is_no_json_ends_a_stream_input_alone(home: House) -> None:
    for path, codes in [(ONE, {1008}), (MULTI, {1000})]:
        with calling(home, path) as caller:
            caller.send(text=" ")
            caller.link.send("{")
            problem = caller.next()
            assert isinstance(problem, dict)
            assert (problem["error"], problem["code"]) == ("invalid_json", 1008)
            with contextlib.suppress(ConnectionClosed):
                caller.send(close_socket=True)
            assert caller.ended()[1] in codes


def test_a_space_and_nothing_is_no_text(home: House) -> None:
    for messages in ([" ", ""], [""]):
        with calling(home, ONE) as caller:
            for text in messages:
                caller.send(text=text)
            found, closed = caller.ended()
        assert closed == 1000
        assert all(not sound([one]) for one in found if isinstance(one, dict))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("output_format=mp3", "output_format"),
        ("seed=first", "seed"),
        ("inactivity_timeout=0", "inactivity_timeout"),
        ("enable_ssml_parsing=true", "enable_ssml_parsing"),
    ],
)
def test_a_query_that_is_wrong_opens_no_socket(home: House, query: str, param: str) -> None:
    status, error = refused(home, f"{ONE}?{query}")
    assert (status, error["code"], error["param"]) == (400, "bad_option", param)


@contextlib.contextmanager
def behind_tls(home: House, folder: Path) -> Iterator[tuple[str, Path]]:
    """The server behind a proxy with TLS: its URL, and the certificate to trust."""
    authority = trustme.CA()
    bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    place = urlsplit(home.url)
    listening = socket.create_server(("127.0.0.1", 0))
    stop: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner = await asyncio.open_connection(place.hostname, place.port)
        await asyncio.gather(copy(reader, inner), copy(inner_reader, writer))

    async def proxy() -> None:
        ended = asyncio.Event()
        async with await asyncio.start_server(serve, sock=listening, ssl=context):
            stop.set_result((asyncio.get_running_loop(), ended))
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(proxy()))
    thread.start()
    loop, ended = stop.result(60)
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}", bundle
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(60)


@pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")  # its own
def test_the_elevenlabs_package_speaks_to_it(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with behind_tls(home, tmp_path) as (url, bundle):
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))  # it takes wss alone
        speaker = ElevenLabs(api_key="none-is-needed", base_url=url)
        words = iter((FIRST + SECOND + THIRD).split(" "))
        parts = speaker.text_to_speech.convert_realtime(
            "default", text=(f"{word} " for word in words), model_id="eleven_flash_v2_5"
        )
        assert heard_s(b"".join(parts), "mp3") > 4
        with pytest.raises(ApiError) as caught:
            list(speaker.text_to_speech.convert_realtime("nobody", text=iter(["Hello there. "])))
        assert caught.value.status_code == 1008
        assert caught.value.body["error"] == "voice_not_found"
