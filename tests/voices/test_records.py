"""The reader of voice records is total: a record that can be written again, or one error."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from f5serve.errors import StorageFailed
from f5serve.voices.records import (
    UNREADABLE,
    Blob,
    Consent,
    ImportedFiles,
    VoiceRecord,
    dump_record,
    load_record,
)
from tests.mutations import SCHEMAS, every

RECORD = VoiceRecord(
    *("Ana", "0" * 64, Blob("a" * 64, 100), Blob("b" * 64, 10)),
    duration_s=3.0,
    language="en",
    consent=Consent("Ana", at="2026", statement_sha256="c" * 64),
    created_at="2026-01-31T12:00:00+00:00",
    updated_at="2026-01-31T12:00:00+00:00",
    needs_review=True,
    transcript_confidence=0.5,
    seen=ImportedFiles("wav", "d" * 64, "e" * 64),
    made_by="f5serve 0.1.0",
    owner="key-1",
    normalize="date,money",
    unknown_fields={"pitch": {"hz": 1}},
)


def test_every_ill_record_is_read_or_refused() -> None:
    outcomes = set()
    for ill in every(json.loads(dump_record(RECORD))):
        try:
            record = load_record("ana", ill.data)
        except StorageFailed as error:
            outcomes.add(error.code)
        else:
            assert load_record("ana", dump_record(record)) == record, ill.what
            assert 0 <= record.audio.size <= 10_000_000, ill.what
            assert 0 <= record.duration_s <= 3_600, ill.what
            outcomes.add("read")
    assert outcomes == {"read", *UNREADABLE}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("date,money", "date,money"),
        ("money, date", "date,money"),
        ("off", "off"),
        ("", ""),
        ("loud", ""),
        ("date,loud", ""),
        ("on,off", ""),
        (None, ""),
        (["date"], ""),
        (7, ""),
    ],
)
def test_an_unknown_value_of_normalize_counts_as_none(written: object, read: str) -> None:
    fields = json.loads(dump_record(RECORD)) | {"normalize": written}
    record = load_record("ana", json.dumps(fields).encode())
    assert record == replace(RECORD, normalize=read)
    assert load_record("ana", dump_record(record)) == record


def test_a_record_from_before_normalize_is_read() -> None:
    fields = json.loads(dump_record(RECORD))
    del fields["normalize"]
    assert load_record("ana", json.dumps(fields).encode()) == replace(RECORD, normalize="")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_only_a_later_schema_is_called_one(schema: str) -> None:
    fields = json.loads(dump_record(RECORD)) | {"schema": SCHEMAS[schema]}
    with pytest.raises(StorageFailed) as caught:
        load_record("ana", json.dumps(fields).encode())
    is_later = schema in ("future schema", "far future schema")
    assert caught.value.code == ("VOICE_RECORD_TOO_NEW" if is_later else "VOICE_RECORD_DAMAGED")
