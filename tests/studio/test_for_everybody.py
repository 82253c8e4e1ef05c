"""The page without a mouse, on a phone, in the dark and read aloud; and with the real stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from f5serve.fallback.kokoro import Kokoro
from tests.http.house import House, house
from tests.studio.browser import needs_chromium, visiting

pytestmark = needs_chromium

TEXT = "The harbour was quiet that morning, and the light came in low over the water."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("everybody")) as opened:
        yield opened


def focused(page: Page) -> str:
    """What has the focus: id, else label, else tag."""
    return str(
        page.evaluate(
            """(() => { const at = document.activeElement;
               return at.id || at.getAttribute("aria-label") || at.tagName.toLowerCase(); })()"""
        )
    )


def tab_to(page: Page, wanted: str, most: int = 30) -> list[str]:
    """Press Tab until `wanted` has the focus; what had it on the way."""
    passed: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        passed.append(focused(page))
        if passed[-1] == wanted:
            return passed
    raise AssertionError(f"Tab never came to {wanted}: {passed}")


def test_keyboard_is_enough(browser: Browser, home: House) -> None:
    with visiting(browser, home.url) as visit:
        page = visit.enter().page
        assert tab_to(page, "text")[0] == "skip"  # to skip what comes before the text
        page.keyboard.type("Alpha bravo charlie delta.")
        tab_to(page, "generate")
        page.keyboard.press("Enter")
        visit.wait_until_made()
        tab_to(page, "play")
        page.keyboard.press("Tab")
        assert focused(page) == "wave"
        page.keyboard.press("End")
        page.keyboard.press("Home")
        page.keyboard.press("Space")
        visit.until("document.querySelector('.word.now')")
        page.keyboard.press("Tab")
        assert focused(page) == "Download wav"
        tab_to(page, "voice-new")
        page.keyboard.press("Enter")
        expect(page.locator("#voice-dialog")).to_be_visible()
        page.keyboard.press("Escape")
        assert focused(page) == "voice-new"
        shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert shown == "solid"
        visit.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, home: House, scheme: Any) -> None:
    with visiting(browser, home.url, color_scheme=scheme) as visit:
        page = visit.enter().page
        page.click("#options summary")
        visit.speak(TEXT)
        page.click("#play")  # a word stays marked
        page.keyboard.press("Control+Enter")
        visit.wait_until_made()
        page.fill("#text", " ")
        page.click("#generate")
        expect(page.get_by_role("alert")).to_contain_text("nothing")
        page.click("#server summary")
        assert visit.problems() == []
        for opening, closing in (("#key-open", "#key-cancel"), ("#voice-new", "#voice-cancel")):
            page.click(opening)
            assert visit.problems() == []
            page.click(closing)
        visit.check()


def test_phone_scrolls_in_one_direction(browser: Browser, home: House) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with visiting(browser, home.url, **phone) as visit:
        page = visit.enter().page

        def is_narrow() -> bool:
            return bool(page.evaluate("document.documentElement.scrollWidth <= 360"))

        assert is_narrow()
        page.locator("#options summary").tap()
        visit.speak(f"{TEXT} {'x' * 120}")
        assert is_narrow()
        page.locator("#wave").tap()
        assert float(page.get_attribute("#wave", "aria-valuenow") or 0) > 1
        page.locator("#server summary").tap()
        assert is_narrow()
        page.locator("h1").tap()
        page.locator("#voice-new").tap()
        assert is_narrow()
        inside = "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)"
        assert page.evaluate(f"{inside}(document.querySelector('#voice-dialog'))")
        visit.check()


def test_theme_is_kept(browser: Browser, home: House) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with visiting(browser, home.url, color_scheme="light") as visit:
        page = visit.enter().page
        light = page.evaluate(paper)
        button = page.get_by_role("button", name="Dark theme", pressed=False)
        button.click()
        dark = page.evaluate(paper)
        assert dark != light
        page.reload()
        assert page.evaluate(paper) == dark
        page.get_by_role("button", name="Dark theme", pressed=True).click()
        assert page.evaluate(paper) == light


def test_nothing_moves_for_those_who_do_not_want_it(browser: Browser, home: House) -> None:
    with visiting(browser, home.url, reduced_motion="reduce") as visit:
        page = visit.enter().page
        page.evaluate("document.querySelector('#server-dot').className = 'dot loading'")
        name = "getComputedStyle(document.querySelector('#server-dot')).animationName"
        assert page.evaluate(name) == "none"


def test_stand_in_is_named_and_its_words_are_followed(browser: Browser, tmp_path: Path) -> None:
    with (
        house(tmp_path, engine=Kokoro()) as home,
        visiting(browser, home.url) as visit,
    ):
        visit.enter()
        expect(visit.page.locator("#strip")).to_contain_text("clones nothing")
        expect(visit.page.locator("#foot")).to_contain_text("Apache-2.0")
        visit.speak("The steps at noon.")
        expect(visit.page.locator(".word")).to_have_count(4)
        visit.page.locator(".word", has_text="steps").click()
        visit.until_word("noon.")
        expect(visit.page.locator("#result-warnings")).to_contain_text("not cloned")
        visit.check()
