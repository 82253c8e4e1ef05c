"""Whatever lies where a record of a job belongs, it is that one job's matter."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error
from f5serve.jobs.pending import PendingJob, PendingJobs
from f5serve.jobs.store import JobStore
from f5serve.service import ServiceOptions
from f5serve.service.requests import TTSRequest
from f5serve.store.local import LocalStore
from tests.jobs.ill_jobs import VICTIM, GoodRecords, ill_jobs
from tests.mutations import cases
from tests.service.house import House, house

QUICK = ServiceOptions(lease_s=0.6, heartbeat_s=0.15, poll_s=0.05)
SCRIPT = '<speak>I am <mark name="here"/>the victim. <break/> Am I?</speak>'
ASKED = {"text": SCRIPT, "ssml": True, "takes": 2, "seed": 1, "timing_format": ["srt"]}
OTHERS = ("good", "better", "waiting")


def asked() -> tuple[dict[str, Any], str]:
    """The victim's request and its hash."""
    return dict(ASKED), TTSRequest.parse(ASKED).sha256


async def settle(here: House) -> None:
    """Some jobs, as they are in any store."""
    here.operations._job_queries._history._fresh_s = 0.0
    await here.ask("good", **ASKED)
    board = JobStore(here.store)
    for name in OTHERS[1:]:
        board.enqueue(name, "2" * 64, {"text": name})
    board.cancel("better", "test")


async def ask_all(here: House, again: bool) -> None:
    """Everything that can be asked about the victim and beside it."""
    for call in ("status", "result", "cancel") if again else ("status", "result"):
        await tried(here.operations.answer({"endpoint": call, "job_id": VICTIM}, "x"), call)
    for kind in ("audio", "timing"):
        payload = {"endpoint": "download", "job_id": VICTIM, "type": kind}
        await tried(here.operations.answer(payload, "x"), kind)
    for format in (None, "vtt"):
        await tried(here.operations.job_file(VICTIM, format), str(format))
    await tried(here.operations.job_file(VICTIM, take=(1, 1)), "take")
    if again:
        await tried(here.operations.answer(ASKED, VICTIM), "tts")
    found: set[str] = set()
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None and not found >= set(OTHERS):
        page = await here.operations.recent_jobs(20, page["next"])
        found |= {job["job_id"] for job in page["jobs"]}
    assert found >= set(OTHERS)


async def tried(answer: Any, what: str) -> None:
    """An answer or a refusal in a sentence, within the time that the slowest may take."""
    code = "none"
    with contextlib.suppress(F5Error):
        try:
            async with asyncio.timeout(20):
                await answer
        except F5Error as error:
            code = error.code if error.message else "INTERNAL"
            raise
    assert code != "INTERNAL", what


def test_no_record_breaks_more_than_its_own_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        store = LocalStore(tmp_path / "store")
        async with house(tmp_path, store, QUICK) as here:
            await settle(here)
            good = GoodRecords.of(store, "good")
            for number, what in enumerate(ill_jobs(good, store.root, asked(), cases(250), seed=1)):
                try:
                    await ask_all(here, again=number % 5 == 0)
                except BaseException:
                    print("with", what)  # noqa: T201 - which of thousands it was
                    raise
            # The queue is still looked through, so what a dead server has left is done.
            JobStore(store).enqueue("left", asked()[1])
            PendingJobs(store).put(PendingJob("left", asked()[1], asked()[0]))
            await here.until("left", "COMPLETED")
            health = await here.call("health")
            assert all(task["faults"] == 0 for task in health["background"].values()), health
            assert health["background"]["queue"]["running"]
            assert "f5_unreadable_records_total" in here.operations.metrics.render()

    with caplog.at_level(logging.ERROR):
        asyncio.run(story())
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], caplog.text
