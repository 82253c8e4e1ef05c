"""Blocks of docs/guides/leaving-openai.md, which the tests run as they are."""

from __future__ import annotations

import re

from tests.clients.environment import ROOT

GUIDE = (ROOT / "docs" / "guides" / "leaving-openai.md").read_text()
SERVER, KEY = "127.0.0.1:8000", "your-key"
BLOCKS = {
    section.partition("\n")[0]: text
    for section in GUIDE.split("\n### ")[1:]
    for _, text in re.findall(r"^```(\w+)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[:1]
}
"""Heading of the third level -> the first block under it."""


def block(heading: str, url: str, key: str) -> str:
    """The block under a heading, for a server at this URL."""
    text = BLOCKS[heading]
    assert SERVER in text
    return text.replace(SERVER, url.removeprefix("http://")).replace(KEY, key)
