"""Files that a person drops into the store by hand are voices, and changes to them are noticed."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from f5serve.audio.encode import encode
from f5serve.errors import F5Error
from f5serve.store.base import ObjectStore
from f5serve.types import AudioFormat
from f5serve.voices import names
from f5serve.voices.index import INDEX
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.prepare import prepare_voice
from f5serve.voices.records import Consent
from tests.voices.conftest import Machine
from tests.voices.material import (
    OTHER_WORDS,
    WORDS,
    CountingStore,
    other_recording,
    recording,
)


def drop(
    store: ObjectStore, file: str = "Kim.wav", audio: bytes = b"", text: str | None = WORDS
) -> None:
    store.put(f"voices/{file}", audio or recording())
    if text is not None:
        store.put(f"voices/{file.rpartition('.')[0]}.txt", text.encode())


def refusal(library: VoiceLibrary, name: str = "Kim") -> F5Error:
    with pytest.raises(F5Error) as caught:
        library.get(name)
    return caught.value


def test_a_dropped_voice_is_listed_and_spoken_in(store: ObjectStore, machine: Machine) -> None:
    drop(store)
    (listed,) = machine().list()
    assert (listed.name, listed.audio.size, listed.revision) == ("Kim", len(recording()), "")
    assert store.exists(names.record_key("Kim")) is False

    voice = machine().get("Kim.wav")
    expected = prepare_voice("Kim", recording(), WORDS).voice
    assert (voice.name, voice.ref_text, voice.revision) == ("Kim", WORDS, expected.revision)
    np.testing.assert_array_equal(voice.wave.samples, expected.wave.samples)
    (listed,) = machine().list()
    assert (listed.revision, listed.name) == (voice.revision, "Kim")


@pytest.mark.parametrize(
    ("asked", "format", "ending"),
    [("kim", "flac", "flac"), ("KIM.wav", "mp3", "MP3"), ("Kim.mp3", "wav", "WAV")],
)
def test_any_format_and_spelling(
    store: ObjectStore, machine: Machine, asked: str, format: AudioFormat, ending: str
) -> None:
    wave = prepare_voice("x", recording(), WORDS).voice.wave
    drop(store, f"Kim.{ending}", encode(wave, format), text="\ufeff" + WORDS + "\r\n")
    assert machine().get(asked).name == "Kim"
    assert machine().get(asked).ref_text == WORDS


def test_wav_goes_before_other_formats(store: ObjectStore, machine: Machine) -> None:
    drop(store, "Kim.mp3", b"not read")
    drop(store, "Kim.wav")
    assert machine().get("Kim").ref_text == WORDS
    assert len(machine().list()) == 1


def test_without_words_it_waits_for_them(store: ObjectStore, machine: Machine) -> None:
    drop(store, text=None)
    assert machine().list()[0].needs_review
    assert refusal(machine()).code == "REF_TEXT_REQUIRED"
    drop(store)
    assert machine().get("Kim").ref_text == WORDS


def test_what_is_wrong_with_it_is_said(store: ObjectStore, machine: Machine) -> None:
    drop(store, audio=b"<html>")
    assert refusal(machine()).code == "NOT_AUDIO"
    drop(store)
    store.put("voices/Kim.txt", b"\xff\xfe\xfd")
    assert refusal(machine()).code == "NOT_TEXT"


def test_a_change_is_noticed(
    store: ObjectStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store)
    library, other = machine(), machine()
    first = library.get("Kim")
    with caplog.at_level(logging.WARNING):
        assert library.get("Kim") is first
    assert not caplog.records
    drop(store, audio=other_recording(), text=OTHER_WORDS)
    with caplog.at_level(logging.WARNING):
        assert library.get("kim").ref_text == OTHER_WORDS
    assert "changed by hand" in caplog.text
    assert other.get("Kim").ref_text == OTHER_WORDS
    store.put("voices/Kim.txt", (OTHER_WORDS + " Yes.").encode())
    assert other.get("Kim").ref_text == OTHER_WORDS + " Yes."


def test_looks_are_rare(store: ObjectStore, machine: Machine) -> None:
    drop(store)
    counting = CountingStore(store)
    library = machine(counting, external_refresh_s=60.0)
    library.get("Kim")
    library.get("Kim")  # the first look at a record
    counting.calls.clear()
    drop(store, audio=other_recording(), text=OTHER_WORDS)
    assert library.get("Kim").ref_text == WORDS
    assert counting.total() == 1


def test_an_upload_wins_over_what_lay_there(
    store: ObjectStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store)
    machine().put("Kim", other_recording(), OTHER_WORDS)
    library = machine()
    with caplog.at_level(logging.WARNING):
        assert library.get("Kim").ref_text == OTHER_WORDS
        assert library.get("Kim").ref_text == OTHER_WORDS
    assert not caplog.records
    assert [record.name for record in library.list()] == ["Kim"]


def test_what_is_dropped_after_an_upload_wins(
    store: ObjectStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    library = machine(require_consent=False)
    library.put("Kim", other_recording(), OTHER_WORDS, consent=Consent("Kim"))
    library.get("Kim")
    drop(store)
    with caplog.at_level(logging.WARNING):
        assert library.get("Kim").ref_text == WORDS
    assert "changed by hand" in caplog.text
    assert library.get_record("Kim").consent is None  # it was given for another recording


def test_a_bad_change_is_warned_about_once(
    store: ObjectStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store)
    library = machine()
    library.get("Kim")
    drop(store, audio=b"<html>")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert library.get("Kim").ref_text == WORDS
    assert caplog.text.count("are not used") == 1


def test_files_removed_by_hand_leave_the_voice(store: ObjectStore, machine: Machine) -> None:
    drop(store)
    machine().get("Kim")
    store.delete("voices/Kim.wav")
    store.delete("voices/Kim.txt")
    assert machine().get("Kim").ref_text == WORDS


def test_removing_takes_the_files_too(store: ObjectStore, machine: Machine) -> None:
    drop(store, "Kim.flac", text=None)
    drop(store, "kim.wav")
    machine().delete("KIM")
    assert [e.key for e in store.list() if not e.key.startswith(INDEX)] == []


def test_files_that_are_being_written_are_not_believed(
    store: ObjectStore, machine: Machine
) -> None:
    drop(store)
    steps = iter(range(100))

    def write_on(call: str, key: str) -> None:
        if call == "get" and key == "voices/Kim.wav":
            store.put(key, recording() + bytes(next(steps)))

    error = refusal(machine(CountingStore(store, before=write_on)))
    assert (error.code, error.retryable) == ("VOICE_CHANGING", True)
    assert not store.exists(names.record_key("Kim"))


def test_files_that_settle_are_believed(store: ObjectStore, machine: Machine) -> None:
    drop(store)
    looks: list[str] = []

    def settle(call: str, key: str) -> None:
        if call == "get" and key == "voices/Kim.wav":
            looks.append(key)
            store.put(key, recording() if len(looks) == 1 else other_recording())
            store.put("voices/Kim.txt", (WORDS if len(looks) == 1 else OTHER_WORDS).encode())

    assert machine(CountingStore(store, before=settle)).get("Kim").ref_text == OTHER_WORDS
    assert len(looks) == 4  # at the second one, only one of the two files had changed yet


def test_consent_cannot_be_dropped(store: ObjectStore, machine: Machine) -> None:
    drop(store)
    assert refusal(machine(require_consent=True)).code == "CONSENT_REQUIRED"
    machine().get("Kim")
    assert machine(require_consent=True).get("Kim").ref_text == WORDS  # it is a voice already
