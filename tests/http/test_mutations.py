"""Whatever lies in the store, the server answers: never with 500, and all other jobs are listed."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from f5serve.service import ServiceOptions
from f5serve.store.local import LocalStore
from tests.http.house import House, house
from tests.jobs.ill_jobs import VICTIM, GoodRecords, ill_jobs
from tests.mutations import cases
from tests.service.test_mutations import ASKED, OTHERS, asked

QUICK = ServiceOptions(lease_s=0.6, heartbeat_s=0.15, poll_s=0.05)
AT = f"/v1/jobs/{VICTIM}"
FILES = ("audio", "timings/srt", "timings/csv", "takes/1/1")
ROUTES = (AT, f"{AT}/result", *(f"{AT}/{file}" for file in FILES))


def ask_all(home: House, what: str) -> None:
    """Every route that reads the victim's records, and the list."""
    for path in ROUTES:
        answer = home.client.get(path)
        assert answer.status_code != 500, (what, path, answer.text)
        assert "x-evil" not in answer.headers, (what, path)
        if path == AT and answer.status_code == 200:
            json.loads(answer.content.decode())
    found: set[str] = set()
    after: str | None = ""
    while after is not None and not found >= set(OTHERS):
        page = home.client.get("/v1/jobs", params={"limit": 20, "after": after})
        assert page.status_code == 200, (what, page.text)
        found |= {job["job_id"] for job in page.json()["jobs"]}
        after = page.json()["next"]
    assert found >= set(OTHERS), what


def test_no_record_is_answered_with_500_or_hides_another_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path / "store")
    with caplog.at_level(logging.ERROR), house(tmp_path, store, QUICK) as home:
        operations = home.service.operations
        operations._job_queries._history._fresh_s = 0.0
        for name in OTHERS:
            asyncio.run(put(home, name))
        good = GoodRecords.of(store, "good")
        for number, what in enumerate(ill_jobs(good, store.root, asked(), cases(250), seed=2)):
            ask_all(home, what)
            if number % 5 == 0:
                assert home.client.delete(AT).status_code != 500, what
        health = home.client.get("/health").json()
        assert all(task["faults"] == 0 for task in health["background"].values()), health
        assert home.client.get("/metrics").status_code == 200
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], caplog.text


async def put(home: House, name: str) -> None:
    """A job that is done, by another process over the same store."""
    from tests.service.house import house as worker

    folder = Path(home.service.store.describe().removeprefix("folder ")).parent / f"at-{name}"
    async with worker(folder, home.service.store, result_cache=name == "good") as other:
        await other.ask(name, **ASKED)


def test_half_of_a_pair_is_refused_in_every_field_and_nothing_is_written(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    half = "\\ud800"
    with house(tmp_path, store) as home:

        def post(path: str, body: str) -> int:
            kind = {"content-type": "application/json"}
            return home.client.post(path, content=body.encode(), headers=kind).status_code

        for field in ("text", "voice", "local_voice", "ref_text", "model", "timing_method"):
            said = {"text": "Hello.", field: 0}
            body = json.dumps(said).replace(": 0", f': "a{half}"')
            assert post("/v1/jobs", body) == 400, field
        for inner in ("by", "at", "statement_sha256"):
            consent = json.dumps({"by": "Ana", inner: 0}).replace(": 0", f': "{half}"')
            assert post("/v1/jobs", f'{{"text": "Hello.", "consent": {consent}}}') == 400, inner
        assert post("/v1/jobs", f'{{"text": "Hello.", "odd{half}": 1}}') == 400
        for field in ("input", "voice", "model", "instructions"):
            said = {"model": "tts-1", "voice": "default", "input": "Hello."} | {field: 0}
            body = json.dumps(said).replace(": 0", f': "a{half}"')
            assert post("/v1/audio/speech", body) in (200, 400, 404), field
        listed = home.client.get("/v1/jobs").json()["jobs"]
        assert not [job for job in listed if not job["text"]]
        kept = b"".join(
            one.read_bytes() for one in store.root.rglob("*.json") if "jobs-built" not in one.name
        )
        assert half.encode() not in kept
