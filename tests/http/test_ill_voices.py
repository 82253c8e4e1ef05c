"""Voice records, the index and dropped files that nobody wrote properly: no route fails for them.

F5_TEST_MUTATIONS says how many are tried; 20,000 is a long run.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.store.bounded import BoundedStore
from f5serve.store.local import LocalStore
from f5serve.voices import names
from f5serve.voices.index import INDEX, Index
from f5serve.voices.index_format import Note, dump_note, read_base
from f5serve.voices.records import Consent
from tests.http.house import House, house
from tests.mutations import Ill, cases, put, remove, sample
from tests.voices.material import WORDS, recording

VOICES = "/v1/audio/voices"
GOOD = ("ana", "ben", "zoe")
COUNT = cases(500)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("ill")
    store = LocalStore(folder / "store")
    with house(folder, store) as home:
        for name in (*GOOD, "ill"):
            consent = Consent("Somebody", at="2026")
            home.service.voices.put(name, recording(), f"{WORDS} {name}.", "en", consent, "key-1")
        yield home


def folder_of(home: House) -> Path:
    store = home.service.store
    assert isinstance(store, BoundedStore)
    assert isinstance(store.inner, LocalStore)
    return store.inner.root


def record_of(home: House, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(home.service.store.get(names.record_key(name)))
    return found


def never_500(answer: httpx.Response, what: str) -> httpx.Response:
    assert answer.status_code not in (500, 502), f"{what}: {answer.text[:300]}"
    return answer


def look(home: House, what: str) -> None:
    """Every route that reads voices answers, and all good voices are listed."""
    listed = never_500(home.client.get(VOICES), what)
    assert listed.status_code == 200, f"{what}: {listed.text[:300]}"
    assert {*GOOD} <= {voice["id"] for voice in listed.json()["voices"]}, what
    for path in ("", "/sample"):
        never_500(home.client.get(f"{VOICES}/ill{path}"), what)


def test_ill_records_of_voices_stop_nobody(home: House) -> None:
    good = [record_of(home, "ill"), {**record_of(home, "ill"), "seen": None, "consent": None}]
    key = names.record_key("ill")
    for number, (_, ill) in enumerate(sample(good, COUNT, seed=5, links=True)):
        put(folder_of(home), key, ill)
        home.service.voices._catalog._entries.expire()
        look(home, ill.what)
        if number % 10 == 0:
            complete = [record.name for record in home.service.voices.list()]
            assert {*GOOD} <= {*complete}, ill.what
            never_500(home.speak(voice="ill", input="Hello."), ill.what)
    remove(folder_of(home), key)
    home.service.voices.put("ill", recording(), WORDS)
    assert home.client.get(f"{VOICES}/ill").json()["ref_text"] == WORDS
    assert home.client.delete(f"{VOICES}/ill").status_code == 200
    home.service.voices.put("ill", recording(), WORDS)


def test_ill_records_of_styles_stop_nobody(home: House) -> None:
    voices, key = home.service.voices, names.record_key("ill~happy")
    voices.put("ill", recording(), WORDS, style="happy")
    voices.put("ill", recording(), WORDS, style="sad")
    for number, (_, ill) in enumerate(
        sample([record_of(home, "ill~happy")], COUNT // 5, seed=9, links=True)
    ):
        put(folder_of(home), key, ill)
        voices._styles.forget("ill")
        look(home, ill.what)
        for path in ("sample?style=happy", "sample?style=sad"):
            never_500(home.client.get(f"{VOICES}/ill/{path}"), ill.what)
        assert home.client.get(f"{VOICES}/ill").json()["ref_text"] == WORDS, ill.what
        if number % 10 == 0:
            never_500(home.speak(voice="ill", style="happy", input="Hello."), ill.what)
            voices.collect_garbage()
            assert home.speak(voice="ill", style="sad", input="Hello.").status_code == 200
    remove(folder_of(home), key)
    voices.delete("ill")
    voices.put("ill", recording(), WORDS)


def test_an_ill_index_stops_nobody(home: House) -> None:
    voices = home.service.voices
    voices.collect_garbage()  # leaves one base
    root = folder_of(home)
    (base,) = (root / INDEX).iterdir()
    good = json.loads(zlib.decompress(base.read_bytes()))
    good["voices"] = good["voices"][:2]
    note = json.loads(dump_note(Note("ana", voices.get_record("ana"))))
    records = [good, note, {**note, "record": None}]
    draw = random.Random(7)
    for number, (which, ill) in enumerate(sample(records, COUNT // 5, seed=6, links=True)):
        ms, tail = int(home.service.store.now() * 1000) + number, f"{number:08x}"
        name = f"note-{ms:013d}-{tail}.json" if which else f"base-{ms:013d}-{tail}.json.gz"
        is_packed = which == 0 and draw.random() < 0.8
        data = zlib.compress(ill.data, 1) if is_packed else ill.data
        put(root, INDEX + name, Ill(ill.what, data, ill.link))
        # What can be read is believed until the next check, which the records decide.
        complete = [record.name for record in voices.list()]
        assert {*GOOD, "ill"} <= {*complete}, ill.what
        answer = never_500(home.client.get(VOICES), ill.what)
        assert answer.status_code == 200, ill.what
        remove(root, INDEX + name)
    voices.collect_garbage()
    (left,) = (path for path in (root / INDEX).iterdir() if path.is_file())
    assert {*GOOD, "ill"} <= {*read_base(left.name, left.read_bytes()).entries}
    assert {*GOOD, "ill"} <= {*(Index(home.service.store).load() or {})}


@pytest.mark.parametrize("ending", ["wav", "txt"])
def test_ill_files_that_were_dropped_stop_nobody(home: House, ending: str) -> None:
    root = folder_of(home)
    kinds = [{"schema": 1, "text": WORDS}]
    for _, ill in sample(kinds, COUNT // 10, seed=8, links=True):
        store = home.service.store
        for kind, data in (("wav", recording()), ("txt", WORDS.encode())):
            remove(root, f"voices/Drop.{kind}")
            store.put(f"voices/Drop.{kind}", data)
        put(root, f"voices/Drop.{ending}", ill)
        home.service.voices._external._exists.evict("drop")
        look(home, ill.what)
        for path in (f"{VOICES}/drop", f"{VOICES}/Drop/sample"):
            never_500(home.client.get(path), ill.what)
        gone = never_500(home.client.delete(f"{VOICES}/Drop"), ill.what)
        assert gone.status_code in (200, 404, 503), f"{ill.what}: {gone.text}"
        for kind in ("wav", "txt"):
            remove(root, f"voices/Drop.{kind}")
        never_500(home.client.delete(f"{VOICES}/Drop"), ill.what)
