"""POST /v1/audio/speech with `word_timestamps`: a header of the file, or events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from f5serve.http.word_timestamps import (
    EVENT_BYTES,
    HEADER,
    MAX_HEADER_BYTES,
    word_events,
    word_header,
    word_timestamps,
)
from tests.http.house import House, house
from tests.http.sound import FORMATS, LONG, events, heard_s, joined
from tests.http.test_speech import Full


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk")) as made:
        yield made


SENTENCE = "One two three. Four five six seven eight. Nine and ten, and so on it goes."


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_tells_its_words_in_a_header(home: House, format: str) -> None:
    plain = home.speak(input=SENTENCE, response_format=format, seed=3)
    assert HEADER not in plain.headers
    for _ in range(2):  # made, and from the cache
        made = home.speak(input=SENTENCE, response_format=format, seed=3, word_timestamps=True)
        words = json.loads(made.headers[HEADER])
        assert [word["word"] for word in words] == SENTENCE.split()
        assert all(set(word) == {"word", "start_ms", "end_ms"} for word in words)
        edges = [at for word in words for at in (word["start_ms"], word["end_ms"])]
        assert edges == sorted(edges)
        assert all(type(at) is int for at in edges)
        seconds = heard_s(made.content, format)
        assert edges[-1] / 1000 == pytest.approx(seconds, abs=0.3)
        assert int(made.headers["content-length"]) == len(made.content)
    job = home.client.get(f"/v1/jobs/{made.headers['x-f5-job-id']}/result").json()
    assert [word["start_ms"] for word in words] == [
        round(1000 * word["start_time"]) for word in job["word_timings"]
    ]


def test_more_than_the_header_holds_is_left_out_and_told(home: House) -> None:
    made = home.speak(input=LONG, word_timestamps=True)
    assert made.status_code == 200
    assert HEADER not in made.headers
    assert f"{HEADER} would be longer than 4,096 bytes" in made.headers["x-f5-warning"]
    job = home.client.get(f"/v1/jobs/{made.headers['x-f5-job-id']}/result").json()
    assert [word["word"] for word in job["word_timings"]] == LONG.split()


def test_events_tell_all_words_behind_the_sound(home: House) -> None:
    asked = {"input": LONG, "response_format": "pcm", "stream_format": "sse", "seed": 5}
    plain = home.speak(**asked)
    assert {event["type"] for event in events(plain.text)} == {
        "speech.audio.delta",
        "speech.audio.done",
    }
    made = home.speak(**asked, word_timestamps=True)
    assert HEADER not in made.headers
    told = events(made.text)
    assert joined(told) == joined(events(plain.text))
    kinds = [event["type"] for event in told]
    assert kinds[-2:] == ["speech.audio.word_timestamps", "speech.audio.done"]
    words = told[-2]["word_timestamps"]
    assert [word["word"] for word in words] == LONG.split()
    assert "usage" in told[-1]


def test_speech_that_is_not_stored_tells_its_words(tmp_path: Path) -> None:
    with house(tmp_path, Full()) as home:
        made = home.speak(input=SENTENCE, word_timestamps=True)
        assert len(json.loads(made.headers[HEADER])) == len(SENTENCE.split())
        assert "could not be stored" in made.headers["x-f5-warning"]


def test_errors_come_as_without_it(home: House) -> None:
    home.refused(home.speak(voice="nobody", word_timestamps=True), 404, "voice_not_found")
    home.refused(home.speak(word_timestamps="yes"), 400, "bad_option")


def words_of(*texts: str) -> list[Any]:
    return word_timestamps(
        [{"word": text, "start_time": n, "end_time": n + 0.5} for n, text in enumerate(texts)]
    )


def test_the_header_is_bounded_and_ascii() -> None:
    value = word_header(words_of("día", "“日本”\r\nX-Other: 1"))
    assert value.isascii()
    assert "\n" not in value
    assert [word["word"] for word in json.loads(value)] == ["día", "“日本”\r\nX-Other: 1"]
    count = next(n for n in range(1, 200) if not word_header(words_of(*["a"] * n)))
    assert len(word_header(words_of(*["a"] * (count - 1)))) <= MAX_HEADER_BYTES
    assert word_header([]) == ""


def test_events_are_bounded_and_hold_all_words() -> None:
    words = words_of(*[f"word{n}" for n in range(2_000)])
    told = list(word_events(words))
    assert len(told) > 5
    assert [word for event in told for word in event.word_timestamps] == words
    assert max(len(event.model_dump_json()) for event in told) < EVENT_BYTES + 200
    assert list(word_events([])) == []
