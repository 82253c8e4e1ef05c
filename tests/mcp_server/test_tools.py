"""The tools over the model of this machine: what they make, and what they refuse."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import pytest

from f5serve.audio.decode import decode
from f5serve.errors import InvalidRequest
from f5serve.mcp_server.folder import FORMATS, Folder
from f5serve.mcp_server.local import LocalBackend
from f5serve.mcp_server.tools import MAX_INLINE_BYTES
from tests.hearing import speech_recognition
from tests.mcp_server.house import agent, audio_of
from tests.service.house import CountingTone, run
from tests.voices.material import OTHER_WORDS, WORDS, other_recording

TEXT = "Hello there. This is a second sentence, which is longer."


def test_tools_are_described(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path) as one:
            tools = {tool.name: tool for tool in (await one.client.list_tools()).tools}
            assert set(tools) == {"say", "list_voices", "clone_voice", "transcribe"}
            for tool in tools.values():
                assert tool.description
                assert tool.output_schema is not None
                assert tool.output_schema["type"] == "object"
                assert all(
                    field["description"] for field in tool.input_schema["properties"].values()
                )
            assert tools["say"].input_schema["required"] == ["text"]
            assert tools["transcribe"].annotations is not None
            assert tools["transcribe"].annotations.read_only_hint

    run(story)


def test_a_text_is_spoken_into_a_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path) as one:
            seen: list[tuple[float, float | None, str | None]] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                seen.append((progress, total, message))

            asked = {"text": TEXT, "path": "new/folder/a.wav"}
            found = await one.client.call_tool("say", asked, progress_callback=note)
            spoken = found.structured_content
            assert spoken is not None
            file = one.folder / "new" / "folder" / "a.wav"
            assert (spoken["path"], spoken["format"]) == (str(file.resolve()), "wav")
            assert (spoken["voice"], spoken["model"]) == ("default", "tone")
            wave = decode(file.read_bytes())
            assert wave.duration_s == pytest.approx(spoken["duration_s"], abs=0.01)
            numbers = [progress for progress, *_ in seen]
            assert numbers == sorted(set(numbers))
            assert seen[-1][:2] == (100, 100)
            full = await one.call("say", text="Hi.", path=str(one.folder / "b.flac"))
            assert full["format"] == "flac"
            assert one.files() == ["ana.wav", "b.flac", "new", "new/folder", "new/folder/a.wav"]

    run(story)


def test_short_speech_comes_in_the_result_and_long_speech_in_a_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path) as one:
            found = await one.client.call_tool("say", {"text": TEXT})
            audio = audio_of(found)
            assert found.structured_content is not None
            assert (audio.mime_type, found.structured_content["path"]) == ("audio/mpeg", None)
            seconds = decode(base64.b64decode(audio.data)).duration_s
            assert seconds == pytest.approx(found.structured_content["duration_s"], abs=0.12)
            again = await one.client.call_tool("say", {"text": TEXT})  # out of the cache
            assert audio_of(again).data == audio.data
            assert one.files() == ["ana.wav"]
            spoken = await one.call("say", text=TEXT * 6, format="wav")
            file = Path(spoken["path"])
            assert file.stat().st_size > MAX_INLINE_BYTES
            assert file.parent == one.folder.resolve()
            assert decode(file.read_bytes()).duration_s == pytest.approx(spoken["duration_s"])

    run(story)


def test_a_recording_is_cloned_and_speaks(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path, require_consent=False) as one:
            (one.folder / "happy.wav").write_bytes(other_recording())
            cloned = await one.call("clone_voice", name="Ana", audio="ana.wav", ref_text=WORDS)
            assert (cloned["name"], cloned["style"], cloned["ref_text"]) == ("Ana", "", WORDS)
            assert not cloned["needs_review"]
            happy = {"style": "Happy", "ref_text": OTHER_WORDS, "consent_by": "Ana Example"}
            styled = await one.call("clone_voice", name="ana", audio="happy.wav", **happy)
            assert (styled["name"], styled["style"]) == ("Ana", "happy")
            listed = await one.call("list_voices")
            default, ana = listed["voices"]
            assert (default["name"], ana["name"], ana["styles"]) == ("default", "Ana", ["happy"])
            assert await one.call("list_voices", after="ana") == {"voices": [], "has_more": False}
            spoken = await one.call("say", text=TEXT, voice="ana", style="happy", path="a.wav")
            assert spoken["voice"] == "Ana"
            told = await one.here.call("list_voices")
            assert told["count"] == 1
            assert await one.refuse("say", text=TEXT, voice="eve") == "VOICE_NOT_FOUND"
            assert await one.refuse("say", text=TEXT, voice="ana", style="sad") == "STYLE_NOT_FOUND"

    run(story)


def test_a_clone_names_its_consent(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path) as one:
            asked = {"name": "ana", "audio": "ana.wav", "ref_text": WORDS}
            unknown = await one.refuse("clone_voice", **asked, consent_by="cons_1")
            assert unknown == "CONSENT_NOT_FOUND"
            await one.call("clone_voice", **asked, consent_by="Ana Example")
            record = one.here.store.get("voices/_records/ana.json")
            assert b'"by":"Ana Example"' in record

    run(story)


def test_a_recording_is_transcribed(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path, recognition=speech_recognition()) as one:
            seen: list[float] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                seen.append(progress)

            asked = {"path": "ana.wav", "language": "en"}
            found = await one.client.call_tool("transcribe", asked, progress_callback=note)
            assert found.structured_content is not None
            assert found.structured_content["text"].endswith("young man.")
            assert seen == [found.structured_content["duration_s"]]
            assert found.structured_content["language"] == "en"
            assert found.structured_content["duration_s"] == pytest.approx(3, abs=0.05)
            assert await one.refuse("transcribe", path="ana.wav", language="xx") == (
                "UNKNOWN_LANGUAGE"
            )

    run(story)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_that_cancels_stops_the_device(tmp_path: Path, mode: str) -> None:
    async def story() -> None:
        async with agent(tmp_path, mode=mode, tone=CountingTone(cost_s=0.1)) as one:
            asked = {"text": f"{TEXT} " * 60, "path": "a.wav"}
            calling = asyncio.create_task(one.client.call_tool("say", asked))
            await one.here.at_work()
            calling.cancel()
            await asyncio.wait({calling})
            assert calling.cancelled()
            (job,) = (await one.here.operations.recent_jobs(5))["jobs"]
            await one.here.until(job["job_id"], "CANCELLED")
            utterances = len(TEXT) * 60 / 200
            assert one.here.tone.steps < utterances / 2
            assert one.files() == ["ana.wav"]
            await one.call("say", text="Hi.", path="a.wav")  # the next call is none the worse

    run(story)


BAD_CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("say", {}, "MISSING_FIELD"),
    ("say", {"text": ""}, "EMPTY_TEXT"),
    ("say", {"text": 7}, "BAD_OPTION"),
    ("say", {"text": "\ud800"}, "BAD_UNICODE"),
    ("say", {"text": "Hi.", "format": "exe"}, "BAD_OPTION"),
    ("say", {"text": "Hi.", "overwrite": "perhaps"}, "BAD_OPTION"),
    ("say", {"text": "Hi.", "path": "a.wav", "format": "mp3"}, "BAD_OPTION"),
    ("say", {"text": "Hi.", "language": "plain English"}, "BAD_OPTION"),
    ("say", {"text": "Hi.", "path": "notes.txt"}, "UNKNOWN_FORMAT"),
    ("say", {"text": "Hi.", "path": "ana.wav"}, "FILE_EXISTS"),
    ("say", {"text": "Hi.", "path": "folder.wav", "overwrite": True}, "FILE_EXISTS"),
    ("clone_voice", {"name": "ana"}, "MISSING_FIELD"),
    ("clone_voice", {"name": "../x", "audio": "ana.wav", "ref_text": "x"}, "BAD_VOICE_NAME"),
    ("clone_voice", {"name": "ana", "audio": "notes.txt", "ref_text": "x"}, "NOT_AUDIO"),
    ("clone_voice", {"name": "ana", "audio": "ana.wav"}, "REF_TEXT_REQUIRED"),
    ("clone_voice", {"name": "ana", "audio": "file:///etc/passwd"}, "URL_NOT_ALLOWED"),
    ("clone_voice", {"name": "ana", "audio": "https://127.0.0.1/a.wav"}, "URL_NOT_ALLOWED"),
    ("clone_voice", {"name": "ana", "audio": "missing.wav"}, "FILE_UNREADABLE"),
    ("list_voices", {"after": "../x"}, "BAD_VOICE_NAME"),
    ("transcribe", {"path": "ana.wav"}, "RECOGNISER_NOT_INSTALLED"),
    ("sing", {"text": "La."}, "UNKNOWN_TOOL"),
]


def test_what_cannot_be_done_is_a_result_with_a_code(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path) as one:
            (one.folder / "notes.txt").write_text("Mine.")
            (one.folder / "folder.wav").mkdir()
            before = one.files()
            found = [(tool, asked, await one.refuse(tool, **asked)) for tool, asked, _ in BAD_CALLS]
            assert found == BAD_CALLS
            assert one.files() == before
            assert (await one.call("list_voices"))["voices"][1:] == []

    run(story)


def test_nothing_outside_the_folder_is_read_or_written(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path) as one:
            outside = tmp_path / "outside"
            outside.mkdir()
            secret = outside / "secret.wav"
            secret.write_bytes(other_recording())
            (one.folder / "link.wav").symlink_to(secret)
            (one.folder / "away").symlink_to(outside)
            (one.folder / "loop.wav").symlink_to(one.folder / "loop.wav")
            (one.folder / "new.wav").symlink_to(outside / "new.wav")
            os.mkfifo(one.folder / "pipe.wav")
            tricks = [
                *("../outside/secret.wav", str(secret), "link.wav", "away/secret.wav", "new.wav"),
                *("ana.wav/../../outside/secret.wav", "~/../../outside/secret.wav"),
                *("loop.wav", "a\0.wav", ".", "", "/", "x" * 300 + ".wav", "pipe.wav"),
            ]
            for path in tricks:
                for tool, field in (("transcribe", "path"), ("clone_voice", "audio")):
                    asked = {"name": "eve"} if tool == "clone_voice" else {}
                    code = await one.refuse(tool, **asked, **{field: path})
                    assert code in ("PATH_NOT_ALLOWED", "FILE_UNREADABLE"), path
            refused = ("PATH_NOT_ALLOWED", "FILE_EXISTS", "UNKNOWN_FORMAT", "NOT_WRITABLE")
            for path in filter(None, tricks):
                code = await one.refuse("say", text="Hi.", path=path, overwrite=True)
                assert code in refused, path
            assert [path.name for path in outside.iterdir()] == ["secret.wav"]
            assert secret.read_bytes() == other_recording()

    run(story)


def test_a_file_is_replaced_only_when_that_is_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with agent(tmp_path) as one:
            await one.call("say", text="Hi.", path="a.mp3")
            first = (one.folder / "a.mp3").read_bytes()
            assert await one.refuse("say", text=TEXT, path="a.mp3") == "FILE_EXISTS"
            assert (one.folder / "a.mp3").read_bytes() == first
            await one.call("say", text=TEXT, path="a.mp3", overwrite=True)
            assert (one.folder / "a.mp3").read_bytes() != first

    run(story)


def test_a_folder_must_exist(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "file", Path("a\0b")):
        with pytest.raises(InvalidRequest) as caught:
            Folder(path)
        assert caught.value.code == "FOLDER_UNREADABLE"
    assert set(FORMATS.values()) == {"wav", "mp3", "flac", "opus", "aac", "pcm", "ulaw", "alaw"}


def test_a_fault_is_reported_without_its_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: object, after: str) -> None:
        raise RuntimeError("/home/canary")

    monkeypatch.setattr(LocalBackend, "list_voices", broken)

    async def story() -> None:
        async with agent(tmp_path) as one:
            found = await one.client.call_tool("list_voices", {})
            assert found.is_error
            assert found.structured_content is not None
            assert found.structured_content["code"] == "INTERNAL"
            assert "canary" not in str(found)
            trace = found.structured_content["hint"].split("trace id ")[1].split(",")[0]
            assert trace in caplog.text
            assert "canary" in caplog.text

    run(story)
