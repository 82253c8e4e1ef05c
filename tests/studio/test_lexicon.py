"""Rules of pronunciation in the page: added, found, removed, imported and exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from f5serve.text.lexicon_files import dump_pls, read_lexicon
from f5serve.text.lexicon_rules import LexiconRule
from tests.http.house import House, house
from tests.studio.browser import Visit, needs_chromium, visiting

pytestmark = needs_chromium

LIBRARY = "/v1/lexicons/library"
DEFAULT = "/v1/lexicons/voices/default"
WIN = LexiconRule("Nguyen", "Win")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("lexicon")) as opened:
        yield opened


@pytest.fixture
def visit(opened: Visit, home: House) -> Visit:
    for path in (LIBRARY, DEFAULT):
        home.client.delete(path)
    return opened.start_over()


def rules(home: House, path: str) -> tuple[LexiconRule, ...]:
    return read_lexicon(home.client.get(path).content)


def put(home: House, path: str, *some: LexiconRule) -> None:
    answer = home.client.put(path, json={"rules": [rule.as_dict() for rule in some]})
    assert answer.status_code == 200


def test_rules_are_added_and_removed_by_keyboard(visit: Visit, home: House) -> None:
    page = visit.page
    page.locator("#lexicon-open").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#lexicon-text")).to_be_focused()
    page.keyboard.type("Nguyen")
    page.keyboard.press("Tab")
    page.keyboard.type("Win")
    page.keyboard.press("Enter")
    expect(page.locator("#lexicon-count")).to_have_text("Nguyen is added. 1 rule.")
    expect(page.locator("#lexicon-text")).to_be_focused()
    page.keyboard.type("US")
    page.keyboard.press("Tab")
    page.keyboard.type("U S")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator(".rule")).to_have_count(2)
    expect(page.locator(".rule").nth(1)).to_contain_text("same capitals")
    assert rules(home, LIBRARY) == (WIN, LexiconRule("US", "U S", case_sensitive=True))
    page.get_by_role("button", name="Remove Nguyen").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#lexicon-count")).to_have_text("Nguyen is removed. 1 rule.")
    expect(page.get_by_role("button", name="Remove US")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#lexicon-count")).to_have_text("US is removed. 0 rules.")
    expect(page.locator("#lexicon-text")).to_be_focused()
    assert rules(home, LIBRARY) == ()
    page.keyboard.press("Escape")
    expect(page.locator("#lexicon-dialog")).to_be_hidden()
    expect(page.locator("#lexicon-open")).to_be_focused()
    visit.check()


def test_the_chosen_voice_has_rules_of_its_own(visit: Visit, home: House) -> None:
    put(home, LIBRARY, WIN)
    page = visit.page
    page.click("#lexicon-open")
    expect(page.locator(".rule")).to_have_count(1)
    page.select_option("#lexicon-of", "default")
    expect(page.locator(".rule")).to_have_count(0)
    page.fill("#lexicon-text", "重庆")
    page.fill("#lexicon-spoken", "chong2 qing4")
    page.check("#lexicon-pinyin")
    page.check("#lexicon-inside")
    page.click("#lexicon-add")
    expect(page.locator(".rule")).to_contain_text("pinyin")
    expect(page.locator("#lexicon-pinyin")).not_to_be_checked()
    assert rules(home, LIBRARY) == (WIN,)
    assert rules(home, DEFAULT) == (
        LexiconRule("重庆", pinyin="chong2 qing4", word_boundaries=False),
    )
    visit.check()


def test_one_of_two_rules_for_a_text_is_removed(visit: Visit, home: House) -> None:
    german = LexiconRule("Lead", "led", language="de")
    put(home, LIBRARY, german, LexiconRule("lead", "leed"))
    visit.page.click("#lexicon-open")
    visit.page.get_by_role("button", name="Remove lead", exact=True).click()
    expect(visit.page.locator(".rule")).to_have_count(1)
    assert rules(home, LIBRARY) == (german,)
    visit.check()


def test_files_come_in_and_go_out(visit: Visit, home: House, tmp_path: Path) -> None:
    page = visit.page
    file = tmp_path / "names.pls"
    file.write_bytes(dump_pls([WIN]))
    page.click("#lexicon-open")
    expect(page.locator("#lexicon-json")).to_be_disabled()
    with page.expect_file_chooser() as choosing:
        page.click("#lexicon-import")
    choosing.value.set_files(file)
    expect(page.locator("#lexicon-count")).to_have_text("names.pls is imported. 1 rule.")
    other = tmp_path / "other.json"
    other.write_text(json.dumps([{"string_to_replace": "Lee", "type": "alias", "alias": "Li"}]))
    page.set_input_files("#lexicon-file", other)
    expect(page.locator(".rule")).to_have_count(2)
    expected = (WIN, LexiconRule("Lee", "Li"))
    assert rules(home, LIBRARY) == expected
    for format in ("json", "pls"):
        name, data = visit.download(f"Export {format.upper()}")
        assert name == f"lexicon-library.{format}"
        assert read_lexicon(data) == expected
    visit.check()


def test_refusals_are_shown_and_what_was_typed_stays(
    visit: Visit, home: House, tmp_path: Path
) -> None:
    page = visit.page
    page.click("#lexicon-open")
    page.click("#lexicon-add")
    expect(page.locator("#lexicon-alert")).to_contain_text("what is written")
    expect(page.locator("#lexicon-text")).to_be_focused()
    page.fill("#lexicon-text", "重庆")
    page.fill("#lexicon-spoken", "chong9")
    page.check("#lexicon-pinyin")
    page.click("#lexicon-add")
    expect(page.locator("#lexicon-alert")).to_contain_text("chong9")
    expect(page.locator("#lexicon-spoken")).to_have_value("chong9")
    (tmp_path / "bad.pls").write_text("<lexicon>\n<lexeme>")
    page.set_input_files("#lexicon-file", tmp_path / "bad.pls")
    expect(page.locator("#lexicon-alert")).to_contain_text("line 2")
    visit.check(400)


def test_many_rules_are_searched(visit: Visit, home: House) -> None:
    put(home, LIBRARY, *(LexiconRule(f"word {number}", f"say {number}") for number in range(300)))
    page = visit.page
    page.click("#lexicon-open")
    expect(page.locator("#lexicon-count")).to_have_text("300 rules, 200 of them shown.")
    page.get_by_label("Find a rule").fill("SAY 29")
    expect(page.locator(".rule")).to_have_count(11)
    expect(page.locator("#lexicon-count")).to_have_text("300 rules, 11 of them shown.")
    visit.check()


@pytest.mark.parametrize("width", [360, 1200])
def test_the_panel_is_for_everybody(browser: Browser, home: House, width: int) -> None:
    put(home, LIBRARY, WIN, LexiconRule("x" * 100, "y" * 100, language="en"))
    with visiting(browser, home.url, viewport={"width": width, "height": 740}) as visit:
        page = visit.enter().page
        page.click("#lexicon-open")
        expect(page.locator(".rule")).to_have_count(2)
        assert visit.problems() == []
        inside = "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)"
        assert page.evaluate(f"{inside}(document.querySelector('#lexicon-dialog'))")
        visit.check()
