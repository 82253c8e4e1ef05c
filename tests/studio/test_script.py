"""The script editor: voices seen in the text, tags from a menu, errors at their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.http.house import House, house
from tests.studio.browser import Visit, needs_chromium, visiting
from tests.studio.scripts import SCRIPT, add_voices

pytestmark = needs_chromium

SAID = ".backdrop .said"
LONG = "The harbour was quiet 🙂 that morning, and the light came in low over the water. "


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("script")) as opened:
        add_voices(opened)
        yield opened


def selected(visit: Visit) -> str:
    return str(
        visit.page.evaluate(
            """(({ value, selectionStart, selectionEnd }) =>
                value.slice(selectionStart, selectionEnd))(document.querySelector("#text"))"""
        )
    )


def test_each_voice_has_a_colour_and_a_name(visit: Visit) -> None:
    page = visit.page
    visit.write("Only one voice.")
    expect(page.locator("#spoken-said")).to_contain_text("as written")
    expect(page.locator("#backdrop")).to_be_hidden()
    expect(page.locator("#legend li")).to_have_count(0)
    visit.write(SCRIPT)
    expect(page.locator(SAID)).to_have_text(
        ["Good morning.", "Did you sleep?", "Not at all 🙂.", "Oh."]
    )
    expect(page.locator("#legend li")).to_have_text(["ana, 3 lines", "ben, 1 line"])
    ana, *_, ben, happy = (one.get_attribute("class") for one in page.locator(SAID).all())
    assert ana == happy != ben
    expect(page.locator(".backdrop > .name:visible")).to_have_text(["ana", "ben, ana · happy"])
    described = page.get_attribute("#text", "aria-describedby") or ""
    assert "legend" in described.split()
    visit.write("Only one voice again.")
    expect(page.locator("#backdrop")).to_be_hidden()
    expect(page.locator("#legend li")).to_have_count(0)
    expect(page.locator("#generate")).to_have_text("Generate")
    visit.check()


def test_colours_lie_under_their_words(visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": 700, "height": 500})
    visit.write("\n".join(f"{name}: {LONG * 3}" for name in ("ana", "ben") * 3))
    expect(page.locator(SAID)).to_have_count(6)
    page.locator("#text").evaluate("(field) => { field.scrollTop = 200; }")
    sizes = """(() => ["#text", "#backdrop"].map((id) => {
        const { scrollHeight, clientWidth, scrollTop } = document.querySelector(id);
        return [scrollHeight, clientWidth, scrollTop];
    }))()"""
    visit.until("document.querySelector('#backdrop').scrollTop === 200")
    field, behind = page.evaluate(sizes)
    assert field[0] > 500
    assert field == behind
    page.set_viewport_size({"width": 500, "height": 500})
    visit.until(f"(([a, b]) => a[0] === b[0] && a[1] === b[1])({sizes})")
    assert page.evaluate(sizes)[0][0] > field[0]
    page.set_viewport_size({"width": 1280, "height": 720})
    visit.check()


def test_lines_follow_the_text_while_it_is_written(visit: Visit) -> None:
    page = visit.page
    visit.write(SCRIPT)
    expect(page.locator(SAID)).to_have_count(4)
    page.route("**/v1/text", lambda route: None)  # it gets no answer
    try:
        page.focus("#text")
        page.keyboard.press("Control+Home")
        page.keyboard.type("Well 🙂, ")
        said = ["Good morning.", "Did you sleep?", "Not at all 🙂.", "Oh."]
        expect(page.locator(SAID)).to_have_text(said)
    finally:
        page.unroute("**/v1/text")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(page.locator("#legend li")).to_have_count(3)  # the chosen voice says the beginning
    visit.check()


def test_tags_are_inserted_by_keyboard_and_undone(visit: Visit) -> None:
    page = visit.page
    text = page.locator("#text")
    menu = page.get_by_role("menu", name="Insert")
    text.focus()
    page.keyboard.type("Hello.")
    page.keyboard.press("Control+i")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.type("an")
    expect(menu.get_by_role("menuitem", name="ana")).to_be_focused()
    page.keyboard.press("Enter")
    expect(menu).to_be_hidden()
    expect(text).to_be_focused()
    expect(text).to_have_value("Hello. [voice:ana] ")
    page.keyboard.press("Control+i")
    style = menu.get_by_role("group", name="Style of ana").get_by_role("menuitem", name="happy")
    page.keyboard.type("happy")
    expect(style).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("Good morning.")
    expect(text).to_have_value("Hello. [voice:ana] [style:happy] Good morning.")
    page.keyboard.press("Control+i")
    page.keyboard.press("ArrowUp")
    expect(menu.get_by_role("menuitem").last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(text).to_have_value("Hello. [voice:ana] [style:happy] Good morning. [pause:1s] ")
    page.keyboard.press("Control+z")
    expect(text).to_have_value("Hello. [voice:ana] [style:happy] Good morning.")
    page.keyboard.press("Control+i")
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(text).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#insert")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("Tab")
    expect(menu).to_be_hidden()
    visit.check()


def test_a_selection_is_put_between_tags(visit: Visit) -> None:
    page = visit.page
    visit.write("She said: go home. He went.")
    page.locator("#text").evaluate("(field) => field.setSelectionRange(10, 18)")
    page.click("#insert")
    page.get_by_role("menuitem", name="ben").click()
    expect(page.locator("#text")).to_have_value("She said: [voice:ben] go home. [/] He went.")
    expect(page.locator("#legend li")).to_have_text(["default, 2 lines", "ben, 1 line"])
    page.locator("#text").evaluate("(field) => field.setSelectionRange(0, 9)")
    page.click("#insert")
    page.get_by_role("menuitem", name="0.5 s").click()
    expect(page.locator("#text")).to_have_value(
        "She said: [pause:0.5s] [voice:ben] go home. [/] He went."
    )
    page.click("#insert")
    page.click("#voices-title")  # elsewhere
    expect(page.get_by_role("menu")).to_be_hidden()
    visit.check()


@pytest.mark.parametrize("tag", ["[voice:nobody]", "[pause:999999s]"])
def test_an_error_of_a_script_is_shown_at_its_place(visit: Visit, tag: str) -> None:
    page = visit.page
    visit.write(f"ana: Hello 🙂. {tag} And you?")
    page.click("#generate")
    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.locator("#text")).to_be_focused()
    assert selected(visit) == tag
    expect(page.locator("#result")).to_be_hidden()
    assert set(visit.refused) <= {400, 404}
    visit.refused.clear()
    visit.check()


def test_a_script_is_saved(visit: Visit) -> None:
    visit.write(SCRIPT)
    name, data = visit.download("Save the script")
    assert (name, data.decode()) == ("f5serve-script.txt", SCRIPT)
    visit.check()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_the_editor_is_for_everybody(
    browser: Browser, home: House, scheme: Any, width: int
) -> None:
    size = {"width": width, "height": 740}
    with visiting(browser, home.url, color_scheme=scheme, viewport=size) as visit:
        page = visit.enter().page
        visit.write(f"{SCRIPT} [pause:1s] {'x' * 110}")
        page.get_by_role("button", name="Play line 1", exact=True).click()
        keep = page.get_by_role("button", name="Keep take 1 of line 1")
        keep.click()
        expect(keep).to_have_attribute("aria-pressed", "true")
        page.click("#insert")
        assert visit.problems() == []
        assert page.evaluate(f"document.documentElement.scrollWidth <= {width}")
        page.keyboard.press("Escape")
        page.click("#voice-new")
        assert visit.problems() == []
        visit.check()
