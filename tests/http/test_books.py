"""/v1/books: a file in, chapters and a whole book out; pause, resume, removal, what is refused."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import av
import httpx
import pytest
import soundfile

from f5serve.http.book_schemas import (
    Book,
    BookList,
    BookPlanned,
    BookReviewed,
    ChapterSentences,
)
from tests.books import read_along
from tests.http.house import House, house
from tests.service.house import PATIENCE_S
from tests.service.test_books import TEXT


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("books"), data_dir=tmp_path_factory.mktemp("data")) as made:
        yield made


def post(home: House, text: str = TEXT, **fields: Any) -> dict[str, Any]:
    answer = home.client.post("/v1/books", files={"file": ("lamp.md", text)}, data=fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/books/{answer.json()['book_id']}"
    Book.model_validate(answer.json())
    return dict(answer.json())


def until(home: House, book_id: str, status: str = "COMPLETED") -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        book: dict[str, Any] = home.client.get(f"/v1/books/{book_id}").json()
        if book["status"] == status:
            return book
        time.sleep(0.02)
    raise AssertionError(book)


def written(home: House, path: str) -> httpx.Response:
    """A file of a book, once it is there."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := home.client.get(path)).status_code == 202:
        assert answer.json()["status"] == "PROCESSING"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer


def test_a_book_is_spoken_and_fetched(home: House) -> None:
    book_id = post(home, voice="default", options=json.dumps({"seed": 7}))["book_id"]
    book = until(home, book_id)
    assert book["progress"] == {
        "done": 3,
        "total": 3,
        "percent": 100,
        "characters": sum(one["characters"] for one in book["chapters"]),
    }
    assert [one["title"] for one in book["chapters"]] == ["The Lamp", "One", "Two"]
    sound = home.client.get(f"/v1/books/{book_id}/chapters/2/audio")
    assert soundfile.info(io.BytesIO(sound.content)).samplerate == 24_000
    result = home.client.get(f"/v1/jobs/{book['chapters'][1]['job_id']}/result").json()
    assert result["parts"][1]["text"] == "It rained all night."
    made = len(home.tone.spoken)
    assert post(home, voice="default", options='{"seed": 7}')["book_id"] == book_id
    assert len(home.tone.spoken) == made

    whole = written(home, f"/v1/books/{book_id}/audio")
    assert whole.headers["Content-Type"] == "audio/mp4"
    with av.open(io.BytesIO(whole.content)) as file:
        assert len(file.chapters()) == 3
    part = home.client.get(f"/v1/books/{book_id}/audio", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_a_changed_book_speaks_only_what_has_changed(home: House) -> None:
    until(home, post(home, book_id="lamp")["book_id"])
    made = len(home.tone.spoken)
    post(home, TEXT.replace("at three", "at four"), book_id="lamp")
    until(home, "lamp")
    assert home.tone.spoken[made:] == ["The lamp went out at four."]


def test_a_paused_book_waits(home: House) -> None:
    home.tone.hold()
    post(home, book_id="held")
    assert home.tone.at_work.wait(PATIENCE_S)
    paused = home.client.post("/v1/books/held/pause").json()
    assert paused["status"] == "PAUSED"
    home.tone.release()
    statuses = {one["status"] for one in paused["chapters"]}
    assert statuses <= {"PROCESSING", "QUEUED", "COMPLETED"}
    made = len(home.tone.spoken)
    resumed = home.client.post("/v1/books/held/resume")
    assert resumed.status_code == 200, resumed.text
    until(home, "held")
    assert len(home.tone.spoken) >= made


def test_books_are_listed_and_removed(home: House) -> None:
    post(home, book_id="stays")
    until(home, post(home, book_id="gone")["book_id"])
    listed = BookList.model_validate(home.client.get("/v1/books").json())
    assert "gone" in [one.book_id for one in listed.books]
    first = home.client.get("/v1/books?limit=1").json()
    second = home.client.get(f"/v1/books?limit=1&after={first['next']}").json()
    assert first["books"][0]["book_id"] < second["books"][0]["book_id"]
    job_id = home.client.get("/v1/books/gone").json()["chapters"][0]["job_id"]
    page = home.client.get("/v1/books/gone?limit=2").json()
    assert (len(page["chapters"]), page["next"]) == (2, 2)
    answer = home.client.delete("/v1/books/gone")
    assert answer.json() == {"book_id": "gone", "status": "DELETED"}
    home.refused(home.client.get("/v1/books/gone"), 404, "book_not_found")
    home.refused(home.client.get(f"/v1/jobs/{job_id}"), 404, "invalid_job_id")
    assert not list(home.service.store.list("books/gone/"))


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"speed": "9"}, "bad_option", "speed is 9"),
        ({"voice": "nobody"}, "voice_not_found", "nobody"),
        ({"chapters": "9"}, "bad_option", "There are no chapters '9'"),
        ({"book_id": "A b"}, "bad_option", "book_id is 'A b'"),
        ({"options": "[]"}, "bad_option", "options is no JSON object"),
        ({"options": "{"}, "invalid_json", "cannot be read as JSON"),
        ({"options": '{"chapter_pause": 99}'}, "bad_option", "chapter_pause is 99"),
        ({"options": '{"speakers": {"bo": {"voice": "nobody"}}}'}, "voice_not_found", "nobody"),
        ({"url": "https://example.com/a.epub"}, "no_book", "Both file and url are sent."),
    ],
)
def test_what_is_wrong_is_an_error_at_once(
    home: House, fields: dict[str, str], code: str, says: str
) -> None:
    answer = home.client.post("/v1/books", files={"file": ("a.md", TEXT)}, data=fields)
    status = 404 if code == "voice_not_found" else 400
    assert says in home.refused(answer, status, code)


