"""WebSocket /v1/audio/speech/stream: text in as it is written, speech out, as vllm-omni has it."""

from __future__ import annotations

import base64
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import av
import pytest

from f5serve.http.sockets import PART_BYTES
from tests.http.house import House, house
from tests.http.sockets import (
    FIRST,
    SECOND,
    THIRD,
    calling,
    error_in,
    kinds,
    sound_in,
)
from tests.http.sound import heard_s
from tests.http.test_streaming import until
from tests.service.house import CountingTone

CLAUSES = {"split_granularity": "clause", "stream_audio": True, "response_format": "pcm"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk")) as made:
        yield made


def test_the_first_clause_is_heard_before_the_rest_is_written(home: House) -> None:
    before = len(home.tone.spoken)
    with calling(home) as caller:
        caller.configure(**CLAUSES)
        caller.write(FIRST)
        start, sound = caller.next(), caller.next()
        assert isinstance(start, dict)
        assert start == {
            "type": "audio.start",
            "utterance_index": 0,
            "sentence_index": 0,
            "sentence_text": FIRST,
            "format": "pcm",
            "sample_rate": 24_000,
            "word_timestamps": False,
        }
        assert isinstance(sound, bytes)
        assert len(sound) <= PART_BYTES
        assert home.tone.spoken[before:] == [FIRST.strip()]
        caller.write(SECOND + THIRD)
        caller.done()
        rest = caller.until("session.done")
    segment = ["audio.start", "sound", "audio.done"]
    count = kinds(rest).count("audio.done")  # by how fast it was written
    assert count in (2, 3)
    assert kinds([start, sound, *rest]) == [*segment * count, "session.done"]
    assert rest[-1] == {"type": "session.done", "utterance_index": 0, "total_sentences": count}
    texts = [m["sentence_text"] for m in [start, *rest] if isinstance(m, dict) and "format" in m]
    assert "".join(texts) == FIRST + SECOND + THIRD
    done = [m["total_bytes"] for m in rest if isinstance(m, dict) and m["type"] == "audio.done"]
    assert sum(done) == len(sound_in([sound, *rest]))


def test_without_splitting_a_text_is_one_file(home: House) -> None:
    with calling(home) as caller:
        caller.configure()
        caller.write(FIRST + SECOND + THIRD)
        caller.done()
        messages = caller.until("session.done")
    assert kinds(messages) == ["audio.start", "sound", "audio.done", "session.done"]
    files = [one for one in messages if isinstance(one, bytes)]
    assert len(files) == 1
    with av.open(io.BytesIO(files[0])) as file:  # its header tells its length
        assert file.duration / 1e6 == pytest.approx(heard_s(files[0], "wav"), abs=0.01)
    assert heard_s(files[0], "wav") > 3


@pytest.mark.parametrize(
    ("format", "rate"), [("mp3", 44_100), ("opus", 48_000), ("flac", 16_000), ("pcm", 8_000)]
)
def test_sentences_come_in_any_format(home: House, format: str, rate: int) -> None:
    with calling(home) as caller:
        caller.configure(split_granularity="sentence", response_format=format, sample_rate=rate)
        caller.write(FIRST + SECOND + "Here ")  # with the next word it is an end for sure
        messages = [caller.next()]
        caller.write("is another.")
        caller.done()
        messages += caller.until("session.done")
    start = messages[0]
    assert isinstance(start, dict)
    assert (start["sentence_text"], start["sample_rate"]) == (FIRST + SECOND, rate)
    files = [one for one in messages if isinstance(one, bytes)]
    seconds = len(files[0]) / 2 / rate if format == "pcm" else heard_s(files[0], format)
    assert seconds == pytest.approx(3.4, abs=1)


def test_word_times_come_behind_the_sound_of_their_segment(home: House) -> None:
    with calling(home) as caller:
        caller.configure(**CLAUSES, word_timestamps=True)
        caller.write(FIRST + SECOND + THIRD)
        caller.done()
        messages = caller.until("session.done")
    assert not any(isinstance(one, bytes) for one in messages)
    chunks = [one for one in messages if isinstance(one, dict) and one["type"] == "audio.chunk"]
    texts = [one for one in messages if isinstance(one, dict) and one["type"] == "audio.start"]
    for number, start in enumerate(texts):
        own = [one for one in chunks if one["sentence_index"] == number]
        assert [one["chunk_id"] for one in own] == list(range(len(own)))
        assert all(one["timestamps"] is None for one in own[:-1])
        assert own[-1]["audio_b64"] == ""
        words = own[-1]["timestamps"]
        assert [word["word"] for word in words] == start["sentence_text"].split()
        times = [time for word in words for time in (word["start_ms"], word["end_ms"])]
        assert times == sorted(times)
        assert times[0] < 100
        seconds = sum(len(base64.b64decode(one["audio_b64"])) for one in own) / 48_000
        assert times[-1] <= round(1000 * seconds) == own[-1]["chunk_end_ms"]


def test_texts_follow_one_another_and_may_differ(home: House) -> None:
    with calling(home) as caller:
        caller.configure(**CLAUSES)
        for number in range(2):
            caller.write(f"This is text number {number}.")
            caller.done()
        caller.configure(response_format="opus")
        caller.write("And a third one.")
        caller.configure(voice="other")  # not now
        caller.done()
        messages = [one for _ in range(3) for one in caller.until("session.done")]
        caller.done()  # nothing is nothing
        assert caller.next() == {
            "type": "session.done",
            "utterance_index": 3,
            "total_sentences": 0,
        }
        caller.send(type="session.close")
        assert caller.ended() == ([], 1000)
    starts = [one for one in messages if isinstance(one, dict) and one["type"] == "audio.start"]
    assert [(one["utterance_index"], one["format"]) for one in starts] == [
        (0, "pcm"),
        (1, "pcm"),
        (2, "opus"),
    ]
    assert error_in(messages)["code"] == "bad_message"


def test_an_error_is_a_message_and_the_next_text_is_spoken(tmp_path: Path) -> None:
    with house(tmp_path, max_text_chars=60) as home, calling(home) as caller:
        caller.configure(voice="nobody")
        caller.write("Who says this?")
        caller.done()
        messages = caller.until("session.done")
        assert error_in(messages)["code"] == "voice_not_found"
        assert error_in(messages)["param"] == "voice"
        assert kinds(messages) == ["audio.start", "error", "audio.done", "session.done"]
        caller.configure()
        for message, code in [
            ({"type": "input.text", "text": 3}, "bad_option"),
            ({"type": "input.text"}, "bad_option"),
            ({"type": "other"}, "bad_message"),
            ({"type": "input.text", "text": "a" * 61}, "text_too_long"),
        ]:
            caller.send(**message)
            error = caller.next()
            assert isinstance(error, dict)
            assert (error["type"], error["code"]) == ("error", code)
        caller.write("This is dropped.")
        caller.done()
        caller.until("session.done")
        caller.link.send(b"no text")
        assert error_in([caller.next()])["code"] == "bad_message"
        caller.link.send("{")
        assert error_in([caller.next()])["code"] == "invalid_json"
        caller.write("Hello there.")
        caller.done()
        assert sound_in(caller.until("session.done"))
    assert home.tone.spoken == ["Hello there."]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"voice": 3}, "bad_option", "voice"),
        ({"voice": None}, "bad_option", "voice"),
        ({"speed": 9}, "bad_option", "speed"),
        ({"ssml": True}, "bad_option", "ssml"),
        ({"markup": "strict"}, "bad_option", "markup"),
        ({"split_granularity": "word"}, "bad_option", "split_granularity"),
        ({"model": "tts-9"}, "unknown_model", None),
        ({"type": "input.text", "text": "Too early."}, "bad_message", None),
    ],
)
def test_a_first_message_that_is_wrong_ends_the_socket(
    home: House, fields: dict[str, object], code: str, param: str | None
) -> None:
    with calling(home) as caller:
        caller.configure(**fields)
        messages, closed = caller.ended()
    assert closed == 1008
    assert (error_in(messages)["code"], error_in(messages)["param"]) == (code, param)
    assert (caller.link.close_reason or "").startswith(code)


