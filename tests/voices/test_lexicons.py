"""Lexicons in the store: what is written is read and spoken, and damage to one harms no other."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.store.memory import MemoryStore
from f5serve.text.lexicon_rules import MAX_RULES, LexiconRule, RuleSelector
from f5serve.text.mapped_text import MappedText
from f5serve.voices import lexicons
from f5serve.voices.lexicon_records import LIBRARY_KEY, lexicon_key
from f5serve.voices.lexicons import LexiconEntry, LexiconLibrary
from f5serve.voices.library import VoiceLibrary
from tests.voices.material import WORDS, CountingStore, recording

Rule = LexiconRule
WIN = Rule("Nguyen", "Win")
LEE = Rule("Lee", "Li")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryStore(clock=lambda: 1_700_000_000.0))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(store: CountingStore, tmp_path: Path, clock: Clock) -> Callable[[], LexiconLibrary]:
    """Makes a process of its own over the store, which has the voice Ana."""
    VoiceLibrary(store, tmp_path).put("Ana", recording(), WORDS)
    return lambda: LexiconLibrary(store, VoiceLibrary(store, tmp_path), ["am_adam"], clock=clock)


@pytest.fixture
def library(make: Callable[[], LexiconLibrary]) -> LexiconLibrary:
    return make()


def spoken(library: LexiconLibrary, voice: str | None, text: str) -> str:
    return library.for_voice(voice).lexicon.apply(MappedText.of(text), "en").text


def refusal(call: Callable[..., object], *args: Any) -> F5Error:
    with pytest.raises(F5Error) as caught:
        call(*args)
    assert caught.value.hint
    return caught.value


def test_what_was_put_is_what_is_got(make: Callable[[], LexiconLibrary]) -> None:
    written = make().put("ANA.wav", [WIN, LEE, Rule("NGUYEN", "other")])
    assert make().get("ana") == written
    assert written.voice == "ana"
    assert written.rules == (WIN, LEE)
    assert written.updated_at == "2023-11-14T22:13:20+00:00"
    assert make().get().rules == ()
    assert make().get().revision == ""
    assert make().put("", [WIN, LEE]).revision == written.revision


def test_rules_of_a_voice_come_before_those_of_the_library(library: LexiconLibrary) -> None:
    library.put("", [Rule("Nguyen", "L"), LEE])
    library.put("ana", [Rule("nguyen", "V")])
    library.put("default", [Rule("nguyen", "D")])
    assert spoken(library, "Ana.wav", "Nguyen Lee") == "V Li"
    assert spoken(library, None, "Nguyen Lee") == spoken(library, "default", "Nguyen Lee") == "D Li"
    assert spoken(library, "other", "Nguyen Lee") == "L Li"
    assert spoken(library, "https://example.org/a.wav", "Nguyen Lee") == "L Li"
    assert library.for_voice("ana").lexicon.revision != library.for_voice("bob").lexicon.revision


@pytest.mark.parametrize(
    ("voice", "code"),
    [
        ("nobody", "VOICE_NOT_FOUND"),
        ("../ana", "BAD_VOICE_NAME"),
        ("con", "RESERVED_VOICE_NAME"),
    ],
)
def test_voices_that_can_have_no_rules(library: LexiconLibrary, voice: str, code: str) -> None:
    assert refusal(library.get, voice).code == code
    assert refusal(library.put, voice, [WIN]).code == code
    assert refusal(library.patch, voice, [WIN]).code == code


def test_voices_of_the_stand_in_speaker_can(library: LexiconLibrary) -> None:
    library.put("AM_adam", [WIN])
    assert spoken(library, "am_adam", "Nguyen") == "Win"


def test_patch_removes_replaces_and_adds(library: LexiconLibrary) -> None:
    library.put("ana", [WIN, LEE, Rule("lead", "led", language="de"), Rule("lead", "leed")])
    selectors = [RuleSelector("LEE"), RuleSelector("lead", language="de"), RuleSelector("gone")]
    changed = library.patch("ana", [Rule("nguyen", "New"), Rule("Bo", "Bow")], selectors)
    assert (changed.added, changed.replaced, changed.removed) == (1, 1, 2)
    rules = (Rule("nguyen", "New"), Rule("lead", "leed"), Rule("Bo", "Bow"))
    assert library.get("ana").rules == changed.lexicon.rules == rules
    assert spoken(library, "ana", "Nguyen") == "New"


def test_selectors_can_tell_capitals_apart(library: LexiconLibrary) -> None:
    exact = Rule("US", "U S", case_sensitive=True)
    library.put("", [exact, Rule("us", "uss")])
    assert library.patch("", remove=[RuleSelector("us", case_sensitive=False)]).removed == 1
    assert library.get().rules == (exact,)


@pytest.mark.parametrize("how", ["delete", "put", "patch"])
def test_a_lexicon_without_rules_is_removed(
    store: CountingStore, library: LexiconLibrary, how: str
) -> None:
    library.put("ana", [WIN])
    assert spoken(library, "ana", "Nguyen") == "Win"
    if how == "delete":
        library.delete("Ana")
        library.delete("Ana")
    elif how == "put":
        library.put("ana", [])
    else:
        library.patch("ana", remove=[RuleSelector("nguyen")])
    assert not store.exists(lexicon_key("ana"))
    assert spoken(library, "ana", "Nguyen") == "Nguyen"


def test_too_many_rules_and_too_many_bytes(library: LexiconLibrary, store: CountingStore) -> None:
    many = [Rule(f"w{number}", "x") for number in range(MAX_RULES)]
    library.put("", many)
    error = refusal(library.patch, "", [WIN])
    assert (error.code, "10,001 rules" in error.message) == ("BAD_LEXICON", True)
    error = refusal(library.put, "", [Rule(f"w{number}", "x" * 500) for number in range(5_000)])
    assert (error.code, "bytes" in error.message) == ("BAD_LEXICON", True)
    assert library.get().rules == tuple(many), "what was there stays"


def test_speech_asks_once_in_ten_seconds(
    store: CountingStore, library: LexiconLibrary, clock: Clock
) -> None:
    library.put("", [WIN])
    store.calls.clear()
    lexicon = library.for_voice("ana").lexicon
    for _ in range(3):
        clock.now += 3
        assert library.for_voice("ana").lexicon.revision == lexicon.revision
    assert store.calls == {("get", LIBRARY_KEY): 1, ("get", lexicon_key("ana")): 1}
    clock.now += 2
    library.for_voice("ana")
    assert store.total("get", LIBRARY_KEY) == store.total("get", lexicon_key("ana")) == 2


def test_changes_by_others_are_seen_after_ten_seconds(
    make: Callable[[], LexiconLibrary], clock: Clock
) -> None:
    here, there = make(), make()
    assert spoken(here, "ana", "Nguyen Lee") == "Nguyen Lee"
    there.put("ana", [WIN])
    there.put("", [LEE])
    assert spoken(here, "ana", "Nguyen Lee") == "Nguyen Lee"
    clock.now += 10
    assert spoken(here, "ana", "Nguyen Lee") == "Win Li"
    there.delete("ana")
    clock.now += 10
    assert spoken(here, "ana", "Nguyen Lee") == "Nguyen Li"


def test_threads_that_ask_at_once_share_one_request(
    tmp_path: Path, store: CountingStore, library: LexiconLibrary
) -> None:
    slow = CountingStore(store, pause_s=0.05)
    library = LexiconLibrary(slow, VoiceLibrary(slow, tmp_path))
    barrier = threading.Barrier(6)

    def ask() -> None:
        barrier.wait()
        library.for_voice("ana")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: ask(), range(6)))
    assert slow.total("get", "lexicons/") == 2


def test_changes_at_once_in_one_process_are_all_kept(library: LexiconLibrary) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: library.patch("ana", [Rule(f"w{n}", "x")]), range(24)))
    assert {rule.text for rule in library.get("ana").rules} == {f"w{n}" for n in range(24)}


def test_memory_is_bounded(
    library: LexiconLibrary, store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexicons, "MAX_CACHED_LEXICONS", 3)
    for number in range(6):
        library.for_voice(f"voice{number}")
    assert len(library._cached) == 3
    monkeypatch.setattr(lexicons, "MAX_CACHED_RULES", 2)
    library.put("", [WIN])
    library.put("ana", [LEE, WIN])
    assert spoken(library, "ana", "Nguyen Lee") == "Win Li"
    assert sum(len(entry.lexicon.rules) for entry in library._cached.values()) <= 2


GOOD = {"schema": 1, "rules": [{"text": "a", "alias": "b"}]}
DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    b"[" * 10_000,
    b'{"schema": 1}',
    b'{"schema": 1, "rules": {}}',
    b'{"schema": true, "rules": []}',
    b'{"rules": []}',
    b'{"schema": 0, "rules": []}',
    b'{"schema": 1, "rules": [{"text": "a"}]}',
    b'{"schema": 1, "rules": [{"text": "\\ud800", "alias": "b"}]}',
    b'{"schema": 1, "rules": [' + b"1," * 200_000 + b"1]}",
    json.dumps(GOOD).encode() + b" " * 2_000_000,
]


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_record_harms_no_other_voice(
    store: CountingStore, library: LexiconLibrary, clock: Clock, data: bytes
) -> None:
    library.put("", [LEE])
    store.put(lexicon_key("ana"), data)
    for call in (library.get, library.patch):
        error = refusal(call, "ana")
        assert isinstance(error, StorageFailed)
        assert error.code == "LEXICON_DAMAGED"
        assert "'ana'" in error.message
    found = library.for_voice("ana")
    assert found.lexicon.rules == (LEE,)
    assert len(found.warnings) == 1
    assert "'ana'" in found.warnings[0]
    assert library.for_voice("bob").warnings == ()
    library.put("ana", [WIN])
    assert library.for_voice("ana").warnings == ()


def test_a_damaged_library_does_not_stop_voices(
    store: CountingStore, library: LexiconLibrary, clock: Clock
) -> None:
    library.put("ana", [WIN])
    store.put(LIBRARY_KEY, b"{}")
    found = library.for_voice("ana")
    assert (found.lexicon.rules, len(found.warnings)) == ((WIN,), 1)
    library.delete()
    assert library.for_voice("ana").warnings == ()


def test_records_of_later_versions(store: CountingStore, library: LexiconLibrary) -> None:
    rule = {"text": "a", "alias": "b", "volume": 3}
    store.put(LIBRARY_KEY, json.dumps({"schema": 1, "rules": [rule], "more": [[]]}).encode())
    assert library.get().rules == (Rule("a", "b"),)
    store.put(LIBRARY_KEY, json.dumps({"schema": 2, "rules": "?"}).encode())
    assert refusal(library.get).code == "LEXICON_TOO_NEW"
    assert library.for_voice("ana").warnings


def test_a_store_that_fails_stops_speech(tmp_path: Path, clock: Clock) -> None:
    class Failing(MemoryStore):
        def get(self, key: str, max_bytes: int | None = None) -> bytes:
            raise StorageFailed("The bucket does not answer.", code="STORE_SILENT", hint="Wait.")

    store = Failing()
    library = LexiconLibrary(store, VoiceLibrary(store, tmp_path), clock=clock)
    assert refusal(library.for_voice, "ana").code == "STORE_SILENT"


def test_lists_have_counts_and_pages(store: CountingStore, library: LexiconLibrary) -> None:
    at = "2023-11-14T22:13:20+00:00"
    assert library.page().lexicons == ()
    library.put("", [WIN, LEE])
    library.put("ana", [WIN])
    library.put("am_adam", [LEE])
    store.put(lexicon_key("bob"), b"?")
    store.put("lexicons/voices/Not-lower.json", b"?")
    everything = library.page()
    assert everything.next == ""
    assert everything.lexicons == (
        LexiconEntry("", 2, at),
        LexiconEntry("am_adam", 1, at),
        LexiconEntry("ana", 1, at),
        LexiconEntry("bob", 0, "", "LEXICON_DAMAGED"),
    )
    first = library.page(limit=2)
    assert [entry.voice for entry in first.lexicons] == ["", "am_adam"]
    assert first.next == "am_adam"
    assert [entry.voice for entry in library.page(first.next).lexicons] == ["ana", "bob"]
    with pytest.raises(InvalidRequest):
        library.page("../x")


def test_a_deleted_voice_takes_its_lexicon_with_it(
    store: CountingStore, library: LexiconLibrary, tmp_path: Path
) -> None:
    library.put("Ana", [WIN])
    VoiceLibrary(store, tmp_path).delete("ana")
    assert not store.exists(lexicon_key("ana"))
