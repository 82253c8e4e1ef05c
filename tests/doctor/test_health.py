"""Health tells what the doctor knows: no path, host or secret, and one look for many callers."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from f5serve.doctor.report import Report, quick
from f5serve.service import ServiceOptions
from f5serve.service.health import HEALTH_S
from f5serve.startup import Timeline
from tests.doctor.machines import GIB, gpu_box
from tests.service.house import house


def test_health_tells_findings_disks_and_the_start(tmp_path: Path) -> None:
    machine = gpu_box(tmp_path / "machine")
    machine.variables |= {"F5_DEVCE": "cpu", "AWS_ENDPOINT_URL": "https://canary.example/x"}
    machine.disks[machine.temp] = (2 * GIB, 5 << 20, 10**6)
    timeline = Timeline()
    with timeline.step("load"):
        pass

    def examine() -> Report:
        return quick(machine.sources())

    async def story() -> None:
        options = ServiceOptions(examine=examine, start=timeline.as_dict)
        async with house(tmp_path, options=options) as here:
            health = await here.call("health")
        codes = [finding["code"] for finding in health["doctor"]]
        assert {"UNKNOWN_SETTING", "ENDPOINT_WITH_PATH", "NO_SPACE"} <= set(codes)
        levels = [finding["level"] for finding in health["doctor"]]
        assert levels == sorted(levels, key=["fatal", "warning", "info"].index)
        assert levels[0] == "fatal"
        assert all(set(f) == {"level", "code", "what", "fix"} for f in health["doctor"])
        assert health["disk"]["temp"] == {"free_bytes": 5 << 20, "total_bytes": 2 * GIB}
        assert [step["name"] for step in health["start"]["steps"]] == ["load"]
        assert {"version", "commit", "dirty", "build"} <= health.keys()
        assert str(tmp_path) not in str(health)
        assert "canary" not in str(health)

    asyncio.run(story())


def test_one_look_serves_all_who_ask(tmp_path: Path) -> None:
    sources = gpu_box(tmp_path / "machine").sources()
    looks: list[Report] = []

    def look() -> Report:
        looks.append(quick(sources))
        return looks[-1]

    async def story() -> None:
        async with house(tmp_path, options=ServiceOptions(examine=look)) as here:
            told = await asyncio.gather(*(here.call("health") for _ in range(8)))
        assert [health["doctor"] for health in told] == [[]] * 8

    asyncio.run(story())
    assert len(looks) == 1


def test_health_answers_while_a_disk_hangs(tmp_path: Path) -> None:
    go_on = threading.Event()
    sources = gpu_box(tmp_path / "machine").sources()

    def look() -> Report:
        go_on.wait(60)
        return quick(sources)

    async def story() -> None:
        async with house(tmp_path, options=ServiceOptions(examine=look)) as here:
            async with asyncio.timeout(HEALTH_S + 15):
                health = await here.call("health")
            go_on.set()
        assert (health["doctor"], health["disk"]) == (None, None)

    asyncio.run(story())
