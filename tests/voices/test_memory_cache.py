"""A cheap look whether a voice is there, and the setting that needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest
from f5serve.settings import pairs, read_pairs
from f5serve.store.memory import MemoryStore
from f5serve.voices.caches import MAX_NAMES, TtlCache
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from tests.voices.material import WORDS, CountingStore, recording


def test_a_look_is_remembered_for_a_while(tmp_path: Path) -> None:
    store = CountingStore(MemoryStore())
    here, there = VoiceLibrary(store, tmp_path), VoiceLibrary(store, tmp_path)
    assert not there.exists("ana")
    asked = store.total()
    assert not any(there.exists("Ana.wav") for _ in range(10))
    assert store.total() == asked
    here.put("ana", recording(), WORDS)
    assert here.exists("ana")  # who has put it knows so at once
    assert not there.exists("ana")
    assert VoiceLibrary(store, tmp_path, options=LibraryOptions(exists_ttl_s=0)).exists("ANA")
    here.delete("ana")
    assert not here.exists("ana")


def test_dropped_recordings_and_the_packaged_voice_are_there(tmp_path: Path) -> None:
    store = MemoryStore()
    store.put("voices/ana.mp3", b"sound")
    store.put("voices/anabel.wav", b"sound")
    store.put("voices/ben.txt", b"words")
    library = VoiceLibrary(store, tmp_path)
    assert library.exists("default")
    assert library.exists("ana")
    assert not library.exists("an")
    assert not library.exists("ben")
    with pytest.raises(InvalidRequest):
        library.exists("../ana")


def test_what_is_remembered_is_bounded() -> None:
    memory = TtlCache[bool](60)
    for number in range(3 * MAX_NAMES):
        memory.put(str(number), True)
    assert sum(memory.get(str(number)) is True for number in range(3 * MAX_NAMES)) <= MAX_NAMES


@pytest.mark.parametrize("text", ["alloy", "alloy=", "=ana", "alloy=ana,alloy=ben", "a=b,c"])
def test_pairs_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="pairs"):
        pairs(text)


def test_pairs_may_have_spaces_and_ends() -> None:
    assert read_pairs(" alloy = ana, *=default, ") == {"alloy": "ana", "*": "default"}
    assert read_pairs("") == {}
