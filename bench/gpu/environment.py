"""An environment from carried wheels, on top of this interpreter's own packages. No network.

    python environment.py WHEELS FOLDER SOURCE    prints the interpreter to use

Only the standard library is imported. What the wheels lack comes from the interpreter that runs
this; f5serve itself from SOURCE. Packages that f5-tts imports but that nothing here calls are
stood in for where they are absent.
"""

from __future__ import annotations

import importlib.util
import site
import subprocess
import sys
import venv
from pathlib import Path

ABSENT = {
    "accelerate": ["utils"],
    "cached_path": [],
    "datasets": [],
    "ema_pytorch": [],
    "encodec": [],
    "hydra": ["utils"],
    "librosa": ["filters"],
    "matplotlib": ["pylab", "pyplot"],
    "omegaconf": [],
    "pydub": [],
    "transformers": [],
    "wandb": [],
}
"""Packages and modules of theirs that `import f5_tts.api` names."""
ALWAYS = {"transformers"}
"""Stood in for even where it is there: f5-tts takes its recogniser from it, and takes long to."""
STAND_IN = '''\
"""Stands in for a package of which f5-tts imports names and calls nothing that is measured."""


class Absent:
    """Any name of it."""

    def __init__(self, *args: object, **named: object) -> None:
        pass


def __getattr__(name: str) -> type[Absent]:
    if name.startswith("__"):
        raise AttributeError(name)
    return Absent
'''


def make(wheels: Path, folder: Path, source: Path) -> Path:
    """The environment's interpreter; one that is there already is used again."""
    python = folder / "bin" / "python"
    done = folder / "ready"
    if done.exists():
        return python
    venv.create(folder, symlinks=True, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    command += ["--disable-pip-version-check", "--target", str(packages)]
    subprocess.run([*command, *map(str, sorted(wheels.glob("*.whl")))], check=True, stdout=2)
    stand_in(packages)
    theirs = [*site.getsitepackages(), site.getusersitepackages()]
    lines = [str(source), *(f"import site; site.addsitedir({path!r})" for path in theirs)]
    packages.joinpath("beneath.pth").write_text("\n".join(lines) + "\n")
    done.touch()
    return python


def stand_in(packages: Path) -> list[str]:
    """Write what stands in for packages that this interpreter lacks; their names."""
    names = [n for n in ABSENT if n in ALWAYS or importlib.util.find_spec(n) is None]
    for name in names:
        folder = packages / name
        folder.mkdir(exist_ok=True)
        for module in ("__init__", *ABSENT[name]):
            folder.joinpath(f"{module}.py").write_text(STAND_IN)
    return names


if __name__ == "__main__":
    print(make(*(Path(argument).absolute() for argument in sys.argv[1:4])))
