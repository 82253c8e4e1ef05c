"""tts: numbers and signs are spoken as words, and the answer keeps what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from f5serve.service.text_preview import TextRequest
from f5serve.text.lexicon_rules import LexiconRule
from tests.service.house import house, run

PRICE = {"text": "It costs $3.50 today."}
SPOKEN = "It costs three dollars and fifty cents today."


def test_an_answer_has_what_was_written_and_what_was_spoken(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("a", **PRICE)
            assert (answer["text"], answer["spoken_text"]) == (PRICE["text"], SPOKEN)
            assert here.tone.spoken == [SPOKEN]
            words = answer["word_timings"]
            assert [word["word"] for word in words] == ["It", "costs", "$3.50", "today."]
            lengths = [word["end_time"] - word["start_time"] for word in words]
            assert max(lengths) == lengths[2]  # it is said in five words
            assert await here.call("result", job_id="a") == answer

    run(story)


@pytest.mark.parametrize(
    ("setting", "fields", "spoken"),
    [
        ("off", {}, PRICE["text"]),
        ("off", {"normalize": "auto"}, SPOKEN),
        ("money", {}, PRICE["text"]),
        ("date", {}, SPOKEN),
        ("auto", {"normalize": ["money"]}, PRICE["text"]),
        ("auto", {"language": "es"}, "It costs tres dólares con cincuenta centavos today."),
    ],
)
def test_the_request_decides_and_then_the_setting(
    tmp_path: Path, setting: str, fields: dict[str, Any], spoken: str
) -> None:
    async def story() -> None:
        async with house(tmp_path, normalize=setting) as here:
            assert (await here.ask("a", **PRICE, **fields))["spoken_text"] == spoken
            assert here.tone.spoken == [spoken]

    run(story)


def test_results_of_other_words_are_not_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            first = await here.ask("a", **PRICE)
            assert (await here.ask("b", **PRICE, normalize="on"))["cached"]
            plain = await here.ask("c", **PRICE, normalize="off")
            assert (plain["cached"], plain["spoken_text"]) == (False, PRICE["text"])
            kinds = [["date", "time"], ["time", "date"]]
            answers = [await here.ask(f"d{n}", **PRICE, normalize=k) for n, k in enumerate(kinds)]
            assert [answer["cached"] for answer in answers] == [False, True]
            german = await here.ask("e", **PRICE, language="de")
            assert not german["cached"]
            again = await here.ask("f", **PRICE)
            assert (again["cached"], again["spoken_text"]) == (True, first["spoken_text"])

    run(story)


def test_rules_of_a_voice_are_spoken_and_decide_the_result(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            text = {"text": "Nguyen has 2."}
            first = await here.ask("a", **text)
            assert first["spoken_text"] == "Nguyen has two."
            here.operations.lexicons.put("default", [LexiconRule("Nguyen", "Win")])
            second = await here.ask("b", **text)
            assert (second["cached"], second["spoken_text"]) == (False, "Win has two.")
            assert [word["word"] for word in second["word_timings"]] == ["Nguyen", "has", "2."]
            here.operations.lexicons.delete("default")
            assert (await here.ask("c", **text))["cached"]

    run(story)


def test_a_preview_is_what_is_spoken(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.operations.ready()  # its engine limits the utterances
            text = "On 3/4/2024 it cost $5. " * 12
            shown = await here.operations.preview_text(TextRequest(text=text))
            answer = await here.ask("a", text=text)
            assert shown["spoken_text"] == answer["spoken_text"]
            assert [one["text"] for one in shown["utterances"]] == here.tone.spoken
            assert len(here.tone.spoken) > 1

    run(story)
