"""Text to sound in the page: heard while it is made, followed, moved in, saved, given up."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
import soundfile
import srt
from playwright.sync_api import Browser, expect

from f5serve.http.routers.speech import check_length
from tests.http.house import House, house
from tests.service.house import CountingTone
from tests.studio.browser import HEARD, Visit, needs_chromium, visiting

pytestmark = needs_chromium

TEXT = "One two three four five. Six seven eight nine ten. Eleven twelve, and no more."
COST_S = 0.7
MARKED = """window.marked = [];
new MutationObserver(() => {
  const now = document.querySelector(".word.now");
  if (now) marked.push(now.textContent);
}).observe(document.querySelector("#words"), { subtree: true, attributes: true });"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tone = CountingTone(cost_s=COST_S)
    with house(tmp_path_factory.mktemp("speaking"), tone=tone) as opened:
        yield opened


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("quick"), openai_max_chars=200) as opened:
        yield opened


@pytest.fixture(scope="module")
def opened(browser: Browser, quick: House) -> Iterator[Visit]:
    with visiting(browser, quick.url) as visit:
        yield visit


def position(visit: Visit) -> float:
    return float(visit.page.get_attribute("#wave", "aria-valuenow") or "nan")


def now(visit: Visit) -> str:
    return str(visit.page.evaluate("document.querySelector('.word.now')?.textContent ?? ''"))


def test_speech_is_heard_while_it_is_made(browser: Browser, home: House) -> None:
    with visiting(browser, home.url) as visit:
        visit.page.add_init_script(HEARD)
        visit.enter().write(TEXT)
        expect(visit.page.locator("#estimate")).to_contain_text("about 5 s of speech")
        visit.page.click("#generate")
        visit.until("heard.begun.length > 0")
        home.tone.hold()  # there is more to be made
        visit.until("heard.contexts[0].currentTime > heard.begun[0].when + 0.1")
        assert position(visit) > 0
        expect(visit.page.locator("#play")).to_have_accessible_name("Pause")
        expect(visit.page.locator("#generate")).to_be_disabled()
        expect(visit.page.locator("#phase")).to_contain_text(re.compile(r"Part \d of \d"))
        expect(visit.page.locator("#progress")).to_have_attribute("value", re.compile(r"\d"))
        home.tone.release()
        visit.wait_until_made()
        begun = visit.page.evaluate("heard.begun")
        assert len(begun) > 1
        assert {part["sampleRate"] for part in begun} == {24000}
        assert all(part["loudest"] > 0.1 for part in begun)
        assert all(part["when"] >= part["now"] for part in begun)
        for before, part in pairwise(begun):  # at once, or later where it ran dry; never over it
            assert part["when"] > before["when"] + before["seconds"] - 1e-4
        whole = float(visit.page.get_attribute("#wave", "aria-valuemax") or "nan")
        assert sum(part["seconds"] for part in begun) == pytest.approx(whole, abs=0.06)
        visit.check()


def test_words_are_marked_while_they_are_heard(visit: Visit) -> None:
    words = "Alpha bravo charlie delta echo foxtrot."
    visit.speak(words)
    expect(visit.page.locator(".word")).to_have_count(6)
    if visit.page.get_by_role("button", name="Pause", exact=True).is_visible():
        visit.page.click("#play")
    expect(visit.page.locator("#play")).to_have_accessible_name("Play")
    visit.page.locator("#wave").press("Home")
    visit.page.evaluate(MARKED)
    visit.page.click("#play")
    visit.until("marked.at(-1) === 'foxtrot.'")
    marked = list(dict.fromkeys(visit.page.evaluate("marked")))
    assert len(marked) > 2  # a busy machine draws less often
    assert marked == [word for word in words.split() if word in marked]
    assert "of 0:02, foxtrot." in (visit.page.get_attribute("#wave", "aria-valuetext") or "")
    visit.page.locator(".word", has_text="charlie").click()
    assert now(visit) in ("charlie", "delta", "echo", "foxtrot.")
    expect(visit.page.locator("#play")).to_have_accessible_name("Play")  # it has ended
    assert now(visit) == "foxtrot."
    visit.check()


def test_sound_is_moved_in_by_pointer_and_keys(visit: Visit) -> None:
    visit.speak("Alpha bravo charlie delta echo foxtrot.")
    wave = visit.page.locator("#wave")
    box = wave.bounding_box()
    assert box is not None
    if visit.page.get_by_role("button", name="Pause", exact=True).is_visible():
        wave.press("Space")
    expect(visit.page.locator("#play")).to_have_accessible_name("Play")
    wave.click(position={"x": box["width"] / 2, "y": 20})
    assert position(visit) == pytest.approx(1.2, abs=0.1)
    assert now(visit) in ("charlie", "delta")
    wave.press("Home")
    assert (position(visit), now(visit)) == (0, "")
    wave.press("Shift+ArrowRight")
    wave.press("Shift+ArrowRight")
    assert now(visit) == "charlie"
    wave.press("Shift+ArrowLeft")
    assert now(visit) == "bravo"
    before = position(visit)
    wave.press("ArrowRight")
    assert position(visit) == pytest.approx(before + 1, abs=0.11)
    wave.press("End")
    assert now(visit) == "foxtrot."
    wave.press("Home")
    wave.press("Space")
    visit.until("document.querySelector('.word.now')")
    wave.press("Space")
    expect(visit.page.locator("#play")).to_have_accessible_name("Play")
    visit.check()