def test_files_that_are_no_books(home: House) -> None:
    def send(data: bytes, name: str = "a.epub") -> Any:
        return home.client.post("/v1/books", files={"file": (name, data)})

    home.refused(send(b"PK\x03\x04" + bytes(99)), 400, "bad_book")
    home.refused(send(b""), 400, "book_empty")
    home.refused(send(b"\x89PNG\r\n"), 400, "book_kind")
    form = {"url": (None, "http://127.0.0.1/a")}
    home.refused(home.client.post("/v1/books", files=form), 400, "url_not_allowed")
    form = {"voice": (None, "default")}
    home.refused(home.client.post("/v1/books", files=form), 400, "no_book")
    home.refused(home.client.get("/v1/books/A.b"), 400, "bad_option")
    home.refused(home.client.get("/v1/books/none/audio"), 404, "book_not_found")
    post(home, book_id="two")
    home.refused(home.client.get("/v1/books/two/chapters/9/audio"), 404, "chapter_not_found")


def test_a_plan_keeps_nothing(home: House) -> None:
    before = list(home.service.store.list("books/_records/"))
    answer = home.client.post("/v1/books/plan", files={"file": ("lamp.md", TEXT)})
    plan = BookPlanned.model_validate(answer.json())
    assert [one.title for one in plan.chapters] == ["The Lamp", "One", "Two"]
    assert plan.characters == sum(one.characters for one in plan.chapters)
    assert plan.duration == pytest.approx(plan.characters / 15, abs=0.1)
    some = home.client.post(
        "/v1/books/plan", files={"file": ("lamp.md", TEXT)}, data={"chapters": "2"}
    )
    assert [one["spoken"] for one in some.json()["chapters"]] == [False, True, False]
    form = {"voice": (None, "default")}
    home.refused(home.client.post("/v1/books/plan", files=form), 400, "no_book")
    after = list(home.service.store.list("books/_records/"))
    assert [one.key for one in after] == [one.key for one in before]


