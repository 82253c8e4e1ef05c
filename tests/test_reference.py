"""The generated reference says what the program does now."""

from __future__ import annotations

import pytest

from tests.tools.make_reference import FOLDER, pages

NAMES = ["settings.md", "cli.md", "models.md", "http.md", "openapi.json", "jobs.md", "metrics.md"]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """All pages, as they would be written now."""
    return pages()


@pytest.mark.parametrize("name", NAMES)
def test_reference_is_fresh(name: str, made: dict[str, str]) -> None:
    assert (FOLDER / name).read_text() == made[name], "stale: run `make docs`"


def test_every_page_is_looked_at(made: dict[str, str]) -> None:
    assert list(made) == NAMES
