"""flash-attn: whether an install can be used, why it does not load, and which wheel fits.

f5serve never needs it: at worst it fills a disk or breaks other programs. The names that libc10
exports tell the C++ ABI: a function with a string in its signature ends in `Ss` in the old ABI and
holds `__cxx11` in the new one. A wheel asks for the names of the torch that it was built against.

Wheels are those of the project's release workflow at each tag; of 2.8.3 the assets themselves are
known with their sha256 (`data/flash_attn_sha256.json`). Nothing is looked up or installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from f5serve.doctor.checks_machine import version_of
from f5serve.doctor.facts import Explanation, Facts, Kind
from f5serve.doctor.findings import Finding, finding, ok

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


_CODES = {
    "abi": "FLASH_ATTN_OTHER_ABI",
    "torch": "FLASH_ATTN_OTHER_TORCH",
    "python": "FLASH_ATTN_OTHER_PYTHON",
    "cuda": "FLASH_ATTN_OTHER_CUDA",
    "libc": "FLASH_ATTN_OTHER_LIBC",
    "damaged": "FLASH_ATTN_DAMAGED",
    "crashed": "FLASH_ATTN_CRASHES",
    "slow": "FLASH_ATTN_HANGS",
}
FLASH_BROKEN = {*_CODES.values(), "FLASH_ATTN_BROKEN", "FLASH_ATTN_DISAGREES", "FLASH_ATTN_MISFIT"}
"""Codes of an install that nothing can use."""

_NOT_NEEDED = "f5serve does not need it: torch's own attention computes the same."


def check_flash_attn(facts: Facts) -> Iterator[Finding]:
    """How often flash-attn is installed, and whether it works."""
    installs = facts.flash_installs
    if len(installs) > 1:
        size = sum(install.size for install in installs)
        yield finding(
            "FLASH_ATTN_TWICE",
            "; ".join(f"{one.version} in {one.folder}" for one in installs)
            + (f"; {size / 10**9:.1f} GB" if size else ""),
            count=len(installs),
        )
    problem = _broken(facts)
    if problem is not None:
        yield problem
    elif not installs:
        yield ok("flash-attn", "flash-attn", "not installed, not needed")
    elif len(installs) == 1:
        run = facts.flash_run
        proof = "not tried" if run is None else "agrees with SDPA" if run.on_gpu else "imports"
        yield ok("flash-attn", "flash-attn", f"{installs[0].version}, {proof}; not used")


def install_incompatibilities(facts: Facts) -> list[str]:
    """Why the installed wheel cannot load, as far as its name and torch's files show."""
    on = platform_of(facts)
    wheels = (parse_wheel(install.wheel) for install in facts.flash_installs)
    if on is None:
        return []
    return next(
        (found for wheel in wheels if wheel and (found := incompatibilities(wheel, on))), []
    )


def platform_of(facts: Facts) -> Platform | None:
    """This machine, as a wheel has to fit it; None without torch."""
    run, files = facts.torch_run, facts.torch
    version = (run.version if run else "") or (files.version if files else "")
    if not version:
        return None
    abi = run.cxx11_abi if run else None
    device = run.devices[0] if run and run.devices else None
    return Platform(
        python=facts.python.version[:2],
        torch=version,
        cuda=run.cuda if run and run.version else (files.cuda if files else ""),
        cxx11_abi=guess_abi(version) if abi is None else abi,
        platform=facts.python.platform,
        libc=facts.python.libc,
        capability=device.capability if device else None,
    )


def guess_abi(torch_version: str) -> bool:
    """The C++ ABI of torch's published builds: the new one since 2.7, and in 2.6 for CUDA 12.6."""
    version, local = version_of(torch_version), torch_version.partition("+")[2]
    return version >= (2, 7) or (version == (2, 6) and local == "cu126")


def _broken(facts: Facts) -> Finding | None:
    run = facts.flash_run
    if run is not None and run.works:
        return None
    if run is not None and run.explanation is not None:
        code = _CODES.get(run.explanation.kind, "FLASH_ATTN_BROKEN")
        if run.on_gpu:
            code = "FLASH_ATTN_DISAGREES"
        sentence = run.explanation.sentence
        return finding("FLASH_ATTN_BROKEN", run.error, code=code, sentence=sentence)
    reasons = install_incompatibilities(facts)
    return finding("FLASH_ATTN_MISFIT", "; ".join(reasons)) if reasons else None


