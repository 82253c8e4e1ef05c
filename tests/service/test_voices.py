"""upload, list_voices, delete_voice, and speaking in what was uploaded."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits
from f5serve.fallback.tone import Tone
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from tests.download.servers import Server, answer, network_to
from tests.service.house import HELLO, CountingTone, House, house, run
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


FILE = b64(recording())


def serve(connection: Any, request: bytes) -> None:
    path = request.split(b" ")[1]
    files = {b"/ana.wav": recording(), b"/bob.wav": other_recording(), b"/ana.txt": WORDS.encode()}
    connection.sendall(answer(files[path]) if path in files else answer(status="404 Not Found"))


@pytest.fixture
def web() -> Iterator[tuple[str, NetworkPolicy]]:
    with Server(serve) as server:
        yield f"http://files.example:{server.port}", network_to(server.port)


def test_an_uploaded_voice_is_listed_spoken_in_and_deleted(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            told = await here.call("upload", voice_name="ana.wav", voice_file=FILE, ref_text=WORDS)
            assert told["status"] == "Voice 'ana.wav' and reference text uploaded successfully."
            assert told["voice"]["name"] == "ana.wav"
            assert await here.call("list_voices") == {
                "voices": [
                    {
                        "voice_file": "ana.wav",
                        "name": "ana.wav",
                        "text_file": "ana.txt",
                        "size": told["voice"]["size"],
                        "last_modified": told["voice"]["last_modified"],
                        "duration_s": told["voice"]["duration_s"],
                        "language": "",
                        "read_only": False,
                        "normalize": "",
                        "styles": [],
                        "needs_review": False,
                        "transcript_confidence": None,
                    }
                ],
                "count": 1,
                "status": "success",
            }
            for name in ("ana", "ana.wav", "ANA"):
                assert (await here.ask(f"j-{name}", **HELLO, local_voice=name))["voice"] == "ana"
            assert len(here.tone.spoken) == 1
            deleted = await here.call("delete_voice", voice_name="ana")
            assert deleted == {"status": "Voice 'ana' deleted."}
            assert (await here.refuse("k", **HELLO, voice="ana")).code == "VOICE_NOT_FOUND"

    run(story)


def test_a_replaced_voice_is_not_answered_with_the_old_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.call("upload", voice_name="ana", voice_file=FILE, ref_text=WORDS)
            await here.ask("a", **HELLO, voice="ana")
            other = b64(other_recording())
            await here.call("upload", voice_name="ana", voice_file=other, ref_text=OTHER_WORDS)
            assert not (await here.ask("b", **HELLO, voice="ana"))["cached"]

    run(story)


def test_an_upload_says_how_the_texts_of_a_voice_are_normalized(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            library = VoiceLibrary(here.store, tmp_path / "other")
            fields = {"voice_name": "ana", "voice_file": FILE, "ref_text": WORDS}
            for given, kept in [
                ("off", "off"),
                ("money, date", "date,money"),
                (["time", "date"], "date,time"),
                (None, ""),
            ]:
                await here.call("upload", **fields, normalize=given)
                assert library.get("ana").normalize == kept

    run(story)


def test_the_voice_decides_where_the_request_says_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            fields = {"voice_name": "ana", "voice_file": FILE, "ref_text": WORDS}
            request = {"text": "It costs $5 today.", "voice": "ana", "language": "en"}
            await here.call("upload", **fields, normalize="off")
            await here.ask("a", **request)
            await here.ask("b", **request, normalize="on")
            await here.call("upload", **fields)
            assert (await here.ask("c", **request))["cached"]
            assert here.tone.spoken == ["It costs $5 today.", "It costs five dollars today."]

    run(story)


def open_house(web: tuple[str, NetworkPolicy], folder: Path) -> Any:
    return house(folder, options=ServiceOptions(network=web[1]), allow_http_urls=True)


def test_uploads_come_by_url_too(tmp_path: Path, web: tuple[str, NetworkPolicy]) -> None:
    url = web[0]
    text = {"text_file_url": f"{url}/ana.txt"}

    async def story() -> None:
        async with open_house(web, tmp_path) as here:
            for name, words in [("a", text), ("b", {"text_file": b64(WORDS.encode())})]:
                told = await here.call(
                    "upload", voice_name=name, voice_file_url=f"{url}/ana.wav", **words
                )
                assert told["voice"]["text_file"] == f"{name}.txt"
            revisions = {record["size"] for record in (await here.call("list_voices"))["voices"]}
            assert len(revisions) == 1
            error = await here.refuse(
                "x", endpoint="upload", voice_name="c", voice_file_url=f"{url}/none.wav", **text
            )
            assert error.message.startswith("Failed to download voice: ")
            assert "files.example" not in error.message

    run(story)


def test_an_upload_names_a_recorded_consent(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            voices = VoiceLibrary(here.store, tmp_path / "other")
            made = voices.consents.create("Ana Example", "en", other_recording())
            sent = {"voice_name": "ana", "voice_file": FILE, "ref_text": WORDS}
            told = await here.call("upload", **sent, consent=made.id)
            consent = told["voice"]["consent"]
            assert (consent["by"], consent["id"]) == ("Ana Example", made.id)
            assert consent["statement_sha256"] == made.audio.sha256
            told = await here.call("upload", **sent | {"voice_name": "ben"}, consent="Ben")
            assert (told["voice"]["consent"]["by"], told["voice"]["consent"]["id"]) == ("Ben", "")
            refused = await here.refuse("a", endpoint="upload", **sent, consent="cons_1")
            assert refused.code == "CONSENT_NOT_FOUND"
            told = await here.call("delete_voice", voice_name="ana", with_results=True)
            assert told["results"]["consents"] == 1
            assert voices.consents.page().records == []

    run(story)


@pytest.mark.parametrize(
    ("payload", "code", "sentence"),
    [
        ({}, "MISSING_FIELD", "voice_name is required for upload."),
        (
            {"voice_name": "ana.wav"},
            "MISSING_FIELD",
            "Either voice_file or voice_file_url is required for upload.",
        ),
        ({"voice_name": "ana", "voice_file": FILE}, "REF_TEXT_REQUIRED", ""),
        ({"voice_name": "ana", "voice_file": "???"}, "BASE64_INVALID", ""),
        ({"voice_name": "../x", "voice_file": FILE, "ref_text": "x"}, "BAD_VOICE_NAME", ""),
        ({"voice_name": "ana", "voice_file": "aa", "voice_file_url": "b"}, "BAD_OPTION", ""),
        ({"voice_name": "ana", "voice_file": FILE, "text_file": b64(b"\xff")}, "NOT_TEXT", ""),
        ({"voice_name": "ana", "voice_file_url": "file:///etc/passwd"}, "URL_NOT_ALLOWED", ""),
        ({"voice_name": "ana", "voice_file": FILE, "consent": 1}, "BAD_OPTION", ""),
        (
            {"voice_name": "ana", "voice_file": FILE, "ref_text": WORDS, "language": "english"},
            "BAD_OPTION",
            "'english' is no language tag.",
        ),
        (
            {"voice_name": "ana", "voice_file_url": "https://x.example/a", "normalize": "dates"},
            "BAD_OPTION",
            "normalize has 'dates'.",
        ),
        ({"voice_name": "ana", "normalize": 7}, "BAD_OPTION", "normalize is 7."),
        ({"voice_name": "ana", "normalize": ["date", 7]}, "BAD_OPTION", ""),
        ({"voice_name": "ana", "normalize": True}, "BAD_OPTION", "normalize is True."),
    ],
)
def test_uploads_that_cannot_be_used_are_refused(
    tmp_path: Path, payload: dict[str, Any], code: str, sentence: str
) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            error = await here.refuse("x", endpoint="upload", **payload)
            assert error.code == code
            assert error.message == (sentence or error.message)
            assert (await here.call("list_voices"))["count"] == 0

    run(story)


def test_a_recording_is_a_voice_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("j", **HELLO, ref_audio=FILE, ref_text=WORDS)
            assert answer["voice"].startswith("recording-")
            other = b64(other_recording())
            answer = await here.ask("k", **HELLO, ref_audio=other, ref_text=OTHER_WORDS)
            assert not answer["cached"]
            error = await here.refuse("j", **HELLO, ref_audio=other, ref_text=WORDS)
            assert error.code == "JOB_ID_CONFLICT"
            error = await here.refuse("l", **HELLO, ref_audio="%", ref_text=WORDS)
            assert error.code == "BASE64_INVALID"
            error = await here.refuse("m", **HELLO, ref_audio=FILE, ref_text=WORDS, mode="async")
            assert error.code == "REF_AUDIO_NOT_QUEUED"
            error = await here.refuse("n", **HELLO, ref_audio=FILE, voice="default")
            assert error.code == "BAD_OPTION"
            assert (await here.call("list_voices"))["count"] == 0
            assert not list(here.store.list("queue/"))
            states = [here.store.get(entry.key) for entry in here.store.list("jobs/")]
            assert not any(FILE[1000:1040].encode() in state for state in states)

    run(story)


def test_a_url_is_a_voice_too(tmp_path: Path, web: tuple[str, NetworkPolicy]) -> None:
    async def story() -> None:
        store = MemoryStore()
        limits = LibraryOptions(fetch_limits=FetchLimits(allow_http=True), network=web[1])
        library = VoiceLibrary(store, tmp_path, options=limits)
        operations = SpeechService(
            store, library, lambda: Synthesizer(Tone()), replace(Settings(), allow_http_urls=True)
        )
        here = House(operations, store, CountingTone())
        url = f"{web[0]}/ana.wav"
        answer = await here.ask("j", **HELLO, local_voice=url, ref_text=WORDS)
        assert answer["status"] == "COMPLETED"
        assert (await here.ask("k", **HELLO, voice=url, ref_text=WORDS))["cached"]
        other = await here.ask("l", **HELLO, voice=f"{web[0]}/bob.wav", ref_text=OTHER_WORDS)
        assert not other["cached"]
        error = await here.refuse("m", **HELLO, voice=url)
        assert error.code == "REF_TEXT_REQUIRED"
        assert (await here.call("list_voices"))["count"] == 0
        await operations.close(1)

    run(story)


def test_styles_are_uploaded_listed_spoken_in_and_deleted(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            main = {"voice_name": "ana", "voice_file": FILE, "ref_text": WORDS}
            happy = {"voice_file": b64(other_recording()), "ref_text": OTHER_WORDS}
            style = {"voice_name": "Ana.wav", "style": "Happy"}
            refused = await here.refuse("x", endpoint="upload", **style, **happy)
            assert refused.code == "VOICE_NOT_FOUND"
            assert "without style first" in refused.hint
            await here.call("upload", **main)
            told = await here.call("upload", **style, **happy, normalize="off")
            assert told["status"].startswith("Voice 'ana.wav', style 'happy', and reference text")
            voice = told["voice"]
            assert (voice["name"], voice["style"], voice["styles"]) == (
                *("ana.wav", "happy"),
                ["happy"],
            )
            (listed,) = (await here.call("list_voices"))["voices"]
            assert (listed["styles"], listed["normalize"], voice["normalize"]) == (
                *(["happy"], ""),
                "off",
            )

            ask = {**HELLO, "voice": "ana"}
            assert not (await here.ask("a", **ask))["cached"]
            assert not (await here.ask("b", **ask, style="happy"))["cached"]
            assert (await here.ask("c", **ask, style="HAPPY"))["cached"]
            assert (await here.ask("d", **ask, style="regular"))["cached"]
            assert len(here.tone.spoken) == 2
            assert (await here.refuse("e", **ask, style="sad")).code == "STYLE_NOT_FOUND"
            url = {**HELLO, "voice": "https://files.example/a.wav", "style": "sad"}
            assert (await here.refuse("f", **url)).code == "STYLE_NOT_FOUND"

            both = {"endpoint": "delete_voice", "voice_name": "ana", "style": "happy"}
            refused = await here.refuse("g", **both, with_results=True)
            assert refused.code == "BAD_OPTION"
            assert (await here.refuse("h", **(both | {"style": ""}))).code == "RESERVED_STYLE_NAME"
            deleted = await here.ask("i", **both)
            assert deleted == {"status": "Style 'happy' of the voice 'ana' deleted."}
            assert (await here.refuse("j", **both)).code == "STYLE_NOT_FOUND"
            assert (await here.refuse("k", **ask, style="happy")).code == "STYLE_NOT_FOUND"
            (listed,) = (await here.call("list_voices"))["voices"]
            assert listed["styles"] == []

    run(story)