def test_a_chapter_is_read_along_and_a_sentence_spoken_anew(home: House) -> None:
    until(home, post(home, book_id="along")["book_id"])
    path = "/v1/books/along/chapters/2"
    chapter = ChapterSentences.model_validate(home.client.get(f"{path}/sentences").json())
    texts = [one.text for one in chapter.sentences]
    assert texts[:3] == ["One", "It rained all night.", "The lamp went out at three."]
    assert [one.number for one in chapter.sentences] == list(range(1, len(texts) + 1))
    assert (chapter.sentences[0].kind, chapter.sentences[1].paragraph) == ("heading", 2)
    for one in chapter.sentences:
        assert " ".join(word.word for word in one.words) == one.text
        assert all(one.start_time <= word.start_time <= one.end_time for word in one.words)
    sound = home.client.get(f"{path}/audio").content
    made = len(home.tone.spoken)

    asked = Book.model_validate(home.client.post(f"{path}/sentences/3/redo").json())
    assert [one.number for one in asked.chapters] == [2]
    assert asked.chapters[0].job_id != chapter.job_id
    until(home, "along")
    assert home.tone.spoken[made:] == ["The lamp went out at three."]
    assert home.client.get(f"{path}/audio").content != sound
    third = home.client.get(f"{path}/sentences").json()["sentences"][2]
    assert (third["take"], third["takes"]) == (2, 2)

    back = home.client.post(f"{path}/sentences/3/take", json={"take": 1}).json()
    assert back["chapters"][0]["job_id"] == chapter.job_id
    assert (back["status"], len(home.tone.spoken)) == ("COMPLETED", made + 1)
    assert home.client.get(f"{path}/audio").content == sound
    third = home.client.get(f"{path}/sentences").json()["sentences"][2]
    assert (third["take"], third["takes"]) == (1, 2)
    wrong = home.client.post(f"{path}/sentences/3/take", json={"take": 3})
    assert "has 2 takes, and no take 3." in home.refused(wrong, 404, "no_take")
    home.refused(home.client.post(f"{path}/sentences/99/redo"), 404, "sentence_not_found")


def test_sentences_that_may_be_wrong_are_named(home: House) -> None:
    text = TEXT.replace("at three", "at 1,777,777,777").replace("Twelve", "1,777,777,777")
    until(home, post(home, text, book_id="doubt")["book_id"])
    sentences = home.client.get("/v1/books/doubt/chapters/2/sentences").json()["sentences"]
    doubts = {one["number"]: one for one in sentences if one["doubt"]}
    assert list(doubts) == [3]
    assert "times as long as the others" in doubts[3]["doubt"]

    answer = home.client.get("/v1/books/doubt/review").json()
    whole = BookReviewed.model_validate(answer)
    assert [(one.chapter, one.sentence) for one in whole.sentences] == [(2, 3), (3, 3)]
    one = whole.sentences[0]
    assert (one.why, one.start_time) == (doubts[3]["doubt"], round(doubts[3]["start_time"], 3))
    assert (one.title, whole.next) == ("One", None)
    page = home.client.get("/v1/books/doubt/review?after=1&limit=1").json()
    assert (page["sentences"], page["next"]) == (answer["sentences"][:1], 2)

    home.tone.hold()
    try:  # what is not done has no doubtful sentence yet
        home.client.post("/v1/books/doubt/chapters/2/sentences/1/redo").raise_for_status()
        left = home.client.get("/v1/books/doubt/review").json()["sentences"]
        assert left == answer["sentences"][1:]
    finally:
        home.tone.release()
    until(home, "doubt")
    assert home.client.get("/v1/books/doubt/review").json()["sentences"] == answer["sentences"]


def test_subtitles_and_a_book_to_read_along(home: House) -> None:
    book_id = until(home, post(home, book_id="files")["book_id"])["book_id"]
    answer = home.client.get(f"/v1/books/{book_id}/subtitles/json")
    words = answer.json()["word_timings"]
    assert " ".join(one["word"] for one in words).startswith("The Lamp One It rained")
    starts = [one["start_time"] for one in words]
    assert starts == sorted(starts)
    assert b"WEBVTT" in home.client.get(f"/v1/books/{book_id}/subtitles/vtt").content
    epub = written(home, f"/v1/books/{book_id}/epub")
    assert epub.headers["Content-Type"] == "application/epub+zip"
    by_sentence = read_along.clips(epub.content)
    by_word = read_along.clips(written(home, f"/v1/books/{book_id}/epub?highlight=word").content)
    for sentences, words in zip(by_sentence, by_word, strict=True):
        spoken = " ".join(sentence.text for sentence in sentences)
        assert [word.text for word in words] == spoken.split()
        assert words[-1].end_s == sentences[-1].end_s
        rest = iter(words)
        for sentence in sentences:  # each holds its own words
            for word in islice(rest, len(sentence.text.split())):
                assert sentence.begin_s <= word.begin_s < word.end_s <= sentence.end_s
