"""Machines as folders, programs and variables, and four good ones to spoil.

A machine has a root with proc and dev, a folder of installed packages, a PATH with programs that
print what was captured, models, and a copy of f5serve with its stamp.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from f5serve import build
from f5serve.doctor.facts import Python
from f5serve.doctor.sources import Commands, Sources
from f5serve.engine.kernel_files import Binary, Manifest, source_hash, write_manifest
from f5serve.models.installed import LocalFile, install
from f5serve.models.local import describe
from f5serve.models.manifest import ARTIFACT_API, MODEL_ROLES
from f5serve.models.registry import PUBLISHED

GIB = 1 << 30
TORCH_CPU = {
    "version": "2.13.0+cpu",
    "cuda": "",
    "cudnn": 0,
    "cxx11_abi": True,
    "architectures": [],
    "devices": [],
    "trial": "",
}
RTX = ["NVIDIA GeForce RTX 4090", [8, 9], 24 * GIB, 23 * GIB]
TORCH_GPU = {
    **TORCH_CPU,
    "version": "2.13.0+cu126",
    "cuda": "12.6",
    "cudnn": 91002,
    "architectures": ["sm_75", "sm_80", "sm_86", "sm_90", "sm_120"],
    "devices": [RTX],
}
FLASH_WORKS = {"on_gpu": True, "apart": 0.0004}
MODEL = "F5TTS_v1_Base"
KEYS = {
    "AWS_ACCESS_KEY_ID": "K005a1b2c3d4e5f6a7b8c9d0",
    "AWS_SECRET_ACCESS_KEY": "canary-K005secretsecretsecret",
}
RUNPOD = {
    "RUNPOD_WEBHOOK_GET_JOB": "https://api.example.org/v2/e/job-take/$ID?gpu=L4",
    "RUNPOD_WEBHOOK_POST_OUTPUT": "https://api.example.org/v2/e/job-done/w/$ID?gpu=L4",
    "RUNPOD_WEBHOOK_PING": "https://api.example.org/v2/e/ping/w",
    "RUNPOD_AI_API_KEY": "canary-runpod-key-0123456789",
    "RUNPOD_ENDPOINT_ID": "e1",
    "RUNPOD_POD_ID": "w1",
}


class Machine:
    """A machine in a folder; every attribute may be changed before `sources` is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.site, self.bin = (folder / name for name in ("root", "site", "bin"))
        self.temp, self.data = folder / "tmp", folder / "data"
        self.models, self.package = folder / "models", folder / "package"
        self.kernels = folder / "kernels"
        for made in (self.site, self.bin, self.temp, self.data, self.package, self.kernels):
            made.mkdir(parents=True)
        self.variables: dict[str, str] = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "F5_DATA_DIR": str(self.data),
            "F5_MODELS_DIR": str(self.models),
        }
        self.python = Python((3, 11, 9), "CPython", "linux_x86_64", "glibc", 64)
        self.disks: dict[Path, tuple[int, int, int]] = {}
        self.write("root/proc/meminfo", "MemTotal: 32000000 kB\nMemAvailable: 30000000 kB\n")
        self.write("root/proc/mounts", "overlay / overlay rw 0 0\n")
        self.trial_s = self.driver_s = 20.0
        self._stamp()

    def write(self, path: str, text: str) -> Path:
        """A file below the machine's folder."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def program(self, name: str, script: str) -> None:
        """A program on PATH."""
        self.write(f"bin/{name}", f"#!/bin/sh\n{script}\n").chmod(0o755)

    def install(
        self, name: str, version: str, site: str = "site", wheel: str = "", size: int = 0
    ) -> None:
        """A package, as pip would leave it behind."""
        folder = f"{site}/{name.replace('-', '_')}-{version}.dist-info"
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        self.write(f"{folder}/METADATA", text)
        self.write(f"{folder}/RECORD", f"{name}/big.so,sha256=x,{size}\n")
        if wheel:
            url = f"https://example.org/v2/{wheel.replace('+', '%2B')}"
            self.write(f"{folder}/direct_url.json", json.dumps({"url": url}))

    def torch(self, said: Mapping[str, Any]) -> None:
        """A torch that says this of itself."""
        version, cuda = said["version"], said["cuda"]
        for old in self.site.glob("torch-*"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        self.install("torch", version)
        told = f"'{cuda}'" if cuda else "None"
        text = f"__version__ = '{version}'\ncuda: Optional[str] = {told}\n"
        self.write("site/torch/__init__.py", "")
        self.write("site/torch/version.py", text)
        self.says("torch", said)

    def says(
        self,
        what: str,
        said: Any = None,
        *,
        error: str = "",
        code: int = 0,
        script: str = "",
    ) -> None:
        """What the child python prints in a trial: of torch, flash or hash."""
        line = "f5serve-doctor " + json.dumps(said)
        lines = [f"printf '%s\\n' {shlex.quote(line)}"] if said else []
        lines += [f"printf '%s\\n' {shlex.quote(error)} >&2"] if error else []
        self.write(f"says-{what}", script or "\n".join([*lines, f"exit {code}"]))

    def have_model(self) -> None:
        """Converted weights on record, their vocabulary and vocoder."""
        files = [LocalFile(role, self.write(f"made/{role}.bin", role)) for role in MODEL_ROLES]
        about = describe(PUBLISHED.get(MODEL), "", ARTIFACT_API)
        self.weights = install(about, files, self.models).paths["weights"]

    def have_gpu(self, driver: str = "570.86.15", script: str = "") -> None:
        """A card and its driver."""
        self.write("root/dev/nvidia0", "")
        text = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Tue Jan 1\n"
        self.write("root/proc/driver/nvidia/version", text)
        line = f"NVIDIA GeForce RTX 4090, {driver}, 24564, 300"
        self.program("nvidia-smi", script or f"echo '{line}'")

    def have_kernels(self, arch: int = 89, source: str = "") -> None:
        """Kernels that were compiled for a GPU, of the sources that run unless it is said."""
        one = Binary("rotate", arch, "", "rotate", (), 0, 4, 0, 20)
        write_manifest(self.kernels, Manifest(source or source_hash(), "3.7.1", (one,)))

    def restamp(self, **changes: Any) -> None:
        """Change what the stamp says."""
        stamped = replace(build.stamp(self.package), **changes)
        build.write(stamped, self.package / build.STAMP_NAME)

    def sources(self) -> Sources:
        """What the doctor looks at."""
        self.program(
            "python",
            f'cd {shlex.quote(str(self.folder))}\ncase "$*" in\n'
            "  *flash_attn*) . ./says-flash ;;\n"
            f'  *hashlib*) [ -f says-hash ] && . ./says-hash; exec {sys.executable} "$@" ;;\n'
            "  *) . ./says-torch ;;\nesac",
        )
        return Sources(
            variables=self.variables,
            commands=Commands(self.variables),
            python=self.python,
            temp=self.temp,
            package=self.package,
            kernels=self.kernels,
            root=self.root,
            site=(str(self.site), str(self.folder / "site2")),
            executable=str(self.bin / "python"),
            statvfs=self._statvfs,
            trial_s=self.trial_s,
            driver_s=self.driver_s,
        )

    def _statvfs(self, path: Path) -> Any:
        """As reported for the nearest folder that was given a size; else 100 GiB, half free."""
        sized = (self.disks[one] for one in (path, *path.parents) if one in self.disks)
        total, free, inodes = next(sized, (100 * GIB, 50 * GIB, 1_000_000))
        return SimpleNamespace(
            f_blocks=total, f_frsize=1, f_bavail=free, f_files=2 * 10**6, f_favail=inodes
        )

    def _stamp(self) -> None:
        self.write("package/speech.py", "SAMPLE_RATE = 24_000\n")
        self.write("package/store/s3.py", "def sync_models_from_s3(): ...\n")
        files = {
            path.relative_to(self.package).as_posix(): build._sha256(path)
            for path in build.shipped_files(self.package)
        }
        stamped = build.Stamp("0.1.0", "c0ffee" * 6, dirty=False, files=files)
        build.write(stamped, self.package / build.STAMP_NAME)


def cpu_box(folder: Path) -> Machine:
    """F5-TTS on a CPU, with a folder as store."""
    machine = Machine(folder)
    machine.torch(TORCH_CPU)
    machine.have_model()
    machine.install("onnxruntime", "1.22.0")
    return machine


def gpu_box(folder: Path) -> Machine:
    """An RTX 4090 at home."""
    machine = cpu_box(folder)
    machine.torch(TORCH_GPU)
    machine.install("nvidia-cudnn-cu12", "9.10.2.21")
    machine.have_gpu()
    machine.have_kernels()
    return machine


def runpod_worker(folder: Path) -> Machine:
    """A worker of an endpoint with a bucket; its weights are in the image."""
    machine = gpu_box(folder)
    machine.install("boto3", "1.44.5")
    machine.install("runpod", "1.12.0")
    machine.variables |= RUNPOD | KEYS
    machine.variables |= {
        "S3_BUCKET": "my-voices",
        "AWS_ENDPOINT_URL": "https://s3.us-west-001.backblazeb2.com",
        "AWS_REGION": "us-west-001",
        "RUNPOD_LOG_LEVEL": "INFO",
        "F5_CONCURRENCY": "8",
    }
    return machine


def runpod_server(folder: Path) -> Machine:
    """A worker of an endpoint with a load balancer in the place of a queue."""
    machine = runpod_worker(folder)
    for name in [name for name in machine.variables if name.startswith("RUNPOD_WEBHOOK")]:
        del machine.variables[name]
    machine.variables |= {"F5_MODE": "serve", "RUNPOD_AI_API_KEY": ""}
    return machine


def laptop(folder: Path) -> Machine:
    """The built-in speaker, without torch."""
    machine = Machine(folder)
    machine.install("onnxruntime", "1.22.0")
    return machine


def runpod_pod(folder: Path) -> Machine:
    """A rented pod, which is no worker, though RunPod sets variables there as well."""
    machine = gpu_box(folder)
    machine.variables |= {"RUNPOD_POD_ID": "p1", "RUNPOD_API_KEY": "rpa_0123456789", "PORT": ""}
    return machine


GOOD = {
    "cpu box": cpu_box,
    "gpu box": gpu_box,
    "runpod worker": runpod_worker,
    "runpod server": runpod_server,
    "laptop": laptop,
    "runpod pod": runpod_pod,
}
