"""Whatever somebody calls a voice, its keys stay where voices are and belong to it alone."""

from __future__ import annotations

import itertools
import posixpath
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.store.base import check_key
from f5serve.voices import names
from f5serve.voices.names import (
    ExternalFile,
    casefold,
    check_name,
    is_default,
    is_url,
    parse_external_key,
)

SHA = "0123456789abcdef" * 4
GRAMMAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PARTS = [
    *("", "a", "ana", "Ana", "0", "x" * 64, "x" * 65, "x" * 4096, "default", "con", "NUL", "com1"),
    *("..", ".", "/", "\\", "%2e%2e", "%2f", "\0", "\n", "\r\n", "\t", " ", "~", "$HOME", "`id`"),
    *("../../etc/cron.d/x", "/etc/passwd", "C:\\x", "\\\\host\\x", "s3://b/k", "file:///x", "-rf"),
    *("\u202egpj", "\u200b", "\u0430na", "K", "\u212a", "e\u0301", "\u00e9", "\ufeff", "\ud800"),
    *("_records", "_blobs", "voices/", ".f5-", ".tmp", "'; --", '"', "<b>", "{}", "*", "?", "|"),
    *(".wav", ".WAV", ".wav.wav", ".mp3", ".txt", ".json", ".wav.txt", "wav", ".wav.", "..wav"),
]


def nasty() -> list[str]:
    """Every pair and many triples of things that have gone wrong somewhere."""
    pairs = ["".join(pair) for pair in itertools.product(PARTS, repeat=2)]
    triples = [f"ana{a}{b}" for a, b in itertools.product(PARTS, repeat=2)]
    return list(dict.fromkeys(pairs + triples))


def keys(name: str) -> list[str]:
    files = [ExternalFile(name, ending).audio_key for ending in names.AUDIO_EXTENSIONS]
    return [
        *files,
        ExternalFile(name, "wav").text_key,
        names.record_key(name),
        names.audio_key(name, SHA),
        names.text_key(name, SHA),
    ]


def name_or_refusal(text: str) -> str | InvalidRequest:
    try:
        return check_name(text)
    except InvalidRequest as error:
        return error


def accepted(text: str) -> str | None:
    """The name that `text` becomes, checked in every way; None when it is refused in words."""
    name = name_or_refusal(text)
    if isinstance(name, InvalidRequest):
        assert name.code in ("BAD_VOICE_NAME", "RESERVED_VOICE_NAME")
        assert name.message.isprintable()
        assert len(name.message) < 600
        assert name.hint
        return None
    assert GRAMMAR.fullmatch(name)
    assert ".." not in name
    assert not name.endswith(".")
    assert check_name(name) == name
    assert check_name(f"{name}.wav") == name
    for key in keys(name):
        assert check_key(key) == key
        assert posixpath.normpath(key) == key
        assert key.startswith("voices/")
    assert len(set(keys(name))) == len(keys(name))
    return name


def test_thousands_of_nasty_names() -> None:
    tried = nasty()
    assert len(tried) > 2_000
    owner: dict[str, str] = {}
    good = 0
    for text in tried:
        name = accepted(text)
        if name is None:
            continue
        good += 1
        for key in keys(name):
            # On a file system that does not tell capitals apart either.
            assert owner.setdefault(key.lower(), casefold(name)) == casefold(name), key
    assert 50 < good < len(tried) / 2


@given(st.text(max_size=80) | st.text("abAB0_.-/wav", max_size=70))
@settings(max_examples=400)
def test_any_text(text: str) -> None:
    accepted(text)


