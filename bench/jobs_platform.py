"""The platform of `bench/jobs.py`: it hands out jobs, kills workers, and looks at records."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from f5serve.jobs.records import Status
from f5serve.jobs.store import JobStore
from f5serve.settings import Settings
from f5serve.store.config import open_store

HERE = Path(__file__).parent
MAX_DELIVERIES = 30
FINAL_S = 20.0


@dataclass
class Found:
    """What a run came to."""

    jobs: int = 0
    kills: int = 0
    kills_at_work: int = 0
    duplicates: int = 0
    deliveries: int = 0
    looks: int = 0
    lost: int = 0
    regressions: int = 0
    bad_audio: int = 0
    different_bytes: int = 0
    errors: int = 0
    cached: int = 0
    seconds: float = 0.0
    first_error: dict[str, Any] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        wrong = (self.lost, self.regressions, self.bad_audio, self.different_bytes, self.errors)
        return not any(wrong)


class Died(Exception):
    """The worker that had the delivery is gone."""


class Worker:
    """A worker process and what it has been given."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._lives = asyncio.Event()

    @property
    def load(self) -> int:
        """Deliveries without an answer."""
        return len(self._waiting)

    @property
    def is_down(self) -> bool:
        """Whether it was killed and is not back yet."""
        return not self._lives.is_set()

    async def start(self) -> None:
        """Start the process, or a new one after a kill."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            limit=1 << 20,
        )
        assert self._process.stdout is not None
        await self._process.stdout.readline()  # it is up; a kill before that would prove nothing
        self._reading = asyncio.create_task(self._read())
        self._lives.set()

    async def deliver(self, job_id: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What the worker says; raises Died when it does not live to say it."""
        await self._lives.wait()
        self._count += 1
        told = asyncio.get_running_loop().create_future()
        self._waiting[self._count] = told
        line = json.dumps({"delivery": self._count, "id": job_id, "input": payload})
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()
        return dict(await told)

    async def kill(self) -> None:
        """SIGKILL, and a new process in its place."""
        self._lives.clear()
        self._process.kill()
        await self._process.wait()
        await self._reading
        await self.start()

    async def end(self) -> None:
        """No more jobs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), FINAL_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if not line.endswith(b"\n"):
                break  # killed in the middle of it
            answer = json.loads(line)
            told = self._waiting.pop(answer["delivery"])
            if not told.done():
                told.set_result(answer["said"])
        self._give_up()

    def _give_up(self) -> None:
        for told in self._waiting.values():
            if not told.done():
                told.set_exception(Died())
        self._waiting.clear()


class Platform:
    """Hands out jobs until each is answered, kills workers meanwhile, and looks on."""

    def __init__(self, args: argparse.Namespace, scheme: str, environment: dict[str, str]) -> None:
        self.args = args
        self.found = Found(jobs=args.jobs)
        self.random = random.Random(args.seed)
        self.store = open_store(Settings.from_environ(environment))
        self.board = JobStore(self.store)
        script = str(HERE / "jobs_worker.py")
        command = [sys.executable, script, "--scheme", scheme, "--lease-s", str(args.lease_s)]
        command += ["--cost-s", str(args.cost_s)]
        self.workers = [Worker(command, environment) for _ in range(args.workers)]
        self.payloads = {f"job-{n}": {"text": self._text(n)} for n in range(args.jobs)}
        self.answered: set[str] = set()
        self.keys: dict[str, set[str]] = {job: set() for job in self.payloads}

    def _text(self, number: int) -> str:
        # A tenth asks what another has asked, so that the result cache is in it too.
        return f"This is request number {number - number % 10 if number % 10 == 9 else number}."

    async def run(self, watch: bool) -> Found:
        """Everything; `watch` looks at records on the way."""
        began = time.monotonic()
        await asyncio.gather(*(worker.start() for worker in self.workers))
        limit = asyncio.Semaphore(4 * self.args.workers)
        killing = asyncio.create_task(self._kill())
        watching = asyncio.create_task(self._watch()) if watch else None
        jobs = enumerate(self.payloads)
        await asyncio.gather(*(self._see_through(n, job, limit) for n, job in jobs))
        await killing
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})
        self.found.seconds = round(time.monotonic() - began, 1)
        return self.found

    async def end(self) -> None:
        """Let the workers go."""
        await asyncio.gather(*(worker.end() for worker in self.workers))

    async def _see_through(self, number: int, job: str, limit: asyncio.Semaphore) -> None:
        async with limit:
            await self._hold_back(number)
            twice = self.random.random() < self.args.dup
            self.found.duplicates += twice
            await asyncio.gather(*(self._deliver(job) for _ in range(1 + twice)))
            self.answered.add(job)

    async def _deliver(self, job: str) -> None:
        for _ in range(MAX_DELIVERIES):
            self.found.deliveries += 1
            worker = min(
                self.workers, key=lambda one: (one.is_down, one.load, self.random.random())
            )
            try:
                said = await worker.deliver(job, self.payloads[job])
            except Died:
                continue
            if "error" not in said:
                self.keys[job] |= {said[name] for name in ("audio_url",) if name in said}
                self.found.cached += bool(said.get("cached"))
                return
            if not said.get("retryable"):
                self._note_error(said)
                return
        self._note_error({"error": "delivered too often"})

    def _note_error(self, said: dict[str, Any]) -> None:
        self.found.errors += 1
        self.found.first_error = self.found.first_error or said

    async def _kill(self) -> None:
        """One kill for each share of the jobs, of a worker that has some if there is one."""
        for number in range(self.args.kills):
            share = self.args.jobs / self.args.kills
            while len(self.answered) < number * share:
                await asyncio.sleep(0.002)
            await asyncio.sleep(self.random.random() * 2 * self.args.cost_s)
            busy = [worker for worker in self.workers if worker.load]
            self.found.kills_at_work += bool(busy)
            await self.random.choice(busy or self.workers).kill()
            self.found.kills += 1

    async def _hold_back(self, number: int) -> None:
        """Keep jobs for the kills to come: two shares are out at a time."""
        share = self.args.jobs / max(self.args.kills, 1)
        while number >= (self.found.kills + 2) * share and self.found.kills < self.args.kills:
            await asyncio.sleep(0.002)

    async def _watch(self) -> None:
        seen: set[str] = set()
        while True:
            for job in self.random.sample(list(self.payloads), min(20, len(self.payloads))):
                snapshot = await asyncio.to_thread(self.board.snapshot, job)
                self.found.looks += 1
                if snapshot.status is Status.COMPLETED:
                    seen.add(job)
                elif job in seen:
                    self.found.regressions += 1
            await asyncio.sleep(0.02)
