"""Transcripts over HTTP, asked for by OpenAI's own client and heard by Whisper tiny.en."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pysubs2
import pytest
from openai import OpenAI
from openai.types.audio import Transcription, TranscriptionVerbose

from f5serve.alignment.aligners import OFF, Aligners
from f5serve.asr.word_errors import SpeechChecker
from f5serve.asr_types import Transcript, TranscriptSegment
from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.http.app import make_app
from f5serve.http.transcription_forms import MAX_PROMPT_CHARS, OPENAI_IDS
from f5serve.service.executor import BoundedExecutor
from f5serve.settings import Settings
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.types import Wave, WordTiming
from tests.hearing import speech_recognition, word_error_rate
from tests.http.house import House, house, running
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

PATH = "/v1/audio/transcriptions"
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "transcriptions.md"
KEY = "a-key-of-the-tests-1234"
CLOSE = 0.35
"""Word error rate of tiny.en for these recordings: of eight words it may miss two."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("disk")
    with house(folder, api_keys=KEY, recognition=speech_recognition()) as made:
        made.client.headers["Authorization"] = f"Bearer {KEY}"
        yield made


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{home.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def asked(sound: bytes = b"", **fields: Any) -> dict[str, Any]:
    """Arguments of the client's `create`, for `recording` unless another is given."""
    return {"file": ("a.wav", sound or recording()), "model": "whisper-1", **fields}


def post(client: httpx.Client, sound: bytes = b"", **fields: Any) -> httpx.Response:
    data = {"model": "whisper-1", **fields}
    return client.post(PATH, data=data, files={"file": ("a.wav", sound or recording())})


def silence(seconds: float) -> bytes:
    return encode(Wave(np.zeros(int(8_000 * seconds), np.float32), 8_000), "flac")


def long_recording(times: int) -> tuple[bytes, str]:
    """Seconds of speech, 9.3 for each time, and its words."""
    pause = np.zeros(12_000, np.float32)
    waves = [decode(recording()).samples, pause, decode(other_recording()).samples, pause]
    return encode(Wave(np.concatenate(waves * times)), "flac"), " ".join(
        [WORDS, OTHER_WORDS] * times
    )


def test_json_is_the_default(client: OpenAI) -> None:
    found = client.audio.transcriptions.create(**asked())
    assert isinstance(found, Transcription)
    assert word_error_rate(WORDS, found.text) < CLOSE
    assert found.usage is not None
    assert found.usage.type == "duration"
    assert found.usage.seconds == pytest.approx(decode(recording()).duration_s, abs=0.01)
    assert found.logprobs is None


def test_text_is_plain(client: OpenAI) -> None:
    found = client.audio.transcriptions.create(**asked(other_recording(), response_format="text"))
    assert isinstance(found, str)
    assert found.endswith("\n")
    assert word_error_rate(OTHER_WORDS, found) < CLOSE


def test_verbose_json_has_words_and_segments(client: OpenAI) -> None:
    found = client.audio.transcriptions.create(
        **asked(
            other_recording(),
            language="en",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
    )
    assert isinstance(found, TranscriptionVerbose)
    assert (found.language, found.model_extra) == ("en", {"task": "transcribe"})
    duration_s = decode(other_recording()).duration_s
    assert found.duration == pytest.approx(duration_s, abs=0.01)
    assert found.words
    assert found.segments
    assert " ".join(word.word for word in found.words) == found.text
    assert "".join(segment.text for segment in found.segments) == found.text
    edges = [edge for word in found.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] < 0.6
    assert duration_s - 0.8 < edges[-1] <= duration_s
    for index, segment in enumerate(found.segments):
        assert segment.id == index
        assert 0 <= segment.start < segment.end <= duration_s + 0.01
        assert segment.tokens
        assert segment.avg_logprob < 0
        assert 0 <= segment.no_speech_prob < 0.6


def test_words_are_timed_by_the_recogniser_where_no_aligner_is(home: House) -> None:
    app = make_app(replace(home.service, aligners=Aligners(OFF)))
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        plain = post(client, **fields).json()
    aligned = post(home.client, **fields).json()
    assert plain["text"] == aligned["text"]
    assert [word["word"] for word in plain["words"]] == [word["word"] for word in aligned["words"]]
    assert plain["words"] != aligned["words"]
    for one, other in zip(plain["words"], aligned["words"], strict=True):
        assert one["start"] == pytest.approx(other["start"], abs=0.6)


def test_verbose_json_lists_what_is_asked_for(client: OpenAI) -> None:
    for wanted, has in (
        (None, (True, False)),
        (["segment"], (True, False)),
        (["word"], (False, True)),
    ):
        more = {"timestamp_granularities": wanted} if wanted else {}
        found = client.audio.transcriptions.create(**asked(response_format="verbose_json", **more))
        assert (found.segments is not None, found.words is not None) == has


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_subtitles_can_be_read_by_others(client: OpenAI, format: Any) -> None:
    found = client.audio.transcriptions.create(**asked(response_format=format))
    events = pysubs2.SSAFile.from_string(str(found), format_=format).events
    assert word_error_rate(WORDS, " ".join(event.plaintext for event in events)) < CLOSE
    assert 0 <= events[0].start < 600
    assert all(left.end <= right.start for left, right in pairwise(events))


def test_long_recordings_are_heard_in_pieces_whose_times_go_on(client: OpenAI) -> None:
    sound, text = long_recording(5)  # 46 s, in which the same is said five times
    found = client.audio.transcriptions.create(
        **asked(sound, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    )
    assert word_error_rate(text, found.text) < CLOSE
    assert len({segment.seek for segment in found.segments}) > 1
    starts = [word.start for word in found.words if word.word == "Unless"]
    first = decode(recording()).duration_s + 0.5
    each = first + decode(other_recording()).duration_s + 0.5
    assert starts == pytest.approx([first + each * number for number in range(5)], abs=0.5)
    edges = [edge for word in found.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)


def test_a_stream_tells_each_piece_and_then_the_whole(client: OpenAI) -> None:
    sound, text = long_recording(4)
    events = list(client.audio.transcriptions.create(**asked(sound, stream=True)))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert len(deltas) > 3
    assert [event.type for event in events] == ["transcript.text.delta"] * len(deltas) + [
        "transcript.text.done"
    ]
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert "".join(deltas) == done.text
    assert word_error_rate(text, done.text) < CLOSE


def test_a_prompt_spells_names(client: OpenAI) -> None:
    plain = client.audio.transcriptions.create(**asked()).text
    led = client.audio.transcriptions.create(**asked(prompt="Mr Ildis Pozed.")).text
    assert "Ildis" in led
    assert "Ildis" not in plain


def test_prompts_of_any_kind_are_taken(home: House) -> None:
    for prompt in ("word " * (MAX_PROMPT_CHARS // 5), "<|endoftext|><|nospeech|>", " "):
        assert post(home.client, prompt=prompt).status_code == 200


def test_every_name_of_openai_is_the_recogniser_of_this_server(home: House) -> None:
    quiet = silence(0.5)
    for model in (*OPENAI_IDS, "tiny.en"):
        answer = post(home.client, quiet, model=model)
        assert answer.json() == {"text": "", "usage": {"type": "duration", "seconds": 0.5}}
    message = home.refused(post(home.client, quiet, model="whisper-2"), 404, "unknown_model")
    assert "Did you mean whisper-1?" in message
    assert "tts-1" not in message


def test_nothing_is_heard_in_silence(home: House) -> None:
    quiet = silence(40)
    assert post(home.client, quiet, response_format="text").text == "\n"
    assert post(home.client, quiet, response_format="srt").text.strip() == ""
    assert post(home.client, quiet, response_format="vtt").text.strip() == "WEBVTT"
    told = post(home.client, quiet, response_format="verbose_json").json()
    assert (told["text"], told["segments"], told["duration"]) == ("", [], 40.0)
    lines = post(home.client, quiet, stream="true").text.strip().split("\n\n")
    assert [json.loads(line.removeprefix("data: ")) for line in lines] == [
        {"type": "transcript.text.done", "text": ""}
    ]


def test_temperature_is_taken_with_a_warning(home: House) -> None:
    quiet = silence(0.5)
    assert "x-f5-warning" not in post(home.client, quiet, temperature="0").headers
    for more in ({}, {"response_format": "text"}, {"stream": "true"}):
        answer = post(home.client, quiet, temperature="0.4", **more)
        assert "temperature" in answer.headers["x-f5-warning"]
    home.refused(post(home.client, quiet, temperature="1.1"), 400, "bad_option")


def test_fields_are_read_strictly(home: House) -> None:
    refused, client = home.refused, home.client
    refused(post(client, response_format="diarized_json"), 400, "bad_option")
    granular = {"timestamp_granularities[]": "word"}
    answer = post(client, **granular)
    assert "verbose_json" in refused(answer, 400, "bad_option")
    assert answer.json()["error"]["param"] == "timestamp_granularities[]"
    answer = post(client, response_format="verbose_json", **{"timestamp_granularities[]": "line"})
    assert "timestamp_granularities[]" in refused(answer, 400, "bad_option")
    answer = post(client, response_format="srt", stream="true")
    assert "cannot be streamed" in refused(answer, 400, "bad_option")
    refused(post(client, prompt="a" * (MAX_PROMPT_CHARS + 1)), 400, "bad_option")
    refused(post(client, stream="perhaps"), 400, "bad_option")
    assert "'de'" in refused(post(client, language="de"), 400, "unknown_language")
    refused(client.post(PATH, json={"model": "whisper-1"}), 415, "not_multipart")
    assert "file" in refused(
        client.post(PATH, files={"model": (None, "whisper-1")}), 400, "bad_option"
    )


@pytest.mark.parametrize("stream", ["false", "true"])
@pytest.mark.parametrize(
    ("sound", "code"),
    [
        (b"no sound", "not_audio"),
        (recording()[:20_000], "audio_damaged"),
        (silence(1_801), "audio_too_long"),
    ],
)
def test_recordings_that_cannot_be_used_are_refused(
    home: House, sound: bytes, code: str, stream: str
) -> None:
    home.refused(post(home.client, sound, stream=stream), 400, code)


def test_the_client_raises_our_errors(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not audio"):
        client.audio.transcriptions.create(**asked(b"no sound"))
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.audio.transcriptions.create(**asked() | {"model": "tts-1"})


def test_without_a_recogniser_it_says_how_to_get_one(home: House) -> None:
    off = SpeechRecognition(Settings(recogniser="off"))
    for recognition in (None, off):
        app = make_app(replace(home.service, recognition=recognition))
        with running(app) as url, httpx.Client(base_url=url) as client:
            for stream in ("false", "true"):
                answer = post(client, stream=stream)
                message = home.refused(answer, 501, "recogniser_not_installed")
                assert "f5serve[asr]" in message


class Interpreter(SpeechRecognition):
    """Understands one sentence in German, and can say it in English."""

    model, can_translate = "large-v3", True

    def __init__(self) -> None:
        """It has no settings."""

    def open(self) -> SpeechChecker:
        return SpeechChecker(self)

    def supports(self, language: str) -> bool:
        return True

    def transcribe(
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        prompt: str = "",
        translate: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Transcript:
        text = "Good evening." if translate else "Guten Abend."
        words = [WordTiming(word, n + 0.5, n + 1.0, 0.9) for n, word in enumerate(text.split())]
        segment = TranscriptSegment(f" {text}", 0.5, 2.0, (1,), 0.0, -0.1, 1.0, 0.0)
        return Transcript(text, "de", 0.9, tuple(words) if word_times else (), (segment,))


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # of openai
def test_translations_are_in_english(tmp_path: Path) -> None:
    with (
        house(tmp_path, recognition=Interpreter()) as home,
        OpenAI(base_url=f"{home.url}/v1", api_key=KEY, max_retries=0) as client,
    ):
        assert client.audio.transcriptions.create(**asked()).text == "Guten Abend."
        translations = client.audio.translations
        assert translations.create(**asked()).text == "Good evening."
        verbose = translations.create(**asked(), response_format="verbose_json")
        assert (verbose.text, verbose.language) == ("Good evening.", "en")
        assert [segment.text for segment in verbose.segments or ()] == ["Good evening."]
        cues = str(translations.create(**asked(), response_format="vtt"))
        assert cues.startswith("WEBVTT")
        assert "Good evening." in cues


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # of openai
def test_a_recogniser_that_cannot_translate_says_which_one_can(client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="large-v3") as caught:
        client.audio.translations.create(**asked())
    assert (caught.value.status_code, caught.value.code) == (501, "translation_not_supported")


SOON_S = 20.0
"""A few seconds on a quiet machine, and some minutes where the work is gone on with."""


def wait_idle(home: House) -> None:
    """Until nothing is transcribed any more."""
    pool, began = home.service.operations.pools.transcriptions, time.monotonic()
    while len(pool):
        assert time.monotonic() - began < SOON_S
        time.sleep(0.05)


class Stuck(SpeechRecognition):
    """Understands the first piece of a recording, and is never done with the second."""

    model = "stuck"

    def __init__(self) -> None:
        self._count = 0

    def open(self) -> SpeechChecker:
        return SpeechChecker(self)

    def supports(self, language: str) -> bool:
        return True

    def transcribe(
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        prompt: str = "",
        translate: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Transcript:
        assert check is not None
        self._count += 1
        while self._count > 1:
            check()
            time.sleep(0.01)
        segment = TranscriptSegment(" Hello.", 0.0, 1.0, (1,), 0.0, -0.1, 1.0, 0.0)
        return Transcript("Hello.", "en", 0.9, segments=(segment,))


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_caller_that_goes_away_ends_the_work(tmp_path: Path, stream: str) -> None:
    with house(tmp_path, recognition=Stuck()) as home:
        left = httpx.Client(base_url=home.url, timeout=2)
        with left, pytest.raises(httpx.ReadTimeout):
            post(left, silence(60), stream=stream)
        wait_idle(home)


def test_a_stream_that_is_closed_ends_the_work(home: House, client: OpenAI) -> None:
    sound, _ = long_recording(150)
    with client.audio.transcriptions.create(**asked(sound, stream=True)) as events:
        assert next(iter(events)).type == "transcript.text.delta"
        assert len(home.service.operations.pools.transcriptions) == 1
    wait_idle(home)


def test_what_takes_too_long_ends_with_an_error(tmp_path: Path) -> None:
    with house(tmp_path, recognition=Stuck(), request_timeout_s=2.0) as home:
        message = home.refused(post(home.client, silence(60)), 504, "deadline_passed")
        assert "not done within 2 s" in message
        wait_idle(home)


def test_a_stream_that_takes_too_long_ends_with_an_event(tmp_path: Path) -> None:
    with house(tmp_path, recognition=Stuck(), request_timeout_s=5.0) as home:
        answer = post(home.client, silence(60), stream="true")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line]
        assert events[0] == {"type": "transcript.text.delta", "delta": "Hello."}
        assert [event["type"] for event in events[1:]] == ["error"]
        assert events[-1]["error"]["code"] == "deadline_passed"
        wait_idle(home)


def test_only_so_many_are_heard_at_once(tmp_path: Path) -> None:
    with house(tmp_path, recognition=speech_recognition()) as home:
        pools = home.service.operations.pools
        pools.transcriptions.close()
        pools.transcriptions = BoundedExecutor("transcriptions", 1, 0)
        release = threading.Event()
        held = pools.transcriptions.submit(release.wait)
        try:
            for stream in ("false", "true"):
                answer = post(home.client, stream=stream)
                assert "transcriptions" in home.refused(answer, 503, "busy")
                assert answer.headers["retry-after"]
        finally:
            release.set()
        held.result(10)
        assert post(home.client, silence(0.5)).status_code == 200


def test_several_are_heard_side_by_side(home: House) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(post(home.client).json()["text"]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert home.client.get("/v1/models").status_code == 200
    for thread in threads:
        thread.join(120)
    assert len(answers) == 3
    assert len(set(answers)) == 1


def test_the_document_tells_every_format(home: House) -> None:
    post = home.client.get("/openapi.json").json()["paths"][PATH]["post"]
    assert set(post["responses"]["200"]["content"]) == {
        *("application/json", "text/plain", "application/x-subrip", "text/vtt"),
        "text/event-stream",
    }
    assert "multipart/form-data" in post["requestBody"]["content"]
    assert {"400", "404", "413", "501", "503", "504"} <= set(post["responses"])


def test_the_program_of_the_guide_runs(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("talk.wav").write_bytes(other_recording())
    names: dict[str, Any] = {}
    program = program.replace("http://127.0.0.1:8000", home.url).replace("your-key", KEY)
    exec(compile(program, GUIDE.name, "exec"), names)
    names["client"].close()
    text, *words, streamed = capsys.readouterr().out.split("\n")
    assert streamed == text
    assert [line.split()[2] for line in words] == text.split()
