"""POST /v1/text: the words of a text, its utterances, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from f5serve.text_kinds import TEXT_KINDS
from tests.http.house import House, house
from tests.http.test_metrics import count, scrape
from tests.service.house import CountingTone
from tests.voices.material import WORDS, recording

PATH = "/v1/text"
TEXT = "It costs $3.50 on 3/4/2024."
MONEY = "three dollars and fifty cents"
DATE = "March fourth, twenty twenty four"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("text"), max_text_chars=500) as home:
        home.service.voices.put("Hans", recording(), WORDS, "de", normalize="off")
        yield home


def ask(home: House, text: str, **fields: Any) -> dict[str, Any]:
    answer = home.client.post(PATH, json={"text": text, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_words_and_where_they_come_from(home: House) -> None:
    home.tone.spoken.clear()
    told = ask(home, f" {TEXT}\n\nThen it is *over*. 🙂")
    assert told["text"] == f"{TEXT} Then it is over. 🙂"
    assert told["spoken_text"] == f"It costs {MONEY} on {DATE}. Then it is over."
    assert [(one["written"], one["spoken"]) for one in told["changes"]] == [
        ("$3.50", MONEY),
        ("3/4/2024", DATE),
        (" 🙂", ""),
    ]
    for one in told["changes"]:
        assert told["text"][one["start"] : one["end"]] == one["written"]
    assert (told["language"], told["warnings"]) == ("en", [])
    assert not home.tone.spoken  # nothing is synthesized


def test_utterances_are_those_that_are_spoken(home: House) -> None:
    assert home.speak().status_code == 200  # the model is loaded now: it limits the utterances
    home.tone.spoken.clear()
    text = " ".join(f"This is sentence {number}." for number in range(12))
    told = ask(home, text)
    texts = [one["text"] for one in told["utterances"]]
    assert len(texts) > 1
    assert " ".join(texts) == told["spoken_text"]
    assert all(0.5 < one["duration"] < 30 for one in told["utterances"])
    fast = ask(home, text, speed=2)["utterances"]
    assert fast[0]["duration"] == pytest.approx(told["utterances"][0]["duration"] / 2, rel=0.05)
    said = home.speak(input=text, quick_start=False, stream_format="audio")
    assert said.status_code == 200
    assert home.tone.spoken == texts


def test_language_decides(home: House) -> None:
    written = "3.4.2024"
    assert "dritten April" in ask(home, f"Am {written}", language="de-AT")["spoken_text"]
    assert "April third" in ask(home, written, language="en")["spoken_text"]
    assert "quatre" in ask(home, "4", language="FR")["spoken_text"]
    assert ask(home, "4", voice="hans", normalize="on")["spoken_text"] == "vier"


def test_kinds_are_left_alone(home: House) -> None:
    assert ask(home, TEXT, normalize="off")["spoken_text"] == TEXT
    assert ask(home, TEXT, normalize="off")["changes"] == []
    assert ask(home, TEXT, normalize=["money"])["spoken_text"] == f"It costs $3.50 on {DATE}."
    assert ask(home, TEXT, normalize=list(TEXT_KINDS))["spoken_text"] == TEXT
    assert ask(home, TEXT, normalize=[])["spoken_text"] == f"It costs {MONEY} on {DATE}."
    assert ask(home, TEXT, voice="hans")["spoken_text"] == TEXT  # as the voice says
    assert MONEY in ask(home, TEXT, voice="hans", normalize="auto", language="en")["spoken_text"]


def test_setting_is_what_counts_without_a_choice(tmp_path: Path) -> None:
    with house(tmp_path, normalize="date") as home:
        assert ask(home, TEXT)["spoken_text"] == f"It costs {MONEY} on 3/4/2024."
        assert ask(home, TEXT, normalize="on")["spoken_text"] == f"It costs {MONEY} on {DATE}."


def test_rules_of_a_request_come_first(home: House) -> None:
    home.client.put("/v1/lexicons/library", json=[{"text": "SQL", "alias": "ess queue ell"}])
    try:
        assert ask(home, "My SQL.")["spoken_text"] == "My ess queue ell."
        rules = [{"text": "sql", "alias": "sequel"}, {"text": "重庆", "pinyin": "chong2 qing4"}]
        told = ask(home, "My SQL.", lexicon=rules)
        assert told["spoken_text"] == "My sequel."
        (change,) = told["changes"]
        assert change == {"start": 3, "end": 6, "written": "SQL", "spoken": "sequel"}
        assert "chong2" in ask(home, "我在重庆。", lexicon=rules)["spoken_text"]
    finally:
        home.client.delete("/v1/lexicons/library")


def test_pinyin_is_taken_out_of_the_text(home: House) -> None:
    told = ask(home, '我在<say-as pinyin="chong2 qing4">重庆</say-as>。')
    assert told["text"] == "我在重庆。"
    assert told["spoken_text"] == "我在[pinyin:chong2 qing4]。"
    assert [one["written"] for one in told["changes"]] == ["重", "庆"]


def test_numbers_of_other_languages_are_warned_about(home: House) -> None:
    (warning,) = ask(home, "Cena 3,50 zł dnia 3.4.2024", language="pl")["warnings"]
    assert "Polish" in warning


def test_unspeakable_characters_are_named(tmp_path: Path) -> None:
    tone = CountingTone(alphabet="abcdefghijklmnopqrstuvwxyz ")
    with house(tmp_path, tone=tone) as home:
        home.speak(input="hello")  # the model is loaded now
        assert ask(home, "hello, Привет")["unspeakable"] == list(",Привет")
        assert ask(home, "hello 4")["unspeakable"] == []


@pytest.mark.parametrize(
    ("fields", "status", "code", "words"),
    [
        ({"voice": "nobody"}, 404, "voice_not_found", "nobody"),
        ({"voice": "https://example.com/a.wav"}, 400, "bad_voice_name", "URL"),
        ({"text": "x" * 501}, 400, "text_too_long", "501"),
        ({"text": ""}, 400, "bad_option", "text"),
        ({"text": " \n 🙂"}, 400, "empty_text", ""),
        ({"text": None}, 400, "bad_option", "text"),
        ({"text": "Say [pinyin:xyz9]."}, 400, "bad_pinyin", "xyz9"),
        ({"language": "english"}, 400, "bad_option", "english"),
        ({"language": 7}, 400, "bad_option", "language"),
        ({"normalize": "dates"}, 400, "bad_option", "normalize"),
        ({"normalize": ["dates"]}, 400, "bad_option", "normalize"),
        ({"normalize": True}, 400, "bad_option", "normalize"),
        ({"speed": 9}, 400, "bad_option", "speed"),
        ({"lexicon": [{"text": "a"}]}, 400, "bad_lexicon", "Rule 1"),
        ({"lexicon": [{"text": "a", "alias": "b"}] * 101}, 400, "bad_option", "lexicon"),
    ],
)
def test_what_is_refused(
    home: House, fields: dict[str, Any], status: int, code: str, words: str
) -> None:
    answer = home.client.post(PATH, json={"text": "Hello.", **fields})
    assert words in home.refused(answer, status, code)


def test_requests_are_counted(home: House) -> None:
    def counted(outcome: str) -> float:
        labels = {"operation": "preview_text", "outcome": outcome}
        return count(scrape(home), "f5_requests_total", **labels)

    before = counted("ok"), counted("VOICE_NOT_FOUND")
    ask(home, "Hello.")
    home.client.post(PATH, json={"text": "Hello.", "voice": "nobody"})
    assert (counted("ok"), counted("VOICE_NOT_FOUND")) == (before[0] + 1, before[1] + 1)
