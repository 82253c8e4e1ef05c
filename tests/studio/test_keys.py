"""A server that asks for a key, and what the page makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from f5serve.secrets import parse_keys
from tests.http.house import House, house
from tests.studio.browser import Visit, needs_chromium, visiting

pytestmark = needs_chromium

KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("keys"), api_keys=parse_keys(KEY)) as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, home: House) -> Iterator[Visit]:
    with visiting(browser, home.url) as visit:
        yield visit


def give(visit: Visit, key: str) -> None:
    visit.page.fill("#key", key)
    visit.page.get_by_role("button", name="Use this key").click()


def test_key_is_asked_for_until_it_is_right(visit: Visit) -> None:
    visit.page.goto(visit.url)
    dialog = visit.page.get_by_role("dialog", name="This server asks for a key")
    expect(dialog).to_be_visible()
    expect(visit.page.locator("#key")).to_be_focused()
    give(visit, "wrong-horse-battery")
    expect(visit.page.locator("#key-why")).to_contain_text("not valid")
    give(visit, KEY)
    expect(dialog).to_be_hidden()
    expect(visit.page.get_by_role("radio", name="default")).to_be_checked()
    visit.speak("Hello.")
    visit.download("Download wav")
    visit.download("Download srt")
    visit.page.get_by_role("button", name="Hear default").click()
    assert visit.page.evaluate("[sessionStorage.length, localStorage['f5serve.key']]") == [1, None]
    visit.page.reload()
    expect(visit.page.get_by_role("radio", name="default")).to_be_checked()
    expect(dialog).to_be_hidden()
    visit.check(401)


def test_key_is_remembered_where_that_is_wanted_and_forgotten(visit: Visit) -> None:
    visit.page.goto(visit.url)
    visit.page.check("#key-remember")
    give(visit, KEY)
    expect(visit.page.get_by_role("radio", name="default")).to_be_checked()
    other = visit.page.context.new_page()
    other.goto(visit.url)
    expect(other.get_by_role("radio", name="default")).to_be_checked()
    other.click("#key-open")
    expect(other.locator("#key")).to_have_value(KEY)
    other.fill("#key", "")
    other.get_by_role("button", name="Use this key").click()
    assert other.evaluate("localStorage['f5serve.key'] ?? sessionStorage['f5serve.key']") is None


def test_without_a_key_the_page_says_so_and_stays_usable(visit: Visit) -> None:
    visit.page.goto(visit.url)
    visit.page.get_by_role("button", name="Cancel").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("This server requires an API key.")
    visit.write("Hello.")
    visit.page.click("#generate")
    give(visit, KEY)
    visit.wait_until_made()
    expect(visit.page.get_by_role("radio", name="default")).to_be_checked()
    visit.check(401)
