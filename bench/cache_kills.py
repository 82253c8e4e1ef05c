"""Publishers and pullers of a model are killed at random: does anybody ever take a broken model?

    python bench/cache_kills.py                                 40 kills over a folder
    python bench/cache_kills.py --server rclone --kills 1000    over an S3 server on loopback

Two publishers make one version after another the current one. Two pullers bring it into the same
folder, and a third process looks what is found there, as a start does. Publishers and pullers die
by SIGKILL at random moments and are started again; their folder is replaced from time to time.
Whatever a reader accepts must be whole and of one version. Then single things are damaged, in the
store and on the disk (cache_damage.py). The control is the usual scheme, a key for each file that
is overwritten, with sizes checked; it must give broken models, else this harness proves nothing.
Prints one JSON line; exits with 1 when ours gives a broken model, or the control none.

Columns: `sound` models accepted that are right, `broken` that are not; `published` finished
publications; `refused` pulls that ended in an error, by its code (`gone`: the folder was replaced
while it was looked into); `recovered` whether publishing and pulling work in the end;
`accepted` damaged models taken for good, `unhealed` ones that stayed unusable.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cache_damage import survey, survey_control
from cache_schemes import FixedKeys, Manifests, Scheme, attempt, make, verdict
from f5serve.build import stamp
from f5serve.errors import F5Error
from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.store.s3 import S3Limits, S3Store

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers are those of the tests

PUBLISHERS, PULLERS = 2, 2
VERSIONS = 2 * PUBLISHERS  # of each age
AGE_KILLS = 5
OpenStore = Callable[[str], ObjectStore]


@dataclass
class Stage:
    """Where one scheme is tried: a folder for all its files, and who works there.

    Attributes:
        age: which folder pullers use and which versions publishers make; goes up with the kills.
    """

    folder: Path
    open_scheme: Callable[[], Scheme]
    age: int = 0
    crew: dict[tuple[str, int], int] = field(default_factory=dict)

    def next_age(self) -> None:
        """Prepare new versions and a new folder, then let everybody use them."""
        for number in range(VERSIONS):
            make(self.folder, (self.age + 1) * VERSIONS + number)
        self.age += 1
        fresh = self.folder / "age.new"
        fresh.write_text(str(self.age))
        fresh.replace(self.folder / "age")
        for number in range(VERSIONS):
            shutil.rmtree(self.folder / f"made-{(self.age - 3) * VERSIONS + number}", True)
        shutil.rmtree(self.folder / f"cache-{self.age - 3}", True)

    def start(self, role: str, number: int) -> None:
        """Fork somebody."""
        self.at_work(role, number).unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            try:
                scheme = self.open_scheme()
                scheme.store.exists("models/nothing")  # makes the connection
                self.at_work(role, number).touch()
                ROLES[role](self, scheme, number)
            finally:  # nobody ends by himself, so there is something to print
                traceback.print_exc()
                os._exit(1)
        self.crew[role, number] = pid

    def kill(self, role: str, number: int) -> None:
        """End somebody at once, wherever he is."""
        pid = self.crew.pop((role, number))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError(f"{role} {number} ended by itself")

    def at_work(self, role: str, number: int) -> Path:
        """A file that is there once somebody has begun; before, a death would show nothing."""
        return self.folder / f"{role}-{number}"

    def tell(self, event: str) -> None:
        """Append an event to the record; called by the crew."""
        with (self.folder / "events").open("ab", buffering=0) as file:
            file.write(event.encode() + b"\n")

    def now(self) -> int:
        """The age, as the crew sees it."""
        return int((self.folder / "age").read_text())

    def cache(self) -> Path:
        """The folder of that age."""
        return self.folder / f"cache-{self.now()}"


def publisher(stage: Stage, scheme: Scheme, number: int) -> None:
    """Make two versions of the age current, one after the other, for ever."""
    for turn in range(10**9):
        version = stage.now() * VERSIONS + 2 * number + turn % 2
        try:
            scheme.publish(stage.folder / f"made-{version}")
            stage.tell("published")
        except (F5Error, FileNotFoundError) as error:
            stage.tell(f"unpublished {getattr(error, 'code', 'gone')}")


def puller(stage: Stage, scheme: Scheme, number: int) -> None:
    """Bring the current version into the folder of the age, and look at it."""
    for _ in range(10**9):
        stage.tell(attempt(scheme, stage.cache()))
        time.sleep(0.03)  # publishers need the processor as well


def finder(stage: Stage, scheme: Scheme, number: int) -> None:
    """Look what is in that folder, and at it."""
    for _ in range(10**9):
        found = scheme.find(stage.cache())
        if found is not None:
            stage.tell(verdict(found))
        time.sleep(0.05)


ROLES = {"publisher": publisher, "puller": puller, "finder": finder}


def measure(stage: Stage, kills: int, seed: int) -> dict[str, Any]:
    """Kill `kills` times; what happened."""
    chance = random.Random(seed)
    (stage.folder / "events").touch()
    stage.next_age()
    stage.open_scheme().publish(stage.folder / f"made-{VERSIONS}")
    mortal = [("publisher", n) for n in range(PUBLISHERS)] + [("puller", n) for n in range(PULLERS)]
    try:
        for who in [*mortal, ("finder", 0)]:
            stage.start(*who)
        for killed in range(1, kills + 1):
            who = chance.choice(mortal)
            _wait_for(stage.at_work(*who))
            time.sleep(chance.uniform(0.0, 0.3))
            stage.kill(*who)
            stage.start(*who)
            if killed % AGE_KILLS == 0:
                stage.next_age()
        time.sleep(1.0)
    finally:
        for who in list(stage.crew):
            stage.kill(*who)
    return _count((stage.folder / "events").read_text().splitlines(), kills)


def _wait_for(path: Path) -> None:
    give_up = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > give_up:
            raise RuntimeError(f"{path.name} did not begin")
        time.sleep(0.01)


def _count(events: list[str], kills: int) -> dict[str, Any]:
    found = Counter(events)
    counted = {name: found.pop(name, 0) for name in ("sound", "broken", "published")}
    return {"kills": kills, **counted, "refused": dict(sorted(found.items()))}


def recovers(stage: Stage) -> bool:
    """Whether a publisher and a puller that nobody kills come to an end."""
    scheme = stage.open_scheme()
    scheme.publish(stage.folder / f"made-{stage.age * VERSIONS}")
    return attempt(scheme, stage.folder / "last") == attempt(scheme, stage.cache()) == "sound"


@contextlib.contextmanager
def stores(server: str, folder: Path) -> Iterator[OpenStore]:
    """Opens stores by name, in a folder or a server that runs meanwhile."""
    from tests.store import servers

    clean = servers.clean_environment()
    os.environ.clear()
    os.environ.update(clean)
    if server == "folder":
        yield lambda name: LocalStore(folder / name)
        return
    with {"rclone": servers.rclone, "juicefs": servers.juicefs}[server](folder / "server") as one:
        limits = S3Limits(part_bytes=1 << 20, pause_s=0.05)

        def open_store(name: str) -> ObjectStore:
            return S3Store(replace(one, prefix=name, limits=limits))

        yield open_store


def try_all(args: argparse.Namespace, folder: Path, open_store: OpenStore) -> dict[str, Any]:
    """Both schemes, killed and damaged."""
    for name in ("ours", "control", "damage", "damage-control"):
        (folder / name).mkdir()
    ours = Stage(folder / "ours", lambda: Manifests(open_store("ours")))
    control = Stage(folder / "control", lambda: FixedKeys(open_store("control")))
    killed = measure(ours, args.kills, args.seed)
    killed["recovered"] = recovers(ours)
    cases = args.corruptions
    return {
        "ours": killed,
        "control": measure(control, args.control_kills, args.seed),
        "damage": survey(open_store("damage"), folder / "damage", cases, args.seed),
        "damage_control": survey_control(
            open_store("damage-control"), folder / "damage-control", cases, args.seed
        ),
    }


def is_good(found: dict[str, Any]) -> bool:
    """Whether ours never gave a broken model, and the control did."""
    ours, damage = found["ours"], found["damage"]
    right = ours["sound"] and ours["published"] and ours["recovered"] and not ours["broken"]
    healed = not damage["accepted"] and not damage["unhealed"]
    fails = found["control"]["broken"] and found["damage_control"]["accepted"]
    return bool(right and healed and fails)


def main() -> int:
    """Measure, and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", choices=["folder", "rclone", "juicefs"], default="folder")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--control-kills", type=int, default=6)
    parser.add_argument("--corruptions", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    start, commit = time.monotonic(), stamp().commit
    logging.disable()  # every damaged file is worth a warning, elsewhere
    with (
        tempfile.TemporaryDirectory(prefix="f5-bench-") as name,
        stores(args.server, Path(name)) as open_store,
    ):
        found = try_all(args, Path(name), open_store)
    line = {
        "bench": "cache_kills",
        "commit": commit,
        "server": args.server,
        "seed": args.seed,
        **found,
        "seconds": round(time.monotonic() - start, 1),
        "passed": is_good(found),
    }
    print(json.dumps(line))
    return 0 if line["passed"] else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
