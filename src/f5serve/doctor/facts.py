"""Facts about a machine: a tree of frozen values, without any judgement.

A part that was not looked at is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from f5serve.settings import Settings

Kind = Literal["abi", "torch", "python", "cuda", "libc", "damaged", "crashed", "slow", "other"]


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter. `platform` is as wheels name it, e.g. "linux_x86_64"."""

    version: tuple[int, int, int]
    implementation: str
    platform: str
    libc: str
    bits: int


@dataclass(frozen=True, slots=True)
class Package:
    """An installed distribution.

    Attributes:
        wheel: file that it was installed from, where the installer wrote that down.
        size: bytes on disk; 0 when not counted.
    """

    name: str
    version: str
    folder: str
    wheel: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class TorchFiles:
    """What torch's own files say, without running them.

    Attributes:
        cuda: of the build, "" for one without.
        has_bytecode: whether its modules are compiled; can_compile: whether they could be.
    """

    version: str
    cuda: str
    has_bytecode: bool = True
    can_compile: bool = True


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """A GPU as torch sees it; memory in bytes."""

    name: str
    capability: tuple[int, int]
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class TorchRun:
    """What torch reports about itself, from a process of its own.

    Attributes:
        error: why it could not be imported, or "".
        cudnn: its version number, 0 without.
        architectures: that it has kernels for, e.g. "sm_90".
        trial: why a small computation on the GPU failed, or "".
        timed_out: it did not answer.
    """

    error: str = ""
    version: str = ""
    cuda: str = ""
    cudnn: int = 0
    cxx11_abi: bool | None = None
    devices: tuple[CudaDevice, ...] = ()
    architectures: tuple[str, ...] = ()
    trial: str = ""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is different, in a word and in a sentence."""

    kind: Kind
    sentence: str


@dataclass(frozen=True, slots=True)
class FlashRun:
    """Whether flash-attn works, from a process of its own.

    Attributes:
        works: it could be imported and, where there is a GPU, agrees with SDPA.
        on_gpu: it was tried on one.
        error: the last line of what went wrong.
        explanation: that line, explained.
    """

    works: bool
    on_gpu: bool = False
    error: str = ""
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU as the driver lists it; memory in bytes."""

    name: str
    total: int
    used: int


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """Why no compiled kernel fits the GPU, or "", and whether Triton could compile some."""

    reason: str = ""
    can_compile: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """The driver's side.

    Attributes:
        nodes: device files.
        kernel_driver: version of the loaded kernel module, or "".
        driver: as nvidia-smi reports, or "".
        error: why nvidia-smi reported nothing, or "".
        asked: whether nvidia-smi was run at all.
    """

    nodes: tuple[str, ...] = ()
    kernel_driver: str = ""
    driver: str = ""
    cards: tuple[Card, ...] = ()
    error: str = ""
    hangs: bool = False
    asked: bool = False

    @property
    def is_there(self) -> bool:
        """Whether there is a GPU, whether or not it can be used."""
        return bool(self.cards or self.nodes)

    @property
    def version(self) -> str:
        """The driver's version, from nvidia-smi or the kernel module."""
        return self.driver or self.kernel_driver


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder that is used, and the file system that it is or would be on; sizes in bytes.

    Attributes:
        role: what it is used for.
        error: why nothing can be written there, or "".
        free: as reported; inodes_free: None where the file system does not count them.
        mounted: False for a folder below /runpod-volume on a machine that has no such volume.
        is_folder: False where a file is in the way.
    """

    role: str
    path: Path
    total: int = 0
    free: int = 0
    inodes_free: int | None = None
    error: str = ""
    mounted: bool = True
    is_folder: bool = True


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the machine or, where that is less, of the container; bytes. `open_files` is a limit."""

    total: int
    available: int
    cores: int
    open_files: int
    cpu_flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The outcome of a small object put into the store.

    Attributes:
        is_shared: whether other machines see it.
        has_urls: whether it signs URLs that a browser can fetch.
        step: the first of open, put, get, url, delete that failed, or "".
        code, message, hint: of that failure; exit_code as of its class.
        url_error: why the signed URL could not be fetched, or "".
        skew_s: the store's clock less ours; None when not asked.
        seconds: all of it.
        tried: False when only opened.
    """

    description: str = ""
    is_shared: bool = False
    has_urls: bool = False
    step: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    exit_code: int = 0
    url_error: str = ""
    skew_s: float | None = None
    seconds: float = 0.0
    tried: bool = False


@dataclass(frozen=True, slots=True)
class VoiceFacts:
    """How many voices the store holds, how many records cannot be read, or why none can."""

    count: int = 0
    unreadable: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """Records of the newest jobs and of the queue that cannot be read.

    Attributes:
        unreadable: how many, by code: RECORD_DAMAGED or RECORD_TOO_NEW.
        first: the key of one of them.
    """

    unreadable: dict[str, int] = field(default_factory=dict)
    first: str = ""


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file of the model.

    Attributes:
        expected: sha256 that it must have, "" when not known.
        sha256: that it has, "" when not hashed.
    """

    path: Path
    expected: str = ""
    sha256: str = ""

    @property
    def state(self) -> str:
        """ok, changed, unknown (not known what it should be) or not hashed."""
        if not self.sha256:
            return "not hashed"
        if not self.expected:
            return "unknown"
        return "ok" if self.sha256 == self.expected else "changed"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What would speak.

    Attributes:
        kind: "f5", "standin", or "" when nothing could be chosen.
        code, message, hint, exit_code: why nothing was chosen.
        may_fetch: missing weights are fetched at the start.
        engine_installed: the packages of that engine are here.
        needs: bytes that fetching takes.
        put_aside: files that were found changed and lie beside their places.
        note: what the registry tells of it.
    """

    kind: str
    model: str = ""
    files: tuple[InstalledFile, ...] = ()
    code: str = ""
    message: str = ""
    hint: str = ""
    exit_code: int = 0
    may_fetch: bool = False
    engine_installed: bool = True
    needs: int = 0
    hash_error: str = ""
    put_aside: tuple[Path, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a server is to listen on; `state` is free, taken, or not permitted."""

    variable: str
    value: str
    state: str


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """The stamp, and what differs from it; `dirty` when not all of it was committed.

    Attributes:
        differing: files, libraries: phrases about those that are not as built.
        error: why the stamp cannot be read, or "".
    """

    stamp: str
    commit: str
    dirty: bool = False
    differing: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    error: str = ""
    is_checkout: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a machine; what is None was not looked at."""

    settings: Settings
    variables: Mapping[str, str]
    python: Python
    packages: tuple[Package, ...]
    torch: TorchFiles | None
    gpu: Gpu
    memory: Memory
    disks: tuple[Disk, ...]
    on_runpod: bool = False
    bad_settings: tuple[tuple[str, str, str], ...] = ()
    unknown_settings: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    models: ModelFacts | None = None
    store: StoreFacts | None = None
    voices: VoiceFacts | None = None
    jobs: JobFacts | None = None
    torch_run: TorchRun | None = None
    flash_run: FlashRun | None = None
    kernels: KernelFacts | None = None
    build: BuildFacts | None = None

    def package(self, name: str) -> Package | None:
        """The first installed distribution of that name."""
        return next((found for found in self.packages if found.name == name), None)

    @property
    def flash_installs(self) -> tuple[Package, ...]:
        """All installs of flash-attn."""
        return tuple(found for found in self.packages if found.name == "flash-attn")

    @property
    def needs_torch(self) -> bool:
        """Whether F5-TTS is to speak here."""
        if self.settings.engine == "standin":
            return False
        return self.settings.engine == "f5" or bool(self.models and self.models.kind == "f5")

    @property
    def wants_gpu(self) -> bool:
        """Whether it is an error to have none."""
        return self.settings.device == "cuda" and self.settings.engine != "standin"
