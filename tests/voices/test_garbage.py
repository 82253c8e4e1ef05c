"""What no voice refers to goes after a time of grace; what one refers to stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from f5serve.store.base import ObjectStore
from f5serve.voices import names
from f5serve.voices.garbage import GRACE_S, GcOptions
from f5serve.voices.index import INDEX
from f5serve.voices.library import VoiceLibrary
from tests.voices.conftest import Machine
from tests.voices.material import (
    OTHER_WORDS,
    WORDS,
    CountingStore,
    other_recording,
    recording,
)


def later(store: ObjectStore, by_s: float = 2 * GRACE_S) -> CountingStore:
    """The store, by whose clock all that is in it is old."""
    counting = CountingStore(store)
    counting.now = lambda: store.now() + by_s  # type: ignore[method-assign]
    return counting


def blobs(store: ObjectStore) -> set[str]:
    return {entry.key for entry in store.list(names.BLOBS)}


def test_replaced_recordings_go_after_an_hour(store: ObjectStore, machine: Machine) -> None:
    library = machine()
    library.put("ana", recording(), WORDS)
    old = blobs(store)
    library.put("ana", other_recording(), OTHER_WORDS)
    library.put("bob", recording(), WORDS)
    everything = blobs(store)
    assert len(everything) == 6
    assert machine().collect_garbage().files == 0  # too young
    told: list[str] = []
    dry = machine(later(store)).collect_garbage(GcOptions(dry_run=True, on_file=told.append))
    assert (dry.files, set(told), blobs(store)) == (2, old, everything)
    swept = machine(later(store)).collect_garbage()
    assert (swept.files, blobs(store)) == (2, everything - old)
    assert swept.bytes > 100_000
    assert machine().get("ana").ref_text == OTHER_WORDS
    assert machine().get("bob").ref_text == WORDS
    assert machine(later(store)).collect_garbage().files == 0


def test_what_a_killed_removal_has_left_goes(store: ObjectStore, machine: Machine) -> None:
    machine().put("ana", recording(), WORDS)
    store.delete(names.record_key("ana"))
    assert machine(later(store)).collect_garbage().files == 2
    left = [entry.key for entry in store.list("voices/")]
    assert [key for key in left if not key.startswith(INDEX)] == []
    assert all(b"ana" not in store.get(key) for key in left)


def test_a_record_that_cannot_be_read_keeps_its_recordings(
    store: ObjectStore, machine: Machine
) -> None:
    machine().put("ana", recording(), WORDS)
    fields = json.loads(store.get(names.record_key("ana"))) | {"schema": 2}
    for ill in (json.dumps(fields).encode(), b"{"):
        store.put(names.record_key("ana"), ill)
        assert machine(later(store)).collect_garbage().files == 0
    assert len(blobs(store)) == 2


def test_dropped_files_stay(store: ObjectStore, machine: Machine) -> None:
    store.put("voices/Kim.wav", recording())
    store.put("voices/Kim.txt", WORDS.encode())
    machine(later(store)).collect_garbage()
    assert machine().get("Kim").ref_text == WORDS


@pytest.mark.parametrize("call", ["get", "delete", "list"])
def test_a_voice_that_is_put_while_its_old_recording_is_swept_is_whole(
    store: ObjectStore, machine: Machine, call: str
) -> None:
    """Its recording lies there from before, unnamed, until the very moment at which it is swept."""
    machine().put("ana", recording(), WORDS)
    store.delete(names.record_key("ana"))
    met = []

    def meddle(c: str, key: str) -> None:
        if c == call and key.startswith(names.BLOBS) and not met:
            met.append(key)
            machine().put("ana", recording(), WORDS)

    sweeping = CountingStore(later(store), before=meddle)
    machine(sweeping).collect_garbage()
    assert met
    assert machine().get("ana").ref_text == WORDS


def test_a_sweep_can_be_stopped(store: ObjectStore, machine: Machine) -> None:
    machine().put("ana", recording(), WORDS)
    store.delete(names.record_key("ana"))
    assert machine(later(store)).collect_garbage(GcOptions(should_stop=lambda: True)).files == 0
    assert len(blobs(store)) == 2


def test_two_sweepers_do_no_harm(store: ObjectStore, tmp_path: Path) -> None:
    VoiceLibrary(store, tmp_path / "a").put("ana", recording(), WORDS)
    VoiceLibrary(store, tmp_path / "a").put("ana", other_recording(), OTHER_WORDS)
    met = []

    def meddle(call: str, key: str) -> None:
        if call == "get" and key.startswith(names.BLOBS) and not met:
            met.append(key)
            assert VoiceLibrary(later(store), tmp_path / "b").collect_garbage().files == 2

    swept = VoiceLibrary(
        CountingStore(later(store), before=meddle), tmp_path / "c"
    ).collect_garbage()
    assert (len(met), swept.files) == (1, 0)
    assert VoiceLibrary(store, tmp_path / "d").get("ana").ref_text == OTHER_WORDS
