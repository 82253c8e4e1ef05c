"""Who is sent away, when, and what is told about the line; and jobs that have a deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import F5Error
from f5serve.fallback.tone import Tone
from f5serve.service.admission import AdmissionController
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Utterance
from tests.service.house import HELLO, PATIENCE_S, CountingTone, house, run

TEXT = "This is one sentence of an ordinary length, no more."


def test_nothing_known_lets_everybody_in() -> None:
    line = AdmissionController(1.0)
    places = [line.admit(10_000) for _ in range(100)]
    assert (len(line.tickets), line.backlog_s) == (100, None)
    places[0].estimate(5.0)
    assert line.backlog_s == 5.0
    with pytest.raises(F5Error, match="busy for about 5 s with 100 requests; 1 s is") as caught:
        line.admit(1)
    assert (caught.value.code, caught.value.retryable) == ("BUSY", True)
    assert line.admit(1, force=True).remaining_s is not None
    for place in places:
        place.release()
        place.release()
    assert len(line.tickets) == 1


def test_a_burst_is_judged_by_what_bytes_have_cost() -> None:
    line = AdmissionController(10.0)
    first = line.admit(100)
    first.settle(2.0)
    first.release()
    assert line.backlog_s == 0
    for number in range(6):
        assert line.backlog_s == pytest.approx(2.0 * number)
        line.admit(100)
    with pytest.raises(F5Error):
        line.admit(100)


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 100), st.floats(0, 1))))
def test_the_wait_is_what_is_left(asked: list[tuple[int, float, float]]) -> None:
    line = AdmissionController(1e9)
    left = 0.0
    for size, cost, share in asked:
        place = line.admit(size)
        place.estimate(cost)
        place.progress(share)
        left += cost * (1 - share)
    assert line.backlog_s == pytest.approx(left)


class Dear(CountingTone):
    """Says that it takes long, and does not."""

    def estimate_s(self, utterances: Sequence[Utterance]) -> float:
        return 1.2 * len(utterances)


def test_a_long_line_is_told_at_once_and_leaves_no_record(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, tone=Dear(), max_queue_s=0.5) as here:
            here.tone.hold()
            task = asyncio.create_task(here.ask("a", text=TEXT))
            while not (await here.call("health"))["queue"]["estimated_s"]:
                await asyncio.sleep(0.01)
            error = await here.refuse("b", **HELLO)  # or it waits for the first, which is held
            assert (error.code, error.retryable) == ("BUSY", True)
            assert (await here.ask("c", **HELLO, mode="async"))["status"] == "QUEUED"  # it can wait
            assert not list(here.store.list("jobs/b/"))
            again = asyncio.create_task(here.ask("a", text=TEXT))  # joins, so it waits no longer
            here.tone.release()
            await asyncio.gather(task, again)
            await here.until("c", "COMPLETED")
            assert (await here.ask("b", **HELLO))["status"] == "COMPLETED"
            assert (await here.call("health"))["queue"]["estimated_s"] == 0

    run(story)


def test_a_deadline_ends_the_work_for_good(tmp_path: Path) -> None:
    async def story() -> None:
        speech = Synthesizer(Tone(cost_s=16.0))
        async with house(tmp_path, load_speech=lambda: speech) as here:
            began = time.monotonic()
            error = await here.refuse("a", text=TEXT, timeout_s=1)
            assert 1 <= time.monotonic() - began < 10  # the whole takes 16 s
            assert (error.code, error.retryable) == ("DEADLINE_PASSED", False)
            assert "1 s" in error.message
            assert await here.status("a") == "ERROR"
            again = await here.refuse("a", text=TEXT)
            assert again.code == "DEADLINE_PASSED"

    run(story)


def test_a_deadline_holds_for_those_who_wait(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            first = asyncio.create_task(here.ask("a", **HELLO))
            await here.at_work()
            assert (await here.refuse("b", **HELLO, seed=2, timeout_s=1)).code == "DEADLINE_PASSED"
            here.tone.release()
            assert (await first)["status"] == "COMPLETED"
            assert (await here.ask("c", **HELLO, seed=3, timeout_s=60))["status"] == "COMPLETED"
            async with asyncio.timeout(PATIENCE_S):
                while (await here.call("health"))["queue"]["jobs"]:
                    await asyncio.sleep(0.01)

    run(story)


@given(st.data())
def test_the_running_sum_is_the_sum(data: st.DataObject) -> None:
    line = AdmissionController(1e9)
    made = []
    for _ in range(data.draw(st.integers(0, 40))):
        step = data.draw(st.sampled_from(["enter", "estimate", "spoken", "leave"]))
        if step == "enter" or not made:
            made.append(line.admit(data.draw(st.integers(1, 100))))
            continue
        place = data.draw(st.sampled_from(made))
        if step == "estimate":
            place.estimate(data.draw(st.none() | st.floats(0, 1000)))
        elif step == "spoken":
            place.progress(data.draw(st.floats(0, 1)))
        else:
            place.release()
            made.remove(place)
        known = [each.remaining_s for each in made if each.remaining_s is not None]
        wanted = sum(known) if known or not made else None
        assert line.backlog_s == (None if wanted is None else pytest.approx(wanted, abs=1e-6))


def test_the_wait_can_be_read_beside_the_loop() -> None:
    line, is_over = AdmissionController(1e9), threading.Event()
    for _ in range(500):
        line.admit(1).estimate(1.0)

    def read() -> int:
        count = 0
        while not is_over.is_set():
            assert line.backlog_s is not None
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        until = time.monotonic() + 0.5
        while time.monotonic() < until and not reading.done():
            for place in [line.admit(1) for _ in range(50)]:
                place.release()
        is_over.set()
        assert reading.result() > 0
