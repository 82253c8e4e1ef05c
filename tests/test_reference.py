"""The generated reference says what the program does now."""

from __future__ import annotations

import pytest

from tests.tools.make_reference import FOLDER, pages


@pytest.mark.parametrize("name", ["settings.md", "cli.md", "models.md"])
def test_reference_is_fresh(name: str) -> None:
    assert (FOLDER / name).read_text() == pages()[name], "stale: run `make docs`"
