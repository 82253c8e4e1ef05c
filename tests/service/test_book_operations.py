"""Operations on books as jobs send them; books and the removal of voices; doubtful sentences."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import InvalidRequest
from f5serve.service import ServiceOptions
from f5serve.service.book_review import doubtful_sentences, parse_sentence
from f5serve.text.plan import derive_seed
from tests.download.servers import Server, answer, network_to
from tests.service.house import PATIENCE_S, House, house, run
from tests.service.test_books import TEXT
from tests.service.test_erasure import everything
from tests.service.test_voices import FILE, WORDS

BOOK = base64.b64encode(TEXT.encode()).decode()
FIELDS = {"endpoint": "book", "book_file": BOOK, "file_name": "lamp.md", "book_id": "lamp"}


async def until_done(here: House) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while (told := await here.call("book_status", book_id="lamp"))["status"] != "COMPLETED":
            await asyncio.sleep(0.02)
    return told


def test_chapters_go_through_the_platforms_queue(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []

    async def enqueue(payload: dict[str, Any]) -> str:
        sent.append(payload)
        return "id"

    async def story() -> None:
        async with house(tmp_path, options=ServiceOptions(enqueue=enqueue)) as here:
            told = await here.ask("b", **FIELDS)
            assert (told["progress"]["done"], told["progress"]["percent"]) == (0, 0)
            assert [payload["endpoint"] for payload in sent] == ["chapter"] * 3
            for payload in sent[:2]:
                done = await here.ask("any", **payload)
                assert (done["status"], done["job_id"]) == ("COMPLETED", payload["queued_as"])
            told = await here.call("book_status", book_id="lamp", limit=1, after=1)
            assert [one["number"] for one in told["chapters"]] == [2]
            assert (told["next"], told["progress"]["done"]) == (2, 2)
            told = await here.call("book_review", book_id="lamp", limit=1)
            assert (told["sentences"], told["next"]) == ([], 1)
            await here.call("book_pause", book_id="lamp")
            assert (await here.refuse("any", **sent[2])).code == "BOOK_PAUSED"
            told = await here.call("book_resume", book_id="lamp")
            assert (len(sent), sent[3]) == (4, sent[2])
            await here.ask("any", **sent[3])
            assert (await here.call("book_status", book_id="lamp"))["status"] == "COMPLETED"
            while (file := await here.call("book_file", book_id="lamp"))["status"] == "PROCESSING":
                await asyncio.sleep(0.02)
            assert (file["status"], file["size"] > 1_000) == ("COMPLETED", True)
            assert (await here.call("delete_book", book_id="lamp"))["status"] == "DELETED"
            left = {entry.key.partition("/")[0] for entry in here.store.list()}
            assert left == {"index"}  # whose keys hold nothing

    run(story)


def test_a_book_comes_from_a_url(tmp_path: Path) -> None:
    async def story() -> None:
        with Server(
            lambda connection, request: connection.sendall(answer(TEXT.encode()))
        ) as server:
            options = ServiceOptions(network=network_to(server.port))
            async with house(tmp_path, options=options, allow_http_urls=True) as here:
                fields = {
                    "endpoint": "book",
                    "book_url": f"http://files.example:{server.port}/the%20lamp.md",
                }
                told = await here.ask("b", **fields)
                assert (told["title"], told["progress"]["total"]) == ("the lamp", 3)
                again = await here.ask("b", **fields)
                assert again["book_id"] == told["book_id"]

    run(story)


def test_what_is_wrong_with_a_request(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            assert (await here.refuse("b", endpoint="book")).code == "NO_BOOK"
            both = {**FIELDS, "book_url": "https://example.com/a.epub"}
            assert (await here.refuse("b", **both)).code == "NO_BOOK"
            bad = {**FIELDS, "book_file": "?"}
            assert (await here.refuse("b", **bad)).code == "BASE64_INVALID"
            assert (await here.refuse("b", endpoint="book_status")).code == "MISSING_FIELD"
            wrong = await here.refuse("b", endpoint="book_status", book_id="none")
            assert wrong.code == "BOOK_NOT_FOUND"
            wrong = await here.refuse("b", endpoint="chapter", book="a", chapter=1, revision="x")
            assert wrong.code == "BAD_OPTION"
            absent = {"book": "a", "chapter": 1, "revision": "0" * 64}
            wrong = await here.refuse("b", endpoint="chapter", **absent)
            assert wrong.code == "BOOK_NOT_FOUND"

    run(story)


def test_speech_goes_with_its_voice(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.call("upload", voice_name="Ana", voice_file=FILE, ref_text=WORDS)
            await here.ask("b", **FIELDS, voice="Ana")
            await until_done(here)
            told = await here.call("delete_voice", voice_name="ana", with_results=True)
            assert (told["results"]["books"], told["results"]["jobs"]) == (1, 3)
            assert WORDS not in everything(here.store)
            assert not list(here.store.list("books/lamp/utterances/"))
            assert (await here.refuse("x", endpoint="book_resume", book_id="lamp")).code == (
                "VOICE_NOT_FOUND"
            )
            other = await here.ask("b", **FIELDS)
            assert other["book_id"] == "lamp"

    run(story)


def part(text: str, seconds: float, seed: int = 1, speed: float = 1.0) -> dict[str, Any]:
    return {
        "text": text,
        "start_time": 1.0,
        "end_time": 1.0 + seconds,
        "seed": seed,
        "speed": speed,
    }


def test_sentences_out_of_proportion_are_doubtful() -> None:
    usual = [part("x" * 30, 2.0) for _ in range(5)]
    parts = [*usual, part("y" * 30, 5.0), part("z" * 30, 0.8), part("No.", 3.0)]
    parts.append(part("w" * 30, 1.0, speed=2.0))
    found = list(doubtful_sentences({"parts": parts}, None))
    assert [(one.number, one.why) for one in found] == [
        (6, "2.5 times as long as the others"),
        (7, "2.5 times as short as the others"),
    ]


def test_sentences_that_are_not_understood_are_doubtful() -> None:
    parts = [part("x" * 30, 2.0, seed) for seed in range(3)]
    first, second = (derive_seed(str(seed), 0) for seed in (0, 1))
    again = derive_seed(str(second), "again", 2)
    heard = [{"seed": first, "wer": 0.1}, {"seed": again, "wer": 0.5}]
    verification = {"max_wer": 0.2, "utterances": heard}
    found = list(doubtful_sentences({"parts": parts}, verification))
    assert [(one.number, one.why) for one in found] == [(2, "50% of its words are not understood")]
    found = list(doubtful_sentences({"parts": parts, "verified": heard}, {"max_wer": 0.6}))
    assert found == []


@pytest.mark.parametrize(
    "text", ["3.12", "3:12", " 3/12 ", "chapter 3, sentence 12", "3 sentence 12"]
)
def test_a_sentence_is_named_by_two_numbers(text: str) -> None:
    assert parse_sentence(text) == (3, 12)


@pytest.mark.parametrize("text", ["", "3", "3.12.1", "a.b", "-3.12"])
def test_what_names_no_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_sentence(text)
