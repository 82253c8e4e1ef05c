"""Times of words in answers: in them, beside them as files, and why there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from f5serve.alignment.aligners import OFF, Aligners
from f5serve.alignment.subtitles import FORMATS, MEDIA_TYPES
from f5serve.service.events import Completed, DeliveryOptions, SpokenWords
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Wave
from tests.service.house import CountingTone, House, house, run

TEXT = "Hello there. That is $3.50, please."


class Silent(CountingTone):
    """A speaker that does not tell when it says what."""

    def generate(self, *args: Any, **options: Any) -> list[Wave]:
        utterances, on_done, *rest = args
        waves = super().generate(utterances, None, *rest, **options)
        plain = [Wave(wave.samples) for wave in waves]
        for index, wave in enumerate(plain):
            on_done(index, wave)
        return plain


def stored(here: House, url: str) -> bytes:
    return here.store.get(url.removeprefix("memory:"))


def test_files_are_made_as_asked_and_can_be_downloaded(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("j", text=TEXT, timing_format=list(FORMATS))
            assert [word["word"] for word in answer["word_timings"]] == TEXT.split()
            assert answer["word_count"] == 6
            assert answer["timing_format"] == "srt"
            assert answer["timing_files"].keys() == set(FORMATS)
            for format, url in answer["timing_files"].items():
                assert url == f"memory:timings/j.{format}"
                assert b"Hello" in stored(here, url)
                told = await here.call("download", job_id="j", type="timing", format=format)
                assert (told["timing_url"], told["status"]) == (url, "ready")
                assert (told["filename"], told["format"]) == (f"j.{format}", format)
                assert told["content_type"] == MEDIA_TYPES[format]
            again = await here.call("result", job_id="j")
            assert again["timing_files"] == answer["timing_files"]
            cached = await here.ask("k", text=TEXT, timing_format=list(FORMATS))
            assert cached["cached"]
            assert cached["timing_files"] == answer["timing_files"]

    run(story)


def test_older_clients_get_srt_and_nobody_gets_what_was_not_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            older = await here.ask("a", text=TEXT, return_word_timings=True)
            assert older["timing_files"].keys() == {"srt"}
            plain = await here.ask("b", text=TEXT)
            assert plain["timing_files"] == {}
            error = await here.refuse("x", endpoint="download", job_id="b", type="timing")
            assert error.code == "NO_TIMINGS"
            files = await here.ask("c", text=TEXT, return_word_timings=False, timing_format="csv")
            assert (files["word_timings"], files["word_count"]) == ([], 6)
            assert stored(here, files["timing_files"]["csv"]).count(b"\r\n") == 7
            without = await here.ask("d", text=TEXT, return_word_timings=False)
            assert (without["word_timings"], without["timing_method"]) == ([], None)
            assert not any("timing" in warning for warning in without["warnings"])

    run(story)


@pytest.mark.parametrize(
    ("name", "reason"), [(OFF, "switched off by F5_ALIGNER"), ("auto", "could not be found")]
)
def test_without_times_the_answer_says_why(tmp_path: Path, name: str, reason: str) -> None:
    tone = Silent()

    async def story() -> None:
        load = lambda: Synthesizer(tone, aligners=Aligners(name))  # noqa: E731
        async with house(tmp_path, load_speech=load, tone=tone) as here:
            answer = await here.ask("j", text=TEXT, timing_format="srt")
            assert (answer["word_timings"], answer["timing_files"]) == ([], {})
            assert (answer["timing_confidence"], answer["word_count"]) == (None, 0)
            assert any(reason in warning for warning in answer["warnings"])

    run(story)


def test_times_of_a_long_text_count_from_its_beginning(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            text = " ".join(f"Sentence number {n} is here." for n in range(60))
            answer = await here.ask("j", text=text)
            words = answer["word_timings"]
            assert [word["word"] for word in words] == text.split()
            edges = [edge for word in words for edge in (word["start_time"], word["end_time"])]
            assert edges == sorted(edges)
            assert answer["duration"] - 0.2 < edges[-1] <= answer["duration"]
            assert answer["metrics"]["timing_s"] < 1

    run(story)


def test_words_that_are_spoken_otherwise_are_timed_and_shown_as_written(tmp_path: Path) -> None:
    text = (
        'The <sub alias="World Wide Web">WWW</sub>, on the '
        '<say-as interpret-as="ordinal">3</say-as> <sub alias="floor">fl. No</sub>.'
    )

    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("j", text=text, timing_format="srt")
            assert answer["text"] == "The WWW, on the 3 fl. No."
            assert answer["spoken_text"] == "The World Wide Web, on the third floor."
            words = [word["word"] for word in answer["word_timings"]]
            assert words == ["The", "WWW,", "on", "the", "3", "fl. No."]
            assert b"The WWW, on the 3 fl. No." in stored(here, answer["timing_files"]["srt"])

    run(story)


@pytest.mark.parametrize("text", [TEXT, TEXT * 20, "[pause:1s] Hi. [pause:2s] There."])
def test_words_are_passed_on_as_soon_as_they_are_timed(text: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            wanted = DeliveryOptions(chunks=True, spoken_words=True)
            payload = {"text": text, "return_word_timings": True, "seed": 1}
            events = [event async for event in here.operations.events(payload, "j", wanted)]
            told = [word for event in events if isinstance(event, SpokenWords)
                    for word in event.words]  # fmt: skip
            last = events[-1]
            assert isinstance(last, Completed)
            words = last.response["word_timings"]
            assert told
            assert [word.word for word in told] == [word["word"] for word in words][: len(told)]
            for word, shown in zip(told, words, strict=False):
                assert word.start_s == pytest.approx(shown["start_time"], abs=0.01)
            plain = DeliveryOptions(chunks=True)
            events = [event async for event in here.operations.events(payload, "k", plain)]
            assert not [event for event in events if isinstance(event, SpokenWords)]

    run(story)
