"""Books in the page: a plan, progress, chapters that are heard and read along, files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any, Literal

import av
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.books.made_books import epub, link, page
from tests.http.house import House, house
from tests.service.house import PATIENCE_S
from tests.service.test_books import TEXT
from tests.studio.browser import Visit, needs_chromium, visiting
from tests.studio.test_for_everybody import focused, tab_to

pytestmark = needs_chromium

BO = "Bo: Who is there?"
DOUBTFUL = TEXT.replace("at three", "at 1,777,777,777").replace("Twelve", "1,777,777,777")
EPUB = epub(
    {
        "c.xhtml": page("<h1>Copyright</h1><p>Copyright 2021 Ana Sol. All rights reserved.</p>"),
        "a.xhtml": page(f"<h1>One</h1><p>It rained all night.</p><p>{BO}</p>"),
        "b.xhtml": page("<h1>Two</h1><p>In the morning the river was high.</p>"),
    },
    contents=link("c.xhtml", "Copyright") + link("a.xhtml", "One") + link("b.xhtml", "Two"),
)
DROP = """(text) => {
  const data = new DataTransfer();
  data.items.add(new File([text], "dropped.md"));
  for (const type of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
    document.querySelector("#book-drop").dispatchEvent(event);
  }
}"""
TAKES = ("Earlier", "Later")
NOW = "document.querySelector('.sentence.now')?.textContent"
HEARD_S = "document.querySelector('#reader-audio').currentTime"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("books")
    with house(folder, data_dir=tmp_path_factory.mktemp("data")) as opened:
        yield opened


@pytest.fixture
def shown(visit: Visit, home: House) -> Page:
    """The books of the page; none is left of the test before."""
    for book in home.client.get("/v1/books").json()["books"]:
        home.client.delete(f"/v1/books/{book['book_id']}").raise_for_status()
    visit.page.click("#to-books")
    expect(visit.page.locator("#books-empty")).to_be_visible()
    return visit.page


def choose(page: Page, data: bytes | str = TEXT, name: str = "lamp.md") -> None:
    """Have the plan of a book shown."""
    buffer = data.encode() if isinstance(data, str) else data
    file: Any = {"name": name, "mimeType": "", "buffer": buffer}
    page.set_input_files("#book-file", file)


def start(page: Page, data: bytes | str = TEXT, name: str = "lamp.md") -> None:
    choose(page, data, name)
    page.click("#plan-start")
    expect(page.locator("#book-title")).to_be_visible()


def finish(page: Page) -> None:
    expect(page.locator("#book-state")).to_contain_text("done")


def test_plan_leaves_front_matter_out_and_takes_a_cast(
    visit: Visit, shown: Page, home: House
) -> None:
    made = len(home.tone.spoken)
    choose(shown, EPUB, "book.epub")
    boxes = shown.locator("#plan-list input")
    expect(boxes).to_have_count(3)
    assert [box.is_checked() for box in boxes.all()] == [False, True, True]
    expect(shown.locator("#plan-list")).to_contain_text("copyright page")
    expect(shown.locator("#plan-total")).to_contain_text("2 chapters")
    boxes.last.uncheck()
    expect(shown.locator("#plan-total")).to_contain_text("1 chapter ·")
    shown.click("#plan-none")
    expect(shown.locator("#plan-start")).to_be_disabled()
    boxes.nth(1).check()
    shown.click("#cast-add")
    shown.get_by_label("Name in the book").fill("Bo")
    assert visit.problems() == []
    shown.click("#plan-start")
    finish(shown)
    assert home.tone.spoken[made:] == ["One", "It rained all night.", "Who is there?"]
    expect(shown.locator("#chapter-list li")).to_have_count(1)
    visit.check()


def test_chapter_is_read_along_and_a_sentence_redone(
    visit: Visit, shown: Page, home: House
) -> None:
    start(shown)
    finish(shown)
    shown.get_by_role("button", name="Listen to 2. One").click()
    visit.until("document.querySelector('#reader-text .word.now')")
    sentences = shown.locator(".sentence")
    sentences.filter(has_text="Nobody answered.").click()
    visit.until(f"{NOW} === 'Nobody answered.'")
    visit.until("document.querySelector('.word.now')?.textContent === 'answered.'")
    expect(shown.locator("#reader-said")).to_contain_text("Sentence 5")
    path = shown.evaluate("document.querySelector('#reader-audio').src")
    made = len(home.tone.spoken)
    shown.click("#reader-again")
    visit.until(f"document.querySelector('#reader-audio').src !== {path!r}")
    visit.until(f"{NOW} === 'Nobody answered.'")
    assert home.tone.spoken[made:] == ["Nobody answered."]
    expect(shown.locator("#take-said")).to_have_text("Take 2 of 2")
    earlier, later = (shown.get_by_role("button", name=f"{name} take") for name in TAKES)
    earlier.click()
    expect(shown.locator("#take-said")).to_have_text("Take 1 of 2")
    visit.until(f"{NOW} === 'Nobody answered.'")
    expect(earlier).to_have_attribute("aria-disabled", "true")
    expect(earlier).to_be_focused()
    later.click()
    expect(shown.locator("#take-said")).to_have_text("Take 2 of 2")
    assert home.tone.spoken[made:] == ["Nobody answered."]  # both were there
    sentences.first.click()
    expect(later).to_be_hidden()
    visit.check()


def test_finished_chapters_are_heard_while_another_is_made(
    visit: Visit, shown: Page, home: House
) -> None:
    start(shown)
    finish(shown)
    shown.get_by_role("button", name="Listen to 2. One").click()
    sentence = shown.locator(".sentence", has_text="Nobody answered.")
    home.tone.hold()
    try:
        sentence.click()
        shown.click("#reader-again")
        expect(shown.locator("#reader-said")).to_contain_text("is being spoken anew")
        expect(shown.locator("#book-state")).to_contain_text("2 of 3 chapters")
        shown.get_by_role("button", name="Listen to 1. The Lamp").click()
        expect(shown.locator("#reader-title")).to_have_text("1. The Lamp")
        visit.until(f"{HEARD_S} > 0")
    finally:
        home.tone.release()
    finish(shown)
    visit.check()


def test_paused_book_is_found_again_and_goes_on(visit: Visit, shown: Page, home: House) -> None:
    home.tone.hold()
    try:
        start(shown)
        assert home.tone.at_work.wait(PATIENCE_S)
        shown.click("#book-pause")
        expect(shown.locator("#book-state")).to_contain_text("paused")
        shown.reload()
        expect(shown.locator("#book-list .badge.PAUSED")).to_have_count(1)
        shown.get_by_role("button", name="Open lamp").click()
        expect(shown.locator("#book-pause")).to_have_text("Resume")
        shown.click("#book-pause")
        expect(shown.locator("#book-pause")).to_have_text("Pause")
    finally:
        home.tone.release()
    finish(shown)
    expect(shown.locator("#book-pause")).to_be_hidden()
    visit.check()


def test_sentences_that_may_be_wrong_are_found(visit: Visit, shown: Page, home: House) -> None:
    start(shown, DOUBTFUL)
    finish(shown)
    shown.get_by_role("button", name="Listen to 2. One").click()
    doubtful = shown.locator(".sentence.doubt")
    expect(doubtful).to_have_text("The lamp went out at 1,777,777,777.")
    shown.get_by_role("button", name="Next sentence that may be wrong").click()
    expect(doubtful).to_be_focused()
    expect(shown.locator("#reader-said")).to_contain_text("Sentence 3 · ")
    expect(shown.locator("#reader-said")).to_contain_text("times as long as the others")

    shown.get_by_text("To review (2)").click()
    rows = shown.locator("#review-list li")
    expect(rows.nth(1)).to_contain_text("3. Two · ")
    expect(rows.nth(1)).to_contain_text("times as long as the others")
    rows.nth(1).get_by_role("button", name="boats had gone").click()
    expect(doubtful).to_be_focused()
    assert shown.evaluate("document.querySelector('#reader-audio').paused")
    rows.nth(0).get_by_role("button", name="Hear sentence 3 of chapter 2").click()
    expect(shown.locator("#reader-title")).to_have_text("2. One")
    visit.until(f"{NOW}?.startsWith('The lamp') && {HEARD_S} > 0")
    speed = "document.querySelector('#reader-audio').playbackRate = 8"
    shown.evaluate(speed)
    visit.until("document.querySelector('#reader-audio').paused")  # at its end
    assert str(shown.evaluate(NOW)).startswith("The lamp")

    made = len(home.tone.spoken)
    home.tone.hold()
    try:
        rows.nth(1).get_by_role("button", name="Another take of sentence 3").click()
        expect(shown.locator("#reader-said")).to_contain_text("is being spoken anew")
        expect(shown.locator("#review-title")).to_have_text("To review (1)")
    finally:
        home.tone.release()
    expect(shown.locator("#review-title")).to_have_text("To review (2)")
    expect(shown.locator("#take-said")).to_have_text("Take 2 of 2")
    assert len(home.tone.spoken) == made + 1
    visit.check()


def test_files_are_saved_and_a_book_deleted(visit: Visit, shown: Page) -> None:
    shown.evaluate(DROP, TEXT)
    shown.click("#plan-start")
    finish(shown)
    name, data = visit.download("Download m4b")
    assert name.endswith(".m4b")
    with av.open(io.BytesIO(data)) as file:
        assert [one["metadata"]["title"] for one in file.chapters()] == ["The Lamp", "One", "Two"]
    name, data = visit.download("Download epub")
    assert any(one.endswith(".smil") for one in zipfile.ZipFile(io.BytesIO(data)).namelist())
    assert b"It rained all night." in visit.download("Download srt")[1]
    shown.click("#book-remove")
    shown.get_by_role("button", name="Keep it").click()
    expect(shown.locator("#book")).to_be_visible()
    shown.click("#book-remove")
    shown.locator("#confirm").get_by_role("button", name="Delete").click()
    expect(shown.locator("#book")).to_be_hidden()
    expect(shown.locator("#books-empty")).to_be_visible()
    visit.check()


def test_files_that_are_no_books_are_one_sentence(visit: Visit, shown: Page) -> None:
    protected = epub(
        {"a.xhtml": page("<p>Word.</p>")},
        more={
            "META-INF/encryption.xml": '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:'
            'container" xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
            '<enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes256-cbc"/>'
            '<enc:CipherData><enc:CipherReference URI="OEBPS/a.xhtml"/></enc:CipherData>'
            "</enc:EncryptedData></encryption>"
        },
    )
    for data, name, said in (
        (protected, "a.epub", "encrypted"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "is a picture"),
    ):
        choose(shown, data, name)
        expect(shown.locator("#book-alert")).to_contain_text(said)
        expect(shown.locator("#plan-form")).to_be_hidden()
    shown.fill("#book-url", "https://127.0.0.1/a.epub")
    shown.get_by_role("button", name="Show the plan").click()
    expect(shown.locator("#book-alert")).to_contain_text("the URL is not allowed")
    visit.check(400)


def test_keyboard_is_enough(visit: Visit, shown: Page) -> None:
    start(shown)
    finish(shown)
    shown.locator("#skip").focus()
    shown.keyboard.press("Enter")
    expect(shown.locator("#book-choose")).to_be_focused()
    tab_to(shown, "book-remove")
    tab_to(shown, "Listen to 2. One")
    shown.keyboard.press("Enter")
    visit.until("document.querySelector('.sentence')")
    shown.locator("#reader-audio").focus()
    for _ in range(12):
        shown.keyboard.press("Tab")
        if shown.evaluate("document.activeElement.classList.contains('sentence')"):
            break
    shown.keyboard.press("End")
    shown.keyboard.press("ArrowUp")
    shown.keyboard.press("Enter")
    visit.until(f"{NOW} === 'Nobody answered.'")
    shown.keyboard.press("Tab")
    assert focused(shown) == "reader-again"
    visit.check()


def test_axe_finds_nothing_serious_on_a_phone(browser: Browser, home: House) -> None:
    phone = {"viewport": {"width": 360, "height": 740}}
    is_narrow = "document.documentElement.scrollWidth <= 360"
    with visiting(browser, home.url, **phone) as visit:
        page = visit.enter().page

        def judge() -> None:
            schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
            for scheme in schemes:
                page.emulate_media(color_scheme=scheme)
                assert visit.problems() == []
            assert page.evaluate(is_narrow)

        page.click("#to-books")
        choose(page, DOUBTFUL.replace("## One", f"## {'One' * 40}"))
        page.click("#cast-add")
        judge()
        page.click("#plan-start")
        finish(page)
        page.get_by_role("button", name="Listen to 2. One").click()
        visit.until("document.querySelector('.word.now')")
        page.get_by_text("To review (2)").click()
        page.locator(".sentence").nth(1).click()
        page.click("#reader-again")
        expect(page.locator("#take-said")).to_have_text("Take 2 of 2")
        judge()
        visit.check()
