"""Home Assistant's own client asks for voices and speech, whole and while the text is written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from wyoming.audio import AudioChunk, AudioStart
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeVoice,
)

from f5serve.types import SAMPLE_RATE
from f5serve.wyoming.voices import tag_of, voice_for
from tests.service.house import PATIENCE_S, CountingTone, run
from tests.voices.material import WORDS, other_recording, recording
from tests.wyoming.house import TEXT, error_in, house, kinds, pcm_in, until

FIRST = "This is the very first clause, "
REST = ["and ", "more follows. ", "The end ", "comes here, of course. "]


def test_describe_tells_voices_styles_and_languages(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            here.voices.put("ana", recording(), WORDS, language="de-AT")
            here.voices.put("ana", other_recording(), WORDS, style="happy")
            await client.write_event(Describe().event())
            event = await client.read_event()
            assert event is not None
            (program,) = Info.from_event(event).tts
            assert program.supports_synthesize_streaming
            assert program.installed
            default, ana = program.voices
            assert (default.name, default.speakers) == ("default", None)
            assert "en" in default.languages
            assert (ana.name, ana.languages) == ("ana", ["de-AT"])
            assert [speaker.name for speaker in ana.speakers or []] == ["happy"]
            await client.write_event(Ping("are you there?").event())
            answer = await client.read_event()
            assert answer is not None
            assert Pong.from_event(answer).text == "are you there?"

    run(story)


def test_a_text_is_spoken(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            events = await here.ask(Synthesize(TEXT).event())
            assert kinds(events) == ["audio-start", "audio-chunk", "audio-stop"]
            start = AudioStart.from_event(events[0])
            assert (start.rate, start.width, start.channels) == (SAMPLE_RATE, 2, 1)
            chunks = [AudioChunk.from_event(event) for event in events[1:-1]]
            times = [chunk.timestamp for chunk in chunks]
            assert times == sorted(times)  # type: ignore[type-var]
            assert len(pcm_in(events)) > SAMPLE_RATE  # half a second
            assert here.tone.spoken == [TEXT]

    run(story)


def test_requests_follow_one_another_on_a_connection(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            for _ in range(2):
                await client.write_event(Synthesize(TEXT).event())
            for _ in range(2):
                events = await until(client, "audio-stop")
                assert kinds(events) == ["audio-start", "audio-chunk", "audio-stop"]

    run(story)


def test_the_first_clause_is_heard_before_the_text_has_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            await client.write_event(SynthesizeStart().event())
            await client.write_event(SynthesizeChunk(FIRST).event())
            # Nothing more is sent before sound has come.
            heard = await until(client, "audio-chunk")
            assert here.tone.spoken == [FIRST.strip()]
            for part in REST:
                await client.write_event(SynthesizeChunk(part).event())
            await client.write_event(Synthesize(FIRST + "".join(REST)).event())
            await client.write_event(SynthesizeStop().event())
            heard += await until(client, "synthesize-stopped")
            assert kinds(heard) == [
                *["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
            ]
            assert " ".join(here.tone.spoken) == (FIRST + "".join(REST)).strip()

    run(story)


def test_what_comes_while_a_clause_is_spoken_is_spoken_together(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            here.tone.hold()
            await client.write_event(SynthesizeStart().event())
            await client.write_event(SynthesizeChunk(FIRST).event())
            assert await asyncio.to_thread(here.tone.at_work.wait, 60)
            for part in ["and more follows. ", "Here is the next ", "one. ", "T"]:
                await client.write_event(SynthesizeChunk(part).event())
            await client.write_event(Ping().event())
            assert kinds(await until(client, "pong")) == ["pong"]  # all of it has come
            here.tone.release()
            await client.write_event(SynthesizeStop().event())
            heard = await until(client, "synthesize-stopped")
            assert kinds(heard)[-2:] == ["audio-stop", "synthesize-stopped"]
            first, second, *last = here.tone.spoken
            assert first == FIRST.strip()
            assert second.startswith("and more follows. Here is the next one.")
            assert [*second.split(), *last][-1] == "T"

    run(story)


def test_an_empty_stream_just_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            events = await here.ask(SynthesizeStart().event(), SynthesizeStop().event())
            assert kinds(events) == ["synthesize-stopped"]

    run(story)


def test_marks_between_sentences_are_no_error(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            parts = ["This is a whole sentence. ", "\n\n***\n\n", "Another one is here. ", "🙂"]
            chunks = [SynthesizeChunk(part).event() for part in parts]
            ends = SynthesizeStart().event(), SynthesizeStop().event()
            events = await here.ask(ends[0], *chunks, ends[1])
            assert kinds(events)[-1] == "synthesize-stopped"
            assert "Another one is here." in " ".join(here.tone.spoken)

    run(story)


def test_a_style_is_the_speaker_of_a_voice(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.voices.put("ana", recording(), WORDS)
            here.voices.put("ana", other_recording(), WORDS, style="happy")
            happy = SynthesizeVoice(name="ana", speaker="happy")
            events = await here.ask(Synthesize(TEXT, happy).event())
            assert kinds(events)[-1] == "audio-stop"
            sad = SynthesizeVoice(name="ana", speaker="sad")
            error = await here.refused(Synthesize(TEXT, sad).event())
            assert error.code == "STYLE_NOT_FOUND"

    run(story)


@pytest.mark.parametrize(
    ("language", "chosen"),
    [("de", "ana"), ("de_AT", "ana"), ("de-DE", "ben"), ("fr", "default"), ("en-US", "default")],
)
def test_a_language_alone_chooses_a_voice(tmp_path: Path, language: str, chosen: str) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.voices.put("ana", recording(), WORDS, language="de-AT")
            here.voices.put("ben", recording(), WORDS, language="de-DE")
            assert voice_for(tag_of(language), here.voices) == chosen
            voice = SynthesizeVoice(language=language)
            events = await here.ask(Synthesize(TEXT, voice).event())
            assert kinds(events)[-1] == "audio-stop"

    run(story)


def test_ssml_is_read_whole_and_streamed(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            ssml = '<speak>One moment.<break time="300ms"/>Here it is.</speak>'
            whole = await here.ask(Synthesize(ssml, text_format="ssml").event())
            assert kinds(whole)[-1] == "audio-stop"
            streamed = await here.ask(
                SynthesizeStart(text_format="ssml").event(),
                *[SynthesizeChunk(ssml[at : at + 9]).event() for at in range(0, len(ssml), 9)],
                SynthesizeStop().event(),
            )
            assert kinds(streamed)[-1] == "synthesize-stopped"
            assert all("<" not in text for text in here.tone.spoken)
            assert len(pcm_in(streamed)) == len(pcm_in(whole))

    run(story)


def test_brackets_are_no_tags(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.ask(Synthesize("Wait [pause:1s] for me, please.").event())
            assert "pause" in here.tone.spoken[0]

    run(story)


def test_a_caller_who_leaves_stops_the_device(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, tone=CountingTone(cost_s=0.1)) as here:
            async with here.client() as client:
                await client.write_event(Synthesize((TEXT + " ") * 120).event())
                assert await asyncio.to_thread(here.tone.at_work.wait, PATIENCE_S)
            await here.until_left()
            utterances = len(TEXT) * 120 / 200
            assert here.tone.steps < utterances / 2

    run(story)


ERRORS = [
    (Synthesize("Hi there.", SynthesizeVoice(name="nobody")).event(), "VOICE_NOT_FOUND"),
    (Synthesize("").event(), "EMPTY_TEXT"),
    (Synthesize("a" * 5_001).event(), "TEXT_TOO_LONG"),
    (Synthesize("Hi.", SynthesizeVoice(language="no language!")).event(), "BAD_OPTION"),
    (Synthesize("<speak>", text_format="ssml").event(), "BAD_SSML"),
    (SynthesizeChunk("Hi there.").event(), "BAD_EVENT"),
    (SynthesizeStop().event(), "BAD_EVENT"),
    (Event("synthesize", {"text": 5}), "BAD_EVENT"),
    (Event("synthesize"), "BAD_EVENT"),
    (Event("synthesize", {"text": "Hi.", "voice": "ana"}), "BAD_EVENT"),
    (Event("synthesize", {"text": "Hi.", "voice": {"name": 5}}), "BAD_EVENT"),
]


@pytest.mark.parametrize(("event", "code"), ERRORS)
def test_errors_have_code_and_sentence(tmp_path: Path, event: Event, code: str) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            error = await here.refused(event)
            assert error.code == code
            assert len(error.text) > 20
            await here.until_left()
            assert kinds(await here.ask(Synthesize(TEXT).event()))[-1] == "audio-stop"

    run(story)


def test_a_stream_has_errors_too(tmp_path: Path) -> None:
    start = SynthesizeStart().event()

    async def story() -> None:
        async with house(tmp_path, max_text_chars=100) as here:
            error = await here.refused(start, start)
            assert error.code == "BAD_EVENT"
            chunks = [SynthesizeChunk("a word and another ").event()] * 9
            assert (await here.refused(start, *chunks)).code == "TEXT_TOO_LONG"
            half = Event("synthesize-chunk", {"text": "a"})
            nobody = SynthesizeStart(SynthesizeVoice(name="nobody")).event()
            stop = SynthesizeStop().event()
            assert (await here.refused(nobody, half, stop)).code == "VOICE_NOT_FOUND"
            await here.until_left()

    run(story)


def test_an_error_is_told_while_the_text_still_comes(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, here.client() as client:
            nobody = SynthesizeVoice(name="nobody")
            await client.write_event(SynthesizeStart(nobody).event())
            await client.write_event(SynthesizeChunk(FIRST).event())
            assert error_in(await until(client, "never")).code == "VOICE_NOT_FOUND"

    run(story)
