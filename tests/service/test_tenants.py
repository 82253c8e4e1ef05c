"""The services of several tenants in one process: what they share, and what they do not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error
from f5serve.service import ServiceOptions, SpeechService
from f5serve.service.erasure import erase_voice
from f5serve.service.queue_rounds import IDLE_BACKOFF, JobSlots, QueueScans
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.memory import MemoryStore
from f5serve.store.namespace import tenant_store
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.libraries import VoiceLibraries
from tests.service.house import PATIENCE_S, CountingTone, run
from tests.voices.material import OTHER_WORDS, WORDS, CountingStore, other_recording, recording


@contextlib.asynccontextmanager
async def office(
    folder: Path, store: ObjectStore, tone: CountingTone, **options: Any
) -> AsyncIterator[Tenants]:
    """The tenants of one process, which has begun."""
    settings = replace(Settings(), data_dir=folder)
    libraries = VoiceLibraries(settings, store)
    load = lambda: Synthesizer(tone)  # noqa: E731
    tenants = Tenants(store, libraries, load, settings, ServiceOptions(**options))
    tenants.first.begin()
    try:
        yield tenants
    finally:
        tone.release()
        await tenants.first.close(5)


async def until(service: SpeechService, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await service.answer({"endpoint": "status", "job_id": job_id}, "ask")
            if answer["status"] in ("COMPLETED", "ERROR"):
                return answer
            await asyncio.sleep(0.01)


def test_a_job_id_means_another_job_for_each_tenant(tmp_path: Path) -> None:
    async def story() -> None:
        store, tone = MemoryStore(), CountingTone()
        async with office(tmp_path, store, tone) as tenants:
            texts = {"": "One.", "acme": "Two.", "beta": "Three."}
            for tenant, text in texts.items():
                answer = await tenants.get(tenant).answer({"text": text}, "job-1")
                assert answer["text"] == text
            assert sorted(tone.spoken) == sorted(texts.values())
            for tenant in ("acme", "beta"):
                assert tenant_store(store, tenant).exists("jobs/job-1/done.json")
            with pytest.raises(F5Error) as refused:
                await tenants.get("new").answer({"endpoint": "status", "job_id": "job-1"}, "x")
            assert refused.value.code == "INVALID_JOB_ID"

    run(story)


def test_equal_requests_of_two_tenants_share_no_result(tmp_path: Path) -> None:
    async def story() -> None:
        tone = CountingTone()
        async with office(tmp_path, MemoryStore(), tone) as tenants:
            tone.hold()
            asked = [
                asyncio.create_task(tenants.get(name).answer({"text": "Same."}, f"job-{number}"))
                for number, name in enumerate(("acme", "acme", "beta", "beta"))
            ]
            await asyncio.to_thread(tone.at_work.wait, PATIENCE_S)
            tone.release()
            answers = await asyncio.gather(*asked)
            assert len(tone.spoken) == 2
            assert [answer["cached"] for answer in answers].count(True) == 2

    run(story)


def test_queues_of_tenants_take_turns(tmp_path: Path) -> None:
    async def story() -> None:
        tone = CountingTone()
        async with office(tmp_path, MemoryStore(), tone) as tenants:
            await tenants.get().ready()
            tone.hold()
            for name, count in (("acme", 8), ("beta", 2), ("", 2)):
                for number in range(count):
                    asked = {"text": f"{name or 'root'} {number}.", "mode": "async"}
                    await tenants.get(name).answer(asked, f"{name}-{number}")
            tone.release()
            for name, last in (("acme", 7), ("beta", 1), ("", 1)):
                await until(tenants.get(name), f"{name}-{last}")
            spoken = [text.partition(" ")[0] for text in tone.spoken]
            assert len(spoken) == 12
            # Two were begun before the others came; then each tenant has its turn.
            assert max(spoken.index("beta"), spoken.index("root")) <= 5
            assert spoken[-3:] == ["acme"] * 3

    run(story)


def test_a_job_left_by_a_process_is_done_for_its_tenant(tmp_path: Path) -> None:
    async def story() -> None:
        store, tone = MemoryStore(), CountingTone()
        quick = {"lease_s": 0.6, "heartbeat_s": 0.15, "poll_s": 0.1}
        async with office(tmp_path / "1", store, tone, **quick) as tenants:
            tone.hold()
            for number in range(4):
                asked = {"text": f"I am {number}.", "mode": "async"}
                await tenants.get("acme").answer(asked, f"job-{number}")
            await asyncio.to_thread(tone.at_work.wait, PATIENCE_S)
            closing = asyncio.create_task(tenants.get().close(0))
            while not tenants.get().runtime.is_closing:
                await asyncio.sleep(0)
            tone.release()
            await closing
        other = CountingTone()
        async with office(tmp_path / "2", store, other, **quick) as tenants:
            tenants.open(["acme", "beta"])
            for number in range(4):
                found = await until(tenants.get("acme"), f"job-{number}")
                assert found["status"] == "COMPLETED"
        assert not [key for folder in ("jobs/", "queue/", "output/") for key in store.list(folder)]

    run(story)


def test_a_voice_of_one_tenant_is_unknown_to_the_others(tmp_path: Path) -> None:
    store = MemoryStore()
    libraries = VoiceLibraries(replace(Settings(), data_dir=tmp_path), store)
    libraries.of("acme").put("ana", recording(), WORDS)
    libraries.of("public").put("Ben", recording(), WORDS)
    for name in ("", "beta"):
        library = libraries.of(name)
        assert not library.exists("ana")
        assert library.similar_names("anna") == ()
        assert [record.voice for record in library.list()] == ["public/Ben"]
        assert library.get("public/ben").name == "public/Ben"
        assert library.is_listed("public/ben")
    acme = libraries.of("acme")
    assert [record.voice for record in acme.page().records] == ["ana", "public/Ben"]
    assert [record.voice for record in acme.page(limit=1).records] == ["ana"]
    assert acme.page(limit=1).has_more
    assert [record.voice for record in acme.page("ana", 1).records] == ["public/Ben"]
    assert not acme.page("ana", 1).has_more
    assert acme.page("public/ben").records == []
    assert libraries.of("public").get("public/ben").revision == acme.get("public/ben").revision


def test_erasing_a_public_voice_takes_the_results_of_all_tenants(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with office(tmp_path, store, CountingTone()) as tenants:
            public, acme = tenants.get("public"), tenants.get("acme")
            public.voices.put("ana", recording(), WORDS)
            acme.voices.put("ana", other_recording(), OTHER_WORDS)
            root = tenants.get()
            asked = [(acme, "public/Ana"), (acme, "ana"), (public, "ana"), (root, "public/ana")]
            for number, (service, voice) in enumerate(asked):
                await service.answer({"text": "Hello.", "voice": voice}, f"job-{number}")
            erased = erase_voice(public.voices, public.store, "ana", shared=store)
            assert (erased.voice, erased.jobs, erased.cache_entries) == (True, 3, 3)
            left = [one.key for one in store.list() if one.key.endswith("done.json")]
            assert left == ["tenants/acme/jobs/job-1/done.json"]
            assert acme.voices.exists("ana")
            with pytest.raises(F5Error) as refused:
                erase_voice(public.voices, public.store, "ana", shared=store)
            assert refused.value.code == "VOICE_NOT_FOUND"

    run(story)


class Members:
    """A queue that notes its scans."""

    def __init__(self, log: list[str], name: str, is_quiet: bool = True) -> None:
        self._log, self._name, self._is_quiet = log, name, is_quiet

    def __len__(self) -> int:
        return 1

    def start_next(self) -> bool:
        """Nothing waits."""
        return False

    async def scan(self) -> bool:
        """Note it; the fault of one must not keep others from theirs."""
        self._log.append(self._name)
        if self._name == "broken" and self._log.count("broken") == 1:
            raise ValueError(self._name)
        return self._is_quiet


def test_one_loop_scans_all_queues_and_new_ones_at_once() -> None:
    async def story() -> None:
        log: list[str] = []
        scans = QueueScans(poll_s=3.0)
        for name in ("a", "broken", "b"):
            scans.add(Members(log, name))
        assert len(scans) == 3
        for _ in range(2):
            task = asyncio.create_task(scans.run())
            while len(log) < 3 and not task.done():
                await asyncio.sleep(0.01)
            if task.done():
                assert isinstance(task.exception(), ValueError)
        scans.add(Members(log, "new"))
        async with asyncio.timeout(2.0):  # before the others are due again
            while "new" not in log:
                await asyncio.sleep(0.01)
        assert log == ["a", "broken", "b", "new"]
        task.cancel()
        await asyncio.wait({task})

    run(story)


def test_idle_tenants_cost_few_listings(tmp_path: Path) -> None:
    """Three tenants are scanned once each, and less often from then on."""

    async def story() -> None:
        store = CountingStore(MemoryStore())
        async with office(tmp_path, store, CountingTone(), poll_s=9.0) as tenants:
            tenants.open(["acme", "beta", "gamma"])
            async with asyncio.timeout(PATIENCE_S):
                for name in ("acme", "beta", "gamma"):
                    while not store.total("list", f"tenants/{name}/queue/"):
                        await asyncio.sleep(0.01)
            counts = [store.total("list", f"tenants/{name}/queue/") for name in ("acme", "beta")]
            assert counts == [1, 1]

    assert IDLE_BACKOFF > 1
    run(story)


def test_slots_are_shared_by_all_queues() -> None:
    class Waiting:
        def __init__(self, name: str, jobs: int) -> None:
            self.name, self.jobs = name, jobs

        def __len__(self) -> int:
            return self.jobs

        def start_next(self) -> bool:
            """Begin one, if there is one."""
            if not self.jobs:
                return False
            self.jobs -= 1
            begun.append(self.name)
            return True

        async def scan(self) -> bool:
            """Nothing was left."""
            return True

    class Shared:
        is_shared = True

    begun: list[str] = []
    slots = JobSlots(Shared(), 2)  # type: ignore[arg-type]
    for queue in (Waiting("a", 4), Waiting("b", 1), Waiting("c", 2)):
        slots.request(queue)
    assert begun == ["a", "a"]  # nobody else was there
    for _ in range(5):
        slots.release()
    assert begun == ["a", "a", "a", "b", "c", "a", "c"]
