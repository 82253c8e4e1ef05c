"""Servers that the clients talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hearing import speech_recognition
from tests.http.house import House, house
from tests.http.test_streaming import Sentences
from tests.voices.material import WORDS, recording

KEY = "a-key-of-the-tests-1234"


@pytest.fixture(scope="session")
def key() -> str:
    """Of both servers."""
    return KEY


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that speaks with a tone, listens with Whisper, and has a key and a voice, nova."""
    folder = tmp_path_factory.mktemp("disk")
    with house(folder, api_keys=KEY, recognition=speech_recognition()) as made:
        made.client.headers["Authorization"] = f"Bearer {KEY}"
        made.service.voices.put("nova", recording(), WORDS)
        yield made


@pytest.fixture
def halting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that speaks the beginning of a text, and the rest when the test lets it."""
    with house(tmp_path_factory.mktemp("disk"), tone=Sentences(), api_keys=KEY) as made:
        yield made
