"""Which flash-attn wheel fits a Python, a torch and a platform, if any was ever built.

Pure: nothing is looked up or installed. f5serve never needs flash-attn; other programs may.

The combinations are those of the project's release workflow at each tag; of 2.8.3 the assets
themselves are known with their sha256 (`data/flash_attn_sha256.json`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

RELEASES = "https://github.com/Dao-AILab/flash-attention/releases/download"
NOT_RECORDED = "not recorded"
LISTED = "2.8.3"
"""The release whose assets are known one by one."""

_MATRICES = {  # release -> torch minors that its workflow names, newest release first
    "2.8.3": ("2.4", "2.5", "2.6", "2.7", "2.8"),
    "2.8.2": ("2.4", "2.5", "2.6", "2.7"),
    "2.8.0.post2": ("2.4", "2.5", "2.6", "2.7"),
    "2.7.4.post1": ("2.2", "2.3", "2.4", "2.5", "2.6"),
}
_PYTHONS = ("39", "310", "311", "312", "313")
_WITHOUT_313 = ("2.2", "2.3", "2.4")
_BLACKWELL = (10, 0)
_NAME = re.compile(
    r"flash_attn-(?P<version>[^+]+)\+cu(?P<cuda>\d+)torch(?P<torch>\d+\.\d+)"
    r"cxx11abi(?P<abi>TRUE|FALSE)-cp(?P<python>\d+)-cp\d+-(?P<platform>\w+)\.whl"
)


@dataclass(frozen=True, slots=True)
class Platform:
    """What a compiled extension has to fit.

    Attributes:
        python: (3, 11).
        torch: version, e.g. "2.6.0+cu124"; only its first two numbers count.
        cuda: of torch, e.g. "12.4"; "" for a build without CUDA.
        cxx11_abi: of torch: True for the newer C++ strings.
        platform: as wheels name it, e.g. "linux_x86_64".
        libc: "glibc" or what else it is.
        capability: of the GPU, e.g. (8, 9), or None when there is none to ask.
    """

    python: tuple[int, int]
    torch: str
    cuda: str
    cxx11_abi: bool
    platform: str = "linux_x86_64"
    libc: str = "glibc"
    capability: tuple[int, int] | None = None

    @property
    def torch_minor(self) -> str:
        """First two numbers of torch's version."""
        return ".".join(self.torch.split("+")[0].split(".")[:2])

    @property
    def cuda_major(self) -> str:
        """First number of CUDA's version, or ""."""
        return self.cuda.split(".")[0]

    @property
    def python_tag(self) -> str:
        """E.g. "311"."""
        return f"{self.python[0]}{self.python[1]}"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel by the parts of its file name."""

    version: str
    cuda_major: str
    torch_minor: str
    cxx11_abi: bool
    python_tag: str
    platform: str

    @property
    def name(self) -> str:
        """The file's name."""
        abi = str(self.cxx11_abi).upper()
        return (
            f"flash_attn-{self.version}+cu{self.cuda_major}torch{self.torch_minor}cxx11abi{abi}"
            f"-cp{self.python_tag}-cp{self.python_tag}-{self.platform}.whl"
        )

    @property
    def url(self) -> str:
        """Where the project publishes it."""
        return f"{RELEASES}/v{self.version}/{self.name.replace('+', '%2B')}"

    @property
    def sha256(self) -> str:
        """In hexadecimal, or "not recorded"."""
        return _listed().get(self.name, NOT_RECORDED)

    @property
    def seen(self) -> bool:
        """Whether the file itself is known, rather than a workflow that should have made it."""
        return self.name in _listed()


@dataclass(frozen=True, slots=True)
class NoWheel:
    """Why none exists."""

    reason: str


def choose_wheel(on: Platform) -> Wheel | NoWheel:
    """The newest published wheel that loads on `on`, or why there is none."""
    reason = _why_never(on)
    if reason:
        return NoWheel(reason)
    known = [wheel for name in _listed() if (wheel := parse_wheel(name))]
    for wheel in (*known, *_from_matrices(on)):
        if not incompatibilities(wheel, on):
            return wheel
    return NoWheel(
        f"No wheel was published for torch {on.torch_minor} with Python "
        f"{on.python[0]}.{on.python[1]}, C++ ABI {str(on.cxx11_abi).upper()} on {on.platform}."
    )


def parse_wheel(name: str) -> Wheel | None:
    """The parts of a flash-attn wheel's name; None for any other name."""
    found = _NAME.search(name.replace("%2B", "+"))
    if found is None:
        return None
    return Wheel(
        version=found["version"],
        cuda_major=found["cuda"][:2],
        torch_minor=found["torch"],
        cxx11_abi=found["abi"] == "TRUE",
        python_tag=found["python"],
        platform=found["platform"],
    )


def incompatibilities(wheel: Wheel, on: Platform) -> list[str]:
    """Why `wheel` cannot load on `on`, one phrase each; empty when it can."""
    pairs = [
        ("Python", f"cp{wheel.python_tag}", f"cp{on.python_tag}"),
        ("torch", wheel.torch_minor, on.torch_minor),
        ("CUDA", wheel.cuda_major, on.cuda_major or "none"),
        ("C++ ABI", str(wheel.cxx11_abi).upper(), str(on.cxx11_abi).upper()),
        ("platform", wheel.platform, on.platform),
    ]
    found = [f"it is for {what} {its}, here is {ours}" for what, its, ours in pairs if its != ours]
    is_old = wheel.version.startswith("2.7.")
    if is_old and on.capability is not None and on.capability >= _BLACKWELL:
        found.append(f"it has no kernels for capability {on.capability[0]}.{on.capability[1]}")
    return found


def _why_never(on: Platform) -> str:
    """What rules out every wheel, in the order in which people can do something about it."""
    if not on.platform.startswith("linux_") or on.libc != "glibc":
        return f"Wheels were published for Linux with glibc only, not for {on.platform} {on.libc}."
    if not on.cuda:
        return "This torch is built without CUDA, and flash-attn runs on CUDA devices only."
    if on.cuda_major != "12":
        return f"Wheels were published for CUDA 12 only, and this torch is built for {on.cuda}."
    if on.capability is not None and on.capability < (8, 0):
        major, minor = on.capability
        return f"flash-attn 2 needs a GPU of capability 8.0, and this one has {major}.{minor}."
    return ""


def _from_matrices(on: Platform) -> list[Wheel]:
    """What the workflows of releases other than `LISTED` should have made for this torch."""
    wheels = []
    for version, minors in _MATRICES.items():
        built = on.torch_minor in minors and on.python_tag in _PYTHONS
        has_python = on.python_tag != "313" or on.torch_minor not in _WITHOUT_313
        if version != LISTED and built and has_python and on.platform == "linux_x86_64":
            wheels.append(
                Wheel(version, "12", on.torch_minor, on.cxx11_abi, on.python_tag, on.platform)
            )
    return wheels


@cache
def _listed() -> dict[str, str]:
    text = (resources.files("f5serve.doctor") / "data" / "flash_attn_sha256.json").read_text()
    return dict(json.loads(text))
