"""The index of voices: few requests however many voices there are, and always mended."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.voices import names
from f5serve.voices.catalog import SingleFlight
from f5serve.voices.index import INDEX, LATE_S, MERGE_AT, Index
from f5serve.voices.index_format import (
    Base,
    Entry,
    Note,
    dump_base,
    dump_note,
    read_base,
    read_note,
)
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from f5serve.voices.records import Blob, Consent, VoiceRecord, dump_record
from tests.voices.conftest import Machine
from tests.voices.material import WORDS, CountingStore, recording

BLOB = Blob("0" * 64, 10)
FEW, MANY = 12, 1_500
AT_ONCE = LibraryOptions(external_refresh_s=60.0, list_ttl_s=0.0)


def fill(store: ObjectStore, count: int) -> None:
    """Voices as an older program wrote them: without a word in the index."""
    for number in range(count):
        record = VoiceRecord(f"Voice{number:05}", "r", BLOB, BLOB, updated_at="2026")
        store.put(names.record_key(record.name), dump_record(record))


def ids(library: VoiceLibrary, **asked: object) -> list[str]:
    return [record.name for record in library.page(**asked).records]  # type: ignore[arg-type]


def wait_for(library: VoiceLibrary, expected: set[str]) -> None:
    """Pages show what a check beside them has found."""
    until = time.monotonic() + 20
    while set(ids(library)) != expected:
        assert time.monotonic() < until
        time.sleep(0.02)


def cost(store: ObjectStore, machine: Machine) -> dict[str, dict[str, int]]:
    """Calls by operation, of a process that has just started and of one that has not."""
    machine().list()
    told = {}

    def count(what: str, counting: CountingStore) -> None:
        told[what] = {call: counting.total(call) for call in ("get", "put", "list", "exists")}
        counting.calls.clear()

    for state in ("cold", "warm"):
        counting = CountingStore(store)
        library = machine(counting, options=replace(AT_ONCE, check_interval_s=math.inf))
        if state == "warm":
            library.page()
        counting.calls.clear()
        library.page("Voice00004", 5)
        count(f"page {state}", counting)
        for name in ("nobody", "Nobody.wav", "another"):
            with pytest.raises(InvalidRequest):
                library.get(name)
            count(f"unknown {name} {state}", counting)
        assert not library.exists("somebody")
        count(f"has {state}", counting)
        library.put("new", recording(), WORDS)
        count(f"put {state}", counting)
        library.delete("new")
        count(f"delete {state}", counting)
    return told


def test_requests_do_not_depend_on_how_many_voices_there_are(
    store: ObjectStore, machine: Machine
) -> None:
    fill(store, FEW)
    few = cost(store, machine)
    fill(store, MANY)
    many = cost(store, machine)
    for what, calls in many.items():  # one writer in fifty merges notes: a listing, some reads
        assert sum(calls.values()) <= sum(few[what].values()) + 10, what
    assert many["page cold"] == few["page cold"] == {"get": 1, "put": 0, "list": 2, "exists": 0}
    assert many["page warm"] == few["page warm"] == {"get": 0, "put": 0, "list": 2, "exists": 0}
    for state in ("cold", "warm"):
        assert sum(many[f"unknown nobody {state}"].values()) <= 3
        assert many[f"unknown Nobody.wav {state}"] == {"get": 1, "put": 0, "list": 0, "exists": 0}


def test_a_page_is_read_from_the_index_alone(store: ObjectStore, machine: Machine) -> None:
    fill(store, FEW)
    machine().list()
    counting = CountingStore(store)
    library = machine(counting, options=replace(AT_ONCE, check_interval_s=math.inf))
    assert ids(library, limit=5) == [f"Voice{n:05}" for n in range(5)]
    assert library.page(limit=FEW).has_more is False
    assert counting.total("get", "_records/") == 0
    assert counting.total("list", "_records/") == 0
    assert counting.total("get", INDEX) == 1


def test_other_machines_show_what_was_put_and_removed(machine: Machine) -> None:
    here, there = machine(options=AT_ONCE), machine(options=AT_ONCE)
    assert ids(there) == []
    record = here.put("ana", recording(), WORDS, consent=Consent("Ana"))
    assert there.page().records == here.page().records == [record]
    here.put("bob", recording(), WORDS)
    here.delete("ana")
    assert ids(there) == ids(here) == ["bob"]


def test_dropped_files_are_on_the_next_page(store: ObjectStore, machine: Machine) -> None:
    library = machine(options=AT_ONCE)
    library.put("ana", recording(), WORDS)
    assert ids(library) == ["ana"]
    store.put("voices/Kim.flac", recording())
    assert ids(library) == ["ana", "Kim"]
    store.delete("voices/Kim.flac")
    assert ids(library) == ["ana"]


def test_what_an_older_program_does_is_found_beside_a_page(
    store: ObjectStore, machine: Machine
) -> None:
    fill(store, 3)
    library = machine(options=replace(AT_ONCE, check_interval_s=0.0))
    wait_for(library, {f"Voice{n:05}" for n in range(3)})
    fill(store, 4)
    store.delete(names.record_key("Voice00000"))
    wait_for(library, {f"Voice{n:05}" for n in range(1, 4)})
    wait_for(machine(options=AT_ONCE), {f"Voice{n:05}" for n in range(1, 4)})


def test_a_replaced_record_is_found_by_a_check(store: ObjectStore, machine: Machine) -> None:
    fill(store, 3)
    later = CountingStore(store)
    later.now = lambda: store.now() + 10  # type: ignore[method-assign]
    index = Index(later)
    assert index.check()["voice00001"].record.language == ""
    record = VoiceRecord("Voice00001", "s", BLOB, BLOB, language="en", updated_at="2026")
    time.sleep(0.01)
    store.put(names.record_key(record.name), dump_record(record))
    assert index.check()["voice00001"].record == record
    assert (Index(store).load() or {})["voice00001"].record == record


def test_notes_are_merged_and_cleaned(store: ObjectStore) -> None:
    clock = CountingStore(store)
    ahead = [0.0]
    clock.now = lambda: store.now() + ahead[0]  # type: ignore[method-assign]
    fill(store, 1)
    Index(clock).check()
    expected = {"voice00000"}
    for turn in range(4):
        for number in range(MERGE_AT + 1):
            name = f"v{turn}-{number}"
            Index(clock, merge_at=10**9).note(name, VoiceRecord(name, "r", BLOB, BLOB))
            expected.add(name)
        ahead[0] += LATE_S + 1
        assert set(Index(clock).load() or {}) == expected
    kept = [entry.key for entry in store.list(INDEX)]
    assert len(kept) <= 2 * (MERGE_AT + 1) + 3  # what a late listing may still name


def test_a_rewritten_index_names_nobody_who_is_gone(store: ObjectStore, machine: Machine) -> None:
    machine().put("secret-name", recording(), WORDS, consent=Consent("Secret Person"))
    library = machine()
    library.list()
    library.delete("secret-name")
    Index(store).check(rewrite=True)
    (left,) = store.list(INDEX)
    assert read_base("x", store.get(left.key)).entries == {}
    assert Index(store).load() == {}


@pytest.mark.parametrize(
    "ill", [b"", b"{}", b"\x1f\x8b", dump_base({}, [])[:-3], dump_base({}, ["x"])[3:]]
)
def test_a_damaged_base_is_passed_over(
    store: ObjectStore, machine: Machine, ill: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store, 3)
    machine().list()
    store.put(f"{INDEX}base-{int(store.now() * 1000) + 1000:013d}-00000000.json.gz", ill)
    store.put(f"{INDEX}note-{int(store.now() * 1000) + 1000:013d}-00000000.json", ill)
    store.put(f"{INDEX}base-9999999999999-00000000.json.gz", dump_base({}, []))
    store.put(f"{INDEX}note-9999999999999-00000000.json", dump_note(Note("voice00000", None)))
    library = machine(options=AT_ONCE)
    with caplog.at_level(logging.WARNING):
        assert len(ids(library)) == 3
        assert len(ids(library)) == 3
    assert sum("index of voices is passed over" in r.getMessage() for r in caplog.records) == 1
    library.put("ana", recording(), WORDS)
    Index(store).check(rewrite=True)
    assert len(list(store.list(INDEX))) == 1
    assert len(ids(machine(options=AT_ONCE))) == 4


def test_a_store_that_cannot_be_written_is_listed_all_the_same(
    store: ObjectStore, machine: Machine
) -> None:
    fill(store, 3)

    def fail(call: str, key: str) -> None:
        if call in ("put", "delete"):
            raise StorageFailed("Read-only.", code="NOT_WRITABLE")

    library = machine(CountingStore(store, before=fail), options=AT_ONCE)
    assert len(ids(library)) == 3
    assert len(library.list()) == 3


def test_a_record_that_the_store_fails_to_give_stays_in_the_list(
    store: ObjectStore, machine: Machine
) -> None:
    fill(store, 3)
    machine().list()
    changed = VoiceRecord("Voice00001", "s", BLOB, BLOB, language="en", updated_at="2027")
    store.put(names.record_key(changed.name), dump_record(changed))

    def fail(call: str, key: str) -> None:
        if (call, key) == ("get", names.record_key(changed.name)):
            raise StorageFailed("Not now.", code="S3_BUSY")

    found = machine(CountingStore(store, before=fail)).list()
    assert [record.language for record in found] == ["", "", ""]
    assert [record.language for record in machine().list()] == ["", "en", ""]


def test_a_voice_is_kept_where_its_note_is_not(store: ObjectStore, machine: Machine) -> None:
    def fail(call: str, key: str) -> None:
        if call == "put" and key.startswith(INDEX):
            raise StorageFailed("Full.", code="NO_SPACE")

    library = machine(CountingStore(store, before=fail), options=AT_ONCE)
    library.put("ana", recording(), WORDS)
    assert [record.name for record in machine().list()] == ["ana"]


def test_many_writers_lose_no_voice(store: ObjectStore) -> None:
    fill(store, 2)
    Index(store).check()
    found = [f"w{number}" for number in range(120)]

    def write(name: str) -> None:
        record = VoiceRecord(name, "r", BLOB, BLOB)
        store.put(names.record_key(name), dump_record(record))
        Index(store, merge_at=10).note(name, record)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, found))
    assert {*found, "voice00000", "voice00001"} == set(Index(store).load() or {})


def test_bases_and_notes_are_the_same_after_a_journey() -> None:
    record = VoiceRecord("Ana", "r", BLOB, None, consent=Consent("Jörg"), unknown_fields={"x": [1]})
    entries = {"ana": Entry(record, (10, "2026")), "bob": Entry(replace(record, name="bob"))}
    assert read_base("b", dump_base(entries, ["n"])) == Base("b", frozenset(["n"]), entries)
    for note in (Note("ana", record), Note("ana", None)):
        assert read_note(dump_note(note)) == note


def test_an_ill_voice_in_a_base_hides_no_other() -> None:
    good = Entry(VoiceRecord("Ana", "r", BLOB, None), None)
    ill = [None, [], {"name": 5}, {"name": "bob"}, {"name": "Ana", "schema": 2}]
    data = json.dumps({"schema": 1, "notes": [], "voices": [[one, None] for one in ill]})
    assert read_base("b", zlib.compress(data.encode())).entries == {}
    assert read_base("b", dump_base({"ana": good}, [])).entries == {"ana": good}


def test_what_is_shared_is_found_once_and_anew_after_a_change() -> None:
    calls: list[int] = []
    may_end = threading.Event()

    def find() -> int:
        calls.append(1)
        number = len(calls)
        assert number != 3 or may_end.wait(60)
        time.sleep(0.2)
        return number

    shared = SingleFlight(find, ttl_s=60.0)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: shared.get(), range(8))) == {1}
    assert shared.get() == 1
    shared.expire()
    assert shared.last == 1
    assert shared.get() == 2
    with ThreadPoolExecutor(2) as pool:
        shared.expire()
        slow = pool.submit(shared.get)
        while len(calls) < 3:
            time.sleep(0.01)
        shared.expire()  # changed while it was being found: what was found is not believed
        newer = pool.submit(shared.get)
        may_end.set()
        assert newer.result() == 4
        assert slow.result() == 3
    assert shared.get() == 4