def flash_attn_wheel(facts: Facts) -> dict[str, str]:
    """Answer of `doctor --flash-attn`: the wheel for this machine, or why there is none."""
    on = platform_of(facts)
    if on is None:
        reason = "none: it is built against one torch, and none is installed"
        return {"wheel": reason, "note": _NOT_NEEDED}
    python = ".".join(map(str, on.python))
    abi = str(on.cxx11_abi).upper()
    machine = (
        f"Python {python}, torch {on.torch}, CUDA {on.cuda or 'none'}, C++ ABI {abi}, {on.platform}"
    )
    wheel = choose_wheel(on)
    if isinstance(wheel, NoWheel):
        return {"machine": machine, "wheel": f"none: {wheel.reason}", "note": _NOT_NEEDED}
    answer = {"machine": machine, "wheel": wheel.name, "url": wheel.url, "sha256": wheel.sha256}
    if not wheel.seen:
        answer["source"] = "named by the release's build workflow; the file itself was not seen"
    return answer | {"note": _NOT_NEEDED}


_MESSAGES: tuple[tuple[str, Kind, str], ...] = (
    (
        r"undefined symbol: _?Py\w+|compiled (?:for|with) Python|No module named '\w+_cuda'",
        "python",
        "It was built for another Python.",
    ),
    (
        r"lib(?:cudart|cublas|cudnn|nvrtc|c10_cuda|torch_cuda)[\w.-]*: cannot open",
        "cuda",
        "It was built for a CUDA that this torch does not bring.",
    ),
    (r"version [`']GLIBC(?:XX)?_[\d.]+' not found", "libc", "It was built on a newer system."),
    (
        r"file too short|invalid ELF header|truncated|unexpected end of data",
        "damaged",
        "The file is incomplete; such an install often ended on a full disk.",
    ),
)


def explain(message: str, torch_abi: bool | None = None) -> Explanation:
    """Why loading ended with `message`.

    Args:
        torch_abi: C++ ABI of the torch that is here: True for the new one, None when not known.
    """
    found = re.search(r"undefined symbol: (_Z\w+)", message)
    if found and re.match(r"_ZNK?(?:3c10|2at|5torch|5caffe)|_ZN[KS]?\w*c10", found[1]):
        return _explain_symbol(found[1], torch_abi)
    for pattern, kind, sentence in _MESSAGES:
        if re.search(pattern, message):
            return Explanation(kind, sentence)
    return Explanation("other", "It does not load.")


def _explain_symbol(symbol: str, torch_abi: bool | None) -> Explanation:
    abi = abi_of(symbol)
    if re.search(r"C[12]E$", symbol):  # a constructor's name goes on with what it takes
        return Explanation(
            "torch",
            "It was built against another torch, or with the other C++ ABI: the name of the "
            "missing symbol is cut short, and its end would tell.",
        )
    if abi is None:
        return Explanation(
            "torch",
            "It was built against another torch minor version: this torch exports no "
            f"{symbol[:80]}.",
        )
    if abi == torch_abi:
        return Explanation(
            "torch", "It has the C++ ABI of this torch, but was built for another minor version."
        )
    named = "cxx11abiTRUE" if abi else "cxx11abiFALSE"
    return Explanation("abi", f"It was built with the other C++ ABI: it is a {named} wheel.")


def abi_of(symbol: str) -> bool | None:
    """The C++ ABI that a mangled name was made with; None when it holds no string.

    A name that a terminal or a person cut short often holds none any more.
    """
    if "__cxx11" in symbol:
        return True
    return False if "Ss" in _without_names(symbol) else None


def _without_names(symbol: str) -> str:
    """A mangled name without the identifiers in it, each of which has its length before it."""
    rest, left = symbol.removeprefix("_Z"), ""
    while rest:
        length = re.match(r"\d+", rest)
        if length:
            rest = rest[length.end() + int(length[0]) :]
            left += "."
        else:
            left, rest = left + rest[0], rest[1:]
    return left
