"""A long history: a page of it at first, and more of it for whoever asks."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from f5serve.jobs.store import JobStore
from f5serve.store.memory import MemoryStore
from tests.http.house import house
from tests.jobs.clock import Clock
from tests.studio.browser import needs_chromium, visiting

pytestmark = needs_chromium


def test_older_jobs_are_shown_on_request(browser: Browser, tmp_path: Path) -> None:
    clock = Clock()
    store = MemoryStore(clock)
    board = JobStore(store)
    for number in range(70):
        board.enqueue(f"j{number}", "1" * 64, {"text": f"Number {number} of many.", "voice": "x"})
        clock.tick(1)
        board.cancel(f"j{number}", "test")
    with house(tmp_path, store) as home, visiting(browser, home.url) as visit:
        visit.enter()
        more = visit.page.get_by_role("button", name="Show older ones")
        jobs = visit.page.locator(".job")
        expect(jobs).to_have_count(30)
        expect(jobs.first).to_contain_text("Number 69")
        more.click()
        expect(jobs).to_have_count(60)
        more.click()
        expect(jobs).to_have_count(70)
        expect(jobs.last).to_contain_text("Number 0 of many")
        expect(more).to_be_hidden()
        assert not visit.problems()
        visit.check()
