"""Pack what a GPU machine without network needs: this commit, and wheels that it may lack.

    python bench/gpu/pack.py [--python 3.12]    writes build/gpu-kit/wheels and build/gpu-kit.tar

Wheels come from the package index that pip is set up for. torch, numpy, torchaudio and scipy are
not among them: they are the machine's own, built for its driver.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
KIT = ROOT / "build" / "gpu-kit"
COMMIT = KIT / "commit.txt"
"""Read by `sections/info.py` where there is no git."""
SOURCES = ("src", "tests", "bench", "docs/reference", "pyproject.toml", "hatch_build.py", "LICENSE")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64")


def fetch(folder: Path, python: str) -> None:
    """The wheels of wheels.txt for that version of Python on Linux."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--python-version", python]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += ["-r", str(Path(__file__).with_name("wheels.txt")), "-d", str(folder)]
    subprocess.run(command, check=True)


def sources() -> list[str]:
    """Files of this commit that the kit holds, relative to the project."""
    command = ["git", "ls-files", "-z", "--", *SOURCES]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def commit() -> str:
    """Of git, with a word on changes beside it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return told.stdout.strip()


def pack(archive: Path, wheels: Path, names: list[str]) -> None:
    """One tar, everything under f5serve/, wheels where run.sh looks for them."""
    wheels.parent.joinpath(COMMIT.name).write_text(commit())
    with tarfile.open(archive, "w") as tar:
        for name in names:
            tar.add(ROOT / name, f"f5serve/{name}")
        tar.add(wheels, "f5serve/build/gpu-kit/wheels")
        tar.add(wheels.parent / COMMIT.name, f"f5serve/{COMMIT.relative_to(ROOT)}")


def main() -> None:
    """Fetch, pack, tell sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="3.12", help="of the GPU machine")
    options = parser.parse_args()
    wheels, archive = KIT / "wheels", KIT.with_suffix(".tar")
    wheels.mkdir(parents=True, exist_ok=True)
    for old in wheels.glob("*.whl"):
        old.unlink()
    fetch(wheels, options.python)
    names = sources()
    pack(archive, wheels, names)
    for wheel in sorted(wheels.glob("*.whl")):
        print(f"{wheel.stat().st_size / 1e6:8.2f} MB  {wheel.name}")
    total = sum(wheel.stat().st_size for wheel in wheels.glob("*.whl"))
    print(f"{total / 1e6:8.2f} MB  wheels, fetched from the package index for {options.python}")
    ours = sum((ROOT / name).stat().st_size for name in names)
    print(f"{ours / 1e6:8.2f} MB  this project's {len(names)} files")
    print(f"{archive.stat().st_size / 1e6:8.2f} MB  {archive.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
