"""Lines of a script in the page: played alone, made again, compared, kept, spoken as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.http.house import House, house
from tests.studio.browser import HEARD, Visit, needs_chromium, visiting
from tests.studio.scripts import SCRIPT, add_voices

pytestmark = needs_chromium

SPEECH = "**/v1/audio/speech"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("lines")) as opened:
        add_voices(opened)
        yield opened


@pytest.fixture(scope="module")
def opened(browser: Browser, home: House) -> Iterator[Visit]:
    with visiting(browser, home.url) as visit:
        visit.page.add_init_script(HEARD)
        yield visit


@pytest.fixture
def visit(opened: Visit) -> Visit:
    opened.start_over().write(SCRIPT)
    expect(opened.page.locator("#lines-said")).to_have_text("4 lines")
    return opened


def button(visit: Visit, name: str) -> Locator:
    return visit.page.get_by_role("button", name=name, exact=True)


def line(visit: Visit, number: int) -> Locator:
    return visit.page.locator("#line-list > li").nth(number - 1)


def make(visit: Visit, label: str, takes: int) -> dict[str, Any]:
    """Press a button that makes a take; what was sent, once the line has that many."""
    number = int(label.rpartition(" ")[2])
    with visit.page.expect_request(SPEECH) as waiting:
        button(visit, label).click()
    expect(line(visit, number).locator(".take")).to_have_count(takes)
    expect(visit.page.locator("#generate")).to_be_enabled()
    sent: dict[str, Any] = waiting.value.post_data_json
    return sent


def seed_of(sent: dict[str, Any]) -> int:
    """The seed in the tag of a line that was sent."""
    tag, _, _ = sent["input"].partition("} ")
    return int(json.loads(f"{tag}}}")["seed"])


def seeds(home: House, text: str) -> list[int | None]:
    """The seeds of the lines of a text, as the server reads them."""
    answer = home.client.post("/v1/text", json={"text": text})
    return [part["seed"] for part in answer.json()["parts"]]


def test_a_line_is_played_alone(visit: Visit, home: House) -> None:
    page = visit.page
    expect(page.locator("#line-list .state")).to_have_text(["not made"] * 4)
    expect(page.locator("#line-list .by")).to_have_text(["ana", "ana", "ben", "ana · happy"])
    expect(line(visit, 1)).to_contain_text("0.5 s of silence")
    home.tone.hold()
    try:
        with page.expect_request(SPEECH) as waiting:
            button(visit, "Play line 4").click()
        expect(line(visit, 4).locator(".state")).to_have_text("making")
        expect(button(visit, "Play line 4")).to_be_focused()
        button(visit, "Play line 1").click()
        expect(page.get_by_role("alert")).to_contain_text("Something is being made.")
    finally:
        home.tone.release()
    expect(line(visit, 4).locator(".state")).to_have_text("made")
    expect(page.locator("#lines-said")).to_have_text("4 lines · 1 made")
    expect(page.locator("#said")).to_have_text("Line 4: take 1 is made.")
    sent = waiting.value.post_data_json
    assert re.fullmatch(r'\{"name": "ana", "style": "happy", "seed": \d+\} Oh\.', sent["input"])
    assert (sent["voice"], sent["response_format"]) == ("default", "wav")
    assert "seed" not in sent
    assert home.tone.spoken[-1].strip() == "Oh."
    assert page.evaluate("Math.max(...heard.begun.map(({ loudest }) => loudest))") > 0.1
    visit.check()


def test_takes_are_compared(visit: Visit) -> None:
    page = visit.page
    first = make(visit, "Play line 3", 1)
    other = make(visit, "Another take of line 3", 2)
    assert seed_of(first) != seed_of(other)
    assert first["input"].endswith("} Not at all 🙂.")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for take in (1, 2):
        expect(button(visit, f"Play take {take} of line 3")).to_be_visible()
        before = page.evaluate("heard.begun.length")
        button(visit, f"Play take {take} of line 3").click()
        expect(button(visit, f"Stop take {take} of line 3")).to_be_focused()
        assert page.evaluate("heard.begun.length") == before + 1
        expect(button(visit, f"Play take {take} of line 3")).to_be_visible()  # it has ended
    button(visit, "Play line 3").click()  # the newest
    expect(button(visit, "Stop take 2 of line 3")).to_be_visible()
    button(visit, "Stop line 3").click()
    expect(button(visit, "Play take 2 of line 3")).to_be_visible()
    assert not [url for url in asked if url.endswith("/speech")]
    visit.check()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_seed_of_a_take_is_kept(visit: Visit, home: House, number: int) -> None:
    page = visit.page
    text = page.locator("#text")
    make(visit, f"Play line {number}", 1)
    seed = seed_of(make(visit, f"Another take of line {number}", 2))
    keep = button(visit, f"Keep take 2 of line {number}")
    keep.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    keep.click()
    expect(keep).to_have_attribute("aria-pressed", "true")
    expect(keep).to_be_focused()
    assert page.evaluate("scrollY") == scrolled
    expect(line(visit, number)).to_contain_text(f"seed {seed}")
    kept = text.input_value()
    wanted = [seed if place == number else None for place in (1, 2, 3, 4)]
    assert seeds(home, kept) == wanted
    with page.expect_request(SPEECH) as waiting:
        page.get_by_role("button", name="Speak all").click()
        visit.wait_until_made()
    assert waiting.value.post_data_json["input"] == kept
    keep.click()  # no longer
    expect(keep).to_have_attribute("aria-pressed", "false")
    assert seeds(home, text.input_value()) == [None] * 4
    text.focus()
    page.keyboard.press("Control+z")
    expect(text).to_have_value(kept)
    page.keyboard.press("Control+z")
    expect(text).to_have_value(SCRIPT)
    visit.check()


def test_another_take_replaces_the_kept_one(visit: Visit, home: House) -> None:
    text = visit.page.locator("#text")
    visit.write('{"name": "ana", "seed": 5} Good morning. [pause:1s] {"name": "ben"} Hello.')
    expect(visit.page.locator("#lines-said")).to_have_text("2 lines")
    assert seed_of(make(visit, "Play line 1", 1)) == 5
    expect(button(visit, "Keep take 1 of line 1")).to_have_attribute("aria-pressed", "true")
    seed = seed_of(make(visit, "Another take of line 1", 2))
    button(visit, "Keep take 2 of line 1").click()
    expect(text).to_have_value(
        f'{{"name": "ana", "seed": {seed}}} Good morning. [pause:1s] {{"name": "ben"}} Hello.'
    )
    expect(button(visit, "Keep take 1 of line 1")).to_have_attribute("aria-pressed", "false")
    assert seeds(home, text.input_value()) == [seed, None]
    visit.check()


def test_takes_outlive_changes_of_other_lines_only(visit: Visit) -> None:
    page = visit.page
    make(visit, "Play line 3", 1)
    visit.write(SCRIPT.replace("Did you sleep", "Did you both sleep"))
    expect(page.locator("#line-list")).to_contain_text("both")
    expect(line(visit, 3).locator(".take")).to_have_count(1)
    page.click("#options summary")
    page.fill("#speed", "2")
    expect(line(visit, 3).locator(".take")).to_have_count(0)
    page.click("#options-reset")
    expect(line(visit, 3).locator(".take")).to_have_count(1)
    visit.write(SCRIPT.replace("Not at all", "Not"))
    expect(page.locator("#line-list .state")).to_have_text(["not made"] * 4)
    visit.check()


def test_equal_lines_have_takes_of_their_own(visit: Visit) -> None:
    visit.write("ana: No. [pause:1s] No. [pause:1s] No.")
    expect(visit.page.locator("#lines-said")).to_have_text("3 lines")
    make(visit, "Play line 2", 1)
    expect(visit.page.locator("#line-list .state")).to_have_text(["not made", "made", "not made"])
    visit.check()


def test_a_line_is_given_up(visit: Visit, home: House) -> None:
    home.tone.hold()
    try:
        button(visit, "Play line 2").click()
        expect(visit.page.locator("#phase")).to_have_text("Making the first part")
        assert home.tone.at_work.wait(10)
        visit.page.keyboard.press("Escape")
        expect(visit.page.locator("#said")).to_have_text("Cancelled.")
    finally:
        home.tone.release()
    expect(line(visit, 2).locator(".state")).to_have_text("not made")
    expect(visit.page.locator("#generate")).to_be_enabled()
    visit.check()


def test_the_whole_script_gives_a_take_of_each_line(visit: Visit, home: House) -> None:
    page = visit.page
    page.get_by_role("button", name="Speak all").click()
    visit.wait_until_made()
    expect(page.locator("#line-list .state")).to_have_text(["made"] * 4)
    expect(page.locator(".take")).to_have_count(4)
    name, script = visit.download("Download txt")
    assert re.fullmatch(r"f5serve-\w+\.txt", name)
    assert None not in seeds(home, script.decode())
    button(visit, "Play take 1 of line 3").click()
    expect(button(visit, "Play take 1 of line 3")).to_be_visible()
    seed = str(button(visit, "Play take 1 of line 3").get_attribute("title")).removeprefix("Seed ")
    button(visit, "Keep take 1 of line 3").click()
    expect(page.locator("#text")).to_have_value(re.compile(rf"\D{seed}\D"))
    visit.check()
