"""Many threads and processes want one cold voice: it is downloaded once, and all get it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from f5serve.errors import F5Error
from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.voices import names
from f5serve.voices.external_files import MAX_SEARCHES
from f5serve.voices.library import VoiceLibrary
from tests.voices.conftest import Machine
from tests.voices.material import WORDS, CountingStore, recording

THREADS = 50
PROCESSES = 5
ASK = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from f5serve.store.local import LocalStore
from f5serve.voices.library import VoiceLibrary
from tests.voices.material import CountingStore

folder, threads = Path(sys.argv[1]), int(sys.argv[2])
store = CountingStore(LocalStore(folder / "store"), pause_s=0.2, log=folder / "log")
library = VoiceLibrary(store, folder / "cache")
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    voices = list(pool.map(library.get, ["ana"] * threads))
print(*{voice.revision for voice in voices})
"""


def test_threads_share_one_download(store: ObjectStore, machine: Machine) -> None:
    record = machine().put("ana", recording(), WORDS)
    counting = CountingStore(store, pause_s=0.1)
    library = machine(counting)
    with ThreadPoolExecutor(THREADS) as pool:
        voices = list(pool.map(library.get, ["ana", "Ana.wav"] * (THREADS // 2)))
    assert {voice.revision for voice in voices} == {record.revision}
    assert counting.total("get", "_blobs/") == 2  # its sound and its words
    assert counting.total("list") == 0


def test_processes_share_one_download(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    record = VoiceLibrary(store, tmp_path / "elsewhere").put("ana", recording(), WORDS)
    command = [sys.executable, "-c", ASK, str(tmp_path), str(THREADS // PROCESSES)]
    root = Path(__file__).parents[2]
    crowd = [
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(PROCESSES)
    ]
    try:
        for process in crowd:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        said = [process.communicate(b"\n", timeout=60)[0] for process in crowd]
    finally:
        for process in crowd:
            process.kill()
            process.wait()
    assert said == [f"{record.revision}\n".encode()] * PROCESSES
    calls = (tmp_path / "log").read_text().split("\n")
    assert calls.count(f"get {names.audio_key('ana', record.audio.sha256)}") == 1
    assert calls.count(f"get {names.record_key('ana')}") == THREADS


def test_threads_share_one_import(store: ObjectStore, machine: Machine) -> None:
    store.put("voices/ana.wav", recording())
    store.put("voices/ana.txt", WORDS.encode())
    counting = CountingStore(store)
    library = machine(counting)
    with ThreadPoolExecutor(THREADS) as pool:
        voices = list(pool.map(library.get, ["ana"] * THREADS))
    assert len({voice.revision for voice in voices}) == 1
    assert counting.total("put", "_records/") == 1


def test_unknown_names_on_a_store_that_does_not_list_hold_up_no_known_one(
    store: ObjectStore, machine: Machine
) -> None:
    machine().put("ana", recording(), WORDS)
    goes_on = threading.Event()

    def hang(call: str, key: str) -> None:
        if call == "list":
            goes_on.wait(60)

    library = machine(CountingStore(store, before=hang), external_refresh_s=60.0)

    def ask(number: int) -> str:
        with pytest.raises(F5Error) as caught:
            library.get(f"nobody-{number}")
        return caught.value.code

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, number) for number in range(40)]
        began = time.monotonic()
        assert pool.submit(library.get, "ana").result(30).ref_text == WORDS
        assert time.monotonic() - began < 15  # it waited behind 40 others, of whom 8 still hang
        goes_on.set()
        codes = Counter(future.result() for future in asked)
    assert codes["VOICE_NOT_FOUND"] >= MAX_SEARCHES
    assert codes.keys() <= {"VOICE_NOT_FOUND", "BUSY"}


def test_readers_meet_whole_voices_while_it_is_replaced(
    store: ObjectStore, machine: Machine
) -> None:
    spoken = ("No. Yes.", WORDS)
    words = {machine().put("ana", recording(), said).revision: said for said in spoken}
    until = time.monotonic() + 60

    def read() -> set[str]:
        found = set[str]()
        for count in itertools.count():
            if time.monotonic() > until or (count >= 50 and found == set(words)):
                return found
            voice = machine(external_refresh_s=60.0).get("ana")
            assert voice.ref_text == words[voice.revision]
            found.add(voice.revision)
        raise AssertionError

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        while not all(reader.done() for reader in readers):
            for said in spoken:
                machine().put("ana", recording(), said)
        assert set().union(*(reader.result() for reader in readers)) == set(words)
