"""docs/reference/websockets.md holds what the messages hold, and the guide's example speaks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from f5serve.http.elevenlabs import stream_schemas as elevenlabs
from f5serve.http.routers.elevenlabs_stream import MAX_CONTEXTS
from f5serve.http.sockets import SocketLimits
from f5serve.http.stream_schemas import CLIENT_MESSAGES, SERVER_MESSAGES, SessionConfig
from f5serve.http.websocket_protocol import FIRST_MESSAGE_BYTES, MAX_FRAGMENTS
from tests.http.house import house
from tests.http.sound import heard_s

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "websockets.md").read_text()
GUIDE = (DOCS / "guides" / "streaming-text.md").read_text()


def rows(title: str) -> list[str]:
    """The first column of the table under a heading."""
    section = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.S | re.M)
    assert section, title
    return re.findall(r"^\| `(\w+)` \|", section[1], re.M)


def fields(model: type[BaseModel]) -> list[str]:
    own = model.__annotations__ if model is SessionConfig else model.model_fields
    return [name for name in own if name != "model_config"]


@pytest.mark.parametrize("model", [*CLIENT_MESSAGES, *SERVER_MESSAGES], ids=lambda m: m.__name__)
def test_each_message_has_its_table(model: type[BaseModel]) -> None:
    (kind,) = model.model_fields["type"].annotation.__args__  # type: ignore[union-attr]
    assert sorted(rows(kind)) == sorted(fields(model))


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("Query", elevenlabs.StreamQuery),
        ("Messages of the client", elevenlabs.StreamMessage),
        ("Messages of the server", elevenlabs.ContextOutput),
        ("Errors", elevenlabs.StreamProblem),
    ],
)
def test_elevenlabs_messages_have_tables(title: str, model: type[BaseModel]) -> None:
    assert sorted(rows(title)) == sorted(fields(model))


def test_limits_are_those_of_the_page() -> None:
    limits = SocketLimits()
    for text in (
        f"within {limits.first_message_s:g} s; where it has to hold the key, "
        f"up to {FIRST_MESSAGE_BYTES:,} bytes",
        f"| {limits.idle_s:g} s |",
        f"| {limits.lifetime_s / 3600:g} h,",
        f"| {MAX_FRAGMENTS:,} |",
        f"up to {MAX_CONTEXTS} contexts",
    ):
        assert text in PAGE


def test_the_example_of_the_guide_speaks(tmp_path: Path) -> None:
    source = re.search(r"```python\n(.*?)```", GUIDE, re.S)
    assert source
    played: list[bytes] = []

    async def words() -> AsyncIterator[str]:
        for word in [
            "Hello",
            "there,",
            "this",
            "is",
            "written",
            "by",
            "a",
            "model.",
            "It",
            "goes",
            "on.",
        ]:
            yield f"{word} "

    with house(tmp_path) as home:
        code = source[1].replace("ws://127.0.0.1:8000", home.url.replace("http", "ws", 1))
        names: dict[str, Any] = {}
        exec(code, names)
        asyncio.run(names["speak"](words(), played.append))
    assert heard_s(b"".join(played), "pcm") > 2
