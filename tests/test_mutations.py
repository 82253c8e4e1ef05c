"""The engine of ill records itself: it is repeatable, and meets every kind of illness early."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from f5serve.errors import StorageFailed
from f5serve.store.local import LocalStore
from tests.mutations import LINKS, SCHEMAS, WHOLE, WRONG, Ill, every, paths, put, sample

GOOD = {"schema": 1, "a": "x", "outputs": [{"key": "k", "size": 1}], "b": {"c": None}}


def test_every_field_is_left_out_and_takes_every_wrong_value() -> None:
    ills = {ill.what: ill.data for ill in every(GOOD)}
    assert len(ills) == len(WHOLE) + len(SCHEMAS) + len(WRONG) + 8 * (1 + len(WRONG))
    assert json.loads(ills["outputs.0.size left out"])["outputs"] == [{"key": "k"}]
    assert b'"size":1e400' in ills["outputs.0.size: 1e400"]
    assert json.loads(ills["a: half a pair"])["a"] == "\ud800"
    assert json.loads(ills["b.c: text"]) == {**GOOD, "b": {"c": "x"}}
    assert len(ills["a: 1 MB"]) > 1_000_000
    with pytest.raises(UnicodeDecodeError):
        ills["a: raw half"].decode()


def test_a_short_sample_meets_every_kind_and_comes_again() -> None:
    found = list(sample([GOOD, {"schema": 1, "x": 2}], 500, seed=3, links=True))
    assert found == list(sample([GOOD, {"schema": 1, "x": 2}], 500, seed=3, links=True))
    assert {at for at, _ in found} == {0, 1}
    said = {ill.what for _, ill in found}
    assert {*WHOLE, *SCHEMAS, *LINKS} <= said
    assert set(WRONG) <= {what.rpartition(": ")[2] for what in said}
    assert ("outputs", 0, "key") in set(paths(GOOD))


def test_links_lie_where_a_record_belongs_and_lead_nowhere(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put("jobs/a/state.json", b"{}")
    for link in LINKS:
        put(store.root, "jobs/a/state.json", Ill(link, link=link))
        with pytest.raises(StorageFailed):
            store.get("jobs/a/state.json", 1000)
    put(store.root, "jobs/a/state.json", Ill("x", b"12"))
    assert store.get("jobs/a/state.json") == b"12"
