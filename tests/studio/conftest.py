"""One browser for the tests of a module, and a page of the server that the module calls `home`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.http.house import House
from tests.studio.browser import Visit, open_browser, visiting


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def opened(browser: Browser, home: House) -> Iterator[Visit]:
    with visiting(browser, home.url) as visit:
        yield visit


@pytest.fixture
def visit(opened: Visit) -> Visit:
    return opened.start_over()
