"""Misconfigurations, each planted in a machine that is otherwise good, with the code for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime

from f5serve.jobs.history import key_of
from tests.doctor.machines import (
    FLASH_WORKS,
    GIB,
    KEYS,
    RTX,
    RUNPOD,
    TORCH_CPU,
    TORCH_GPU,
    Machine,
    cpu_box,
    gpu_box,
    laptop,
    runpod_worker,
)

Spoil = Callable[[Machine], object]

HANGS = "sleep 30 & sleep 30"
OLD_ABI = "_ZN3c105ErrorC2ENS_14SourceLocationESs"
NEW_ABI = "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
SMALL_ABI = "_ZN3c104cuda20CUDACachingAllocator9allocatorE"
LIBRARY = "/site/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so"


@dataclass(frozen=True)
class Fault:
    """`spoil` a good machine, and this code is reported, alone.

    `is_quick`: only what a worker sees at its start is asked, as the rest needs a network.
    """

    name: str
    good: Callable[..., Machine]
    spoil: Spoil
    code: str
    is_quick: bool = False


def a_job(state: str) -> Spoil:
    def spoil(machine: Machine) -> None:
        machine.write("data/store/jobs/a/state.json", state)
        machine.write(f"data/store/{key_of('a', 1e9)}", "")

    return spoil


def sets(**variables: str) -> Spoil:
    return lambda machine: machine.variables.update(variables)


def unsets(*names: str, **variables: str) -> Spoil:
    def spoil(machine: Machine) -> None:
        for name in names:
            machine.variables.pop(name, None)
        machine.variables.update(variables)

    return spoil


def all_of(*spoils: Spoil) -> Spoil:
    def spoil(machine: Machine) -> None:
        for one in spoils:
            one(machine)

    return spoil


def cpu_has(flags: str) -> Spoil:
    text = f"processor\t: 0\nflags\t\t: {flags}\n\n"
    return lambda machine: machine.write("root/proc/cpuinfo", text)


def torch_says(base: dict[str, object], **changes: object) -> Spoil:
    return lambda machine: machine.torch({**base, **changes})


def torch_fails(error: str = "", script: str = "", trial_s: float = 20.0) -> Spoil:
    def spoil(machine: Machine) -> None:
        machine.trial_s = trial_s
        machine.says("torch", error=error, code=1, script=script)

    return spoil


def flash(error: str = "", code: int = 1, script: str = "", **torch: object) -> Spoil:
    """One install, which fails with the loader's message."""

    def spoil(machine: Machine) -> None:
        if torch:
            machine.torch({**TORCH_GPU, **torch})
        machine.install("flash-attn", "2.8.3", size=900_000_000)
        message = f"Traceback (most recent call last):\nImportError: {error}" if error else ""
        machine.says("flash", error=message, code=code, script=script)

    return spoil


def flash_hangs(machine: Machine) -> None:
    flash(script=HANGS)(machine)
    machine.trial_s = 0.5


def flash_twice(machine: Machine) -> None:
    machine.install("flash-attn", "2.8.3", size=900_000_000)
    machine.install("flash-attn", "2.8.0.post2", site="site2", size=800_000_000)
    machine.says("flash", FLASH_WORKS)


def flash_disagrees(machine: Machine) -> None:
    machine.install("flash-attn", "2.8.3")
    machine.says("flash", {"on_gpu": True, "apart": 1.7})


def flash_wheel(wheel: str) -> Spoil:
    """An install whose wheel is on record: its name alone tells that it cannot load."""
    return lambda machine: machine.install("flash-attn", wheel.split("-")[1], wheel=wheel)


def size(which: str, free: int, total: int = 100 * GIB, inodes: int = 10**6) -> Spoil:
    return lambda machine: machine.disks.update({getattr(machine, which): (total, free, inodes)})


def memory(total_kb: int, available_kb: int) -> Spoil:
    text = f"MemTotal: {total_kb} kB\nMemAvailable: {available_kb} kB\n"
    return lambda machine: machine.write("root/proc/meminfo", text)


def cgroup(machine: Machine) -> None:
    machine.write("root/sys/fs/cgroup/memory.max", f"{2 * GIB}\n")
    machine.write("root/sys/fs/cgroup/memory.current", f"{GIB}\n")


