"""Styles of a voice: recordings of their own, which live and go with the voice."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from f5serve.asr_types import Transcript
from f5serve.errors import F5Error, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.types import Wave
from f5serve.voices import names
from f5serve.voices.garbage import GRACE_S
from f5serve.voices.index import INDEX
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.prepare import Transcriber, prepare_voice
from f5serve.voices.records import Consent, dump_record, load_record
from f5serve.voices.styles import MAX_STYLES
from tests.voices.conftest import Machine
from tests.voices.material import (
    OTHER_WORDS,
    WORDS,
    CountingStore,
    other_recording,
    recording,
)


def refusal(call: object, *args: object, **more: object) -> F5Error:
    with pytest.raises(F5Error) as caught:
        call(*args, **more)  # type: ignore[operator]
    return caught.value


def keys(store: ObjectStore) -> set[str]:
    """All but the index, which follows."""
    return {entry.key for entry in store.list() if not entry.key.startswith(INDEX)}


def add(library: VoiceLibrary, name: str, *styles: str) -> None:
    """A voice, and styles whose words name them."""
    library.put(name, recording(), WORDS, "en")
    for style in styles:
        library.put(name, recording(), f"{WORDS} {style}.", "en", style=style)


def later(store: ObjectStore) -> CountingStore:
    """The store, by whose clock all that is in it is old."""
    counting = CountingStore(store)
    counting.now = lambda: store.now() + 2 * GRACE_S  # type: ignore[method-assign]
    return counting


def test_what_was_put_is_what_is_got(machine: Machine) -> None:
    here, there = machine(), machine()
    main = here.put("Ana.wav", recording(), WORDS, "en", normalize="off")
    record = here.put("ana", other_recording(), OTHER_WORDS, "de", style="Happy")
    assert (record.name, record.voice, record.style) == ("Ana~happy", "Ana", "happy")
    expected = prepare_voice("ana", other_recording(), OTHER_WORDS).voice
    for library, style in itertools.product((here, there), ("happy", "HAPPY")):
        voice = library.get("ANA.wav", style)
        assert (voice.name, voice.style, voice.ref_text) == ("Ana", "happy", OTHER_WORDS)
        assert (voice.language, voice.normalize) == ("de", "")
        assert voice.revision == expected.revision == record.revision
        assert library.get_record("ana", style) == record
    for library, style in itertools.product((here, there), ("", None, *names.MAIN_STYLES, "Main")):
        voice = library.get("ana", style)
        assert (voice.style, voice.ref_text, voice.normalize) == ("", WORDS, "off")
    assert there.get_record("ana") == main


def test_layout(store: ObjectStore, machine: Machine) -> None:
    library = machine()
    library.put("Ana.v2", recording(), WORDS)
    before = keys(store)
    record = library.put("ana.v2", other_recording(), OTHER_WORDS, style="very_sad")
    assert record.text is not None
    assert keys(store) - before == {
        "voices/_styles/ana.v2/very_sad.json",
        f"voices/_styles/ana.v2/very_sad/{record.audio.sha256}.wav",
        f"voices/_styles/ana.v2/very_sad/{record.text.sha256}.txt",
    }
    assert load_record("ana.v2~very_sad", dump_record(record)) == record


def test_no_index_and_no_list_of_voices_has_styles(store: ObjectStore, machine: Machine) -> None:
    library = machine()
    add(library, "ana", "happy")
    for listed in (library.list(), library.page().records, machine().list()):
        assert [record.name for record in listed] == ["ana"]
    library.collect_garbage()
    assert all(b"~" not in store.get(e.key) for e in store.list(INDEX) if "note" in e.key)
    library.delete("ana", "happy")
    assert [record.name for record in machine().list()] == ["ana"]


def test_styles_are_listed_in_order_and_at_once(machine: Machine) -> None:
    here = machine()
    assert here.styles("ana") == here.styles("default") == ()
    assert here.all_styles() == {}
    add(here, "Ana", "sad", "angry", "happy")
    add(here, "ben")
    add(here, "zoe", "calm")
    for library in (here, machine()):
        assert library.styles("ANA.wav") == ("angry", "happy", "sad")
        assert library.styles("ben") == library.styles("nobody") == ()
        assert library.all_styles() == {"ana": ("angry", "happy", "sad"), "zoe": ("calm",)}
    here.delete("ana", "happy")
    assert here.styles("ana") == ("angry", "sad")
    here.delete("ana")
    assert here.all_styles() == {"zoe": ("calm",)}
    assert refusal(here.styles, "../ana").code == "BAD_VOICE_NAME"


def test_listings_of_styles_are_cached(store: ObjectStore, machine: Machine) -> None:
    add(machine(), "ana", "sad")
    counting = CountingStore(store)
    library = machine(counting, external_refresh_s=60.0)
    for _ in range(10):
        assert library.styles("ana") == ("sad",)
        assert library.all_styles() == {"ana": ("sad",)}
    assert counting.total("list") == counting.total() == 2
    library.get("ana", "sad")
    counting.calls.clear()
    for _ in range(10):
        library.get("ana", "sad")
    assert counting.calls == {("get", names.record_key("ana~sad")): 10}


def test_a_missing_style_names_those_there_are(machine: Machine) -> None:
    library = machine()
    add(library, "Ana", "sad", "happy")
    error = refusal(library.get, "ana", "angry")
    assert isinstance(error, names.StyleNotFound)
    assert (error.code, error.styles) == ("STYLE_NOT_FOUND", ("happy", "sad"))
    assert error.message == "The voice 'Ana' has no style 'angry'."
    assert error.hint.startswith("It has happy, sad.")
    assert refusal(library.get_record, "ana", "angry").code == "STYLE_NOT_FOUND"
    assert refusal(library.delete, "ana", "angry").code == "STYLE_NOT_FOUND"
    assert "main recording alone" in refusal(library.get, "default", "happy").hint
    for call in (library.get, library.delete):
        assert refusal(call, "nobody", "happy").code == "VOICE_NOT_FOUND"


@pytest.mark.parametrize(
    "style", ["a b", "a/b", "..", "a.b", "é", "\u212aind", "x" * 33, "-a", "~"]
)
def test_bad_names_of_styles_reach_no_store(
    store: ObjectStore, machine: Machine, style: str
) -> None:
    counting = CountingStore(store)
    library = machine(counting)
    for error in (
        refusal(library.put, "ana", recording(), WORDS, style=style),
        refusal(library.get, "ana", style),
        refusal(library.delete, "ana", style),
        refusal(library.get, "default", style),
    ):
        assert error.code == "BAD_STYLE_NAME"
        assert "for example happy" in error.hint
    assert counting.total() == 0


@pytest.mark.parametrize("style", [*names.MAIN_STYLES, "Regular"])
def test_names_of_the_main_recording_are_no_styles(machine: Machine, style: str) -> None:
    library = machine()
    add(library, "ana", "sad")
    error = refusal(library.put, "ana", other_recording(), OTHER_WORDS, style=style)
    assert error.code == "RESERVED_STYLE_NAME"
    for one in (style, ""):
        assert refusal(library.delete, "ana", one).code == "RESERVED_STYLE_NAME"
    assert library.get("ana").ref_text == WORDS
    assert library.styles("ana") == ("sad",)


def test_a_style_needs_its_voice(store: ObjectStore, machine: Machine) -> None:
    error = refusal(machine().put, "ana", recording(), WORDS, style="happy")
    assert error.code == "VOICE_NOT_FOUND"
    assert error.hint.endswith("A voice is uploaded without style first, then its styles.")
    error = refusal(machine().put, "default", recording(), WORDS, style="happy")
    assert error.code == "RESERVED_VOICE_NAME"
    assert keys(store) == set()


def test_a_voice_put_by_hand_has_styles(store: ObjectStore, machine: Machine) -> None:
    store.put("voices/Kim.wav", recording())
    store.put("voices/Kim.txt", WORDS.encode())
    library = machine()
    library.put("kim", other_recording(), OTHER_WORDS, style="sad")
    store.put("voices/Kim.txt", (WORDS + " Yes.").encode())
    assert library.get("kim").ref_text == WORDS + " Yes."
    assert machine().get("kim", "sad").ref_text == OTHER_WORDS
    library.delete("kim")
    assert keys(store) == set()


def test_the_number_of_styles_is_limited(store: ObjectStore, machine: Machine) -> None:
    library = machine()
    library.put("ana", recording(), WORDS)
    for number in range(MAX_STYLES):
        store.put(names.record_key(f"ana~s{number}"), b"{}")
    counting = CountingStore(store)
    error = refusal(machine(counting).put, "ana", b"not even audio", WORDS, style="more")
    assert error.code == "TOO_MANY_STYLES"
    assert counting.total("put") == 0
    library.put("ana", recording(), WORDS, style="s0")  # replaces one


def test_consent_belongs_to_each_recording(machine: Machine) -> None:
    library = machine(require_consent=True)
    library.put("ana", recording(), WORDS, consent=Consent("Ana"))
    for given in (recording(), other_recording()):
        error = refusal(library.put, "ana", given, WORDS, style="happy")
        assert error.code == "CONSENT_REQUIRED"
    record = library.put("ana", recording(), WORDS, style="happy", consent=Consent("Ben"))
    assert record.consent is not None
    assert record.consent.by == "Ben"
    again = library.put("ana", recording(), WORDS + " Yes.", style="happy")
    assert again.consent == record.consent
    main = library.get_record("ana")
    assert main.consent is not None
    assert main.consent.by == "Ana"


def test_a_recogniser_writes_the_words_of_a_style(machine: Machine) -> None:
    def hear(wave: Wave, language: str) -> Transcript:
        return Transcript(WORDS, "en", 0.75)

    library = machine(transcriber=Transcriber(transcribe=hear))
    library.put("ana", recording(), WORDS)
    assert library.put("ana", recording(), style="happy").needs_review
    for one in (library, machine()):
        (warning,) = one.get("ana", "happy").warnings
        assert "the style 'happy' of the voice 'ana' was written by a recogniser" in warning
        assert one.get("ana").warnings == ()


def test_equal_recordings_are_removed_apart(machine: Machine, store: ObjectStore) -> None:
    library = machine()
    for style in ("", "happy", "sad"):
        library.put("ana", recording(), WORDS, style=style)
    there = machine()
    there.get("ana", "happy")
    library.delete("ana", "happy")
    assert refusal(there.get, "ana", "happy").code == "STYLE_NOT_FOUND"
    assert there.get("ana").ref_text == there.get("ana", "sad").ref_text == WORDS
    assert not any("happy" in key for key in keys(store))


def test_a_removed_voice_takes_its_styles_along(store: ObjectStore, machine: Machine) -> None:
    here, there = machine(), machine()
    add(here, "ana", "happy", "sad")
    add(here, "anabel", "happy")
    there.get("ana", "happy")
    here.delete("ANA.wav")
    for library in (here, there):
        assert refusal(library.get, "ana", "happy").code == "VOICE_NOT_FOUND"
        assert refusal(library.get, "ana").code == "VOICE_NOT_FOUND"
    assert here.get("anabel", "happy").style == "happy"
    assert not any("/ana/" in key or "ana.json" in key for key in keys(store))


class Away(StorageFailed):
    """The store that a killed process does not reach any more."""

    def __init__(self) -> None:
        super().__init__("The bucket is away.", code="S3_UNREACHABLE")


def at_call(number: int, do: Callable[[], object], met: list[str]) -> Callable[[str, str], None]:
    """Does something before one call of a store, and notes the call."""
    calls = itertools.count(1)

    def before(call: str, key: str) -> None:
        if next(calls) == number:
            met.append(f"{call} {key}")
            do()

    return before


def die() -> None:
    raise Away


def outcome(call: Callable[[], object]) -> str:
    """The code of the error with which a call ends; "" if it succeeds."""
    try:
        call()
    except F5Error as error:
        return error.code
    return ""


def reset(store: ObjectStore, to: dict[str, bytes]) -> None:
    for entry in list(store.list()):
        store.delete(entry.key)
    for key, data in to.items():
        store.put(key, data)


def saved(store: ObjectStore) -> dict[str, bytes]:
    return {entry.key: store.get(entry.key) for entry in store.list()}


def test_a_removal_that_is_cut_short_is_finished_by_the_next(
    store: ObjectStore, machine: Machine
) -> None:
    """Killed at any call of the store, it leaves nothing that is not whole or refused."""
    add(machine(), "ana", "happy", "sad")
    full = saved(store)
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []
        library = machine(CountingStore(store, before=at_call(cut, die, met)))
        code = outcome(lambda: library.delete("ana"))  # noqa: B023
        if not met:
            assert (code, keys(store), cut > 10) == ("", set(), True)
            return
        gone = {"", "VOICE_NOT_FOUND", "STYLE_NOT_FOUND", "VOICE_RECORD_DAMAGED"}
        for style in ("", "happy", "sad"):
            assert outcome(lambda: machine().get("ana", style)) in gone  # noqa: B023
        assert outcome(lambda: machine().delete("ana")) in ("", "VOICE_NOT_FOUND")
        assert keys(store) == set()


def test_an_upload_that_is_cut_short_harms_no_style(store: ObjectStore, machine: Machine) -> None:
    add(machine(), "ana", "happy")
    full = saved(store)
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []
        library = machine(CountingStore(store, before=at_call(cut, die, met)))
        code = outcome(
            lambda: library.put("ana", other_recording(), OTHER_WORDS, style="happy")  # noqa: B023
        )
        words = machine().get("ana", "happy").ref_text
        if not met:
            assert (code, words, cut > 6) == ("", OTHER_WORDS, True)
            return
        assert words in (f"{WORDS} happy.", OTHER_WORDS)
        assert machine().get("ana").ref_text == WORDS


def test_a_style_put_while_its_voice_is_removed_is_gone(
    store: ObjectStore, machine: Machine
) -> None:
    """Whichever call of the store the removal comes before."""
    add(machine(), "ana")
    full = saved(store)
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []
        meddle = at_call(cut, lambda: machine().delete("ana"), met)
        library = machine(CountingStore(store, before=meddle))
        code = outcome(lambda: library.put("ana", recording(), WORDS, style="happy"))  # noqa: B023
        if not met:
            assert cut > 6
            assert machine().get("ana", "happy").style == "happy"
            return
        assert code in ("", "VOICE_NOT_FOUND")
        assert keys(store) == set()


def test_a_voice_removed_while_its_style_is_put_leaves_nothing(
    store: ObjectStore, machine: Machine
) -> None:
    """Whichever call of the removal the upload comes before."""
    add(machine(), "ana", "sad")
    full = saved(store)
    codes = set()
    for cut in itertools.count(1):
        reset(store, full)
        met: list[str] = []

        def put() -> None:
            codes.add(outcome(lambda: machine().put("ana", recording(), WORDS, style="happy")))

        machine(CountingStore(store, before=at_call(cut, put, met))).delete("ana")
        assert keys(store) == set()
        if not met:
            assert (cut > 10, codes) == (True, {"", "VOICE_NOT_FOUND"})
            return


def test_two_styles_put_at_once_are_both_kept(machine: Machine) -> None:
    add(machine(), "ana")
    styles = [f"style{number}" for number in range(8)]
    gate = threading.Barrier(len(styles))

    def put(style: str) -> None:
        library = machine()
        gate.wait(60)
        library.put("ana", recording(), f"{WORDS} {style}.", style=style)

    with ThreadPoolExecutor(len(styles)) as pool:
        list(pool.map(put, styles))
    library = machine()
    assert library.styles("ana") == tuple(styles)
    assert [library.get("ana", one).ref_text for one in styles] == [f"{WORDS} {s}." for s in styles]


def test_a_new_voice_gets_no_style_of_a_former_one(store: ObjectStore, machine: Machine) -> None:
    """A process was killed while it put a style of a voice that another one has removed."""
    for make in (
        lambda: machine().put("ana", other_recording(), OTHER_WORDS),
        lambda: (
            store.put("voices/ana.wav", recording()),
            store.put("voices/ana.txt", WORDS.encode()),
        ),
    ):
        add(machine(), "ana", "happy")
        store.delete(names.record_key("ana"))
        assert refusal(machine().get, "ana", "happy").code == "VOICE_NOT_FOUND"
        make()
        machine().get("ana")
        assert refusal(machine().get, "ana", "happy").code == "STYLE_NOT_FOUND"
        assert not any("_styles" in key for key in keys(store))
        machine().delete("ana")


def test_styles_stay_when_a_damaged_voice_is_replaced(store: ObjectStore, machine: Machine) -> None:
    add(machine(), "ana", "happy")
    store.put(names.record_key("ana"), b"{")
    machine().put("ana", recording(), WORDS)
    assert machine().get("ana", "happy").style == "happy"


@pytest.mark.parametrize("bad", [b"{", b"[]", b'{"name": "ana"}', b" " * 70_000])
def test_a_damaged_style(store: ObjectStore, machine: Machine, bad: bytes) -> None:
    add(machine(), "ana", "happy", "sad")
    good = store.get(names.record_key("ana~sad"))
    for data in (bad, good, good.replace(b"~sad", b"~happy/x"), good.replace(b"ana~sad", b"ana")):
        store.put(names.record_key("ana~happy"), data)
        error = refusal(machine().get, "ana", "happy")
        assert error.code == "VOICE_RECORD_DAMAGED"
        assert error.message == "The style 'happy' of the voice 'ana' is damaged in the store."
    assert machine().get("ana", "sad").style == "sad"
    assert machine(later(store)).collect_garbage().files == 0
    machine().put("ana", recording(), WORDS, style="happy")
    store.put(names.record_key("ana~happy"), bad)
    machine().delete("ana", "happy")
    assert not any("happy" in key for key in keys(store))


def test_replaced_recordings_of_styles_go_after_an_hour(
    store: ObjectStore, machine: Machine
) -> None:
    add(machine(), "ana", "happy", "sad")
    old = {key for key in keys(store) if "/happy/" in key}
    machine().put("ana", other_recording(), OTHER_WORDS, style="happy")
    everything = keys(store)
    assert machine().collect_garbage().files == 0  # too young
    assert machine(later(store)).collect_garbage().files == 2
    assert keys(store) == everything - old
    for style, words in (("happy", OTHER_WORDS), ("sad", f"{WORDS} sad."), ("", WORDS)):
        assert machine().get("ana", style).ref_text == words


def test_recordings_that_no_style_names_go(store: ObjectStore, machine: Machine) -> None:
    add(machine(), "ana", "happy", "sad")
    store.delete(names.record_key("ana~happy"))
    assert machine(later(store)).collect_garbage().files == 2
    assert not any("happy" in key for key in keys(store))
    store.delete(names.record_key("ana"))  # what a killed upload leaves of a voice that is gone
    assert machine(later(store)).collect_garbage().files == 4
    assert keys(store) == {"voices/_styles/ana/sad.json"}
    assert refusal(machine().get, "ana", "sad").code == "VOICE_NOT_FOUND"
    machine().delete("ana")
    assert keys(store) == set()


@pytest.mark.parametrize("call", ["get", "delete"])
def test_a_style_that_is_put_while_its_recording_is_swept_is_whole(
    store: ObjectStore, machine: Machine, call: str
) -> None:
    add(machine(), "ana", "happy")
    store.delete(names.record_key("ana~happy"))
    met = []

    def meddle(c: str, key: str) -> None:
        if c == call and key.startswith(names.STYLES) and key.endswith(".wav") and not met:
            met.append(key)
            machine().put("ana", recording(), f"{WORDS} happy.", style="happy")

    machine(CountingStore(later(store), before=meddle)).collect_garbage()
    assert met
    assert machine().get("ana", "happy").ref_text == f"{WORDS} happy."


def test_removed_styles_leave_the_caches(store: ObjectStore, tmp_path: Path) -> None:
    here = VoiceLibrary(store, tmp_path / "here")
    there = VoiceLibrary(store, tmp_path / "there")
    add(here, "ana", "happy", "sad")
    for style in ("", "happy", "sad"):
        there.get("ana", style)
    blobs = tmp_path / "there" / "blobs"
    assert len(list(blobs.iterdir())) == 4  # one recording, three transcripts
    here.delete("ana", "happy")
    assert there.evict_stale() == 1
    here.delete("ana")
    assert there.evict_stale() == 3
    assert (list(blobs.iterdir()), there._loader.names()) == ([], set())
    add(here, "ana", "happy")
    here.get("ana", "happy")
    here.delete("ana", "happy")
    assert here._loader.names() == {"ana"}


def test_voices_of_older_versions_have_styles(store: ObjectStore, machine: Machine) -> None:
    machine().put("Ana", recording(), WORDS, "en")
    fields = json.loads(store.get(names.record_key("ana")))
    for added_later in ("owner", "normalize", "transcript_confidence", "made_by", "seen"):
        fields.pop(added_later)
    old = json.dumps(fields).encode()
    store.put(names.record_key("ana"), old)
    library = machine()
    assert (library.styles("ana"), library.get("ana").style) == ((), "")
    library.put("ana", recording(), WORDS, style="happy")
    assert store.get(names.record_key("ana")) == old
    assert machine().get("ana", "happy").name == "Ana"