def test_sound_and_subtitles_are_saved(visit: Visit) -> None:
    text = "Alpha bravo charlie delta. Echo foxtrot golf hotel."
    visit.speak(text)
    name, sound = visit.download("Download wav")
    assert re.fullmatch(r"f5serve-\w+\.wav", name)
    samples, rate = soundfile.read(io.BytesIO(sound))
    whole = float(visit.page.get_attribute("#wave", "aria-valuemax") or "nan")
    assert len(samples) / rate == pytest.approx(whole, abs=0.06)
    name, subtitles = visit.download("Download srt")
    assert name.endswith(".srt")
    said = " ".join(line.content for line in srt.parse(subtitles.decode()))
    assert said.split() == text.split()
    assert b"WEBVTT" in visit.download("Download vtt")[1]
    assert visit.download("Download csv")[1].count(b"\n") == 9
    visit.check()


def test_other_formats_are_heard_when_complete(visit: Visit) -> None:
    visit.page.click("#options summary")
    visit.page.select_option("#response_format", "mp3")
    visit.page.uncheck("#timings")
    expect(visit.page.locator("#format-note")).to_be_visible()
    visit.speak("Alpha bravo charlie.")
    visit.until("+document.querySelector('#wave').ariaValueNow > 0.2")
    expect(visit.page.locator(".word")).to_have_count(0)
    expect(visit.page.locator("#words")).to_have_text("Alpha bravo charlie.")
    name, sound = visit.download("Download mp3")
    assert name.endswith(".mp3")
    assert soundfile.info(io.BytesIO(sound)).format == "MP3"
    samples, rate = soundfile.read(io.BytesIO(visit.download("Download wav")[1]))
    assert len(samples) / rate == pytest.approx(1.2, abs=0.2)
    visit.check()


def test_options_reach_the_server(visit: Visit) -> None:
    visit.page.click("#options summary")
    visit.page.fill("#seed", "42")
    visit.page.fill("#speed", "2")
    with visit.page.expect_request("**/v1/audio/speech") as waiting:
        visit.speak("Alpha bravo charlie.")
    sent = waiting.value.post_data_json
    assert sent == {
        "model": "tts-1",
        "input": "Alpha bravo charlie.",
        "voice": "default",
        "response_format": "wav",
        "speed": 2,
        "seed": 42,
        "return_word_timings": True,
        "stream_format": "sse",
    }
    expect(visit.page.locator("#result-about")).to_contain_text("seed 42")
    expect(visit.page.locator("#options-said")).to_have_text("speed 2 · seed 42")
    visit.page.click("#options-reset")
    expect(visit.page.locator("#options-said")).to_have_text("")


@pytest.mark.parametrize("how", ["button", "key"])
def test_work_is_given_up(visit: Visit, quick: House, how: str) -> None:
    quick.tone.hold()
    try:
        visit.write(f"This is not wanted, says the {how}.")
        visit.page.keyboard.press("Control+Enter")
        expect(visit.page.locator("#cancel")).to_be_visible()
        assert quick.tone.at_work.wait(10)
        if how == "button":
            visit.page.click("#cancel")
        else:
            visit.page.keyboard.press("Escape")
        expect(visit.page.locator("#said")).to_have_text("Cancelled.")
        expect(visit.page.locator("#result")).to_be_hidden()
    finally:
        quick.tone.release()
    expect(visit.page.locator("#generate")).to_be_enabled()
    expect(visit.page.locator("#alert")).to_be_empty()
    if how == "button":  # it takes the list two seconds
        row = visit.page.locator(".job", has_text=how)
        expect(row.locator(".badge")).to_have_text("cancelled")
    visit.check()


def test_refusals_are_sentences_of_the_server(visit: Visit) -> None:
    text = "This is more than it takes. " * 10
    visit.write(text)
    expect(visit.page.locator("#length")).to_have_class("over")
    visit.page.click("#generate")
    with pytest.raises(Exception, match="200") as caught:
        check_length(text, 200)
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text(str(caught.value.args[0]))
    expect(visit.page.locator("#result")).to_be_hidden()
    alert.get_by_role("button", name="Close this message").click()
    expect(visit.page.locator("#alert")).to_be_empty()
    visit.check(400)


def test_nothing_is_sent_without_text(visit: Visit) -> None:
    visit.write("  ")
    visit.page.keyboard.press("Control+Enter")
    expect(visit.page.get_by_role("alert")).to_contain_text("nothing to say")
    expect(visit.page.locator("#text")).to_be_focused()
    visit.check()


def test_server_that_is_gone_is_told(visit: Visit) -> None:
    visit.write("Is anybody there?")
    visit.page.context.set_offline(True)
    visit.page.click("#generate")
    expect(visit.page.get_by_role("alert")).to_contain_text("The server does not answer.")
    expect(visit.page.locator("#server-name")).to_have_text("No answer")
    visit.check()


def test_history_and_unfinished_text_survive_a_reload(visit: Visit) -> None:
    said = "Kilo lima mike november oscar papa quebec romeo sierra tango, which is rather long "
    said += "for a list of jobs, so that it is cut off there, and whole only in the result."
    visit.speak(said)
    visit.write("Not yet")
    expect(visit.page.locator(".job").first).to_contain_text("Kilo lima")
    visit.page.reload()
    expect(visit.page.locator("#text")).to_have_value("Not yet")
    row = visit.page.locator(".job").first
    expect(row).to_contain_text("Kilo lima")
    row.get_by_role("button", name="Open and play").click()
    expect(visit.page.locator(".word.now")).to_be_visible()
    expect(visit.page.locator("#words")).to_have_text(said)
    expect(visit.page.locator("#play")).to_have_accessible_name("Pause")
    with visit.page.expect_download() as waiting:
        row.get_by_role("button", name="Download:").click()
    assert soundfile.info(waiting.value.path()).samplerate == 24000
    row.get_by_role("button", name="Use this text again").click()
    expect(visit.page.locator("#text")).to_have_value(said)
    visit.check()
