"""Voices in the page: chosen, heard, dropped, picked, recorded, removed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.http.house import House, house
from tests.studio.browser import Visit, needs_chromium, visiting

pytestmark = needs_chromium

RECORDING = Path(__file__).parents[1] / "data" / "librivox-0870.wav"
WORDS = "He was not an ill-disposed young man."
DROP = """([base64, name]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "audio/wav" }));
  for (const type of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
    document.querySelector("#voices").dispatchEvent(event);
  }
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("voices")) as opened:
        yield opened


@pytest.fixture(scope="module")
def opened(browser: Browser, home: House) -> Iterator[Visit]:
    with visiting(browser, home.url, permissions=["microphone"]) as visit:
        yield visit


def agree(visit: Visit) -> None:
    visit.page.check("#voice-consent")
    visit.page.fill("#voice-by", "Ana")


def save(visit: Visit, name: str) -> None:
    visit.page.click("#voice-save")
    expect(visit.page.locator("#voice-dialog")).to_be_hidden()
    expect(visit.page.get_by_role("radio", name=name)).to_be_checked()


def test_recording_that_is_dropped_becomes_a_voice(visit: Visit, home: House) -> None:
    data = base64.b64encode(RECORDING.read_bytes()).decode()
    visit.page.evaluate(DROP, [data, "Bel Àmi (1).wav"])
    expect(visit.page.locator("#voice-dialog")).to_be_visible()
    expect(visit.page.locator("#drop-said")).to_have_text("Bel Àmi (1).wav")
    expect(visit.page.locator("#voice-name")).to_have_value("Bel-A-mi-1")
    visit.page.fill("#voice-name", "bel")
    visit.page.fill("#voice-text", WORDS)
    visit.page.fill("#voice-language", "en")
    agree(visit)
    save(visit, "bel")
    kept = home.client.get("/v1/audio/voices/bel").json()
    assert kept["ref_text"] == WORDS
    assert kept["consent"]["by"] == "Ana"
    assert kept["language"] == "en"
    with visit.page.expect_request("**/v1/audio/speech") as waiting:
        visit.speak("Hello.")
    assert waiting.value.post_data_json["voice"] == "bel"
    visit.page.reload()
    expect(visit.page.get_by_role("radio", name="bel")).to_be_checked()
    visit.check()


def test_recording_becomes_a_style_of_a_voice(visit: Visit, home: House) -> None:
    sample = {"audio_sample": ("a.wav", RECORDING.read_bytes())}
    fields = {"name": "dora", "ref_text": WORDS}
    assert home.client.post("/v1/audio/voices", files=sample, data=fields).status_code == 201
    page = visit.page
    page.click("#voice-new")
    page.set_input_files("#voice-file", RECORDING)
    page.fill("#voice-name", "dora")
    page.fill("#voice-style", "calm")
    page.fill("#voice-text", WORDS)
    agree(visit)
    save(visit, "dora")
    expect(page.locator(".voice", has_text="dora")).to_contain_text("calm")
    visit.check()


def test_what_is_missing_is_said_one_by_one(visit: Visit) -> None:
    visit.page.click("#voice-new")
    alert = visit.page.locator("#voice-alert")
    visit.page.click("#voice-save")
    expect(alert).to_contain_text("recording")
    with visit.page.expect_file_chooser() as choosing:
        visit.page.click("#voice-choose")
    choosing.value.set_files(RECORDING)
    expect(alert).to_be_empty()
    visit.page.fill("#voice-name", "")
    visit.page.click("#voice-save")
    expect(alert).to_contain_text("name")
    expect(visit.page.locator("#voice-name")).to_be_focused()
    visit.page.fill("#voice-name", "ben")
    visit.page.click("#voice-save")
    expect(alert).to_contain_text("consent")
    visit.page.check("#voice-consent")
    visit.page.click("#voice-save")
    expect(alert).to_contain_text("vouches")
    visit.page.fill("#voice-by", "Ben")
    visit.page.fill("#voice-text", WORDS)
    save(visit, "ben")
    visit.check()


def test_refusal_of_the_server_is_shown_where_it_belongs(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("This is no recording at all, whatever it is called.")
    visit.page.click("#voice-new")
    visit.page.set_input_files("#voice-file", tmp_path / "notes.wav")
    agree(visit)
    visit.page.click("#voice-save")
    expect(visit.page.locator("#voice-alert p")).not_to_be_empty()
    expect(visit.page.locator("#voice-dialog")).to_be_visible()
    visit.page.keyboard.press("Escape")
    expect(visit.page.locator("#voice-dialog")).to_be_hidden()
    visit.page.click("#voice-new")  # nothing of it is left
    expect(visit.page.locator("#voice-name")).to_have_value("")
    expect(visit.page.locator("#voice-alert")).to_be_empty()
    visit.check(400)


def test_voice_is_recorded(visit: Visit, home: House) -> None:
    visit.page.click("#voice-new")
    visit.page.click("#voice-record")
    expect(visit.page.locator("#read-aloud")).to_be_visible()
    visit.until("document.querySelector('#recording-clock').textContent.startsWith('0:01')")
    assert visit.page.evaluate("document.querySelector('#level').value") >= 0
    visit.page.click("#voice-record")
    expect(visit.page.locator("#voice-preview")).to_be_visible()
    expect(visit.page.locator("#voice-text")).to_have_value(
        visit.page.inner_text("#read-aloud") or visit.page.text_content("#read-aloud") or "-"
    )
    visit.page.fill("#voice-name", "me")
    agree(visit)
    with visit.page.expect_response("**/v1/audio/voices") as waiting:
        visit.page.click("#voice-save")
    # Chromium's pretended microphone beeps once a second; whether that is taken for speech is the
    # library's business. What was sent has to be a sound that it can read.
    answer = waiting.value
    assert answer.status == 201 or answer.json()["error"]["code"] != "not_audio", answer.text()


def test_sample_is_heard_and_stopped(visit: Visit) -> None:
    button = visit.page.get_by_role("button", name="Hear default")
    with visit.page.expect_response("**/v1/audio/voices/default/sample"):
        button.click()
    expect(button.locator("use")).to_have_attribute("href", "#i-stop")
    button.click()
    expect(button.locator("use")).to_have_attribute("href", "#i-play")
    visit.check()


def test_voice_is_deleted_after_a_question(visit: Visit, home: House) -> None:
    sample = {"audio_sample": ("a.wav", RECORDING.read_bytes())}
    made = home.client.post("/v1/audio/voices", files=sample, data={"name": "x", "ref_text": WORDS})
    assert made.status_code == 201
    visit.page.reload()
    button = visit.page.get_by_role("button", name="Delete x")
    button.click()
    visit.page.get_by_role("button", name="Keep it").click()
    assert home.client.get("/v1/audio/voices/x").status_code == 200
    button.click()
    visit.page.get_by_role("button", name="Delete", exact=True).click()
    expect(visit.page.locator(".voice", has_text="x").get_by_role("radio", name="x")).to_have_count(
        0
    )
    assert home.client.get("/v1/audio/voices/x").status_code == 404
    expect(visit.page.get_by_role("button", name="Delete default")).to_have_count(0)
    visit.check()
