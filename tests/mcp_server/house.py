"""An MCP server in small: the real tools over a tone, with the official client in one process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp_types import AudioContent, CallToolResult

from f5serve.mcp_server.folder import Folder
from f5serve.mcp_server.local import LocalBackend
from f5serve.mcp_server.tools import SpeechServer, SpeechTools
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.voices.library import VoiceLibrary
from tests.service.house import House, house
from tests.voices.material import recording


@dataclass
class Agent:
    """A client, the folder that it may use, and what speaks for it."""

    client: Client
    folder: Path
    here: House

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured content of a call that must succeed."""
        found = await self.client.call_tool(tool, arguments)
        assert isinstance(found, CallToolResult)
        assert not found.is_error, found.content
        assert found.structured_content is not None
        return found.structured_content

    async def refuse(self, tool: str, /, **arguments: Any) -> str:
        """The code of a call that must fail; agents read the same in the text."""
        found = await self.client.call_tool(tool, arguments)
        assert isinstance(found, CallToolResult)
        error = found.structured_content
        assert found.is_error, found
        assert error is not None
        assert set(error) == {"error", "code", "hint"}
        (text,) = found.content
        assert text.type == "text"
        assert all(error[name] in text.text for name in error)
        return str(error["code"])

    def files(self) -> list[str]:
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))


def audio_of(result: object) -> AudioContent:
    """The audio inside a result."""
    assert isinstance(result, CallToolResult)
    (found,) = (part for part in result.content if isinstance(part, AudioContent))
    return found


def make_folder(tmp_path: Path) -> Path:
    """A folder with one recording."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "ana.wav").write_bytes(recording())
    return folder


@contextlib.asynccontextmanager
async def agent(
    tmp_path: Path,
    recognition: SpeechRecognition | None = None,
    mode: str = "auto",
    **settings: Any,
) -> AsyncIterator[Agent]:
    """A client of a server over this machine's model, which is a tone.

    Args:
        mode: "legacy" has messages and a handshake as over standard input and output.
    """
    folder = make_folder(tmp_path)
    async with house(tmp_path, **settings) as here:
        voices = VoiceLibrary(here.store, tmp_path / "others")
        backend = LocalBackend(here.operations, voices, recognition)
        server = SpeechServer(SpeechTools(backend, Folder(folder)))
        async with Client(server, mode=mode) as client:
            yield Agent(client, folder, here)
