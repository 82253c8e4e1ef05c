"""Lexicons over HTTP: read, replaced, changed and deleted, as JSON and as PLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.text.lexicon_files import MAX_FILE_BYTES, dump_pls, read_lexicon
from f5serve.text.lexicon_rules import MAX_RULES, LexiconRule
from f5serve.text.mapped_text import MappedText
from f5serve.voices.lexicon_records import lexicon_key
from tests.http.house import House, house
from tests.voices.material import WORDS, recording

LEXICONS = "/v1/lexicons"
LIBRARY = f"{LEXICONS}/library"
ANA = f"{LEXICONS}/voices/Ana"
PLS = {"Content-Type": "application/pls+xml"}
WIN = {"text": "Nguyen", "alias": "Win"}
LEE = {"text": "Lee", "alias": "Li", "case_sensitive": True, "language": "en"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("lexicons")) as home:
        home.service.voices.put("Ana", recording(), WORDS)
        yield home


@pytest.fixture
def home(served: House) -> Iterator[House]:
    """A server without rules."""
    yield served
    for path in (LIBRARY, ANA, f"{LEXICONS}/voices/default"):
        assert served.client.delete(path).status_code == 200


def put(home: House, path: str, *rules: dict[str, Any]) -> Any:
    answer = home.client.put(path, json={"rules": rules})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("path", "voice"), [(LIBRARY, None), (ANA, "ana")])
def test_what_is_put_is_what_is_got(home: House, path: str, voice: str | None) -> None:
    empty = {"rules": [], "revision": ""} | ({"voice": voice} if voice else {})
    assert home.client.get(path).json() == empty
    saved = put(home, path, WIN, LEE)
    assert (saved["voice"], saved["count"]) == (voice, 2)
    found = home.client.get(path).json()
    rules = [WIN | {"case_sensitive": False, "word_boundaries": True}, LEE]
    rules[1] = LEE | {"word_boundaries": True}
    assert found["rules"] == rules
    assert found["revision"] == saved["revision"]
    assert found["updated_at"].endswith("+00:00")
    assert put(home, path, *found["rules"])["revision"] == saved["revision"]
    assert home.client.delete(path).json() == {"voice": voice, "deleted": True}
    assert home.client.get(path).json() == empty


def test_speech_has_the_rules_at_once(home: House) -> None:
    lexicons = home.service.operations.lexicons
    assert lexicons.for_voice("ana").lexicon.rules == ()
    put(home, ANA, WIN)
    mapped = lexicons.for_voice("ana").lexicon.apply(MappedText.of("Nguyen"), "en")
    assert mapped.text == "Win"


def test_rules_of_request_voice_and_library_are_spoken(home: House) -> None:
    def result(text: str = "Nguyen met Lee.", **fields: Any) -> Any:
        answer = home.speak(input=text, voice="Ana", **fields)
        assert answer.status_code == 200, answer.text
        return home.client.get(f"/v1/jobs/{answer.headers['x-f5-job-id']}/result").json()

    assert result()["spoken_text"] == "Nguyen met Lee."
    put(home, LIBRARY, WIN, {"text": "lee", "alias": "Leo"})
    assert result()["spoken_text"] == "Win met Leo."
    put(home, ANA, {"text": "Lee", "alias": "Li"})
    found = result()
    assert (found["text"], found["spoken_text"]) == ("Nguyen met Lee.", "Win met Li.")
    own = [{"text": "Nguyen", "alias": "New"}]
    assert result(lexicon=own)["spoken_text"] == "New met Li."
    home.service.operations.lexicons.delete("ana")  # it is looked at anew
    home.service.store.put(lexicon_key("ana"), b"?")
    found = result("Lee met Nguyen.")
    assert found["spoken_text"] == "Leo met Win."
    assert any("'ana' is damaged" in warning for warning in found["warnings"])


def test_some_rules_are_changed(home: House) -> None:
    put(home, LIBRARY, WIN, LEE)
    changes = {
        "add": [{"text": "Bo", "alias": "Bow"}, LEE | {"alias": "Lie"}],
        "remove": ["NGUYEN"],
    }
    changed = home.client.patch(LIBRARY, json=changes).json()
    assert [changed[name] for name in ("added", "replaced", "removed", "count")] == [1, 1, 1, 2]
    found = home.client.get(LIBRARY).json()["rules"]
    assert [(rule["text"], rule["alias"]) for rule in found] == [("Lee", "Lie"), ("Bo", "Bow")]
    again = home.client.patch(LIBRARY, json=changes).json()
    assert [again[name] for name in ("added", "replaced", "removed", "count")] == [0, 2, 0, 2]
    changed = home.client.patch(LIBRARY, content=dump_pls([LexiconRule("a", "b")]), headers=PLS)
    assert changed.json()["added"] == 1


def test_pls_comes_in_and_goes_out(home: House) -> None:
    rules = (
        LexiconRule("A & <B>", "and", language="en"),
        LexiconRule("重庆", pinyin="chong2 qing4"),
    )
    for kind in ("application/pls+xml; charset=utf-8", "application/xml", "text/xml"):
        answer = home.client.put(ANA, content=dump_pls(rules), headers={"Content-Type": kind})
        assert answer.json()["count"] == 2
    for answer in (
        home.client.get(f"{ANA}?format=pls"),
        home.client.get(ANA, headers={"Accept": "application/pls+xml"}),
    ):
        assert answer.headers["Content-Type"] == "application/pls+xml"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="ana.pls"'
        assert read_lexicon(answer.content) == rules
    as_json = home.client.get(f"{ANA}?format=json", headers={"Accept": "application/pls+xml"})
    assert read_lexicon(as_json.content) == rules
    assert "library.pls" in home.client.get(f"{LIBRARY}?format=pls").headers["Content-Disposition"]
    home.refused(home.client.get(f"{LIBRARY}?format=xml"), 400, "bad_option")


def test_lists_have_counts(home: House) -> None:
    assert home.client.get(LEXICONS).json() == {
        "object": "list",
        "lexicons": [],
        "has_more": False,
        "last_id": None,
    }
    put(home, LIBRARY, WIN)
    put(home, ANA, WIN, LEE)
    put(home, f"{LEXICONS}/voices/default", WIN)
    listed = home.client.get(LEXICONS, params={"limit": 1}).json()
    assert [(each["voice"], each["count"]) for each in listed["lexicons"]] == [
        (None, 1),
        ("ana", 2),
    ]
    assert (listed["has_more"], listed["last_id"]) == (True, "ana")
    behind = home.client.get(LEXICONS, params={"after": "ana"}).json()
    assert [each["voice"] for each in behind["lexicons"]] == ["default"]
    assert behind["has_more"] is False


def test_many_rules(home: House) -> None:
    rules = [{"text": f"word {number}", "alias": "x"} for number in range(MAX_RULES)]
    assert put(home, LIBRARY, *rules)["count"] == MAX_RULES
    answer = home.client.patch(LIBRARY, json={"add": [WIN]})
    assert "10,001 rules" in home.refused(answer, 400, "bad_lexicon")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "line 1, column 1"),
        (b"\xff\x00{[", "not UTF-8"),
        (b"[" * 50_000, "too deep"),
        (b'{"rules": [{"text": "a", "alias": "b"}, {"text": "c"}]}', "Rule 2 ('c') has no alias"),
        (b'{"rules": [{"text": "\\ud800", "alias": "b"}]}', "Rule 1"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><lexicon/>', "DOCTYPE"),
        (b"<lexicon><lexeme></lexicon>", "line 1, column 20"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_bodies_that_are_refused(home: House, method: str, body: bytes, words: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = home.client.request(method, ANA, content=body, headers=headers)
    assert words in home.refused(answer, 400, "bad_lexicon")


def test_other_bodies_are_refused_by_their_kind_and_size(home: House) -> None:
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}):
        answer = home.client.put(LIBRARY, content=b"{}", headers=headers)
        home.refused(answer, 415, "not_json")
    large = httpx.Request("PUT", home.url + LIBRARY, headers=PLS, content=b" " * 2 * MAX_FILE_BYTES)
    home.refused(home.client.send(large), 413, "body_too_large")


def test_voices_that_do_not_exist(home: House) -> None:
    nobody = f"{LEXICONS}/voices/nobody"
    home.refused(home.client.get(nobody), 404, "voice_not_found")
    home.refused(home.client.put(nobody, json={"rules": [WIN]}), 404, "voice_not_found")
    home.refused(home.client.patch(nobody, json={"add": [WIN]}), 404, "voice_not_found")
    home.refused(home.client.get(f"{LEXICONS}/voices/a..b"), 400, "bad_voice_name")
    home.refused(home.client.get(LEXICONS, params={"after": "a..b"}), 400, "bad_voice_name")


def test_a_damaged_lexicon(home: House) -> None:
    home.service.store.put(lexicon_key("ana"), b"{}")
    message = home.refused(home.client.get(ANA), 409, "lexicon_damaged")
    assert "'ana'" in message
    home.refused(home.client.patch(ANA, json={"add": [WIN]}), 409, "lexicon_damaged")
    (listed,) = home.client.get(LEXICONS).json()["lexicons"]
    assert (listed["voice"], listed["count"], listed["error"]) == ("ana", 0, "lexicon_damaged")
    assert put(home, ANA, WIN)["count"] == 1


def test_a_deleted_voice_has_no_rules(home: House, tmp_path: Path) -> None:
    home.service.voices.put("bob", recording(), WORDS)
    path = f"{LEXICONS}/voices/bob"
    put(home, path, WIN)
    assert home.client.delete("/v1/audio/voices/bob").status_code == 200
    home.refused(home.client.get(path), 404, "voice_not_found")
    assert json.loads(home.client.get(LEXICONS).content)["lexicons"] == []
