"""The tools over a server on loopback: the same results, and the server's own errors."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mcp import Client

from f5serve.audio.decode import decode
from f5serve.mcp_server.folder import Folder
from f5serve.mcp_server.remote import RemoteBackend
from f5serve.mcp_server.tools import SpeechServer, SpeechTools
from tests.hearing import speech_recognition
from tests.http.house import House, house
from tests.mcp_server.house import Agent, audio_of, make_folder
from tests.service.house import PATIENCE_S, CountingTone, run
from tests.voices.material import OTHER_WORDS, WORDS, other_recording

KEY = "a-key-of-the-tests-1234"
TEXT = "Hello there. This is a second sentence, which is longer."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, recognition = tmp_path_factory.mktemp("server"), speech_recognition()
    tone = CountingTone(cost_s=0.05)
    with house(folder, api_keys=KEY, recognition=recognition, tone=tone) as home:
        home.client.headers["Authorization"] = f"Bearer {KEY}"
        yield home


@contextlib.asynccontextmanager
async def agent(tmp_path: Path, url: str, key: str = KEY) -> AsyncIterator[Agent]:
    folder = make_folder(tmp_path)
    server = SpeechServer(SpeechTools(RemoteBackend(url, key), Folder(folder)))
    async with Client(server) as client:
        yield Agent(client, folder, None)  # type: ignore[arg-type] - nothing speaks here


def test_a_server_speaks(home: House, tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path, home.url) as one:
            spoken = await one.call("say", text=TEXT, path="a.wav")
            wave = decode((one.folder / "a.wav").read_bytes())
            assert wave.duration_s == pytest.approx(spoken["duration_s"], abs=0.01)
            assert (spoken["voice"], spoken["model"], spoken["format"]) == (
                "default",
                "tone",
                "wav",
            )
            seen: list[float] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                seen.append(progress)

            found = await one.client.call_tool("say", {"text": TEXT}, progress_callback=note)
            assert decode(base64.b64decode(audio_of(found).data)).duration_s > 1
            assert seen == sorted(set(seen))

    run(story)


def test_a_server_clones_and_transcribes(home: House, tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path, home.url) as one:
            (one.folder / 'hap"py\n.wav').write_bytes(other_recording())
            cloned = await one.call(
                "clone_voice", name="ana", audio="ana.wav", ref_text=WORDS, consent_by="Ana"
            )
            assert (cloned["ref_text"], cloned["needs_review"]) == (WORDS, False)
            styled = await one.call(
                "clone_voice", name="ana", style="Sad", audio='hap"py\n.wav', ref_text=OTHER_WORDS
            )
            assert (styled["style"], styled["ref_text"]) == ("sad", OTHER_WORDS)
            assert styled["duration_s"] > cloned["duration_s"]
            listed = await one.call("list_voices")
            assert [(v["name"], v["styles"]) for v in listed["voices"]] == [
                ("default", []),
                ("ana", ["sad"]),
            ]
            record = home.client.get("/v1/audio/voices/ana").json()
            assert record["consent"]["by"] == "Ana"
            heard = await one.call("transcribe", path="ana.wav", language="en")
            assert heard["text"].endswith("young man.")
            assert (heard["language"], heard["duration_s"]) == ("en", pytest.approx(3, abs=0.05))
            assert (await one.call("say", text="Oh.", voice="ana", style="sad"))["voice"] == "ana"

    run(story)


def test_the_errors_of_a_server_are_its_own(home: House, tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path, home.url) as one:
            (one.folder / "notes.txt").write_text("Mine.")
            assert await one.refuse("say", text=TEXT, voice="eve") == "VOICE_NOT_FOUND"
            assert await one.refuse("say", text="") == "EMPTY_TEXT"
            asked = {"name": "eve", "audio": "notes.txt", "ref_text": WORDS}
            assert await one.refuse("clone_voice", **asked) == "NOT_AUDIO"
            assert await one.refuse("list_voices", after="../x") == "BAD_VOICE_NAME"
            assert await one.refuse("transcribe", path="notes.txt") == "NOT_AUDIO"
            link = {"name": "eve", "audio": "http://169.254.169.254/a.wav", "ref_text": WORDS}
            assert await one.refuse("clone_voice", **link) == "URL_NOT_ALLOWED"
            assert one.files() == ["ana.wav", "notes.txt"]

    run(story)


def test_a_client_that_cancels_stops_the_server(home: House, tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path, home.url) as one:
            before = jobs()
            home.tone.at_work.clear()
            asked = {"text": f"{TEXT} " * 60, "path": "a.wav"}
            calling = asyncio.create_task(one.client.call_tool("say", asked))
            assert await asyncio.to_thread(home.tone.at_work.wait, PATIENCE_S)
            calling.cancel()
            await asyncio.wait({calling})
            assert calling.cancelled()
            async with asyncio.timeout(PATIENCE_S):
                while not (new := jobs() - before):  # the list is cached for a moment
                    await asyncio.sleep(0.02)
            (job,) = new
            assert home.client.get(f"/v1/jobs/{job}").json()["status"] == "CANCELLED"
            assert one.files() == ["ana.wav"]

    def jobs() -> set[str]:
        return {job["job_id"] for job in home.client.get("/v1/jobs").json()["jobs"]}

    run(story)


def test_a_transcription_that_is_cancelled_ends_its_connection(tmp_path: Path) -> None:
    """It is one long request; the server notices that its caller has left."""

    async def story() -> None:
        asked, left = asyncio.Event(), asyncio.Event()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read()
            left.set()
            writer.close()

        async with (
            await asyncio.start_server(hold, "127.0.0.1", 0) as server,
            asyncio.timeout(PATIENCE_S),
        ):
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with agent(tmp_path, url) as one:
                call = one.client.call_tool("transcribe", {"path": "ana.wav"})
                calling = asyncio.create_task(call)
                await asked.wait()
                calling.cancel()
                await left.wait()
                await asyncio.wait({calling})

    run(story)


class Other(http.server.BaseHTTPRequestHandler):
    """A server that is not f5serve."""

    def do_GET(self) -> None:
        body = b'["hello"]'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def test_a_server_that_is_none_is_an_error(home: House, tmp_path: Path) -> None:
    async def ask(url: str, folder: str, key: str = KEY) -> set[str]:
        (tmp_path / folder).mkdir()
        async with agent(tmp_path / folder, url, key) as one:
            return {
                await one.refuse("say", text=TEXT),
                await one.refuse("list_voices"),
                await one.refuse("clone_voice", name="ana", audio="ana.wav", ref_text=WORDS),
                await one.refuse("transcribe", path="ana.wav"),
            }

    async def story() -> None:
        assert await ask(home.url, "key", "another-key-123") == {"INVALID_API_KEY"}
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
            threading.Thread(target=server.serve_forever).start()
            url = f"http://127.0.0.1:{server.server_port}"
            assert await ask(url, "other") == {"SERVER_REFUSED"}
            server.shutdown()
        assert await ask(url, "closed") == {"SERVER_UNREACHABLE"}

    run(story)
