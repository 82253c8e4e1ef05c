"""What records prove, and under which keys they lie."""

from __future__ import annotations

import contextlib
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import StorageFailed
from f5serve.jobs.record_reader import RecordUnreadable, read
from f5serve.jobs.records import (
    LEASE_S,
    MAX_RECORD_BYTES,
    JobRecords,
    Status,
    encode,
    folder_of,
    output_key,
    record_key,
    resolve_status,
)
from f5serve.jobs.schema import CACHED, CANCEL, FAILED, STATE, WAITING
from f5serve.jobs.schema import DONE as DONE_SHAPE
from f5serve.store.base import is_key
from f5serve.store.json_documents import canonical_json
from tests.mutations import SCHEMAS, WHOLE, every

NOW = 1_000_000.0
OUTPUT = {"role": "audio", "key": "output/a/b.wav", "size": 1, "sha256": "0" * 64, "mime": "x/y"}
DONE = {"schema": 1, "request_sha256": "1" * 64, "outputs": [OUTPUT]}
FAILURE = {"code": "X", "message": "It failed.", "retryable": False}


def state(phase: str = "speaking", age_s: float = 0.0, attempt: int = 1) -> dict[str, object]:
    return {"phase": phase, "heartbeat": NOW - age_s, "attempt": attempt}


def failed(attempt: int = 1, **changes: object) -> dict[str, object]:
    return {"attempt": attempt, "failure": {**FAILURE, **changes}}


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        (JobRecords(), Status.UNKNOWN),
        (JobRecords(state=state("queued", attempt=0)), Status.QUEUED),
        (JobRecords(state=state(age_s=LEASE_S - 1)), Status.RUNNING),
        (JobRecords(state=state(age_s=LEASE_S)), Status.LOST),
        (JobRecords(state=state(age_s=-LEASE_S)), Status.LOST),  # a clock that was wrong
        (JobRecords(state=state("released")), Status.LOST),
        (JobRecords(state={"phase": "speaking"}), Status.LOST),
        (JobRecords(state=state("cancelled")), Status.CANCELLED),
        (JobRecords(state={**state("failed"), "failure": FAILURE}), Status.FAILED),
        (JobRecords(state=state(), failed=failed(1)), Status.FAILED),
        (JobRecords(state=state(attempt=2), failed=failed(1)), Status.RUNNING),
        (JobRecords(state=state(), failed=failed(1, code="JOB_CANCELLED")), Status.CANCELLED),
        (JobRecords(state=state(), failed=failed(1), cancel={"by": "x"}), Status.CANCELLED),
        (JobRecords(DONE, {"by": "x"}, failed(9), state()), Status.COMPLETED),
    ],
)
def test_the_strongest_evidence_decides(evidence: JobRecords, status: Status) -> None:
    assert resolve_status(evidence, NOW).status is status


@given(st.data())
def test_more_evidence_never_takes_a_success_or_a_cancel_back(data: st.DataObject) -> None:
    pick = data.draw
    some = JobRecords(
        done=pick(st.sampled_from([None, DONE])),
        cancel=pick(st.sampled_from([None, {"by": "x"}])),
        failed=pick(st.sampled_from([None, failed(0), failed(1), failed(3)])),
        state=pick(st.sampled_from([None, *(state(p, a) for p, a in PHASES)])),
    )
    status = resolve_status(some, NOW).status
    if some.done:
        assert status is Status.COMPLETED
    elif some.cancel:
        assert status is Status.CANCELLED
    else:
        assert status is not Status.COMPLETED


PHASES = list(itertools.product(["queued", "speaking", "released", "cancelled"], [0, 30, 90]))


BROKEN = [
    {**DONE, "request_sha256": "1"},
    {**DONE, "request_sha256": None},
    {**DONE, "outputs": []},
    {**DONE, "outputs": [{**OUTPUT, "sha256": "0"}]},
    {**DONE, "outputs": [{**OUTPUT, "key": "../x"}]},
    {**DONE, "outputs": [{**OUTPUT, "size": "1"}]},
    {**DONE, "outputs": [{**OUTPUT, "size": True}]},
    {**DONE, "outputs": [{**OUTPUT, "mime": "audio/wav\r\nX: 1"}]},
    {**DONE, "outputs": ["x"]},
]


