"""A browser that nobody sees, and visits to the studio that are held to account.

Chromium comes from the system (`make setup` installs it where it may). Whatever a page complains
about, and whatever it asks of anybody but its server, is kept and makes the test fail.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, Response, expect, sync_playwright

ARGUMENTS = (
    "--no-sandbox",  # Chromium has none for root
    "--disable-dev-shm-usage",  # which is small in containers
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
PATIENCE_MS = 15_000
NOT_FOUND_OUT = "Failed to load resource"
"""How the console tells of an answer that is an error."""


def find_chromium() -> str:
    """A browser of this system that starts, "" without one; Ubuntu's is a stub where snaps fail."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and not subprocess.run([path, "--version"], capture_output=True).returncode:
            return path
    return ""


CHROMIUM = find_chromium()
needs_chromium = pytest.mark.skipif(
    not CHROMIUM, reason="there is no chromium; as root, `make setup` installs it"
)


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """The page of one server, as one person sees it.

    Attributes:
        complaints: of the browser: errors of scripts, what the policy forbids.
        refused: statuses of answers that were errors.
        abroad: requests to others than the server.
    """

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    abroad: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._watch)
        self.page.on("response", self._note)

    def enter(self) -> Visit:
        """Open the page, and wait until it knows the voices and the history."""
        self.page.goto(self.url)
        expect(self.page.locator(".voice").first).to_be_visible()
        expect(self.page.locator("#server-name")).not_to_have_text("Connecting…")
        return self

    def start_over(self) -> Visit:
        """Enter as somebody new; a page that is used again saves a process for each test."""
        self.page.context.set_offline(False)
        if self.page.url.startswith(self.url):
            self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        for kept in (self.complaints, self.refused, self.abroad):
            kept.clear()
        return self.enter()

    def until(self, expression: str) -> None:
        """Wait for a script to be true; `wait_for_function` needs a laxer policy than ours."""
        ends = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < ends, f"it never came true: {expression}"
            self.page.wait_for_timeout(20)

    def until_word(self, word: str) -> None:
        """Wait until that word is marked."""
        self.until(f"document.querySelector('.word.now')?.textContent === {word!r}")

    def write(self, text: str) -> None:
        """Fill in the text."""
        self.page.fill("#text", text)

    def speak(self, text: str) -> None:
        """Have a text spoken, until all is known of it."""
        self.write(text)
        self.page.click("#generate")
        self.wait_until_made()

    def wait_until_made(self) -> None:
        """The downloads come last."""
        expect(self.page.locator("#downloads button").first).to_be_visible()
        expect(self.page.locator("#generate")).to_be_enabled()

    def problems(self) -> list[str]:
        """What axe finds that is serious or critical, with the element."""
        found = Axe().run(self.page, options={"resultTypes": ["violations"]})
        return [
            f"{violation['id']}: {node['html'][:120]}"
            for violation in found.response["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]

    def download(self, button: str) -> tuple[str, bytes]:
        """Name and bytes of the file that a click on the button with that label saves."""
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name=button, exact=True).click()
        return waiting.value.suggested_filename, waiting.value.path().read_bytes()

    def check(self, *refused: int) -> None:
        """Nothing went wrong but these statuses, and nobody else was asked for anything."""
        assert self.complaints == []
        assert self.abroad == []
        assert sorted(set(self.refused)) == sorted(set(refused))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(NOT_FOUND_OUT):
            self.complaints.append(message.text)

    def _watch(self, request: Request) -> None:
        if not request.url.startswith((self.url, f"blob:{self.url}", "data:")):
            self.abroad.append(request.url)

    def _note(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(response.status)


@contextlib.contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """A visit by somebody new: no storage, no cache; `options` are those of a context."""
    context = browser.new_context(accept_downloads=True, **options)
    try:
        yield Visit(context.new_page(), url)
    finally:
        context.close()


def call(visit: Visit, script: str, body: str, argument: Any = None) -> Any:
    """What a function returns that has the module's exports as `its`; it may be asynchronous."""
    return visit.page.evaluate(
        f"async (given) => {{ const its = await import('/studio/x/{script}'); {body} }}", argument
    )


HEARD = """
window.heard = { contexts: [], begun: [] };
const Context = window.AudioContext;
window.AudioContext = class extends Context {
  constructor(...options) { super(...options); heard.contexts.push(this); }
};
const begin = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when = 0, ...rest) {
  const { currentTime, sampleRate } = this.context;
  heard.begun.push({ when, now: currentTime, seconds: this.buffer.duration, sampleRate,
                     loudest: Math.max(...this.buffer.getChannelData(0).slice(0, 5000)) });
  return begin.call(this, when, ...rest);
};
"""
"""Notes what is handed to Web Audio, and when; the page itself keeps that to itself."""