def test_ssml_like_text_is_spoken_as_it_is_written(home: House) -> None:
    with calling(home) as caller:
        caller.configure()
        caller.write("A [pause:1s] is no pause here.")
        caller.done()
        caller.until("session.done")
    assert "[pause:1s]" in home.tone.spoken[-1] or "pause" in home.tone.spoken[-1]


@pytest.mark.parametrize("how", ["close", "leave", "break"])
def test_leaving_stops_the_device_at_its_next_step(tmp_path: Path, how: str) -> None:
    with house(tmp_path) as home:
        home.tone.hold()
        with calling(home) as caller:
            caller.configure(**CLAUSES)
            caller.write(FIRST + SECOND)
            assert home.tone.at_work.wait(60)
            if how == "close":
                caller.send(type="session.close")
            elif how == "break":
                caller.link.socket.shutdown(socket.SHUT_RDWR)
            else:
                caller.link.close()
            jobs = home.service.operations._registry
            until(lambda: all(job.is_cancelling for job in jobs._jobs.values()))
        home.tone.release()
        until(lambda: len(jobs) == 0)
        assert home.tone.spoken == [FIRST.strip()]
        assert home.tone.steps == 1


def test_a_slow_reader_holds_up_the_device(tmp_path: Path) -> None:
    tone = CountingTone()
    with house(tmp_path, tone=tone) as home, socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        place = urlsplit(home.url)
        link.connect((place.hostname, place.port))
        text = "".join(f"This is sentence number {n} of many. " for n in range(130))
        with calling(home, sock=link, max_queue=1) as caller:
            caller.configure(**CLAUSES, sample_rate=48_000)
            caller.write(text)
            caller.done()
            jobs = home.service.operations._registry
            until(lambda: bool(tone.spoken) and len(jobs) == 0)  # most is not spoken
            assert len(" ".join(tone.spoken)) < len(text) / 2
            sound = sound_in(caller.until("session.done"))
        assert len(" ".join(tone.spoken)) > len(text) / 2
        assert heard_s(sound, "pcm") / 2 > 200
