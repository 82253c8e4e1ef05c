"""Recorded consents: kept byte for byte, tied to voices, and gone without a trace."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import numpy as np
import pytest

from f5serve.audio.encode import encode
from f5serve.errors import F5Error
from f5serve.store.base import ObjectStore
from f5serve.types import Wave
from f5serve.voices import consent_records
from f5serve.voices.consent_records import dump_consent, load_consent, record_key
from f5serve.voices.garbage import GcOptions
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.records import Consent, dump_record, load_record
from f5serve.voices.storage import MAX_CONSENT_CHARS
from tests.voices.conftest import Machine
from tests.voices.material import (
    OTHER_WORDS,
    WORDS,
    CountingStore,
    other_recording,
    recording,
)
from tests.voices.test_styles import at_call, die, keys, later, outcome, refusal, reset, saved


def consents_of(store: ObjectStore) -> set[str]:
    return {key for key in keys(store) if "consent" in key}


def test_what_was_sent_is_kept_as_it_is(store: ObjectStore, machine: Machine) -> None:
    here, there = machine(), machine()
    record = here.consents.create(" Ana Example ", "en-US", recording(), "key-1")
    sha256 = hashlib.sha256(recording()).hexdigest()
    assert (record.name, record.language, record.owner) == ("Ana Example", "en-US", "key-1")
    assert (record.audio.sha256, record.audio.size) == (sha256, len(recording()))
    assert 2 < record.duration_s <= 3.1
    assert abs(record.created_at - store.now()) < 60
    assert there.consents.get(record.id) == record == load_consent(record.id, dump_consent(record))
    assert keys(store) == {record_key(record.id), f"voices/_consent_audio/{record.id}/{sha256}"}
    assert store.get(f"voices/_consent_audio/{record.id}/{sha256}") == recording()
    assert here.list() == there.list() == []


def test_the_newest_come_first_in_pages(store: ObjectStore, machine: Machine) -> None:
    consents = machine().consents
    assert (consents.page().records, consents.page().has_more) == ([], False)
    made = consents.create("Ana", "en", recording())
    now = store.now()
    ids = [consent_records.new_id(now - age) for age in range(1, 8)]
    for each in ids:
        store.put(record_key(each), dump_consent(made).replace(made.id.encode(), each.encode()))
    store.put(record_key(ids[2]), b"{")
    store.put("voices/_consents/notes.json", b"{}")
    readable = [made.id, *ids[:2], *ids[3:]]
    assert [one.id for one in consents.page().records] == readable
    found: list[str] = []
    for _ in range(4):
        page = consents.page(found[-1] if found else "", 2)
        found += [one.id for one in page.records]
        assert page.has_more is (len(found) < len(readable))
    assert found == readable
    assert refusal(consents.page, "ana").code == "CONSENT_NOT_FOUND"


def test_a_name_that_cannot_be_kept(store: ObjectStore, machine: Machine) -> None:
    consents = machine().consents
    made = consents.create("Ana", "en", recording())
    before = saved(store)
    for name in ("", "  ", "a\nb", "x" * (MAX_CONSENT_CHARS + 1), "\ud800", "a\0"):
        assert refusal(consents.create, name, "en", recording()).code == "BAD_CONSENT"
        assert refusal(consents.rename, made.id, name).code == "BAD_CONSENT"
    assert saved(store) == before


def test_only_speech_is_a_consent(store: ObjectStore, machine: Machine) -> None:
    def tone(amplitude: float, seconds: float) -> bytes:
        at = np.arange(round(24_000 * seconds)) / 24_000
        hum = (amplitude * np.sin(2 * np.pi * 50 * at)).astype(np.float32)
        return encode(Wave(hum, 24_000), "wav")

    consents = machine().consents
    for data, code in (
        (b"I agree.", "NOT_AUDIO"),
        (tone(0.0, 3), "AUDIO_SILENT"),
        (tone(0.1, 3), "AUDIO_NO_SPEECH"),
        (tone(0.1, 61), "AUDIO_TOO_LONG"),
    ):
        assert refusal(consents.create, "Ana", "en", data).code == code
    for language in ("", "english please", "en_US"):
        assert refusal(consents.create, "Ana", language, recording()).code == "BAD_OPTION"
    assert keys(store) == set()


def test_another_name_leaves_voices_as_they_are(machine: Machine) -> None:
    library = machine()
    made = library.consents.create("Ana", "en", recording())
    library.put("ana", recording(), WORDS, consent=library.consents.attested(made.id))
    renamed = library.consents.rename(made.id, "Ana Example")
    assert (renamed.name, renamed.audio) == ("Ana Example", made.audio)
    assert machine().consents.get(made.id) == renamed
    (record,) = machine().list()
    assert record.consent is not None
    assert (record.consent.by, record.consent.id) == ("Ana", made.id)


@pytest.mark.parametrize("bad", ["", "cons_", "cons_1", "../x", "cons_" + "g" * 28, "x" * 9_000])
def test_ids_that_no_consent_can_have_reach_no_store(
    store: ObjectStore, machine: Machine, bad: str
) -> None:
    counting = CountingStore(store)
    consents = machine(counting).consents
    for error in (
        refusal(consents.get, bad),
        refusal(consents.rename, bad, "Ana"),
        refusal(consents.delete, bad),
    ):
        assert error.code == "CONSENT_NOT_FOUND"
        assert len(error.message) < 200
    assert counting.total() == 0


def test_a_voice_is_created_with_a_consent(machine: Machine) -> None:
    library = machine(require_consent=True)
    made = library.consents.create("Ana", "en", other_recording())
    consent = library.consents.attested(made.id)
    assert (consent.by, consent.id, consent.statement_sha256) == ("Ana", made.id, made.audio.sha256)
    assert refusal(library.put, "ana", recording(), WORDS).code == "CONSENT_REQUIRED"
    record = library.put("ana", recording(), WORDS, consent=consent)
    assert record.consent == consent
    assert load_record("ana", dump_record(record)) == record
    again = library.put("ana", recording(), f"{WORDS} Yes.")
    assert again.consent == consent
    assert library.consents.attested("Ana Example") == Consent("Ana Example")
    unknown = consent_records.new_id(0)
    for text in (unknown, "cons_1"):
        assert refusal(library.consents.attested, text).code == "CONSENT_NOT_FOUND"


def test_records_of_earlier_versions_have_no_id(machine: Machine) -> None:
    record = machine().put("ana", recording(), WORDS, consent=Consent("Ana"))
    fields: dict[str, Any] = json.loads(dump_record(record))
    del fields["consent"]["id"]
    assert load_record("ana", json.dumps(fields).encode()) == record
    fields["consent"]["id"] = 7
    assert refusal(load_record, "ana", json.dumps(fields).encode()).code == "VOICE_RECORD_DAMAGED"


def test_a_consent_that_voices_name_stays(store: ObjectStore, machine: Machine) -> None:
    library = machine()
    made = library.consents.create("Ana", "en", recording())
    consent = library.consents.attested(made.id)
    library.put("Ana", recording(), WORDS, consent=consent)
    library.put("ana", recording(), WORDS, consent=consent, style="happy")
    library.put("ben", recording(), WORDS, consent=consent)
    library.put("ben", recording(), WORDS, consent=Consent("Ben"))
    error = refusal(machine().consents.delete, made.id)
    assert error.code == "CONSENT_IN_USE"
    assert "of the voice 'ana', the style 'happy' of the voice 'ana'." in error.message
    assert library.consents.get(made.id) == made
    library.delete("ana")
    machine().consents.delete(made.id)
    assert consents_of(store) == set()
    assert refusal(machine().consents.delete, made.id).code == "CONSENT_NOT_FOUND"
    assert machine().get("ben").ref_text == WORDS


def test_a_damaged_consent_can_be_deleted(store: ObjectStore, machine: Machine) -> None:
    library = machine()
    made = library.consents.create("Ana", "en", recording())
    good = dump_consent(made)
    negative = good.replace(b'"created_at":', b'"created_at":-')
    for data in (b"{", b"[]", b'{"schema": 1}', b" " * 20_000, negative, good[:-1]):
        store.put(record_key(made.id), data)
        for call in (library.consents.get, library.consents.attested):
            assert refusal(call, made.id).code == "CONSENT_DAMAGED"
        assert library.consents.page().records == []
    store.put(record_key(made.id), good.replace(b'"schema":1', b'"schema":2'))
    assert refusal(library.consents.get, made.id).code == "CONSENT_TOO_NEW"
    library.consents.delete(made.id)
    assert keys(store) == set()


def test_a_voice_whose_record_is_damaged_keeps_its_consent(
    store: ObjectStore, machine: Machine
) -> None:
    library = machine()
    made = library.consents.create("Ana", "en", recording())
    library.put("ana", recording(), WORDS, consent=library.consents.attested(made.id))
    store.put("voices/_records/ana.json", b"{")
    assert refusal(machine().consents.delete, made.id).code == "CONSENT_IN_USE"


def create(library: VoiceLibrary) -> object:
    return library.consents.create("Ana", "en", recording())


def test_a_creation_that_is_cut_short_leaves_nothing_that_is_listed(
    store: ObjectStore, machine: Machine
) -> None:
    for cut in itertools.count(1):
        reset(store, {})
        met: list[str] = []
        library = machine(CountingStore(store, before=at_call(cut, die, met)))
        code = outcome(lambda: create(library))  # noqa: B023
        listed = machine().consents.page().records
        if not met:
            assert (code, len(listed), cut > 2) == ("", 1, True)
            return
        assert (code, listed) == ("S3_UNREACHABLE", [])
        machine().collect_garbage()
        left = len(keys(store))
        assert machine(later(store)).collect_garbage(GcOptions(dry_run=True)).files == left
        assert machine(later(store)).collect_garbage().files == left
        assert keys(store) == set()


def test_a_deletion_that_is_cut_short_is_finished_by_the_next(
    store: ObjectStore, machine: Machine
) -> None:
    library = machine()
    made = library.consents.create("Ana", "en", recording())
    library.put("ana", recording(), WORDS, consent=library.consents.attested(made.id))
    library.delete("ana")
    full = saved(store)
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []
        cut_short = machine(CountingStore(store, before=at_call(cut, die, met)))
        code = outcome(lambda: cut_short.consents.delete(made.id))  # noqa: B023
        if not met:
            assert (code, consents_of(store), cut > 5) == ("", set(), True)
            return
        assert code == "S3_UNREACHABLE"
        assert outcome(lambda: machine().consents.delete(made.id)) in ("", "CONSENT_NOT_FOUND")
        assert consents_of(store) == set()


@pytest.mark.parametrize("is_new", [True, False])
def test_of_an_upload_and_a_deletion_one_is_refused(
    store: ObjectStore, machine: Machine, is_new: bool
) -> None:
    """Whichever call of the store the deletion comes before, no voice lacks its consent."""
    library = machine()
    made = library.consents.create("Ana", "en", recording())
    consent = library.consents.attested(made.id)
    if not is_new:
        library.put("ana", other_recording(), OTHER_WORDS, consent=Consent("Ben"))
    full = saved(store)
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []
        codes: list[str] = []

        def delete() -> None:
            codes.append(outcome(lambda: machine().consents.delete(made.id)))  # noqa: B023

        meddling = machine(CountingStore(store, before=at_call(cut, delete, met)))
        put = outcome(lambda: meddling.put("ana", recording(), WORDS, consent=consent))  # noqa: B023
        if not met:
            assert (put, cut > 8) == ("", True)
            return
        assert sorted([put, *codes]) in (["", "CONSENT_IN_USE"], ["", "CONSENT_NOT_FOUND"])
        if not put:
            assert machine().consents.get(made.id) == made
            assert machine().get("ana").ref_text == WORDS
        elif is_new:
            assert refusal(machine().get, "ana").code == "VOICE_NOT_FOUND"
        else:
            assert machine().get("ana").ref_text == OTHER_WORDS


def test_of_a_deletion_and_an_upload_one_is_refused(store: ObjectStore, machine: Machine) -> None:
    """Whichever call of the deletion the upload comes before."""
    made = machine().consents.create("Ana", "en", recording())
    consent = machine().consents.attested(made.id)
    full = saved(store)
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []
        puts: list[str] = []

        def put() -> None:
            library = machine()
            puts.append(outcome(lambda: library.put("ana", recording(), WORDS, consent=consent)))  # noqa: B023

        meddling = machine(CountingStore(store, before=at_call(cut, put, met)))
        code = outcome(lambda: meddling.consents.delete(made.id))  # noqa: B023
        if not met:
            assert (code, cut > 4) == ("", True)
            return
        exists = outcome(lambda: machine().consents.get(made.id)) == ""
        assert (code, puts) in (("CONSENT_IN_USE", [""]), ("", ["CONSENT_NOT_FOUND"]))
        assert exists is (code == "CONSENT_IN_USE")


def test_a_consent_that_is_renamed_while_it_is_deleted_is_gone(
    store: ObjectStore, machine: Machine
) -> None:
    made = machine().consents.create("Ana", "en", recording())
    full = saved(store)
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []
        rename = lambda: outcome(lambda: machine().consents.rename(made.id, "Ben"))  # noqa: E731
        machine(CountingStore(store, before=at_call(cut, rename, met))).consents.delete(made.id)
        assert keys(store) == set()
        if not met:
            assert cut > 5
            return


def test_the_consents_of_an_erased_voice_go_unless_others_name_them(
    store: ObjectStore, machine: Machine
) -> None:
    library = machine()
    own, shared, style = (
        library.consents.create(name, "en", recording()) for name in ("own", "shared", "style")
    )
    attested = library.consents.attested
    library.put("ana", recording(), WORDS, consent=attested(own.id))
    library.put("anabel", recording(), WORDS, consent=attested(shared.id))
    library.put("ana", recording(), f"{WORDS} Yes.", consent=attested(shared.id))
    library.put("ana", recording(), WORDS, consent=attested(style.id), style="happy")
    assert library.consents.delete_unused("nobody") == 0
    library.delete("ana")
    assert library.consents.delete_unused("Ana") == 2
    assert [one.id for one in library.consents.page().records] == [shared.id]
    assert not any("/ana" in key and "anabel" not in key for key in keys(store))
    library.delete("anabel")
    assert library.consents.delete_unused("anabel") == 1
    assert keys(store) == set()


def test_garbage_of_others_is_left_alone(store: ObjectStore, machine: Machine) -> None:
    made = machine().consents.create("Ana", "en", recording())
    for key in ("voices/_consent_audio/notes", "voices/_consent_uses/a/b.json"):
        store.put(key, b"x")
    before = keys(store)
    assert machine(later(store)).collect_garbage().files == 0
    assert keys(store) == before
    store.delete(record_key(made.id))
    assert machine().collect_garbage().files == 0  # too young
    assert machine(later(store)).collect_garbage().files == 1


def test_an_unknown_consent_leaves_a_voice_as_it_is(machine: Machine) -> None:
    library = machine()
    library.put("ana", recording(), WORDS)
    gone = Consent("Ana", id=consent_records.new_id(0))
    with pytest.raises(F5Error) as caught:
        library.put("ana", other_recording(), OTHER_WORDS, consent=gone)
    assert caught.value.code == "CONSENT_NOT_FOUND"
    assert machine().get("ana").ref_text == WORDS
