"""`make clone` from the Makefile, with the environment that is here and a hub on loopback."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from f5serve.audio.decode import decode
from f5serve.models.disk import format_bytes
from tests.models.hub_standin import Hub, Repo
from tests.startup import small_model

ROOT = Path(__file__).parents[1]
VOICE = ROOT / "tests" / "data" / "librivox-0870.wav"
WORDS = (
    "And Mr. John Dashwood had then leisure to consider how much there might be prudently"
    " in his power to do for them."
)
MODEL_COMMIT, VOCOS_COMMIT = "a" * 40, "b" * 40
INSTALLED = (".venv/local.done", ".venv/engine.done")
TIMEOUT_S = 300

# The real program; only the list of published models is another one.
PROGRAM = """#!{python}
import sys
from pathlib import Path
from f5serve.models import registry
registry.PUBLISHED = registry.Registry.load(Path({models!r}))
from f5serve.__main__ import main
sys.exit(main())
"""

MODELS = """
[vocoder]
id = "vocos"
repo = "owner/vocos"
revision = "{vocos_commit}"
license = "MIT"
commercial = true
[[vocoder.files]]
role = "vocoder"
path = "pytorch_model.bin"
size = {vocoder_size}
sha256 = "{vocoder}"

[[models]]
id = "F5TTS_v1_Base"
repo = "owner/f5"
revision = "{model_commit}"
arch = "F5TTS_v1_Base"
languages = ["en"]
license = "CC-BY-NC-4.0"
commercial = false
[[models.files]]
role = "weights"
path = "model.safetensors"
size = {published_size}
sha256 = "{published}"

[[models.files]]
role = "vocab"
path = "vocab.txt"
size = {vocab_size}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small checkpoint, its vocabulary and vocoder."""
    paths = small_model.write(tmp_path_factory.mktemp("small"))
    return {name: path.read_bytes() for name, path in paths.items()}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    model = {"model.safetensors": files["published"], "vocab.txt": files["vocab"]}
    vocoder = {"pytorch_model.bin": files["vocoder"]}
    repos = {
        "owner/f5": Repo(MODEL_COMMIT, model, {"model.safetensors"}),
        "owner/vocos": Repo(VOCOS_COMMIT, vocoder, {"pytorch_model.bin"}),
    }
    with Hub(repos) as running:
        yield running


def program(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder for BIN: f5serve with a list of models that are on the hub stand-in."""
    facts = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    sizes = {f"{name}_size": len(data) for name, data in files.items()}
    commits = {"model_commit": MODEL_COMMIT, "vocos_commit": VOCOS_COMMIT}
    models = folder / "models.toml"
    models.write_text(MODELS.format(**facts, **sizes, **commits))
    path = folder / "bin" / "f5serve"
    path.parent.mkdir()
    path.write_text(PROGRAM.format(python=sys.executable, models=str(models)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path.parent


def make(
    *arguments: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`make` with these arguments; what the Makefile installs counts as installed."""
    command = ["make", *(part for name in INSTALLED for part in ("-o", name)), *arguments]
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "F5_", "TORCH")) and name not in ("MODEL", "OUT")
    }
    return subprocess.run(
        command,
        cwd=ROOT,
        env=kept | (environ or {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def test_it_pulls_the_model_and_speaks_in_the_voice(
    hub: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    voice, out = tmp_path / "my voice.wav", tmp_path / "clone.wav"
    shutil.copy(VOICE, voice)
    text = 'It\'s said, "word for word", by the voice of the recording; nothing is left out.'
    ran = make(
        "clone",
        f"BIN={program(tmp_path, files)}",
        f"VOICE={voice}",
        f"WORDS={WORDS}",
        f"TEXT={text}",
        f"OUT={out}",
        environ={
            "HF_ENDPOINT": hub.endpoint,
            "F5_MODELS_DIR": str(tmp_path / "models"),
            "F5_DATA_DIR": str(tmp_path / "data"),
            "F5_DEVICE": "cpu",
        },
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "F5TTS_v1_Base: CC-BY-NC-4.0, which does not permit commercial use." in ran.stderr
    size = sum(len(files[name]) for name in ("published", "vocab", "vocoder"))
    assert f"F5TTS_v1_Base: {format_bytes(size)} to download, with its vocoder." in ran.stderr
    assert "F5-TTS (F5TTS_v1_Base" in ran.stderr
    assert hub.count("GET") == len(files) - 1  # all but the artifact, each once
    spoken = decode(out.read_bytes())
    expected_s = decode(VOICE.read_bytes()).duration_s * len(text) / len(WORDS)
    assert spoken.duration_s == pytest.approx(expected_s, rel=0.2)
    assert abs(spoken.samples).max() > 0.01


@pytest.mark.parametrize("missing", ["VOICE", "WORDS", "TEXT"])
def test_what_is_missing_is_named_before_anything_is_done(missing: str) -> None:
    given = {"VOICE": str(VOICE), "WORDS": WORDS, "TEXT": "Hello."} | {missing: " "}
    ran = make("clone", "BIN=/nowhere", *(f"{name}={value}" for name, value in given.items()))
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert f"{missing} is missing" in ran.stderr
    assert 'Type: make clone VOICE=me.wav WORDS="what is said in it" TEXT="' in ran.stderr


def test_a_recording_that_is_not_there_is_named() -> None:
    ran = make("clone", "BIN=/nowhere", "VOICE=no such.wav", f"WORDS={WORDS}", "TEXT=Hello.")
    assert ran.returncode == 2
    assert ran.stderr.startswith("There is no file no such.wav. Type the path of a recording:\n")
    assert "nowhere" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("has_gpu", "environ", "wanted", "size"),
    [
        (False, {}, "--extra-index-url https://download.pytorch.org/whl/cpu torch", "0.2 GB (CPU"),
        (True, {}, "-q --disable-pip-version-check  torch", "about 3 GB with CUDA"),
        (False, {"TORCH_ARGS": "--pre"}, "--pre torch", "about 3 GB with CUDA"),
    ],
)
def test_torch_is_the_build_for_this_machine(
    has_gpu: bool, environ: dict[str, str], wanted: str, size: str, tmp_path: Path
) -> None:
    for name in ("sh", "nvidia-smi") if has_gpu else ("sh",):
        (tmp_path / name).symlink_to(shutil.which("sh") or "/bin/sh")
    make = shutil.which("make") or "make"
    ran = subprocess.run(
        [make, "-n", "-W", "pyproject.toml", "clone", f"VOICE={VOICE}", "WORDS=a", "TEXT=b"],
        cwd=ROOT,
        env=environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    (install,) = [at for at, line in enumerate(lines) if "torch==" in line and "pip" in line]
    assert wanted in lines[install]
    assert size in lines[install - 1]  # what it downloads is said first
    assert install < next(at for at, line in enumerate(lines) if "models pull" in line)
