"""Speech of a text that is still being written: early, in order, together, and stopped in time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest
from f5serve.service.text_stream import WAVES, TextStream
from tests.service.house import PATIENCE_S, House, house, run

FIRST, SECOND, THIRD = (
    "This is the very first clause, ",
    "and it goes on for a while. ",
    "Here is another sentence. ",
)


def stream_of(here: House, max_chars: int = 5_000, **fields: str) -> TextStream:
    return TextStream(here.operations, {"markup": "off", **fields}, max_chars)


def test_it_speaks_before_the_text_has_ended_and_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            stream = stream_of(here)
            async with aclosing(stream.waves()) as waves:
                stream.add(FIRST)
                heard = [await anext(waves)]
                assert here.tone.spoken == [FIRST.strip()]
                stream.add(SECOND + THIRD)
                stream.end()
                heard += [wave async for wave in waves]
            assert len(heard) >= 2
            assert " ".join(here.tone.spoken) == (FIRST + SECOND + THIRD).strip()

    run(story)


def test_flush_speaks_what_has_not_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            stream = stream_of(here)
            async with aclosing(stream.waves()) as waves:
                stream.add("Not even a cl")
                stream.flush()
                await anext(waves)
                assert here.tone.spoken == ["Not even a cl"]
                stream.end()
                assert [wave async for wave in waves] == []

    run(story)


def test_what_waits_is_spoken_together_and_more_of_it_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            stream = stream_of(here)
            text = FIRST + THIRD * 40
            stream.add(text)
            stream.end()
            assert [wave async for wave in stream.waves()]
            jobs = (await here.operations.recent_jobs(100))["jobs"]
            assert len(jobs) == 4  # of 120, 240, 480 bytes, and of what is left
            assert " ".join(here.tone.spoken) == text.strip()

    run(story)


def test_a_slow_listener_holds_up_the_next_job(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            stream = stream_of(here)
            stream.add(FIRST + THIRD * 150)
            stream.end()
            async with aclosing(stream.waves()) as waves:
                await anext(waves)
                jobs = here.operations._registry
                async with asyncio.timeout(PATIENCE_S):
                    while len(jobs):  # the device is idle, though most is not spoken
                        await asyncio.sleep(0.01)
                spoken = len(" ".join(here.tone.spoken))
                assert spoken < len(FIRST + THIRD * 150) / 2
                count = 1
                async for _ in waves:
                    count += 1
                assert count > WAVES
            assert len(" ".join(here.tone.spoken)) > 2 * spoken

    run(story)


def test_closing_it_stops_the_device(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            stream = stream_of(here)
            stream.add(FIRST + THIRD * 40)
            waves = stream.waves()
            hearing = asyncio.ensure_future(anext(waves))
            await here.at_work()
            hearing.cancel()
            here.tone.release()
            await asyncio.wait({hearing})
            await waves.aclose()
            assert len(here.operations._registry) == 0
            assert len(here.tone.spoken) <= 2  # of the first job

    run(story)


@pytest.mark.parametrize(
    ("texts", "spoken"),
    [
        ([""], []),
        (["This is a whole sentence. ", "*** ", "\n\n", "🙂"], ["This is a whole sentence."]),
    ],
)
def test_marks_alone_are_not_spoken(tmp_path: Path, texts: list[str], spoken: list[str]) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            stream = stream_of(here)
            heard = stream.waves()
            async with aclosing(heard):
                for text in texts:
                    stream.add(text)
                    stream.flush()
                    if spoken and not here.tone.spoken:
                        await anext(heard)
                stream.end()
                assert [wave async for wave in heard] == []
            assert here.tone.spoken == spoken

    run(story)


def test_what_cannot_be_spoken_is_one_error(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            for text, fields, code in [
                ("***", {}, "EMPTY_TEXT"),
                ("Hello there.", {"voice": "nobody"}, "VOICE_NOT_FOUND"),
                ("Hello there.", {"language": "not one"}, "BAD_OPTION"),
            ]:
                stream = stream_of(here, **fields)
                stream.add(text)
                stream.end()
                with pytest.raises(InvalidRequest) as caught:
                    assert [wave async for wave in stream.waves()] == []
                assert caught.value.code == code

    run(story)


def test_the_text_is_limited_as_it_comes(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            stream = stream_of(here, 20)
            stream.add("a" * 20)
            for text, code in [("a", "TEXT_TOO_LONG"), ("\ud83d", "TEXT_TOO_LONG")]:
                with pytest.raises(InvalidRequest) as caught:
                    stream.add(text)
                assert caught.value.code == code
            with pytest.raises(InvalidRequest) as caught:
                stream_of(here).add("\ud83d")
            assert caught.value.code == "BAD_UNICODE"

    run(story)
