"""A background task outlives its faults, and everybody can see that it had some."""

from __future__ import annotations

import asyncio
import logging

import pytest

from f5serve.metrics import Registry
from f5serve.service.supervisor import Supervisor
from tests.service.house import run


def test_a_task_that_fails_is_begun_again_and_told_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        registry = Registry()
        supervisor = Supervisor(registry, pause_s=(0.05, 0.1))
        began = asyncio.Event()
        tries = 0

        async def work() -> None:
            nonlocal tries
            tries += 1
            if tries <= 3:
                raise ZeroDivisionError("a poisoned record")
            began.set()
            await asyncio.Event().wait()

        task = supervisor.begin("queue", work)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert supervisor.down == ["queue"]
        assert "f5_background_tasks_down 1" in registry.render()
        await asyncio.wait_for(began.wait(), 10)
        assert supervisor.down == []
        assert supervisor.health() == {
            "queue": {"running": True, "faults": 3, "last_fault": "ZeroDivisionError"}
        }
        assert 'f5_background_faults_total{task="queue"} 3' in registry.render()
        await supervisor.close()
        assert task.cancelled()
        assert supervisor.down == []

    with caplog.at_level(logging.ERROR):
        run(story)
    assert caplog.text.count("ZeroDivisionError: a poisoned record") == 3


def test_a_task_that_returns_is_over_and_one_that_is_done_once_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        supervisor = Supervisor()

        async def ends() -> None:
            return

        async def fails() -> None:
            raise ValueError("nobody waits for this")

        await supervisor.begin("short", ends)
        assert supervisor.health()["short"]["faults"] == 0
        await supervisor.spawn("once", fails())
        await supervisor.close()

    run(story)
    assert "nobody waits for this" in caplog.text