def no_models(engine: str = "f5", **variables: str) -> Spoil:
    def spoil(machine: Machine) -> None:
        shutil.rmtree(machine.models)
        machine.variables.update({"F5_ENGINE": engine, **variables})

    return spoil


def small_everywhere(machine: Machine) -> None:
    no_models()(machine)
    folders = (machine.root, machine.temp, machine.data, machine.folder)
    machine.disks = dict.fromkeys(folders, (2 * GIB, GIB, 10**6))


def a_file(path: str) -> Spoil:
    return lambda machine: machine.write(path, "")


def removed(name: str) -> Spoil:
    def spoil(machine: Machine) -> None:
        for folder in machine.site.glob(f"{name}-*"):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    return spoil


def old_package(name: str, version: str) -> Spoil:
    def spoil(machine: Machine) -> None:
        removed(name)(machine)
        machine.install(name, version)

    return spoil


def other_cudnn(machine: Machine) -> None:
    machine.write("cuda/lib64/libcudnn.so.8", "")
    machine.variables["LD_LIBRARY_PATH"] = f"/nowhere:{machine.folder}/cuda/lib64"


def flip_a_bit(machine: Machine) -> None:
    machine.weights.write_text("weighty")


def driver_lost(machine: Machine) -> None:
    message = "Failed to initialize NVML: Driver/library version mismatch"
    machine.have_gpu(script=f"echo '{message}'; exit 18")


def driver_hangs(machine: Machine) -> None:
    machine.driver_s = 0.5
    machine.have_gpu(script=HANGS)


def old_python(machine: Machine) -> None:
    machine.python = changed(machine.python, version=(3, 9, 18))


