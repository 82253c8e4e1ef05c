"""Voices by name: what was put is what is got, until it is removed, on every machine."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from f5serve.asr_types import Transcript
from f5serve.errors import BadAudio, F5Error, InvalidRequest, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.types import Wave
from f5serve.voices import names
from f5serve.voices.index import INDEX
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.prepare import Transcriber, default_voice, prepare_voice
from f5serve.voices.records import Blob, Consent, VoiceRecord, dump_record, load_record
from tests.voices.conftest import Machine
from tests.voices.material import (
    OTHER_WORDS,
    WORDS,
    CountingStore,
    other_recording,
    recording,
)


def refusal(library: VoiceLibrary, name: str) -> F5Error:
    with pytest.raises(F5Error) as caught:
        library.get(name)
    return caught.value


def keys(store: ObjectStore) -> set[str]:
    """All but the index, which follows."""
    return {entry.key for entry in store.list() if not entry.key.startswith(INDEX)}


def test_what_was_put_is_what_is_got(machine: Machine) -> None:
    record = machine().put("ana.wav", recording(), WORDS, "en")
    voice = machine().get("ana")
    expected = prepare_voice("ana", recording(), WORDS, "en").voice
    assert (voice.name, voice.ref_text, voice.language) == ("ana", WORDS, "en")
    assert voice.revision == expected.revision == record.revision
    np.testing.assert_array_equal(voice.wave.samples, expected.wave.samples)


def test_a_record_tells_all_that_lists_need(machine: Machine) -> None:
    record = machine().put("Ana.wav", recording(), WORDS, "en")
    assert machine().list() == [record]
    assert machine().get_record("ana") == record
    assert (record.name, record.voice_file, record.text_file) == ("Ana", "Ana.wav", "Ana.txt")
    assert record.duration_s == pytest.approx(2.99)
    assert record.audio.size == 44 + 2 * round(record.duration_s * 24_000)
    assert record.created_at == record.updated_at
    assert record.updated_at.endswith("+00:00")
    assert not record.needs_review


def test_layout(store: ObjectStore, machine: Machine) -> None:
    record = machine().put("Ana", recording(), WORDS)
    assert record.text is not None
    audio, text = (b.sha256 for b in (record.audio, record.text))
    assert keys(store) == {
        "voices/_records/ana.json",
        f"voices/_blobs/ana/{audio}.wav",
        f"voices/_blobs/ana/{text}.txt",
    }
    assert hashlib.sha256(store.get(names.audio_key("Ana", audio))).hexdigest() == audio
    assert store.get(names.text_key("ana", text)).decode() == WORDS
    assert json.loads(store.get(names.record_key("ana")))["schema"] == 1


@pytest.mark.parametrize("name", ["ana", "ana.wav", "ANA", "Ana.WAV", "ana.mp3"])
def test_every_form_of_a_name(machine: Machine, name: str) -> None:
    machine().put("Ana.wav", recording(), WORDS)
    assert machine().get(name).name == "Ana"
    machine().delete(name)
    assert machine().list() == []


def test_capitals_alone_make_no_new_voice(machine: Machine) -> None:
    library = machine()
    library.put("Ana", recording(), WORDS)
    with pytest.raises(InvalidRequest) as caught:
        library.put("ANA", other_recording(), OTHER_WORDS)
    assert caught.value.code == "VOICE_NAME_TAKEN"
    assert library.get("ana").ref_text == WORDS


@pytest.mark.parametrize("name", [None, "default", "Default.wav"])
def test_the_packaged_voice_needs_no_store(
    store: ObjectStore, machine: Machine, name: str | None
) -> None:
    counting = CountingStore(store)
    assert machine(counting).get(name).revision == default_voice().revision
    assert counting.total() == 0


def test_a_missing_voice_names_its_neighbours(store: ObjectStore, machine: Machine) -> None:
    library = machine()
    library.put("ana_maria", recording(), WORDS)
    store.put("voices/ana_marta.flac", b"")
    library.page()  # only names that are known already are told, without a look at the store
    error = refusal(library, "ana_mario.wav")
    assert error.code == "VOICE_NOT_FOUND"
    assert error.message == "There is no voice 'ana_mario'."
    assert "ana_maria" in error.hint
    assert "ana_marta" in error.hint
    assert "Did you mean" not in refusal(library, "zzz").hint
    with pytest.raises(InvalidRequest) as caught:
        library.delete("zzz")
    assert caught.value.code == "VOICE_NOT_FOUND"


def test_a_voice_that_another_machine_has_removed_is_not_what_was_meant(machine: Machine) -> None:
    here, there = machine(), machine()
    there.put("Ana", recording(), WORDS)
    assert [record.name for record in here.page().records] == ["Ana"]
    there.delete("ana")
    assert "Did you mean" not in refusal(here, "ana").hint


@pytest.mark.parametrize("name", ["../ana", "ana/..", "", "con", "a\nb"])
def test_hostile_names_reach_no_store(store: ObjectStore, machine: Machine, name: str) -> None:
    counting = CountingStore(store)
    library = machine(counting)
    for call in (library.get, library.delete, lambda n: library.put(n, recording(), WORDS)):
        with pytest.raises(InvalidRequest, match="cannot be"):
            call(name)
    with pytest.raises(InvalidRequest):
        library.put("default", recording(), WORDS)
    assert counting.total() == 0


def test_removed_means_unusable_at_once(store: ObjectStore, machine: Machine) -> None:
    here, there = machine(), machine()
    here.put("ana", recording(), WORDS)
    here.put("ana", other_recording(), OTHER_WORDS)
    store.put("voices/ana.mp3", b"x")
    store.put("voices/anabel.mp3", b"x")
    there.get("ana")
    here.get("ana")
    here.delete("Ana.wav")
    assert refusal(there, "ana").code == "VOICE_NOT_FOUND"
    assert refusal(here, "ana").code == "VOICE_NOT_FOUND"
    assert keys(store) == {"voices/anabel.mp3"}


def test_removing_leaves_no_sound_on_this_disk(store: ObjectStore, tmp_path: Path) -> None:
    VoiceLibrary(store, tmp_path / "other").put("ana", recording(), WORDS)
    library = VoiceLibrary(store, tmp_path / "disk")
    library.get("ana")
    assert len(list((tmp_path / "disk" / "blobs").iterdir())) == 2
    library.delete("ana")
    assert list((tmp_path / "disk" / "blobs").iterdir()) == []


def test_equal_recordings_of_two_names_are_removed_apart(machine: Machine) -> None:
    library = machine()
    library.put("ana", recording(), WORDS)
    library.put("bob", recording(), WORDS)
    library.delete("ana")
    assert machine().get("bob").ref_text == WORDS


def test_a_replaced_voice_is_new_everywhere(machine: Machine) -> None:
    here, there = machine(), machine()
    first = here.put("ana", recording(), WORDS)
    assert there.get("ana").ref_text == WORDS
    second = here.put("ana", other_recording(), OTHER_WORDS)
    assert there.get("ana").ref_text == OTHER_WORDS
    assert there.get("ana").revision == second.revision != first.revision
    assert second.created_at == first.created_at


def test_requests(store: ObjectStore, machine: Machine) -> None:
    machine().put("ana", recording(), WORDS)
    counting = CountingStore(store)
    library = machine(counting, external_refresh_s=60.0)
    library.get("ana")
    assert counting.total() == 4  # record, both blobs, and whether a file was dropped beside it
    counting.calls.clear()
    for _ in range(10):
        library.get("ana")
    assert counting.calls == {("get", names.record_key("ana")): 10}


def test_a_thousand_voices_and_more(
    store: ObjectStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    blob = Blob("0" * 64, 10)
    for number in range(1_003):
        record = VoiceRecord(f"Voice{number:04}", "r", blob, blob, updated_at="2026")
        store.put(names.record_key(record.name), dump_record(record))
    store.put("voices/_records/broken.json", b"{")
    store.put("voices/dropped.wav", b"RIFF")
    store.put("voices/dropped.txt", b"Words.")
    store.put("voices/silent.mp3", b"ID3")
    with caplog.at_level(logging.WARNING):
        found = machine().list()
    assert [r.name for r in found[:2]] == ["dropped", "silent"]
    assert [r.name for r in found[2:]] == [f"Voice{number:04}" for number in range(1_003)]
    assert [(r.text_file, r.needs_review, r.audio.size) for r in found[:2]] == [
        ("dropped.txt", False, 4),
        ("", True, 3),
    ]
    assert [r.getMessage().count("broken is left out") for r in caplog.records] == [1]


def test_settled_records_are_read_once(store: ObjectStore, machine: Machine) -> None:
    machine().put("ana", recording(), WORDS)
    counting = CountingStore(store)
    counting.now = lambda: store.now() + 10  # type: ignore[method-assign]
    library = machine(counting)
    assert library.list() == library.list()
    assert counting.total("get", "_records/") == 1
    record = machine().put("ana", recording(), WORDS + " Yes.")
    assert library.list() == [record]


def test_a_voice_replaced_while_it_is_fetched(store: ObjectStore, machine: Machine) -> None:
    """Its record was read, its recording is gone, another one is there."""
    first = machine().put("ana", recording(), WORDS)
    meddled = []

    def meddle(call: str, key: str) -> None:
        if call == "get" and key.endswith(".wav") and not meddled:
            meddled.append(key)
            machine().delete("ana")
            machine().put("ana", other_recording(), OTHER_WORDS)

    voice = machine(CountingStore(store, before=meddle), external_refresh_s=60.0).get("ana")
    assert meddled == [names.audio_key("ana", first.audio.sha256)]
    assert voice.ref_text == OTHER_WORDS


def test_a_voice_removed_while_it_is_put_is_whole_or_gone(
    store: ObjectStore, machine: Machine
) -> None:
    """Whichever of its writes the removal comes before."""
    for call, ending in [("put", ".txt"), ("put", ".json"), ("exists", ".wav"), ("exists", ".txt")]:
        machine().put("ana", recording(), WORDS)
        meddled = []

        def meddle(c: str, key: str, call: str = call, ending: str = ending) -> None:
            if (c, key[-len(ending) :], meddled) == (call, ending, []) and "/_" in key:  # noqa: B023
                meddled.append(key)  # noqa: B023
                machine().delete("ana")

        machine(CountingStore(store, before=meddle)).put("ana", recording(), WORDS)
        assert meddled
        if names.record_key("ana") in keys(store):
            assert machine().get("ana").ref_text == WORDS
        else:
            assert keys(store) == set()


def test_a_recording_damaged_in_the_store_is_never_used(
    store: ObjectStore, machine: Machine
) -> None:
    record = machine().put("ana", recording(), WORDS)
    key = names.audio_key("ana", record.audio.sha256)
    data = store.get(key)
    flipped = bytearray(data)
    flipped[5_000] ^= 1
    for bad in (data[:-2], data + b"\0\0", bytes(flipped), b""):
        store.put(key, bad)
        error = refusal(machine(), "ana")
        assert isinstance(error, StorageFailed)
        assert error.code in ("DOWNLOAD_DAMAGED", "OBJECT_TOO_LARGE")


def test_a_recording_damaged_on_this_disk_is_fetched_again(
    store: ObjectStore, tmp_path: Path
) -> None:
    record = VoiceLibrary(store, tmp_path / "disk").put("ana", recording(), WORDS)
    VoiceLibrary(store, tmp_path / "disk").get("ana")
    path = tmp_path / "disk" / "blobs" / record.audio.sha256
    path.write_bytes(b"\0" * path.stat().st_size)
    voice = VoiceLibrary(store, tmp_path / "disk").get("ana")
    assert voice.revision == record.revision
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record.audio.sha256


def test_without_a_folder_for_the_cache_voices_are_still_had(
    store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    VoiceLibrary(store, tmp_path / "good").put("ana", recording(), WORDS)
    (tmp_path / "file").write_text("not a folder")
    assert VoiceLibrary(store, tmp_path / "file" / "cache").get("ana").ref_text == WORDS
    assert "not cached" in caplog.text


def test_a_voice_without_its_recording_says_so(store: ObjectStore, machine: Machine) -> None:
    record = machine().put("ana", recording(), WORDS)
    store.delete(names.audio_key("ana", record.audio.sha256))
    assert refusal(machine(), "ana").code == "VOICE_RECORD_DAMAGED"


def damaged_records() -> list[bytes]:
    blob = Blob("0" * 64, 10)
    good = json.loads(dump_record(VoiceRecord("ana", "r", blob, blob)))
    bad = [
        good | {"name": 5},
        good | {"name": "bob"},
        good | {"audio": {"sha256": "../../x", "size": 1}},
        good | {"audio": None},
        good | {"text": {"sha256": "0" * 64}},
        good | {"consent": {"by": "x"}},
        good | {"seen": "x"},
        good | {"duration_s": "long"},
        good | {"duration_s": True},
        good | {"audio": {"sha256": "0" * 64, "size": 10**12}},
        good | {"revision": "a\r\nX: 1"},
        good | {"name": "\u212aim"},
        good | {"language": "\ud800"},
        good | {"unheard_of": ["\udfff"]},
        good | {"owner": 7},
        good | {"schema": True},
        good | {"schema": "1"},
    ]
    listed = [json.dumps(fields).encode() for fields in bad]
    listed += [json.dumps(good | {"made_by": float("nan")}).encode()]
    listed += [json.dumps(good).replace("0.0", "1e400").encode()]
    return [*listed, b"", b"{", b"[]", b"5", b"[" * 30_000, b"\xff", b" " * 70_000]


@pytest.mark.parametrize("data", damaged_records())
def test_a_damaged_record(store: ObjectStore, machine: Machine, data: bytes) -> None:
    store.put(names.record_key("ana"), data)
    assert refusal(machine(), "ana").code == "VOICE_RECORD_DAMAGED"
    assert machine().list() == []
    machine().delete("ana")
    assert keys(store) == set()


def test_a_damaged_record_is_replaced(store: ObjectStore, machine: Machine) -> None:
    store.put(names.record_key("ana"), b"{")
    machine().put("ana", recording(), WORDS)
    assert machine().get("ana").ref_text == WORDS


def test_a_record_of_a_newer_version(
    store: ObjectStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine().put("ana", recording(), WORDS)
    fields = json.loads(store.get(names.record_key("ana"))) | {"schema": 2}
    newer = json.dumps(fields).encode()
    store.put(names.record_key("ana"), newer)
    assert refusal(machine(), "ana").code == "VOICE_RECORD_TOO_NEW"
    with pytest.raises(StorageFailed, match="schema 2"):
        machine().put("ana", other_recording(), OTHER_WORDS)
    assert store.get(names.record_key("ana")) == newer
    assert machine().list() == []
    assert "ana" in caplog.text
    machine().delete("ana")
    assert keys(store) == set()


def test_fields_of_other_versions_are_kept(store: ObjectStore, machine: Machine) -> None:
    machine().put("ana", recording(), WORDS)
    fields = json.loads(store.get(names.record_key("ana"))) | {"pitch": {"hz": 7}}
    store.put(names.record_key("ana"), json.dumps(fields).encode())
    machine().put("ana", other_recording(), OTHER_WORDS)
    assert json.loads(store.get(names.record_key("ana")))["pitch"] == {"hz": 7}


def test_a_record_is_the_same_after_a_journey() -> None:
    record = VoiceRecord(
        *("Ana", "r", Blob("a" * 64, 1), None),
        duration_s=1.5,
        language="ja",
        consent=Consent("Jörg", at="2026", statement_sha256="b" * 64),
        needs_review=True,
        owner="key-1",
        normalize="off",
        unknown_fields={"pitch": [1]},
    )
    assert load_record("ana", dump_record(record)) == record
    assert dump_record(load_record("ana", dump_record(record))) == dump_record(record)


def test_consent_is_asked_for_before_any_work(store: ObjectStore, machine: Machine) -> None:
    library = machine(require_consent=True)
    for consent in (None, Consent("Ana", attested=False)):
        with pytest.raises(InvalidRequest) as caught:
            library.put("ana", b"not even audio", WORDS, consent=consent)
        assert caught.value.code == "CONSENT_REQUIRED"
    with pytest.raises(InvalidRequest) as caught:
        library.put("ana", recording(), WORDS, consent=Consent("  "))
    assert caught.value.code == "BAD_CONSENT"
    assert keys(store) == set()


def test_consent_is_kept_with_its_recording(machine: Machine) -> None:
    library = machine(require_consent=True)
    record = library.put("ana", recording(), WORDS, consent=Consent(" Ana "))
    assert record.consent is not None
    assert (record.consent.by, record.consent.at) == ("Ana", record.created_at)
    assert library.list() == [record]
    # Better words for the same recording; then a recording that nobody has agreed to.
    again = library.put("ana", recording(), WORDS + " Yes.")
    assert again.consent == record.consent
    with pytest.raises(InvalidRequest) as caught:
        library.put("ana", other_recording(), OTHER_WORDS)
    assert caught.value.code == "CONSENT_REQUIRED"
    assert machine().put("ana", other_recording(), OTHER_WORDS).consent is None


@pytest.mark.parametrize(
    "given",
    [
        {"ref_text": f"{WORDS} \ud800"},
        {"language": "\udfff"},
        {"language": "x" * 65},
        {"language": "english"},
        {"language": "en/US"},
        {"normalize": "loud"},
        {"normalize": ["date", "\ud800"]},
        {"consent": Consent("Ana \ud83d")},
        {"consent": Consent("Ana", at="\ud83d")},
        {"owner": "\ud800"},
    ],
)
def test_fields_that_cannot_be_used_are_refused(
    store: ObjectStore, machine: Machine, given: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        machine().put("ana", recording(), **{"ref_text": WORDS, **given})  # type: ignore[arg-type]
    assert caught.value.code == "BAD_OPTION"
    assert keys(store) == set()


def test_words_that_are_no_text_any_more(store: ObjectStore, machine: Machine) -> None:
    record = machine().put("ana", recording(), WORDS)
    ill = b"\xff\xfe"
    blob = Blob(hashlib.sha256(ill).hexdigest(), len(ill))
    store.put(names.text_key("ana", blob.sha256), ill)
    store.put(names.record_key("ana"), dump_record(replace(record, text=blob)))
    assert refusal(machine(), "ana").code == "VOICE_RECORD_DAMAGED"


def test_a_record_says_who_has_put_it(machine: Machine) -> None:
    assert machine().put("ana", recording(), WORDS, owner="key-1").owner == "key-1"
    assert machine().get_record("ana").owner == "key-1"
    assert machine().put("ana", recording(), WORDS).owner == ""


@pytest.mark.parametrize("language", ["en", "pt-BR", "zh-Hant-HK", "en_US", " fr ", "tlh", ""])
def test_languages_are_tags(machine: Machine, language: str) -> None:
    assert machine().put("ana", recording(), WORDS, language).language == language


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("auto", "auto"),
        ("on", "on"),
        ("off", "off"),
        ("money, date", "date,money"),
        (["time", "date", "time"], "date,time"),
        ("", ""),
        ([], ""),
    ],
)
def test_a_voice_says_how_its_texts_are_normalized(
    machine: Machine, given: str | list[str], kept: str
) -> None:
    here = machine()
    record = here.put("ana", recording(), WORDS, normalize=given)
    assert record.normalize == kept
    assert here.get("ana").normalize == machine().get("ana").normalize == kept
    assert machine().list() == [record]


def test_a_refused_value_of_normalize_names_what_it_takes(machine: Machine) -> None:
    with pytest.raises(InvalidRequest) as caught:
        machine().put("ana", recording(), WORDS, normalize="dates")
    assert caught.value.message == "normalize has 'dates'."
    assert "auto, on, off, or kinds to leave alone: abbreviation, acronym" in caught.value.hint


def test_what_is_said_of_the_same_recording_changes_for_all(machine: Machine) -> None:
    here, there = machine(), machine()
    first = here.put("ana", recording(), WORDS, "en", normalize="off")
    assert there.get("ana").normalize == "off"
    second = here.put("ana", recording(), WORDS, "de", normalize="date")
    assert second.revision == first.revision
    for library in (here, there):
        voice = library.get("ana")
        assert (voice.language, voice.normalize) == ("de", "date")
        assert library.get("ana") is voice
    assert here.put("ana", recording(), WORDS).normalize == ""
    assert there.get("ana").normalize == ""


def test_bad_recordings_and_words_change_nothing(store: ObjectStore, machine: Machine) -> None:
    machine().put("ana", recording(), WORDS)
    before = {key: store.get(key) for key in keys(store)}
    with pytest.raises(BadAudio):
        machine().put("ana", b"<html>", WORDS)
    with pytest.raises(InvalidRequest) as caught:
        machine().put("ana", recording(), " ")
    assert caught.value.code == "REF_TEXT_REQUIRED"
    assert {key: store.get(key) for key in keys(store)} == before


def hear_words(wave: Wave, language: str) -> Transcript:
    """Hears always the same."""
    assert wave.sample_rate == 24_000
    assert language == "en"
    return Transcript(WORDS, "en", 0.75)


def test_a_recogniser_writes_down_what_is_missing(machine: Machine, store: ObjectStore) -> None:
    library = machine(transcriber=Transcriber(transcribe=hear_words))
    record = library.put("ana", recording(), language="en")
    assert (record.needs_review, record.transcript_confidence) == (True, 0.75)
    assert library.get_record("ana") == record
    other = machine()
    for where in (library, other):
        voice = where.get("ana")
        assert voice.ref_text == WORDS
        assert "'ana'" in voice.warnings[0]
    # Read and sent again with the same words: the same sound and words, and no doubt any more.
    reviewed = library.put("ana", recording(), WORDS)
    assert (reviewed.needs_review, reviewed.transcript_confidence) == (False, None)
    assert reviewed.revision == record.revision
    assert library.get("ana").warnings == other.get("ana").warnings == ()


def test_a_dropped_recording_without_words_is_heard(machine: Machine, store: ObjectStore) -> None:
    store.put("voices/ana.wav", recording())
    with pytest.raises(InvalidRequest) as caught:
        machine().get("ana")
    assert caught.value.code == "REF_TEXT_REQUIRED"

    def transcribe(wave: Wave, language: str) -> Transcript:
        return Transcript(WORDS, "en", 0.75)

    assert machine(transcriber=Transcriber(transcribe=transcribe)).get("ana").warnings
    assert machine().get_record("ana").needs_review


def test_records_of_older_programs_have_no_confidence(machine: Machine, store: ObjectStore) -> None:
    machine().put("ana", recording(), WORDS)
    key = next(key for key in keys(store) if "_records" in key)
    fields = json.loads(store.get(key))
    del fields["transcript_confidence"]
    store.put(key, json.dumps(fields).encode())
    assert machine().get_record("ana").transcript_confidence is None


def test_a_store_that_fails_is_not_a_missing_voice(store: ObjectStore, machine: Machine) -> None:
    def fail(call: str, key: str) -> None:
        raise StorageFailed("The bucket is away.", code="S3_UNREACHABLE")

    for call in ("get", "delete", "get_record"):
        with pytest.raises(StorageFailed) as caught:
            getattr(machine(CountingStore(store, before=fail)), call)("ana")
        assert caught.value.code == "S3_UNREACHABLE"


def test_frozen_records_can_be_changed_by_copy() -> None:
    record = VoiceRecord("a", "r", Blob("", 1), None)
    assert replace(record, name="b").text_file == ""
