"""What will be spoken, shown in the page while a text is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Request, expect

from f5serve.text.lexicon_rules import LexiconRule
from tests.http.house import House, house
from tests.studio.browser import Visit, needs_chromium, visiting

pytestmark = needs_chromium

TEXT = "It costs $3.50 on 3/4/2024 🙂. Then it is over."
PATH = "**/v1/text"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("spoken"), openai_max_chars=200) as opened:
        yield opened


def test_changes_are_marked_with_what_was_written(visit: Visit) -> None:
    page = visit.page
    expect(page.locator("#spoken")).to_be_hidden()
    visit.write(TEXT)
    line = page.locator("#spoken-said")
    expect(line).to_contain_text("3 changes · 1 utterance, about")
    page.locator("#spoken summary").press("Enter")
    expect(page.locator("#spoken-text")).to_contain_text("It costs three dollars")
    marks = page.locator("#spoken-text mark")
    expect(marks).to_have_count(2)
    expect(marks.nth(0)).to_have_attribute("title", "$3.50")
    expect(marks.nth(0)).to_contain_text("three dollars and fifty cents")
    expect(page.locator("#spoken-text del")).to_have_text("🙂")
    expect(page.locator("#spoken-text")).to_have_attribute("lang", "en")
    about = str(page.locator("#estimate").text_content())
    assert about.partition(" of speech")[0] in str(line.text_content())
    visit.write("Nothing to change.")
    expect(line).to_contain_text("as written")
    visit.write(" ")
    expect(page.locator("#spoken")).to_be_hidden()
    visit.check()


def test_choices_go_with_preview_and_speech(visit: Visit) -> None:
    page = visit.page
    page.click("#options summary")
    visit.write("Am 3.4.2024.")
    with page.expect_request(PATH) as waiting:
        page.select_option("#language", "de")
    assert waiting.value.post_data_json == {
        "text": "Am 3.4.2024.",
        "voice": "default",
        "speed": 1,
        "language": "de",
    }
    expect(page.locator("#spoken mark")).to_contain_text("vierundzwanzig")
    page.get_by_label("Read numbers and signs as words").uncheck()
    expect(page.locator("#spoken-said")).to_contain_text("as written")
    expect(page.locator("#options-said")).to_have_text("Deutsch · numbers as written")
    with page.expect_request("**/v1/audio/speech") as waiting:
        page.click("#generate")
        visit.wait_until_made()
    sent = waiting.value.post_data_json
    assert (sent["language"], sent["normalize"]) == ("de", "off")
    page.reload()
    expect(page.locator("#language")).to_have_value("de")
    expect(page.locator("#normalize")).not_to_be_checked()
    page.click("#options summary")
    page.click("#options-reset")
    expect(page.locator("#options-said")).to_have_text("")
    visit.check()


def test_the_latest_text_wins_and_is_asked_once(visit: Visit) -> None:
    page = visit.page
    asked: list[str] = []
    held: list[Any] = []

    def hold(route: Any) -> None:
        asked.append(route.request.post_data_json["text"])
        held.append(route)
        if len(held) > 1:
            route.continue_()

    page.route(PATH, hold)
    try:
        with page.expect_request(PATH):
            page.locator("#text").press_sequentially("First 1", delay=20)
        visit.write("Second 2")
        expect(page.locator("#spoken mark")).to_contain_text("two")
        held[0].abort()
        expect(page.locator("#spoken mark")).to_contain_text("two")
        assert asked == ["First 1", "Second 2"]
    finally:
        page.unroute(PATH)
    visit.check()


def test_nothing_is_asked_for_a_text_that_is_too_long(visit: Visit) -> None:
    asked: list[Request] = []
    visit.page.on("request", lambda one: asked.append(one) if "v1/text" in one.url else None)
    visit.write("Too long. " * 30)
    visit.page.wait_for_timeout(600)
    assert not asked
    visit.write("Not now.")
    expect(visit.page.locator("#spoken-said")).to_contain_text("as written")
    assert len(asked) == 1


def test_refusals_are_quiet_and_rules_count_at_once(visit: Visit, home: House) -> None:
    page = visit.page
    visit.write("Say [pinyin:xyz9] to Nguyen.")
    expect(page.locator("#spoken-said")).to_contain_text("xyz9")
    expect(page.locator("#alert")).to_be_empty()
    visit.write("Say hello to Nguyen.")
    expect(page.locator("#spoken-said")).to_contain_text("as written")
    page.click("#lexicon-open")
    rules = [LexiconRule("Nguyen", "Win").as_dict()]
    home.client.put("/v1/lexicons/library", json={"rules": rules})
    page.keyboard.press("Escape")
    expect(page.locator("#spoken mark")).to_have_attribute("title", "Nguyen")
    home.client.delete("/v1/lexicons/library")
    visit.check(400)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_the_preview_is_for_everybody(
    browser: Browser, home: House, scheme: Any, width: int
) -> None:
    size = {"width": width, "height": 740}
    with visiting(browser, home.url, color_scheme=scheme, viewport=size) as visit:
        page = visit.enter().page
        visit.write(f"{TEXT} {'x' * 110}")
        page.click("#spoken summary")
        page.click("#options summary")
        expect(page.locator("#spoken-text mark")).to_have_count(2)
        assert visit.problems() == []
        assert page.evaluate(f"document.documentElement.scrollWidth <= {width}")
        visit.check()