@pytest.mark.parametrize("record", BROKEN)
def test_only_a_success_with_well_formed_hashes_and_types_counts(record: dict[str, object]) -> None:
    assert read(canonical_json(DONE), "k", DONE_SHAPE) == DONE
    with pytest.raises(RecordUnreadable):
        read(canonical_json(record), "k", DONE_SHAPE)


@given(st.text(max_size=200))
def test_every_job_id_leads_to_keys_that_no_other_id_has(job_id: str) -> None:
    keys = [record_key(job_id, "done"), output_key(job_id, "a" * 64, "wav")]
    assert all(map(is_key, keys))
    assert keys[0].split("/")[1] == folder_of(job_id)
    if folder_of(job_id) != job_id:
        assert len(folder_of(job_id)) == 64


@pytest.mark.parametrize("job_id", ["a-1.b_C", "local_test", "5f0b9a3e-u1", "x" * 128])
def test_plain_ids_stay_readable(job_id: str) -> None:
    assert folder_of(job_id) == job_id


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "a..b", "a.", ".a", "x" * 129, "é", "a\n"])
def test_other_ids_become_their_hash(job_id: str) -> None:
    assert len(folder_of(job_id)) == 64


def test_a_record_survives_the_way_there_and_back_with_fields_of_later_versions() -> None:
    record = {"schema": 1, **state(), "request_sha256": "1" * 64, "later": {"x": [1, None, "ä"]}}
    assert read(encode(record), "k", STATE) == record
    assert json.loads(encode({}))["schema"] == 1
    assert canonical_json({"b": 1, "a": 2}) == b'{"a":2,"b":1}'


@pytest.mark.parametrize("what", WHOLE)
def test_what_is_no_record_is_called_damaged(what: str) -> None:
    with pytest.raises(RecordUnreadable) as caught:
        read(WHOLE[what], "jobs/a/state.json", STATE)
    assert caught.value.code == "RECORD_DAMAGED" or what == "file: twice a name"
    assert caught.value.message.startswith("The record jobs/a/state.json cannot be read: ")


@pytest.mark.parametrize("schema", [2, 10**15])
def test_a_later_schema_is_told_apart_from_damage(schema: int) -> None:
    with pytest.raises(RecordUnreadable) as caught:
        read(canonical_json({"schema": schema, "new": {}}), "k", STATE)
    assert (caught.value.code, caught.value.as_failure()["retryable"]) == ("RECORD_TOO_NEW", True)


def test_whatever_is_wrong_with_a_record_it_is_read_or_refused_and_can_be_sent_on() -> None:
    good = {**DONE, "seconds": 1.0, "details": {"text": "a", "word_timings": []}, "cached": False}
    read_all = 0
    for ill in every(good):
        with contextlib.suppress(RecordUnreadable):
            record = read(ill.data, "k", DONE_SHAPE)
            json.dumps(record, allow_nan=False, ensure_ascii=False).encode()
            assert isinstance(record["outputs"][0]["size"], int), ill.what
            assert ill.what not in SCHEMAS, ill.what
            read_all += 1
    assert read_all > 20  # a field more, or one less that may be missing, is no damage


def test_a_record_beyond_64_kb_is_refused() -> None:
    with pytest.raises(StorageFailed) as caught:
        encode({"text": "x" * MAX_RECORD_BYTES})
    assert caught.value.code == "RECORD_TOO_LARGE"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*DONE, "phase", "failure", "key", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_any_bytes_are_a_record_or_unreadable(data: bytes, with_schema: bool) -> None:
    if with_schema and data.startswith(b"{"):
        data = b'{"schema":1,' + data[1:]
    for shape in (STATE, DONE_SHAPE, FAILED, CANCEL, WAITING, CACHED):
        with contextlib.suppress(RecordUnreadable):
            record = read(data, "k", shape)
            assert record["schema"] == 1
            json.dumps(record, allow_nan=False, ensure_ascii=False).encode()
