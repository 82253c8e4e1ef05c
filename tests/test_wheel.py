"""The wheel, built from what is committed and installed: everything that the code calls is in it.

A worker's image is made of this wheel and nothing else, so a function that was never committed, a
file that was left out of the package or a module that was edited afterwards shows here.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from f5serve import build

ROOT = Path(__file__).parents[1]
OPERATIONS = (
    *("tts", "upload", "list_voices", "delete_voice"),
    *("status", "result", "download", "cancel", "health"),
)
VERBS = ("say", "voices", "jobs", "models", "worker", "start", "doctor")
OUTSIDE = {"GIT_SHA", "GIT_DIRTY", "PYTHONPATH"}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
WHEEL = (*PIP, "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation", "-w")
pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that holds the wheel, and the libraries of the one that the tests run in."""

    commit: str
    wheel: Path
    source: Path
    package: Path
    python: Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("wheel")
    source, venv = home / "source", home / "venv"
    source.mkdir()
    commit = git("rev-parse", "HEAD").decode().strip()
    subprocess.run(["tar", "-x"], cwd=source, input=git("archive", commit), check=True)
    command = [*WHEEL, str(home), str(source)]
    subprocess.run(command, check=True, timeout=560, env=environment())
    (built,) = home.glob("f5serve-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    install = ["install", "-q", "--no-deps", "--no-index", "--no-compile", str(built)]
    subprocess.run([*PIP, "--python", str(python), *install], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    # A folder that is named so adds its libraries, but not what its own .pth files name: our
    # checkout, if it is installed there for editing.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(commit, built, source, packages / "f5serve", python)


def environment() -> dict[str, str]:
    """That of the tests without what names this checkout."""
    return {name: value for name, value in os.environ.items() if name not in OUTSIDE}


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def public_names(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Each module, and what it defines without an underscore, read from the committed source."""
    for path in sorted((source / "src").rglob("*.py")):
        module = ".".join(path.relative_to(source / "src").with_suffix("").parts)
        if path.name == "__main__.py":
            continue
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        body = ast.parse(path.read_text()).body
        names = [node.name for node in body if isinstance(node, kinds)]
        public = [name for name in names if not name.startswith("_")]
        yield module.removesuffix(".__init__"), public


def test_it_carries_commit_voice_types_and_no_tests(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
    assert {"f5serve/py.typed", "f5serve/engine/dit.py", "f5serve/_stamp.json"} <= set(names)
    assert any(n.startswith("f5serve/voices/data/") and n.endswith(".wav") for n in names)
    assert not any("tests" in n for n in names)
    stamped = build.stamp(installed.package)
    assert stamped.commit == installed.commit
    assert (stamped.origin, stamped.dirty) == ("wheel", None)
    assert len(stamped.files) > 100


def test_the_studio_page_is_in_it(installed: Installed) -> None:
    web = Path("f5serve/http/web")
    wanted = {path.name for path in (installed.source / "src" / web).iterdir()}
    assert "main.js" in wanted
    assert {path.name for path in (installed.package.parent / web).iterdir()} == wanted


def test_the_registry_of_models_is_in_it(installed: Installed) -> None:
    name = "models/models.toml"
    assert (installed.package / name).read_bytes() == (
        installed.source / "src" / "f5serve" / name
    ).read_bytes()


def test_every_public_name_operation_and_verb_is_there(installed: Installed) -> None:
    """Run by the installed copy; see `probe`."""
    wanted = dict(public_names(installed.source))
    assert sum(map(len, wanted.values())) > 300
    done = subprocess.run(
        [str(installed.python), "-P", __file__, str(installed.package)],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=560,
        cwd=installed.package.parents[3],
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_the_stamp_verifies_until_a_file_is_changed_or_gone(
    installed: Installed, tmp_path: Path
) -> None:
    package = tmp_path / "f5serve"
    shutil.copytree(installed.package, package)
    assert build.verify_files(package=package) == []
    with (package / "synthesis/synthesizer.py").open("a") as file:
        file.write("# edited in a running container\n")
    (package / "store" / "s3.py").unlink()
    (package / "store" / "s3_utils.py").write_text("def sync_models_from_s3(): ...\n")
    assert [str(one) for one in build.verify_files(package=package)] == [
        "missing: f5serve/store/s3.py",
        "extra: f5serve/store/s3_utils.py",
        "changed: f5serve/synthesis/synthesizer.py",
    ]


def test_a_commit_that_git_contradicts_is_not_stamped(installed: Installed, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(installed.source, source)
    (source / ".git").mkdir()
    (source / ".git" / "HEAD").write_text("a" * 40 + "\n")
    told = {**os.environ, "GIT_SHA": "b" * 40}
    command = [*WHEEL, str(tmp_path), str(source)]
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=560)
    assert done.returncode != 0
    assert "but git has aaaa" in done.stdout + done.stderr


def probe(package: Path, wanted: dict[str, list[str]]) -> list[str]:
    """What is not as it should be in the copy of f5serve that this process runs."""
    import f5serve

    assert Path(f5serve.__file__).parent == package, f5serve.__file__
    wrong = []
    for module, names in wanted.items():
        found = importlib.import_module(module)
        wrong += [f"{module}.{name}" for name in names if not hasattr(found, name)]
    walked = {one.name for one in pkgutil.walk_packages(f5serve.__path__, "f5serve.")}
    wrong += sorted(walked - {"f5serve.__main__"} - wanted.keys())
    return [*wrong, *asyncio.run(missing_operations()), *missing_verbs()]


async def missing_operations() -> list[str]:
    """Operations of `OPERATIONS` that nobody answers."""
    from f5serve.errors import F5Error
    from f5serve.fallback.tone import Tone
    from f5serve.service import SpeechService
    from f5serve.settings import Settings
    from f5serve.store.memory import MemoryStore
    from f5serve.synthesis.synthesizer import Synthesizer
    from f5serve.voices.libraries import open_library

    settings, store = Settings(), MemoryStore()
    voices = open_library(settings, store)
    desk = SpeechService(
        store, voices, lambda: Synthesizer(Tone(), settings.max_text_chars), settings
    )
    missing = []
    for name in (*OPERATIONS, "no-such-operation"):
        try:
            await desk.answer({"endpoint": name}, f"probe-{name}")
        except F5Error as error:
            if error.code == "UNKNOWN_ENDPOINT":
                missing.append(name)
    missing.remove("no-such-operation")  # or else the question above means nothing
    await desk.close(5)
    return missing


def missing_verbs() -> list[str]:
    """Verbs of `VERBS` that the command line does not know."""
    from f5serve.cli.options import make_parser

    text = make_parser().format_help()
    return [verb for verb in VERBS if f"\n    {verb} " not in text]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe(Path(sys.argv[1]), json.load(sys.stdin))))