FAULTS = (
    # interpreter and packages
    Fault("python 3.9", cpu_box, old_python, "PYTHON_TOO_OLD"),
    Fault("torch 2.6", cpu_box, torch_says(TORCH_CPU, version="2.6.0+cpu"), "TORCH_TOO_OLD"),
    Fault("boto3 1.35", runpod_worker, old_package("boto3", "1.35.9"), "BOTO3_TOO_OLD", True),
    Fault("runpod 1.7", runpod_worker, old_package("runpod", "1.7.13"), "RUNPOD_UNTESTED", True),
    Fault(
        "torch installed twice",
        cpu_box,
        lambda m: m.install("torch", "2.6.0+cu124", site="site2"),
        "PACKAGE_TWICE",
    ),
    Fault("no speaker", laptop, removed("onnxruntime"), "ENGINE_NOT_INSTALLED"),
    # torch
    Fault("f5 without torch", laptop, sets(F5_ENGINE="f5"), "ENGINE_NOT_INSTALLED"),
    Fault(
        "torch's library is gone",
        cpu_box,
        torch_fails("ImportError: libtorch_cpu.so: cannot open shared object file"),
        "TORCH_BROKEN",
    ),
    Fault("torch crashes", cpu_box, torch_fails(script="kill -SEGV $$"), "TORCH_BROKEN"),
    Fault("torch hangs", cpu_box, torch_fails(script=HANGS, trial_s=0.5), "TORCH_HANGS"),
    # GPU
    Fault("cuda asked for, none there", cpu_box, sets(F5_DEVICE="cuda"), "NO_GPU"),
    Fault("CPU torch beside a GPU", gpu_box, torch_says(TORCH_CPU), "TORCH_WITHOUT_CUDA"),
    Fault("old driver", gpu_box, lambda m: m.have_gpu("515.105.01"), "DRIVER_TOO_OLD"),
    Fault(
        "CUDA 13 torch on a driver for 12",
        gpu_box,
        torch_says(TORCH_GPU, version="2.13.0+cu130", cuda="13.0"),
        "DRIVER_TOO_OLD",
    ),
    Fault("driver updated while running", gpu_box, driver_lost, "DRIVER_MISMATCH"),
    Fault("nvidia-smi hangs", gpu_box, driver_hangs, "NVIDIA_SMI_HANGS"),
    Fault(
        "driver does not answer",
        gpu_box,
        lambda m: m.have_gpu(script="echo 'Unable to determine the device handle'; exit 15"),
        "NVIDIA_SMI_FAILED",
    ),
    Fault("GPU hidden", gpu_box, sets(CUDA_VISIBLE_DEVICES="-1"), "GPU_HIDDEN"),
    Fault("GPU of another machine", gpu_box, sets(CUDA_VISIBLE_DEVICES="3"), "GPU_HIDDEN"),
    Fault("torch finds no GPU", gpu_box, torch_says(TORCH_GPU, devices=[]), "GPU_UNUSABLE"),
    Fault(
        "GPU without kernels",
        gpu_box,
        torch_says(TORCH_GPU, devices=[["Tesla K80", [3, 7], 12 * GIB, 11 * GIB]]),
        "GPU_NOT_SUPPORTED",
    ),
    Fault(
        "GPU newer than torch",
        gpu_box,
        torch_says(TORCH_GPU, architectures=["sm_80", "sm_90"], devices=[["B200", [10, 0], 1, 1]]),
        "GPU_NOT_SUPPORTED",
    ),
    Fault(
        "convolution fails",
        gpu_box,
        torch_says(TORCH_GPU, trial="cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        "GPU_TRIAL_FAILED",
    ),
    Fault(
        "GPU memory taken",
        gpu_box,
        torch_says(TORCH_GPU, devices=[[*RTX[:3], GIB]]),
        "GPU_MEMORY_SHORT",
    ),
    Fault(
        "kernels of another f5serve",
        gpu_box,
        lambda m: m.have_kernels(source="0" * 64),
        "KERNELS_NOT_COMPILED",
    ),
    Fault("kernels for other GPUs", gpu_box, lambda m: m.have_kernels(90), "KERNELS_NOT_COMPILED"),
    Fault("no cuDNN", gpu_box, torch_says(TORCH_GPU, cudnn=0), "CUDNN_MISSING"),
    Fault(
        "two cuDNN", gpu_box, lambda m: m.install("nvidia-cudnn-cu11", "8.9.6.50"), "CUDNN_TWICE"
    ),
    Fault("another cuDNN first", gpu_box, other_cudnn, "CUDNN_OVERRULED"),
    Fault("int8 on a GPU", gpu_box, sets(F5_DTYPE="int8"), "INT8_ON_GPU"),
    Fault(
        "bf16 on a CPU without it",
        cpu_box,
        all_of(cpu_has("fpu avx2 avx512f avx512_vnni"), sets(F5_DTYPE="bf16")),
        "DTYPE_UNSUPPORTED",
    ),
    Fault("fp8 on a CPU", cpu_box, sets(F5_DTYPE="fp8"), "DTYPE_UNSUPPORTED"),
    Fault(
        "bf16 on a GPU without it",
        gpu_box,
        all_of(
            torch_says(TORCH_GPU, devices=[["Tesla T4", [7, 5], *RTX[2:]]]),
            sets(F5_DTYPE="bf16", F5_FUSED_KERNELS="off"),
        ),
        "DTYPE_UNSUPPORTED",
    ),
    Fault(
        "fp8 on a GPU without it",
        gpu_box,
        all_of(
            torch_says(TORCH_GPU, devices=[["NVIDIA A100", [8, 0], *RTX[2:]]]),
            sets(F5_DTYPE="fp8", F5_FUSED_KERNELS="off"),
        ),
        "DTYPE_UNSUPPORTED",
    ),
    Fault("fp16 on a CPU", cpu_box, sets(F5_DTYPE="fp16", F5_DEVICE="cpu"), "FP16_ON_CPU"),
    # flash-attn
    Fault("flash-attn twice", gpu_box, flash_twice, "FLASH_ATTN_TWICE"),
    Fault(
        "old-ABI wheel on a new-ABI torch",
        gpu_box,
        flash(f"{LIBRARY}: undefined symbol: {OLD_ABI}"),
        "FLASH_ATTN_OTHER_ABI",
    ),
    Fault(
        "new-ABI wheel on an old-ABI torch",
        gpu_box,
        flash(f"{LIBRARY}: undefined symbol: {NEW_ABI}", version="2.10.0+cu126", cxx11_abi=False),
        "FLASH_ATTN_OTHER_ABI",
    ),
    Fault(
        "wheel of another torch",
        gpu_box,
        flash(f"{LIBRARY}: undefined symbol: {SMALL_ABI}"),
        "FLASH_ATTN_OTHER_TORCH",
    ),
    Fault(
        "wheel of another torch, same ABI",
        gpu_box,
        flash(f"{LIBRARY}: undefined symbol: {NEW_ABI}"),
        "FLASH_ATTN_OTHER_TORCH",
    ),
    Fault(
        "wheel of another python",
        gpu_box,
        flash("No module named 'flash_attn_2_cuda'"),
        "FLASH_ATTN_OTHER_PYTHON",
    ),
    Fault(
        "wheel of another CUDA",
        gpu_box,
        flash("libcudart.so.11.0: cannot open shared object file: No such file or directory"),
        "FLASH_ATTN_OTHER_CUDA",
    ),
    Fault(
        "wheel of a newer system",
        gpu_box,
        flash(f"/lib/libc.so.6: version `GLIBC_2.38' not found (required by {LIBRARY})"),
        "FLASH_ATTN_OTHER_LIBC",
    ),
    Fault("wheel cut off", gpu_box, flash(f"{LIBRARY}: file too short"), "FLASH_ATTN_DAMAGED"),
    Fault("wheel crashes", gpu_box, flash(script="kill -ILL $$"), "FLASH_ATTN_CRASHES"),
    Fault("wheel hangs", gpu_box, flash_hangs, "FLASH_ATTN_HANGS"),
    Fault("wheel computes wrong", gpu_box, flash_disagrees, "FLASH_ATTN_DISAGREES"),
    Fault("flash-attn half removed", gpu_box, flash("cannot import name 'x'"), "FLASH_ATTN_BROKEN"),
    Fault(
        "wheel's name tells",
        gpu_box,
        flash_wheel("flash_attn-2.8.2+cu12torch2.6cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"),
        "FLASH_ATTN_MISFIT",
        True,
    ),
    # environment
    Fault("unreadable setting", cpu_box, sets(F5_CONCURRENCY="many"), "BAD_SETTING"),
    Fault("unknown setting", cpu_box, sets(F5_DEVCE="cpu"), "UNKNOWN_SETTING"),
    Fault(
        "URLs outlive results",
        cpu_box,
        sets(F5_URL_EXPIRES_S="604800", F5_RETENTION_DAYS="1"),
        "URL_OUTLIVES_RESULT",
    ),
    Fault(
        "secret missing", runpod_worker, unsets("AWS_SECRET_ACCESS_KEY"), "S3_KEYS_HALF_SET", True
    ),
    Fault("secret empty", runpod_worker, sets(AWS_SECRET_ACCESS_KEY=""), "S3_KEYS_HALF_SET", True),
    Fault(
        "both keys empty",
        runpod_worker,
        sets(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""),
        "S3_KEYS_EMPTY",
        True,
    ),
    Fault("no keys", runpod_worker, unsets(*KEYS), "S3_KEYS_MISSING", True),
    Fault(
        "quoted key", runpod_worker, sets(AWS_ACCESS_KEY_ID='"K005a1b2c3"'), "S3_KEY_QUOTED", True
    ),
    Fault(
        "secret with a line end inside",
        runpod_worker,
        sets(AWS_SECRET_ACCESS_KEY="K005abc\ndef"),
        "S3_KEY_QUOTED",
        True,
    ),
    Fault(
        "endpoint without scheme",
        runpod_worker,
        sets(AWS_ENDPOINT_URL="s3.us-west-001.backblazeb2.com"),
        "ENDPOINT_NO_SCHEME",
        True,
    ),
    Fault(
        "endpoint with the bucket",
        runpod_worker,
        sets(AWS_ENDPOINT_URL="https://s3.us-west-001.backblazeb2.com/my-voices"),
        "ENDPOINT_WITH_PATH",
        True,
    ),
    Fault(
        "http endpoint",
        runpod_worker,
        sets(AWS_ENDPOINT_URL="http://s3.us-west-001.backblazeb2.com"),
        "ENDPOINT_HTTP",
        True,
    ),
    Fault(
        "endpoint of another region",
        runpod_worker,
        sets(AWS_REGION="eu-central-003"),
        "ENDPOINT_OTHER_REGION",
        True,
    ),
    Fault(
        "bucket as a URL", runpod_worker, sets(S3_BUCKET="s3://my-voices/f5"), "BUCKET_NAME", True
    ),
    Fault(
        "two buckets",
        runpod_worker,
        sets(BUCKET_ENDPOINT_URL="https://s3.us-west-001.backblazeb2.com/other"),
        "BUCKETS_DIFFER",
        True,
    ),
    Fault(
        "two servers",
        runpod_worker,
        sets(
            BUCKET_ENDPOINT_URL="https://s3.eu-central-003.backblazeb2.com/my-voices", AWS_REGION=""
        ),
        "BUCKETS_DIFFER",
        True,
    ),
    Fault("keys without a bucket", runpod_worker, unsets("S3_BUCKET"), "BUCKET_MISSING", True),
    Fault(
        "store overrules the bucket",
        runpod_worker,
        sets(F5_STORE="s3://another"),
        "STORE_OVERRULED",
        True,
    ),
    Fault("unknown kind of store", cpu_box, sets(F5_STORE="ftp://host/voices"), "BAD_STORE"),
    Fault(
        "store in memory",
        runpod_worker,
        unsets("S3_BUCKET", "AWS_ENDPOINT_URL", F5_STORE="memory:"),
        "STORE_IN_MEMORY",
        True,
    ),
    Fault(
        "store on one worker",
        runpod_worker,
        unsets("S3_BUCKET", "AWS_ENDPOINT_URL"),
        "STORE_NOT_SHARED",
        True,
    ),
    Fault(
        "certificates missing",
        runpod_worker,
        sets(AWS_CA_BUNDLE="/nowhere/ca.pem"),
        "CA_BUNDLE_MISSING",
        True,
    ),
    Fault("publishing nowhere", cpu_box, sets(F5_PUBLISH_MODELS="1"), "PUBLISH_WITHOUT_BUCKET"),
    Fault(
        "a worker's variables elsewhere",
        cpu_box,
        sets(RUNPOD_ENDPOINT_ID=RUNPOD["RUNPOD_ENDPOINT_ID"]),
        "RUNPOD_LEFTOVERS",
    ),
    Fault(
        "a worker without a queue",
        runpod_worker,
        unsets("RUNPOD_WEBHOOK_GET_JOB"),
        "RUNPOD_NO_QUEUE",
        True,
    ),
    Fault(
        "RunPod's key emptied",
        runpod_worker,
        sets(RUNPOD_AI_API_KEY=""),
        "RUNPOD_KEY_MISSING",
        True,
    ),
    Fault(
        "RunPod's log at debug",
        runpod_worker,
        sets(RUNPOD_LOG_LEVEL="debug"),
        "RUNPOD_LOG_DEBUG",
        True,
    ),
    Fault(
        "Wyoming for everybody",
        cpu_box,
        sets(F5_WYOMING="0.0.0.0:10200"),
        "WYOMING_WITHOUT_KEYS",
        True,
    ),
    Fault(
        "a key that has expired",
        cpu_box,
        sets(F5_API_KEYS=f"ana:{'ab' * 32}::2020-01-31"),
        "KEY_EXPIRED",
        True,
    ),
    Fault(
        "a key that expires today",
        cpu_box,
        sets(F5_API_KEYS=f"acme/ana:{'ab' * 32}:speak:{datetime.now(UTC).date()}"),
        "KEY_EXPIRES_SOON",
        True,
    ),
    Fault("hub without scheme", cpu_box, sets(HF_ENDPOINT="hf-mirror.example"), "HUB_NO_SCHEME"),
    Fault("more threads than cores", cpu_box, sets(F5_THREADS="1000"), "THREADS_ABOVE_CORES"),
    # memory and disks
    Fault("small container", cpu_box, cgroup, "MEMORY_SMALL"),
    Fault(
        "SDK wants more memory",
        runpod_worker,
        memory(8_000_000, 3_000_000),
        "MEMORY_BELOW_SDK_MINIMUM",
        True,
    ),
    Fault("temp full", cpu_box, size("temp", 10 << 20), "NO_SPACE"),
    Fault("data full", cpu_box, size("data", 0), "NO_SPACE"),
    Fault("no inodes", cpu_box, size("data", 50 * GIB, inodes=3), "NO_INODES"),
    Fault(
        "SDK wants 10 % of /", runpod_worker, size("root", 4 * GIB), "DISK_BELOW_SDK_MINIMUM", True
    ),
    Fault(
        "data folder cannot be written",
        cpu_box,
        sets(F5_DATA_DIR="/proc/data", F5_STORE="memory:"),
        "DATA_NOT_WRITABLE",
    ),
    Fault(
        "a file in place of the data folder",
        cpu_box,
        lambda m: m.variables.update(F5_DATA_DIR=str(m.write("file", "")), F5_STORE="memory:"),
        "NOT_A_FOLDER",
    ),
    Fault(
        "temp folder is gone",
        cpu_box,
        lambda m: m.temp.rmdir() or m.write("tmp", ""),
        "NOT_A_FOLDER",
    ),
    Fault(
        "cache folder cannot be written",
        cpu_box,
        no_models(F5_CACHE_DIR="/proc/cache"),
        "CACHE_NOT_WRITABLE",
    ),
    Fault(
        "volume not mounted",
        cpu_box,
        sets(F5_CACHE_DIR="/runpod-volume/cache"),
        "VOLUME_NOT_MOUNTED",
    ),
    Fault(
        "a file of a model was put aside",
        cpu_box,
        lambda machine: machine.write("models/installed/old/quarantine/0-weights.bin", "?"),
        "MODEL_FILES_PUT_ASIDE",
    ),
    Fault("no room for the weights", cpu_box, small_everywhere, "NO_ROOM_FOR_MODELS"),
    # models
    Fault("weights missing", cpu_box, no_models(F5_FETCH_MODELS="never"), "MODEL_MISSING"),
    Fault(
        "offline without weights", cpu_box, no_models(HF_HUB_OFFLINE="1"), "OFFLINE_WITHOUT_MODELS"
    ),
    Fault("unknown model", cpu_box, sets(F5_MODEL="F5TTS_v9"), "UNKNOWN_MODEL"),
    Fault(
        "half a checkpoint",
        cpu_box,
        sets(F5_CKPT="/nowhere/a.safetensors"),
        "CHECKPOINT_INCOMPLETE",
    ),
    Fault("licence", cpu_box, sets(F5_REQUIRE_COMMERCIAL_LICENSE="1"), "LICENSE_FORBIDS"),
    Fault("a changed byte", cpu_box, flip_a_bit, "MODEL_CHANGED"),
    Fault(
        "hashing fails",
        cpu_box,
        lambda m: m.says("hash", error="PermissionError", code=1),
        "MODEL_NOT_HASHED",
    ),
    Fault(
        "no cloning on a worker",
        runpod_worker,
        no_models("auto", F5_FETCH_MODELS="never"),
        "STANDIN_SPEAKS",
        True,
    ),
    # voices
    Fault(
        "a broken voice",
        cpu_box,
        a_file("data/store/voices/_records/ana.json"),
        "VOICES_UNREADABLE",
    ),
    # jobs
    Fault("a broken job", cpu_box, a_job("?"), "RECORD_DAMAGED"),
    Fault("a job of a later version", cpu_box, a_job('{"schema": 2}'), "RECORD_TOO_NEW"),
    # build
    Fault("a file edited in place", cpu_box, a_file("package/speech.py"), "BUILD_CHANGED"),
    Fault(
        "a function's file missing",
        cpu_box,
        lambda m: (m.package / "store" / "s3.py").unlink(),
        "BUILD_CHANGED",
    ),
    Fault("a file of an older image", cpu_box, a_file("package/s3_utils.py"), "BUILD_CHANGED"),
    Fault("uncommitted build", cpu_box, lambda m: m.restamp(dirty=True), "BUILD_DIRTY"),
    Fault(
        "library upgraded in place",
        cpu_box,
        lambda m: m.restamp(libraries={"torch": "1.0"}),
        "LIBRARIES_CHANGED",
    ),
    Fault(
        "stamp damaged",
        cpu_box,
        lambda m: (m.package / "_stamp.json").unlink() or m.write("package/_stamp.json", "{"),
        "STAMP_UNREADABLE",
    ),
)
