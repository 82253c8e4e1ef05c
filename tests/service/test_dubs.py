"""Subtitles as jobs: their times, voices and files, inline or under a URL, now or later."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from f5serve.download.connection import NetworkPolicy
from f5serve.errors import F5Error, InvalidRequest
from f5serve.service import ServiceOptions
from f5serve.service.dubs import DubRequest
from f5serve.service.requests import TTSRequest
from f5serve.service.speech_operations import parse_speech
from f5serve.text.cue_files import MAX_FILE_BYTES
from f5serve.types import SamplingOptions
from tests.download.servers import Server, answer, network_to
from tests.service.house import House, house, run
from tests.service.test_voices import FILE, WORDS

FIRST = "1\n00:00:00,500 --> 00:00:02,000\nHello there.\n"
CUES = f"""{FIRST}
2
00:00:02,500 --> 00:00:04,000
ana: Good morning.

3
00:00:04,000 --> 00:00:05,000
narrator: it rains.

4
00:00:07,250 --> 00:00:09,000
Bye.
"""
LONG = "1\n00:00:00,000 --> 00:00:01,000\n" + "This takes a long time to be said. " * 5


def sounds(answer: dict[str, Any]) -> tuple[float, list[tuple[float, float]]]:
    """How long the audio of an answer lasts, and from when to when it sounds."""
    data = base64.b64decode(answer["audio_base64"])
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    cuts = np.flatnonzero(np.diff(loud) > 0.05 * rate)
    begins, ends = loud[np.r_[0, cuts + 1]], loud[np.r_[cuts, len(loud) - 1]]
    pairs = zip(begins / rate, ends / rate, strict=True)
    return len(samples) / rate, [(float(begin), float(end)) for begin, end in pairs]


def near(*wanted: float) -> Any:
    return pytest.approx(list(wanted), abs=0.02)


async def dub(here: House, job_id: str, subtitles: str = CUES, **fields: Any) -> dict[str, Any]:
    return await here.ask(
        job_id, endpoint="dub", subtitles=subtitles, return_audio="base64", **fields
    )


def test_each_subtitle_begins_at_its_time_in_its_voice(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.call("upload", voice_name="ana", voice_file=FILE, ref_text=WORDS)
            told = await dub(here, "d-1")
            length_s, heard = sounds(told)
            assert length_s == pytest.approx(9.0, abs=0.001)
            assert [begin for begin, _ in heard] == near(0.5, 2.5, 4.0, 7.25)
            assert told["duration"] == pytest.approx(9.0, abs=0.001)
            assert [part["voice"] for part in told["parts"]] == ["default", "ana"] + ["default"] * 2
            assert [part["start_time"] for part in told["parts"]] == near(0.5, 2.5, 4.0, 7.25)
            assert [CUES[part["start"] : part["end"]] for part in told["parts"]] == [
                *("Hello there.", "Good morning.", "narrator: it rains.", "Bye.")
            ]
            assert told["text"] == "Hello there. Good morning. narrator: it rains. Bye."
            assert here.tone.spoken[1] == "Good morning."
            assert "subtitles" not in " ".join(told["warnings"])
            words = {word["word"]: word for word in told["word_timings"]}
            assert words["Bye."]["start_time"] == pytest.approx(7.25, abs=0.02)

    run(story)


def test_what_is_too_long_is_spoken_faster_and_named_if_it_does_not_fit(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            close = (
                "1\n00:00:00,000 --> 00:00:00,600\nHello there.\n\n"
                "2\n00:00:00,650 --> 00:00:02,000\nBye.\n"
            )
            told = await dub(here, "d-1", close)
            (begin, end), (following, _) = sounds(told)[1]
            assert [begin, following] == near(0.0, 0.65)
            assert end < 0.65  # at its own speed it lasts 0.72 s
            assert not any("too long" in warning for warning in told["warnings"])
            told = await dub(here, "d-2", LONG, max_speed=1.2)
            assert (
                "1 of 1 subtitles are too long for their time, even 1.2 times as fast"
                in " ".join(told["warnings"])
            )
            assert sounds(told)[0] == pytest.approx(1.0, abs=0.001)
            assert "even 1.5 times" in " ".join((await dub(here, "d-3", LONG))["warnings"])

    run(story)


def test_a_dub_is_done_later_and_by_the_platforms_queue(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []

    async def enqueue(payload: dict[str, Any]) -> None:
        sent.append(payload)

    async def story() -> None:
        async with house(tmp_path) as here:
            fields = {"endpoint": "dub", "subtitles": CUES, "mode": "async"}
            assert (await here.ask("d-1", **fields))["status"] == "QUEUED"
            await here.until("d-1", "COMPLETED")
            result = await here.call("result", job_id="d-1")
            assert result["duration"] == pytest.approx(9.0, abs=0.001)
            assert [part["start_time"] for part in result["parts"]] == near(0.5, 2.5, 4.0, 7.25)
        async with house(tmp_path, options=ServiceOptions(enqueue=enqueue)) as here:
            assert (await here.ask("d-2", **fields))["status"] == "QUEUED"
            assert sent[0]["endpoint"] == "dub"
            assert (await here.ask("other", **sent[0]))["job_id"] == "d-2"

    run(story)


@pytest.fixture
def web() -> Iterator[tuple[str, NetworkPolicy]]:
    files = {
        b"/a.srt": CUES.encode("utf-16"),
        b"/large.srt": b" " * (MAX_FILE_BYTES + 1),
        b"/empty.srt": b"",
        b"/image.png": b"\x89PNG\r\n\x1a\n",
    }

    def serve(connection: Any, request: bytes) -> None:
        path = request.split(b" ")[1]
        connection.sendall(answer(files[path]) if path in files else answer(status="404 Not Found"))

    with Server(serve) as server:
        yield f"http://files.example:{server.port}", network_to(server.port)


def test_subtitles_come_by_url_too(tmp_path: Path, web: tuple[str, NetworkPolicy]) -> None:
    url, network = web

    async def story() -> None:
        options = ServiceOptions(network=network)
        async with house(tmp_path, options=options, allow_http_urls=True) as here:
            fields = {"endpoint": "dub", "seed": 7, "return_audio": "base64"}
            told = await here.ask("d-1", subtitles_url=f"{url}/a.srt", no_such=1, **fields)
            assert [begin for begin, _ in sounds(told)[1]] == near(0.5, 2.5, 4.0, 7.25)
            assert "The field 'no_such' is not known." in told["warnings"]
            # Sent with the text it is the same job.
            again = await here.ask("d-1", subtitles=CUES, **fields)
            assert again["audio_base64"] == told["audio_base64"]
            refused = await here.refuse("d-1", subtitles=FIRST, **fields)
            assert refused.code == "JOB_ID_CONFLICT"
            for name, code in {
                "large.srt": "URL_TOO_LARGE",
                "image.png": "BAD_SUBTITLES",
                "empty.srt": "BAD_SUBTITLES",
                "missing.srt": "URL_FAILED",
            }.items():
                error = await here.refuse("d-2", subtitles_url=f"{url}/{name}", **fields)
                assert error.code == code
            private = await here.refuse("d-3", subtitles_url="http://127.0.0.1/a.srt", **fields)
            assert private.code == "URL_NOT_ALLOWED"
            assert (
                await here.refuse("x", endpoint="status", job_id="d-2")
            ).code == "INVALID_JOB_ID"

    run(story)


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({}, "BAD_SUBTITLES", "No subtitles are sent."),
        ({"subtitles": ""}, "BAD_SUBTITLES", "No subtitles are sent."),
        ({"subtitles": CUES, "subtitles_url": "https://a.b/c"}, "BAD_SUBTITLES", "Both"),
        ({"subtitles": 5}, "BAD_OPTION", "subtitles is 5."),
        ({"subtitles": "x" * 1_000_001}, "BAD_OPTION", "subtitles is 'xxx"),
        ({"subtitles": CUES, "subtitles_format": "lrc"}, "BAD_OPTION", "subtitles_format is 'lrc'"),
        ({"subtitles": CUES, "max_speed": 0.9}, "BAD_OPTION", "max_speed is 0.9."),
        ({"subtitles": CUES, "max_speed": 4.1}, "BAD_OPTION", "max_speed is 4.1."),
        ({"subtitles": CUES, "max_speed": math.nan}, "BAD_OPTION", "max_speed is nan."),
        ({"subtitles": CUES, "max_speed": "2"}, "BAD_OPTION", "max_speed is '2'."),
        ({"subtitles": CUES, "text": "Hello."}, "BAD_OPTION", "text is 'Hello.'."),
        ({"subtitles": CUES, "ssml": True}, "BAD_OPTION", "ssml is True."),
        ({"subtitles": CUES, "markup": "strict"}, "BAD_OPTION", "markup is 'strict'."),
        ({"subtitles": CUES, "duration_s": 3.0}, "BAD_OPTION", "duration_s is 3.0."),
        ({"subtitles": CUES, "speed": 9}, "BAD_OPTION", "speed is 9."),
    ],
)
def test_fields_that_cannot_be_used(fields: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_speech({"endpoint": "dub", **fields})
    assert caught.value.code == code
    assert says in caught.value.message
    assert caught.value.hint


def test_null_is_as_good_as_absent() -> None:
    names = [name for name in DubRequest.model_fields if name not in ("subtitles", "endpoint")]
    bare = parse_speech({"endpoint": "dub", "subtitles": CUES})
    nulls = parse_speech({"endpoint": "dub", "subtitles": CUES, **dict.fromkeys(names)})
    assert type(bare) is type(nulls) is DubRequest
    assert bare.sha256 == nulls.sha256
    assert bare.raw_fields == nulls.raw_fields == {"endpoint": "dub", "subtitles": CUES}
    assert type(parse_speech({"text": "Hi."})) is TTSRequest


def test_bad_files_and_long_ones_are_refused_before_anything_is_kept(tmp_path: Path) -> None:
    async def refusal(here: House, subtitles: str, **fields: Any) -> F5Error:
        return await here.refuse("d-1", endpoint="dub", subtitles=subtitles, **fields)

    async def story() -> None:
        async with house(tmp_path, max_text_chars=40) as here:
            for mode in ("sync", "async"):
                bad = await refusal(here, CUES.replace("02,500 -->", "0x -->"), mode=mode)
                assert (bad.code, "cue 2 in line 6" in bad.message) == ("BAD_SUBTITLES", True)
                long = await refusal(here, CUES, mode=mode)
                assert long.code == "TEXT_TOO_LONG"
            assert not here.tone.spoken
            assert (
                await here.refuse("x", endpoint="status", job_id="d-1")
            ).code == "INVALID_JOB_ID"

    run(story)


def test_brackets_of_scripts_are_no_tags_in_subtitles() -> None:
    text = FIRST.replace("Hello there.", "{Happy} Hello [voice:nobody] <break time='9s'/> there.")
    request = parse_speech({"endpoint": "dub", "subtitles": text})
    request.prepare(SamplingOptions(), 5000)
    assert "Hello there." in request.text
    assert request.summary["text"] == request.text
