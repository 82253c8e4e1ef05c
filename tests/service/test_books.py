"""Books as jobs: a chapter each, kept utterances, what a change costs, two machines at one book."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.books.plan import plan_book
from f5serve.books.reader import read_book
from f5serve.errors import F5Error, InvalidRequest
from f5serve.jobs.records import Status
from f5serve.jobs.retention import forget_job
from f5serve.service.book_jobs import (
    BookFields,
    BookSpeakers,
    chapter_of,
    chapter_requests,
    chapter_states,
    done_record,
    remove_unused,
    with_jobs,
)
from f5serve.service.book_records import BookRecord
from f5serve.service.book_review import SentenceTakes
from f5serve.service.book_speaking import speak_chapters
from f5serve.service.book_store import BookStore, NewBook
from f5serve.service.book_takes import Take
from f5serve.service.chapters import ChapterRequest
from f5serve.service.responses import details_of, find_output
from f5serve.store.memory import MemoryStore
from tests.service.house import CountingTone, House, house, run
from tests.service.test_voices import FILE, WORDS

TEXT = """# The Lamp

## One

It rained all night. The lamp went out at three. "Who is there?" she asked.

Nobody answered. It rained all night.

## Two

In the morning the river was high. Twelve boats had gone.
"""


def add(here: House, text: str = TEXT, **options: Any) -> tuple[BookRecord, list[ChapterRequest]]:
    """A book of Markdown, and its jobs."""
    book = read_book(text.encode(), "lamp.md")
    fields = BookFields.parse(options)
    chosen = [planned.chapter.number for planned in plan_book(book, fields.chapters or "").chapters]
    books = here.operations.book_store
    new = NewBook("lamp", book, text.encode(), chosen, fields.options, fields.voice_names)
    record = books.add(new)
    speakers = BookSpeakers(here.operations.voices, here.operations.lexicons, "tone", {})
    requests = chapter_requests(books, record, speakers)
    return books.put(with_jobs(record, requests)), requests


async def speak(here: House, text: str = TEXT, **options: Any) -> BookRecord:
    record, requests = add(here, text, **options)
    await speak_chapters(here.operations, requests, lambda request, progress: None)
    return record


def sentences(here: House, record: BookRecord, number: int) -> list[dict[str, Any]]:
    """The parts of a chapter that is spoken."""
    chapter = next(one for one in record.spoken if one.number == number)
    done = done_record(here.operations.job_store, chapter)
    return list(details_of(here.store, done)["parts"])


def test_each_sentence_is_a_part_with_its_pause(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            record = await speak(here, paragraph_pause=0.5)
            assert [one.title for one in record.spoken][-2:] == ["One", "Two"]
            parts = sentences(here, record, record.spoken[-2].number)
            assert [part["text"] for part in parts] == [
                *("One", "It rained all night.", "The lamp went out at three."),
                *('"Who is there?" she asked.', "Nobody answered.", "It rained all night."),
            ]
            assert parts[0]["start_time"] == 0.04
            gaps = [b["start_time"] - a["end_time"] for a, b in pairwise(parts)]
            assert [round(gap, 2) for gap in gaps] == [1.2, 0.35, 0.35, 0.5, 0.35]
            assert parts[1]["seed"] != parts[5]["seed"]

    run(story)


def test_a_changed_sentence_is_the_only_one_that_is_made_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await speak(here)
            made = len(here.tone.spoken)
            again = await speak(here)
            assert len(here.tone.spoken) == made
            changed = TEXT.replace("at three", "at four") + "\nThe end.\n"
            record = await speak(here, changed)
            assert here.tone.spoken[made:] == ["The lamp went out at four.", "The end."]
            jobs = [one.job_id for one in again.spoken]
            assert [one.job_id in jobs for one in record.spoken] == [True, False, False]
            states = list(chapter_states(here.operations.job_store, record))
            assert [state.status for state in states] == [Status.COMPLETED] * 3
            made = len(here.tone.spoken)
            moved = changed.replace('"Who is there?" she asked.\n', "").replace(
                "Twelve", '"Who is there?" she asked. Twelve'
            )
            await speak(here, moved)
            assert here.tone.spoken[made:] == []  # a sentence that moves keeps its sound

    run(story)


def takes_of(here: House, record: BookRecord) -> SentenceTakes:
    return SentenceTakes(here.operations.book_store, here.operations.job_store, record)


def sound(here: House, record: BookRecord, number: int) -> bytes:
    """A chapter that is spoken, as FLAC."""
    done = done_record(here.operations.job_store, chapter_of(record, number))
    return here.store.get(find_output(done, "audio")["key"])


def test_only_the_sentence_that_is_asked_for_anew_has_another_seed(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            first = record = await speak(here)
            number = record.spoken[1].number
            before = sentences(here, record, number)
            made = len(here.tone.spoken)
            sounds = {1: sound(here, record, number)}
            for takes in range(2, 4):
                parts = sentences(here, record, number)
                takes_of(here, record).redo([(number, 6)])
                record = await speak(here)
                assert here.tone.spoken[made:] == ["It rained all night."] * (takes - 1)
                after = sentences(here, record, number)
                seeds = [a["seed"] == b["seed"] for a, b in zip(before, after, strict=True)]
                assert seeds == [True] * 5 + [False]
                assert after[5]["seed"] != parts[5]["seed"]
                sounds[takes] = sound(here, record, number)
            known = here.operations.book_store.takes("lamp").by_seed(number)
            assert known[after[5]["seed"]] == Take(before[5]["seed"], 3, 3)

            latest, made = record.spoken[1], len(here.tone.spoken)
            for take in (2, 1, 3, 1):  # an earlier take, and the latest one again
                takes_of(here, record).choose([((number, 6), take)])
                record = await speak(here)
                assert sound(here, record, number) == sounds[take]
            assert record == replace(first, updated_at=record.updated_at)
            takes_of(here, record).choose([((number, 5), 1)])  # which has no other
            assert len(here.tone.spoken) == made
            for take in (0, 4):
                with pytest.raises(InvalidRequest) as caught:
                    takes_of(here, record).choose([((number, 6), take)])
                assert caught.value.code == "NO_TAKE"

            remove_unused(here.operations.book_store, here.operations.job_store, record)
            forget_job(here.store, latest.job_id)
            takes_of(here, record).choose([((number, 6), 3)])
            record = await speak(here)
            assert here.tone.spoken[made:] == ["It rained all night."]
            assert sound(here, record, number) == sounds[3]  # it has its seed
            takes_of(here, record).redo([(number, 6)])
            assert here.operations.book_store.takes("lamp").retakes(number) == {
                before[5]["seed"]: 4
            }

    run(story)


def test_names_of_a_cast_speak_their_lines(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.call("upload", voice_name="ana", voice_file=FILE, ref_text=WORDS)
            text = (
                "# One\n\nBo: Good evening. It is late.\n\nNobody: was there. [pause:3s] Then: go."
            )
            plain = await speak(here, text)
            assert [part["voice"] for part in sentences(here, plain, 1)] == ["default"] * 5
            speakers = {"bo": {"voice": "ana", "speed": 1.5}}
            record = await speak(here, text, speakers=speakers)
            assert record.voices == ("ana", "default")
            parts = sentences(here, record, 1)
            assert [(part["voice"], part["speed"]) for part in parts] == [
                *[("default", 1.0), ("ana", 1.5), ("ana", 1.5), ("default", 1.0), ("default", 1.0)]
            ]
            assert [part["pause"] for part in parts] == [1.2, 0.35, 0.75, 3.0, 2.0]

    run(story)


def test_what_the_model_cannot_speak_is_left_out(tmp_path: Path) -> None:
    async def story() -> None:
        tone = CountingTone(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,")
        async with house(tmp_path, tone=tone) as here:
            text = "# One\n\nThe word λόγος is old. Λόγος. The end."
            record = await speak(here, text)
            assert here.tone.spoken == ["One", "The word  is old.", "The end."]
            done = done_record(here.operations.job_store, record.spoken[0])
            assert "1 sentences have nothing else" in " ".join(done["warnings"])
            assert (await here.refuse("t", text="Λόγος.")).code == "TEXT_NOT_SPEAKABLE"

    run(story)


def test_no_chapter_of_a_paused_book_is_begun(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            _, requests = add(here)
            here.operations.book_store.pause("lamp")
            with pytest.raises(F5Error, match="paused"):
                await speak_chapters(here.operations, requests, lambda request, progress: None)
            assert not here.tone.spoken
            here.operations.book_store.resume("lamp")
            await speak_chapters(here.operations, requests, lambda request, progress: None)
            assert here.tone.spoken

    run(story)


def test_a_failed_chapter_is_tried_again(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        text = "# One\n\nΛόγος."
        async with house(tmp_path, store, tone=CountingTone(alphabet="xyz")) as here:
            for _ in range(2):
                with pytest.raises(InvalidRequest) as caught:
                    await speak(here, text)
                assert caught.value.code == "TEXT_NOT_SPEAKABLE"
        async with house(tmp_path, store) as here:
            record = await speak(here, text)
            states = list(chapter_states(here.operations.job_store, record))
            assert [state.status for state in states] == [Status.COMPLETED]

    run(story)


def test_a_book_is_read_back_listed_and_removed(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            record = await speak(here, speed=1.5)
            books = here.operations.book_store
            assert books.get("lamp") == record
            assert books.page("", 10) == ([record], "")
            again = books.put(replace(record, book_id="lamp2"))
            assert books.page("", 1) == ([record], "lamp")
            assert books.page("lamp", 1) == ([again], "")
            assert here.store.get(record.source) == TEXT.encode()
            count, size = books.remove_utterances("lamp")
            assert count == len(set(here.tone.spoken)) + 1  # "It rained all night." is made twice
            assert size > 1_000
            books.delete("lamp")
            books.delete("lamp2")
            assert not list(here.store.list("books/"))
            with pytest.raises(InvalidRequest) as caught:
                books.get("lamp")
            assert caught.value.code == "BOOK_NOT_FOUND"

    run(story)


@given(st.binary(max_size=200) | st.just(b'{"schema": 1, "book_id": "a"}'))
def test_any_record_is_read_or_refused(data: bytes) -> None:
    store = MemoryStore()
    for key in ("books/_records/a.json", "books/a/takes.json"):
        store.put(key, data)
    books = BookStore(store)
    for call in (books.get, books.takes):
        with pytest.raises(F5Error):
            call("a")
    assert books.page("", 10) == ([], "")
