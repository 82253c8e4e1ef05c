"""Word times over HTTP: of recordings whose words are known."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pysubs2
import pytest

from f5serve.alignment.aligners import OFF, Aligners
from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.http.app import make_app
from f5serve.synthesis.word_timing import MAX_TEXT_CHARS
from f5serve.types import AudioFormat, Wave
from tests.http.house import House, house, running
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

PATH = "/v1/audio/alignments"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("alignments")) as home:
        yield home


def align(
    client: httpx.Client, text: str = WORDS, sound: bytes = b"", **fields: str
) -> httpx.Response:
    """The answer for `recording` and its words, unless other ones are given."""
    data = {"text": text, **fields}
    return client.post(PATH, data=data, files={"file": ("a.wav", sound or recording())})


def test_every_word_has_its_time(home: House) -> None:
    told = align(home.client).json()
    assert told["text"] == WORDS
    assert [word["word"] for word in told["words"]] == WORDS.split()
    edges = [edge for word in told["words"] for edge in (word["start_time"], word["end_time"])]
    assert edges == sorted(edges)
    assert 0 <= edges[0] < 0.6
    assert told["duration"] - 0.6 < edges[-1] <= told["duration"]
    assert all(0 <= word["confidence"] <= 1 for word in told["words"])
    assert (told["method"], told["language"], told["word_count"]) == ("pocketsphinx", "en", 7)
    assert 0.4 < told["confidence"] <= 1


@pytest.mark.parametrize("format", ["srt", "vtt", "ass"])
@pytest.mark.parametrize("mode", ["line", "word"])
def test_subtitles_can_be_read_by_others(home: House, format: str, mode: str) -> None:
    answer = align(home.client, timing_format=format, mode=mode)
    assert answer.headers["content-disposition"] == f'attachment; filename="words.{format}"'
    kind = {"srt": "application/x-subrip", "vtt": "text/vtt", "ass": "text/x-ssa"}[format]
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    events = pysubs2.SSAFile.from_string(answer.text, format_=format).events
    assert [event.plaintext for event in events] == (WORDS.split() if mode == "word" else [WORDS])
    starts = [event.start for event in events]
    assert starts == sorted(starts)


def test_tables_tell_what_json_tells(home: House) -> None:
    answer = align(home.client, timing_format="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    words = align(home.client, timing_format="json").json()["words"]
    assert [row["word"] for row in rows] == [word["word"] for word in words]
    for row, word in zip(rows, words, strict=True):
        assert float(row["start_time"]) == word["start_time"]
        assert float(row["end_time"]) == word["end_time"]


@pytest.mark.parametrize("format", ["mp3", "opus"])
def test_compressed_recordings_have_the_same_times(home: House, format: AudioFormat) -> None:
    plain = align(home.client).json()["words"]
    told = align(home.client, sound=encode(decode(recording()), format)).json()["words"]
    for one, other in zip(plain, told, strict=True):
        assert one["start_time"] == pytest.approx(other["start_time"], abs=0.1)


def test_other_words_and_languages_are_refused_with_the_reason(home: House) -> None:
    message = home.refused(align(home.client, OTHER_WORDS), 400, "not_aligned")
    assert "could not be found in the speech" in message
    message = home.refused(align(home.client, language="de"), 400, "not_aligned")
    assert "No aligner is installed for the language 'de'" in message


def test_without_an_aligner_it_is_not_built(home: House) -> None:
    for aligners in (Aligners(OFF), _Nobody()):
        app = make_app(replace(home.service, aligners=aligners))
        with running(app) as url, httpx.Client(base_url=url) as client:
            message = home.refused(align(client, sound=b"x"), 501, "not_built")
            assert "F5_ALIGNER" in message or "f5serve[align]" in message


class _Nobody(Aligners):
    """As where pocketsphinx is not installed."""

    @property
    def _may_use_sphinx(self) -> bool:
        return False


def silence(seconds: float) -> bytes:
    return encode(Wave(np.zeros(int(8_000 * seconds), np.float32), 8_000), "flac")


@pytest.mark.parametrize(
    ("sound", "code"),
    [
        (b"no sound", "not_audio"),
        (recording()[:20_000], "audio_damaged"),
        (silence(2), "not_aligned"),
        (silence(1_801), "audio_too_long"),
    ],
)
def test_recordings_that_cannot_be_used_are_refused(home: House, sound: bytes, code: str) -> None:
    home.refused(align(home.client, sound=sound), 400, code)


def test_fields_are_read_strictly(home: House) -> None:
    refused, client = home.refused, home.client
    refused(align(client, timing_format="pdf"), 400, "bad_option")
    refused(align(client, mode="page"), 400, "bad_option")
    refused(align(client, " ... "), 400, "empty_text")
    refused(align(client, "a" * (MAX_TEXT_CHARS + 1)), 400, "bad_option")
    refused(align(client, language="e" * 17), 400, "bad_option")
    refused(client.post(PATH, data={"text": WORDS}), 415, "not_multipart")
    assert "file" in refused(client.post(PATH, files={"text": (None, WORDS)}), 400, "bad_option")
    assert "text" in refused(client.post(PATH, files={"file": b"x"}), 400, "bad_option")
    refused(client.post(PATH, json={"text": WORDS}), 415, "not_multipart")
    assert align(client, "a" * 1_100_000).status_code == 400


def test_the_loop_goes_on_while_somebody_listens(home: House) -> None:
    """Many recordings at once are all answered, and health is meanwhile."""
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(align(home.client).status_code))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    assert home.client.get("/v1/models").status_code == 200
    for thread in threads:
        thread.join(120)
    assert answers == [200] * 6


def test_the_document_tells_every_format(home: House) -> None:
    post = home.client.get("/openapi.json").json()["paths"][PATH]["post"]
    assert set(post["responses"]["200"]["content"]) == {
        *("application/json", "application/x-subrip", "text/vtt", "text/x-ssa", "text/csv")
    }
    assert "multipart/form-data" in post["requestBody"]["content"]
    assert {"400", "413", "501", "503"} <= set(post["responses"])


SOON_S = 12.0
"""A second or two on a quiet machine, and a minute where the work is gone on with."""


def long_recording(times: int) -> tuple[bytes, str]:
    """Seconds of speech, 8.3 for each time, and its words."""
    waves = [decode(recording()).samples, decode(other_recording()).samples]
    sound = encode(Wave(np.concatenate(waves * times)), "flac")
    return sound, " ".join([WORDS, OTHER_WORDS] * times)


def test_what_takes_too_long_is_answered_in_time(tmp_path: Path) -> None:
    sound, text = long_recording(80)
    with house(tmp_path, request_timeout_s=1.0) as home:
        assert home.service.aligners.is_available
        began = time.monotonic()
        message = home.refused(align(home.client, text, sound), 504, "deadline_passed")
        assert "not done within 1 s" in message
        assert time.monotonic() - began < SOON_S
        assert align(home.client).status_code in (200, 504)  # no turn is held by the first


def test_a_caller_that_goes_away_ends_the_work(tmp_path: Path) -> None:
    sound, text = long_recording(80)
    with house(tmp_path) as home:
        assert home.service.aligners.is_available
        with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=home.url, timeout=2) as left:
            align(left, text, sound)
        began = time.monotonic()
        assert align(home.client).status_code == 200  # recordings take turns
        assert time.monotonic() - began < SOON_S
