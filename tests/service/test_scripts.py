"""Scripts through the whole service, with a tone: exact times, voices, takes, the same bytes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from f5serve.audio.encode import encode, read_wav
from f5serve.service.events import AudioChunk, DeliveryOptions
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Wave
from f5serve.voices.prepare import default_voice
from tests.engine.test_engine import speaker
from tests.service.house import House, house, run
from tests.sounds import sounds


def wave_of(here: House, answer: dict[str, Any]) -> Wave:
    return read_wav(here.store.get(answer["audio_url"].removeprefix("memory:")))


async def add_voice(here: House, name: str, gain: float = 1.0, style: str = "") -> None:
    voice = default_voice()
    data = encode(Wave(voice.wave.samples * np.float32(gain)), "wav")
    fields = {"voice_name": name, "ref_text": voice.ref_text}
    if style:
        fields["style"] = style
    await here.call("upload", voice_file=base64.b64encode(data).decode(), **fields)


def test_pauses_are_exact_and_parts_say_when_they_are_heard(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            text = "[pause:0.8s]One two three. [pause:1.25s] Four five six.[pause 400ms]"
            answer = await here.ask("a", text=text)
            wave = wave_of(here, answer)
            first, second = sounds(wave.samples)
            assert first[0] == pytest.approx(0.8, abs=0.01)
            assert second[0] - first[1] == pytest.approx(1.25, abs=0.01)
            assert wave.duration_s - second[1] == pytest.approx(0.4, abs=0.01)
            parts = answer["parts"]
            assert [part["text"] for part in parts] == ["One two three.", "Four five six."]
            assert [part["pause"] for part in parts] == [1.25, 0.4]
            for part, (start_s, end_s) in zip(parts, (first, second), strict=True):
                assert part["start_time"] == pytest.approx(start_s, abs=0.01)
                assert part["end_time"] == pytest.approx(end_s, abs=0.01)
                assert text[part["start"] : part["end"]] == part["text"]
            assert answer["text"] == "One two three. Four five six."
            words = answer["word_timings"]
            assert [word["word"] for word in words] == answer["text"].split()
            assert words[3]["start_time"] == pytest.approx(second[0], abs=0.01)

    run(story)


def test_voices_speak_their_parts_and_words_say_whose_they_are(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await add_voice(here, "ana")
            await add_voice(here, "bob", gain=0.7)
            await add_voice(here, "ana", gain=0.8, style="happy")
            text = "Hello. [ana] Hi, I am Ana. [happy] Great! [/] Well.\nbob: So am I.\n\nThe end."
            answer = await here.ask("a", text=text)
            said = [(part["voice"], part["style"], part["text"]) for part in answer["parts"]]
            assert said == [
                ("default", None, "Hello."),
                ("ana", None, "Hi, I am Ana."),
                ("ana", "happy", "Great!"),
                ("ana", None, "Well."),
                ("bob", None, "So am I."),
                ("ana", None, "The end."),
            ]
            for tag in ('{"name": "ana", "style": "happy"}', "[voice:ana][style:happy]"):
                answer_of_tag = await here.ask(tag, text=f"{tag} Great!")
                assert answer_of_tag["parts"][0]["style"] == "happy"
            voices = [word["voice"] for word in answer["word_timings"]]
            assert voices == [*["default"], *["ana"] * 4, "ana", "ana", *["bob"] * 3, *["ana"] * 2]

    run(story)


def test_the_script_of_an_answer_gives_the_same_bytes(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await add_voice(here, "ana")
            text = "Hello there. [voice:ana][speed:1.3] Hi, you. [pause:0.3s] [seed:7] Again."
            first = await here.ask("a", text=text)
            assert first["script"].splitlines()[1].startswith('{"name": "ana", "seed": ')
            again = await here.ask("b", text=first["script"])
            assert again["cached"] is False
            assert [p["seed"] for p in again["parts"]] == [p["seed"] for p in first["parts"]]
            assert first["parts"][2]["seed"] == 7
            assert wave_of(here, again).samples.tobytes() == wave_of(here, first).samples.tobytes()
            assert again["script"] == first["script"]
            plain = await here.ask("c", text="Hello there.", seed=first["parts"][0]["seed"])
            assert plain["parts"] == []
            assert plain["script"] is None
            alone = await here.ask("d", text=first["script"].splitlines()[0])
            assert wave_of(here, alone).samples.tobytes() == wave_of(here, plain).samples.tobytes()

    run(story)


def test_takes_are_kept_and_each_can_be_had_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("a", text="Hello there. [pause:1s] Good bye.", takes=3)
            for part in answer["parts"]:
                assert len({take["seed"] for take in part["takes"]}) == 3
                assert part["takes"][0]["seed"] == part["seed"]
                for take in part["takes"]:
                    alone = await here.ask(f"b{take['seed']}", text=part["text"], seed=take["seed"])
                    made = wave_of(here, take)
                    assert made.samples.tobytes() == wave_of(here, alone).samples.tobytes()
                    assert take["duration"] == pytest.approx(made.duration_s, abs=0.001)
            (line,) = (await here.operations.recent_jobs(50))["jobs"][-1:]
            assert (line["job_id"], line["text"]) == ("a", "Hello there. Good bye.")
            again = await here.call("result", job_id="a")
            assert again["parts"] == answer["parts"]
            plain = await here.ask("c", text="Hello.", takes=2)
            assert [len(part["takes"]) for part in plain["parts"]] == [2]
            error = await here.refuse("d", text="One. [pause:1s] Two. " * 30, takes=3)
            assert (error.code, "31 parts" in error.message) == ("BAD_OPTION", True)

    run(story)


def test_speech_lasts_as_long_as_was_asked(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            text = "This is a sentence of some length. " * 8
            for job, fields in (("a", {}), ("b", {"speed": 2.0}), ("c", {"cross_fade_s": 0.0})):
                answer = await here.ask(job, text=text, duration_s=20.0, **fields)
                assert answer["duration"] == pytest.approx(20.0, rel=0.02)
            script = await here.ask("d", text=f"{text} [pause:3s] Done.", duration_s=20)
            assert script["duration"] == pytest.approx(20.0, rel=0.02)
            (_, end), *_, (start, _) = sounds(wave_of(here, script).samples)
            assert start > end
            error = await here.refuse("e", text=text, duration_s=0.5)
            assert (error.code, error.message) == ("BAD_OPTION", "duration_s is 0.5.")
            assert "This text takes about" in error.hint
            error = await here.refuse("f", text=text, duration_s=9.0, remove_silence=True)
            assert error.code == "BAD_OPTION"

    run(story)


def test_a_streamed_script_is_the_stored_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await add_voice(here, "ana")
            text = "Hello there. [pause:0.5s] [ana] Hi. [main] Bye. [pause:0.2s]"
            delivery = DeliveryOptions(chunks=True)
            audio, answer = await here.listen("a", delivery, text=text, quick_start=False)
            pieces = [chunk.read().samples for chunk in audio if isinstance(chunk, AudioChunk)]
            assert len(pieces) > 2
            stored = wave_of(here, answer).samples
            np.testing.assert_allclose(np.concatenate(pieces), stored, atol=1 / 32_000)

    run(story)


def test_equal_scripts_are_cached_and_a_changed_voice_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await add_voice(here, "ana")
            fields = {"text": "[ana] Hello there. [pause:1s] Yes.", "seed": 3}
            assert (await here.ask("a", **fields))["cached"] is False
            hit = await here.ask("b", **fields)
            assert hit["cached"] is True
            assert hit["parts"][0]["voice"] == "ana"
            assert (await here.ask("c", **{**fields, "takes": 2}))["cached"] is False
            await add_voice(here, "ana", gain=0.5)
            assert (await here.ask("d", **fields))["cached"] is False

    run(story)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("Hello [voice:zed] there.", "VOICE_NOT_FOUND", "character 7"),
        ("Hello [style:angry] there.", "STYLE_NOT_FOUND", "character 7"),
        ("Hello\n[pause:0s] there.", "BAD_MARKUP", "character 7 (line 2)"),
        ("Hello [pause:-1s] there.", "BAD_MARKUP", "character 7"),
        ("Hello [pause:1e9s] there.", "BAD_MARKUP", "character 7"),
        ("Hello [pause:NaN] there.", "BAD_MARKUP", "character 7"),
        ("Hello [speed:9] there.", "BAD_MARKUP", "character 7"),
        ("Hello [voice:ana [pause:1s]] there.", "BAD_MARKUP", "character 7"),
        ("Hello [voice:ana there.", "BAD_MARKUP", "character 7"),
        ("Hello [/] there.", "BAD_MARKUP", "character 7"),
        ("[seed:1]" * 1_001 + "Hello.", "BAD_MARKUP", "1,000 tags"),
        ("Hi. [pause:60s] " * 11, "BAD_MARKUP", "add up to 660 s"),
        ("[pause:1ms]" * 7_000 + "Hi.", "TEXT_TOO_LONG", "77,003 characters with its markup"),
    ],
)
def test_bad_scripts_are_refused_with_their_place(
    text: str, code: str, place: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with house(tmp_path, max_text_chars=20_000) as here:
            error = await here.refuse("a", text=text)
            assert (error.code, place in error.message) == (code, True), error.message
            assert error.hint
            assert here.tone.spoken == []

    run(story)


def test_what_is_no_tag_is_spoken_and_off_takes_nothing_for_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await add_voice(here, "ana")
            answer = await here.ask("a", text="He said [sic] it. Note: no voice.")
            assert answer["parts"] == []
            assert answer["text"] == "He said [sic] it. Note: no voice."
            answer = await here.ask("b", text="[ana] Hello. [pause:1s]", markup="off")
            assert answer["parts"] == []
            assert answer["voice"] == "default"
            error = await here.refuse("c", text="He said [sic] it.", markup="strict")
            assert (error.code, "character 9" in error.message) == ("BAD_MARKUP", True)
            for text in ("[pause:1s]", "[ana] ... [pause:1s] !"):
                assert (await here.refuse("d", text=text)).code == "EMPTY_TEXT"
            lines = "\n".join(f"word{number}: text" for number in range(100))
            assert (await here.ask("g", text=lines))["parts"] == []
            long = "[pause:1ms]" * 500 + "Hello."
            assert (await here.ask("e", text=long))["text"] == "Hello."
            error = await here.refuse("f", text="[voice:ana]" + "Hello. " * 800)
            assert (error.code, "without its tags" in error.message) == ("TEXT_TOO_LONG", True)

    run(story)


def test_many_words_with_colons_cost_few_requests(tmp_path: Path) -> None:
    class Counting(MemoryStore):
        gets = 0

        def get(self, key: str, max_bytes: int | None = None) -> bytes:
            self.gets += key.startswith("voices/_records/")
            return super().get(key, max_bytes)

    async def story() -> None:
        store = Counting()
        async with house(tmp_path, store) as here:
            await add_voice(here, "zoe")
            before = store.gets
            text = "\n".join(f"Word{number}: this." for number in range(60)) + "\nzoe: Hi."
            answer = await here.ask("a", text=text)
            assert [part["voice"] for part in answer["parts"]] == ["default", "zoe"]
            assert store.gets - before < 20

    run(story)


def test_a_preview_shows_the_parts(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            from f5serve.service.text_preview import TextRequest

            await add_voice(here, "ana")
            text = "It costs $3. [ana][speed:1.5] Or €2. [pause:2s]"
            shown = await here.operations.preview_text(TextRequest.parse({"text": text}))
            assert shown["spoken_text"] == "It costs three dollars. Or two euros."
            first, second = shown["parts"]
            assert (first["voice"], second["voice"], second["speed"]) == (None, "ana", 1.5)
            assert text[second["start"] : second["end"]] == "Or €2."
            for change in shown["changes"]:
                assert shown["text"][change["start"] : change["end"]] == change["written"]
            assert [change["written"] for change in shown["changes"]] == ["$3", "€2"]

    run(story)


def test_the_model_speaks_a_part_as_it_speaks_it_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(speaker())) as here:
            await add_voice(here, "ana", gain=0.6)
            text = "This is spoken by one. [ana] And this by another. [main] And this again."
            script = await here.ask("a", text=text, nfe_step=3, takes=2)
            assert len(script["parts"]) == 3
            for part in script["parts"]:
                alone = await here.ask(
                    f"{part['seed']}", text=part["text"], seed=part["seed"], nfe_step=3,
                    voice=part["voice"],
                )  # fmt: skip
                lone, take = (wave_of(here, one).samples for one in (alone, part["takes"][0]))
                level = np.abs(lone).max() or 1.0
                gain = np.abs(take).max() / level  # voices are brought to the same loudness
                np.testing.assert_allclose(take, gain * lone, atol=2 / 32_000)
                assert (gain == pytest.approx(1.0, abs=0.01)) == (part["voice"] == "default")
            timed = await here.ask("b", text=text, nfe_step=3, duration_s=6.0)
            assert timed["duration"] == pytest.approx(6.0, abs=0.02)

    run(story)
