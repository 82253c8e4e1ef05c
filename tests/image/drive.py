"""The image, built from the Dockerfile and put to work: `make image-test`.

    tools -> lint -> base -> build -> what it is -> a job and a stop -> a full disk -> a server

The base is a stand-in made of Debian's packages, because no image registry is asked. Where
containers cannot be had at all, that is said at length and the exit code is 0.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from f5serve.models.installed import LocalFile
from f5serve.models.manifest import ARTIFACT_API, Description
from f5serve.models.publish import UploadPlan, publish
from f5serve.store.local import LocalStore
from tests.http.program import free_port
from tests.image.containers import BASE, ROOT, CannotRun, Containers, get_tools, lint
from tests.worker.job_api import job_api

IMAGE = "localhost/f5serve:image-test"
STANDIN = "base, a stand-in of Debian packages for the published python:3.11-slim-bookworm"
EDITED = "localhost/f5serve:edited"
SMALL = ["--tmpfs", "/small:size=10m,mode=1777", "--env", "F5_CACHE_DIR=/small"]
MODEL = "F5TTS_v1_Base"
TOO_BIG = 20_000_000
LONG = " ".join(
    ["This sentence takes the worker a while to say, and the next one does as well."] * 2
)
OBTAIN = f"""
import logging; logging.basicConfig(level="INFO", format="%(message)s")
from f5serve.startup.weights import weight_sources
from f5serve.models.resolve import resolve_model
from f5serve.settings import Settings
print("obtained from", resolve_model("{MODEL}", weight_sources(Settings.from_environ())).folder)
"""
BYTECODE = """
import sysconfig, pathlib
for folder in map(pathlib.Path, (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"))):
    sources = [p for p in folder.rglob("*.py") if not {"test", "tests", "lib2to3"} & set(p.parts)]
    bare = [p for p in sources if not list(p.parent.glob(f"__pycache__/{p.stem}.cpython-*.pyc"))]
    print(folder.name, len(sources), "sources", len(bare), "without bytecode", *bare[:5])
"""


def main() -> int:
    """Run all phases; 0 when all passed or nothing could be run here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/f5serve-image"))
    parser.add_argument(
        "--published-base", action="store_true", help="pull the base, where a registry is reached"
    )
    given = parser.parse_args()
    folder: Path = given.folder
    began = time.monotonic()
    try:
        with phase("tools"):
            get_tools()
            folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of two runs on one machine, the other waits
            with closing(Containers(folder)) as containers:
                run(containers, given.published_base)
    except CannotRun as reason:
        line = "=" * 78
        print(f"{line}\nimage-test SKIPPED: nothing was built, nothing was run.\n{reason}\n{line}")
        return 0
    print(f"image-test: passed in {time.monotonic() - began:.0f} s")
    return 0


def run(containers: Containers, published_base: bool) -> None:
    """Every phase after the tools."""
    with phase("lint"):
        lint(containers.folder)
    with phase("base, published" if published_base else STANDIN):
        if published_base:
            containers.pull(BASE)
        else:
            containers.make_base()
        containers.check_that_they_run()
    with phase("build, TORCH=none"):
        commit, dirty = git("rev-parse", "HEAD"), int(bool(git("status", "--porcelain")))
        told = ["TORCH=none", f"GIT_SHA={commit}", f"GIT_DIRTY={dirty}"]
        containers.build(IMAGE, ROOT, told, ROOT / "Dockerfile")
    with phase("it says what it is"):
        check_stamp(containers, commit)
    with phase("it says when it was edited"):
        check_edited(containers)
    with tempfile.TemporaryDirectory(dir=containers.folder) as store:
        Path(store).chmod(0o777)  # for the user of the image
        mount = ["--volume", f"{store}:/store:rw", "--env", "F5_STORE=file:///store"]
        with phase("a job, and a stop in the middle of another"):
            check_jobs(containers, mount, commit)
        with phase("a volume of 10 MB"):
            check_full_disk(containers, mount, Path(store))
    with phase("a server"):
        check_server(containers)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Tell how long a phase took."""
    began = time.monotonic()
    print(f"image-test: {name} ...", flush=True)
    yield
    print(f"image-test: {name}: {time.monotonic() - began:.1f} s", flush=True)


def check_stamp(containers: Containers, commit: str) -> None:
    """The commit, unchanged files, bytecode, user and entry point."""
    assert commit[:12] in containers.once(IMAGE, ["--version"])
    build = next(one for one in doctor(containers, IMAGE) if one["section"] == "build")
    assert build["level"] in ("ok", "info"), build
    bytecode = containers.once(IMAGE, ["-c", BYTECODE], ["--entrypoint", "python"])
    assert bytecode.count(" 0 without bytecode") == 2, bytecode
    config = containers.config(IMAGE)
    assert config["User"] == "65532:65532"
    assert (config["Entrypoint"], config["Cmd"]) == (["f5serve"], ["start"])
    assert config["Labels"]["org.opencontainers.image.revision"] == commit
    served = containers.once(IMAGE, [], ["--env", "F5_MODE=serve"])
    assert "KEYS_NEEDED" in served, served
    assert "exit code 3" in served


def check_edited(containers: Containers) -> None:
    """A layer on top that changes one file is found out."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "Dockerfile")
        site = "/opt/f5serve/lib/python3.11/site-packages/f5serve"
        file.write_text(
            f"FROM {IMAGE}\nUSER root\nRUN echo '# edited' >> {site}/synthesis/synthesizer.py\n"
        )
        containers.build(EDITED, Path(folder), [], file)
    build = [one for one in doctor(containers, EDITED) if one["section"] == "build"]
    assert any(
        "synthesis/synthesizer.py" in json.dumps(one) and one["level"] != "ok" for one in build
    ), build


def doctor(containers: Containers, image: str) -> list[dict[str, str]]:
    """The findings of `f5serve doctor` in a container."""
    said = containers.once(image, ["doctor", "--json"])
    told, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    assert "findings" in told, said
    return list(told["findings"])


def check_jobs(containers: Containers, mount: list[str], commit: str) -> None:
    """One job is answered; another is in the middle of its work when the stop comes."""
    mount = [*mount, "--env", "F5_SHUTDOWN_S=80"]  # whatever else keeps this machine busy
    with job_api() as api, containers.running(IMAGE, "f5-jobs", api.environ(), mount) as worker:
        first = api.wait_answer(api.submit({"text": "Hello."}), 60)["output"]
        assert first["status"] == "COMPLETED", first
        assert first["worker"]["commit"] == commit
        job = api.submit({"text": LONG})
        worker.wait_line("Started.", 30, job)
        time.sleep(0.5)
        assert not api.answers[job], "the long job was too short to be stopped in its middle"
        containers.stop("f5-jobs", 90)
        assert worker.wait(60) == 0, worker.text()
        assert api.wait_answer(job, 5)["output"]["status"] == "COMPLETED"
        assert commit in worker.lines()[0]["message"], worker.text()


def check_full_disk(containers: Containers, mount: list[str], store: Path) -> None:
    """Weights of 20 MB go past a cache of 10 MB to the next folder, and jobs are answered."""
    publish_model(LocalStore(store))
    said = containers.once(IMAGE, ["-c", OBTAIN], ["--entrypoint", "python", *mount, *SMALL])
    assert "/small/models is passed over: NO_SPACE" in said, said
    assert "obtained from /tmp/f5serve/models" in said, said
    everywhere = ["--tmpfs", "/tmp:size=10m,mode=1777"]
    said = containers.once(
        IMAGE, ["-c", OBTAIN], ["--entrypoint", "python", *mount, *SMALL, *everywhere]
    )
    assert "NO_SPACE" in said, said
    assert "obtained from" not in said, said
    volume = [*mount, *SMALL, "--tmpfs", "/runpod-volume:size=10m,mode=1777"]
    with job_api() as api, containers.running(IMAGE, "f5-small", api.environ(), volume) as worker:
        said = api.wait_answer(api.submit({"text": "Hello again."}, "small-1"), 60)["output"]
        assert said["status"] == "COMPLETED", worker.text()


def check_server(containers: Containers) -> None:
    """It listens, becomes ready, speaks, and ends at once when nobody is served."""
    port = free_port()
    url, environ = f"http://127.0.0.1:{port}", {"F5_MODE": "serve", "PORT": str(port)}
    environ |= {"F5_HOST": "127.0.0.1"}  # nobody is asked for a key there
    with containers.running(IMAGE, "f5-server", environ) as server:
        server.wait_line("listens on", 60)
        assert httpx.get(f"{url}/ping", timeout=30).status_code in (200, 204)
        server.wait_line("ready in", 60)
        body = {"model": "tts-1", "voice": "default", "input": "Hello.", "response_format": "wav"}
        speech = httpx.post(f"{url}/v1/audio/speech", json=body, timeout=60)
        assert (speech.status_code, speech.content[:4]) == (200, b"RIFF"), speech.text
        containers.stop("f5-server", 30)
        assert server.wait(30) == 0, server.text()


def publish_model(store: LocalStore) -> None:
    """Something of the size of a small model, under the id of the one that workers fetch."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for role, size in (("weights", TOO_BIG), ("vocab", 900), ("vocoder", 50_000)):
            source = Path(folder, f"{role}.bin")
            source.write_bytes(role.encode() * (size // len(role)))
            files.append(LocalFile(role, source))  # type: ignore[arg-type]
        about = Description(MODEL, ARTIFACT_API, MODEL, "MIT", True, "o/r", "c" * 40)
        publish(store, UploadPlan(about, tuple(files)))
    for path in store.root.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)


def git(*arguments: str) -> str:
    """What git says about the checkout."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
