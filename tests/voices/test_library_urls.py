"""A voice that is given as a URL: downloaded each time, prepared once, kept nowhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from f5serve.asr_types import Transcript
from f5serve.audio.decode import DecodeLimits
from f5serve.download.url import FetchLimits
from f5serve.errors import F5Error, InvalidRequest
from f5serve.store.base import ObjectStore
from f5serve.types import Wave
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from f5serve.voices.prepare import Transcriber, prepare_voice
from f5serve.voices.records import Consent
from tests.download.servers import Server, answer, network_to, saying
from tests.voices.conftest import Machine
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording


class Web:
    """A server that says what it is told to, and the options of a library that may ask it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"http://files.example:{server.port}/ana.wav?signature=s3cret"
        limits = FetchLimits(timeout_s=10.0, allow_http=True)
        self.options = LibraryOptions(fetch_limits=limits, network=network_to(server.port))


@pytest.fixture
def body() -> list[bytes]:
    return [recording()]


@pytest.fixture
def web(body: list[bytes]) -> Iterator[Web]:
    def reply(connection: socket.socket, request: bytes) -> None:
        saying(answer(body[0]))(connection, request)

    with Server(reply) as server:
        yield Web(server)


def refusal(library: VoiceLibrary, url: str, ref_text: str = WORDS) -> F5Error:
    with pytest.raises(F5Error) as caught:
        library.from_url(url, ref_text)
    return caught.value


def test_a_url_is_a_voice(store: ObjectStore, machine: Machine, web: Web) -> None:
    library = machine(options=web.options)
    voice = library.from_url(web.url, WORDS, "en")
    assert voice.revision == prepare_voice("x", recording(), WORDS).voice.revision
    assert (voice.ref_text, voice.language) == (WORDS, "en")
    assert voice.name.startswith("url-")
    assert "s3cret" not in voice.name
    assert list(store.list()) == []


def test_equal_content_is_prepared_once_and_new_content_is_noticed(
    machine: Machine, web: Web, body: list[bytes]
) -> None:
    library = machine(options=web.options)
    first = library.from_url(web.url, WORDS)
    assert library.from_url(web.url + "&again", WORDS) is first
    assert library.from_url(web.url, WORDS + " Yes.").ref_text == WORDS + " Yes."
    body[0] = other_recording()
    assert library.from_url(web.url, OTHER_WORDS).wave.duration_s > first.wave.duration_s
    assert len(web.server.requests) == 4


def test_words_and_consent_are_asked_for_before_the_download(machine: Machine, web: Web) -> None:
    assert refusal(machine(options=web.options), web.url, "").code == "REF_TEXT_REQUIRED"
    strict = machine(options=web.options, require_consent=True)
    assert refusal(strict, web.url).code == "CONSENT_REQUIRED"
    assert web.server.requests == []
    assert strict.from_url(web.url, WORDS, consent=Consent("Ana")).ref_text == WORDS


def test_a_recording_itself_is_the_same_voice_under_another_name(
    store: ObjectStore, machine: Machine, web: Web
) -> None:
    library = machine(options=web.options)
    linked, sent = library.from_url(web.url, WORDS), library.from_bytes(recording(), WORDS)
    assert sent.wave is linked.wave  # prepared once
    assert sent.name == linked.name.replace("url-", "recording-")
    assert list(store.list()) == []


def test_a_recording_is_prepared_once_for_all_who_send_it(machine: Machine) -> None:
    heard: list[str] = []
    at_work, may_go_on = threading.Event(), threading.Event()

    def transcribe(wave: Wave, language: str) -> Transcript:
        heard.append(language)
        at_work.set()
        may_go_on.wait(60)
        return Transcript(WORDS, "en", 0.9)

    library = machine(transcriber=Transcriber(transcribe=transcribe))
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(library.from_bytes, recording()) for _ in range(4)]
        assert at_work.wait(60)
        # Who sends another recording does not wait for that.
        assert library.from_bytes(other_recording(), OTHER_WORDS).ref_text == OTHER_WORDS
        may_go_on.set()
        voices = [each.result(60) for each in asked]
    assert len(heard) == 1
    assert {voice.ref_text for voice in voices} == {WORDS}


def test_a_recording_has_the_limits_of_uploads(machine: Machine) -> None:
    with pytest.raises(F5Error) as caught:
        machine().from_bytes(recording())
    assert caught.value.code == "REF_TEXT_REQUIRED"
    with pytest.raises(F5Error) as caught:
        machine(require_consent=True).from_bytes(recording(), WORDS)
    assert caught.value.code == "CONSENT_REQUIRED"
    with pytest.raises(F5Error) as caught:
        machine().from_bytes(b"\0" * (DecodeLimits().max_bytes + 1), WORDS)
    assert caught.value.code == "AUDIO_TOO_LARGE"


def test_what_is_wrong_is_said(machine: Machine, web: Web, body: list[bytes]) -> None:
    library = machine(options=web.options)
    body[0] = b"<html>"
    assert refusal(library, web.url).code == "NOT_AUDIO"
    for url in ("file:///etc/passwd", "http://169.254.169.254/x", "s3://bucket/x", "nonsense"):
        assert refusal(library, url).code == "URL_NOT_ALLOWED"
    error = refusal(machine(), web.url)  # http is off by default
    assert isinstance(error, InvalidRequest)
    assert error.message.startswith("Failed to download voice: ")
