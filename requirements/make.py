"""Writes the pinned, hashed requirement files of the image (`make requirements`).

The extras of pyproject.toml and the *.in files flow in; for each variant of the image a list of
`name==version` with the sha256 of the one wheel that CPython 3.11 on x86-64 Linux installs flows
out. Neither names an index: that is for whoever installs them to choose. What compiles kernels has
a list of its own (cu128-kernels.txt), for it is not in the image that runs.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ENGINE = [
    f"--extra={extra}" for extra in ("engine", "align", "asr", "books", "s3", "runpod", "serve")
]
VARIANTS = {
    "cu128": ["pyproject.toml", *ENGINE, "requirements/cu128.in"],
    "cu130": ["pyproject.toml", *ENGINE, "requirements/cu130.in"],
    # The CPU build of torch is on PyTorch's own index alone, so its line is kept by hand.
    "cpu": [
        "pyproject.toml",
        *ENGINE,
        "requirements/cpu.in",
        "--override=requirements/no-torch.in",
    ],
    "none": [
        "pyproject.toml",
        *(f"--extra={extra}" for extra in ("local", "media", "books", "s3", "runpod", "serve")),
    ],
    "build": ["requirements/build.in"],
}
BY_HAND = {"cpu": "torch-cpu.in"}
COMPILES_KERNELS = "triton=="
RESOLVE = ["uv", "pip", "compile", "-q", "--generate-hashes", "--only-binary=:all:", "--no-header"]
TARGET = ["--python-version=3.11", "--python-platform=x86_64-manylinux_2_28"]
PICK = ["pip", "install", "-q", "--dry-run", "--ignore-installed", "--no-deps", "--require-hashes"]
WHEELS = ["--only-binary=:all:", "--disable-pip-version-check", "--report"]


def main() -> None:
    """Write every file, or those named on the command line."""
    machine = (sys.version_info[:2], sys.platform, platform.machine())
    if machine != ((3, 11), "linux", "x86_64"):
        sys.exit(f"The image is CPython 3.11 on x86-64 Linux; this is {machine}.")
    for name in sys.argv[1:] or VARIANTS:
        lines = [*resolve(VARIANTS[name])]
        if name in BY_HAND:
            lines += (HERE / BY_HAND[name]).read_text().splitlines()
        apart = [line for line in lines if line.startswith(COMPILES_KERNELS)]
        write(name, [line for line in lines if line not in apart])
        if apart:
            write(f"{name}-kernels", apart)


def write(name: str, lines: list[str]) -> None:
    """One file of requirements."""
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n")


def resolve(inputs: list[str]) -> list[str]:
    """Lines of a requirements file; uv chooses versions, pip the one wheel of each."""
    with tempfile.TemporaryDirectory() as folder:
        all_hashes, report = Path(folder, "all.txt"), Path(folder, "report.json")
        run(*RESOLVE, *TARGET, *inputs, "-o", str(all_hashes))
        run(*PICK, *WHEELS, str(report), "-r", str(all_hashes))
        chosen = json.loads(report.read_text())["install"]
    pairs = [(wheel["metadata"]["name"].lower().replace("_", "-"), wheel) for wheel in chosen]
    return [
        f"{name}=={wheel['metadata']['version']} "
        f"--hash=sha256:{wheel['download_info']['archive_info']['hashes']['sha256']}"
        for name, wheel in sorted(pairs, key=lambda pair: pair[0])
    ]


def run(*command: str) -> None:
    """Run a module of this Python from the checkout."""
    subprocess.run([sys.executable, "-m", *command], cwd=HERE.parent, check=True)


if __name__ == "__main__":
    main()