@given(st.text("abAB01._-", min_size=1, max_size=8), st.text("abAB01._-", min_size=1, max_size=8))
@settings(max_examples=400)
def test_two_names_share_all_keys_or_none(one: str, two: str) -> None:
    first, second = accepted(one), accepted(two)
    if first and second:
        same = casefold(first) == casefold(second)
        for mine in keys(first):
            assert mine.lower() not in {k.lower() for k in keys(second)} or same
        assert (names.record_key(first) == names.record_key(second)) is same


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ana", "ana"),
        ("ana.wav", "ana"),
        ("Ana.WAV", "Ana"),
        ("Kim.mp3", "Kim"),
        ("dr.who", "dr.who"),
        ("x" * 64 + ".flac", "x" * 64),
        ("\u212aim", "Kim"),  # the Kelvin sign is a K
        ("console", "console"),
        ("default2", "default2"),
    ],
)
def test_good_names(text: str, name: str) -> None:
    assert check_name(text) == name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "BAD_VOICE_NAME"),
        (".wav", "BAD_VOICE_NAME"),
        ("ana.wav.wav", "BAD_VOICE_NAME"),
        ("ana.txt", "BAD_VOICE_NAME"),
        ("ana.", "BAD_VOICE_NAME"),
        ("ana..wav", "BAD_VOICE_NAME"),
        ("_ana", "BAD_VOICE_NAME"),
        ("ana\n", "BAD_VOICE_NAME"),
        ("Änna", "BAD_VOICE_NAME"),
        ("x" * 65, "BAD_VOICE_NAME"),
        ("../etc/cron.d/x.wav", "BAD_VOICE_NAME"),
        ("con", "RESERVED_VOICE_NAME"),
        ("NUL.tar", "RESERVED_VOICE_NAME"),
        ("Lpt9.wav", "RESERVED_VOICE_NAME"),
        ("Default.wav", "RESERVED_VOICE_NAME"),
    ],
)
def test_bad_names(text: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_name(text)
    assert caught.value.code == code


def test_dropped_files_are_told_by_their_keys() -> None:
    assert parse_external_key("voices/Kim.mp3") == ("Kim", "mp3")
    assert parse_external_key("voices/Kim.WAV") == ("Kim", "WAV")
    assert ExternalFile("Kim", "WAV").audio_key == "voices/Kim.WAV"
    for key in [
        *("voices/Kim.txt", "voices/Kim", "voices/a/Kim.wav", "output/Kim.wav", "voices/.wav"),
        *(names.audio_key("kim", SHA), names.record_key("kim"), "voices/default.wav"),
    ]:
        assert parse_external_key(key) is None, key


def test_records_are_told_by_their_keys() -> None:
    assert names.parse_record_key(names.record_key("Kim")) == "kim"
    for key in ("voices/_records/Kim.json", "voices/_records/a/b.json", "voices/kim.json"):
        assert names.parse_record_key(key) is None


def test_default_and_urls() -> None:
    assert is_default("default")
    assert is_default("DEFAULT.wav")
    assert not is_default("defaults")
    assert is_url("https://example.com/a.wav")
    assert is_url("file:ana.wav")
    assert not is_url("ana.wav")


STEMS = ["Kim Lee (2)", "Änna", "..x..", "-a-", "a" * 80, "Ana.final.v2", "声", "声" * 80, "Анна"]


@pytest.mark.parametrize("stem", [*STEMS, "x.txt", "", "...", "🙂", "\ud800"])
def test_file_names_become_names(stem: str) -> None:
    name = names.suggest_name(stem)
    assert check_name(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert names.suggest_name(stem) == name


def test_names_of_other_scripts_differ() -> None:
    assert names.suggest_name("声") == "u58f0"
    found = [
        names.suggest_name(stem) for stem in ("声", "音", "声音", "声" * 80, "声" * 81, "Анна")
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "text", ["声", "声.wav", "my voice", "a/b", "x.txt", "..", "é" * 99, "../con"]
)
def test_a_refusal_tells_a_name_that_works(text: str) -> None:
    error = name_or_refusal(text)
    assert isinstance(error, InvalidRequest)
    name = error.hint.rpartition("for example ")[2].removesuffix(".")
    assert check_name(name) == name


@given(
    st.from_regex(GRAMMAR, fullmatch=True), st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
)
def test_keys_of_styles_belong_to_one_style(name: str, style: str) -> None:
    try:
        name, style = check_name(name), names.check_new_style(style)
    except InvalidRequest:
        return
    record = names.record_name(name, style)
    assert names.split_record_name(record) == (name, style)
    assert names.is_record_name(record)
    assert isinstance(name_or_refusal(record), InvalidRequest)
    key = names.record_key(record)
    assert names.parse_record_key(key) == casefold(record)
    for blob in (names.audio_key(record, SHA), names.text_key(record, SHA)):
        assert names.parse_blob_key(blob) == casefold(record)
        assert names.parse_record_key(blob) is None
    for each in keys(record)[-3:]:
        assert check_key(each).startswith(names.styles_folder(name))
        assert parse_external_key(each) is None
    assert not {*keys(record)[-3:]} & {*keys(name), *keys(f"{name}_{style}")}


@pytest.mark.parametrize(
    "key",
    [
        "voices/_styles/ana.json",
        "voices/_styles/ana/happy",
        "voices/_styles/ana/Happy.json",
        "voices/_styles/Ana/happy.json",
        "voices/_styles/ana/main.json",
        "voices/_styles/default/happy.json",
        "voices/_styles/ana/a/b.json",
        "voices/_records/ana~happy.json",
        "voices/_styles/ana~sad/happy.json",
        "voices/_styles//happy.json",
    ],
)
def test_other_keys_are_no_records(key: str) -> None:
    assert names.parse_record_key(key) is None


def test_what_other_keys_hold_is_no_blob() -> None:
    for key in (
        f"voices/_blobs/ana/happy/{SHA}.wav",
        f"voices/_styles/ana/{SHA}.wav",
        f"voices/_styles/ana/happy/{SHA}.mp3",
        f"voices/_styles/ana/happy/{SHA[1:]}.wav",
    ):
        assert names.parse_blob_key(key) is None
