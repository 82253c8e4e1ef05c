"""The Dockerfile and what it reads, by rules that need no builder."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from f5serve.engine.kernel_files import FOLDER
from f5serve.settings import Settings

ROOT = Path(__file__).parents[2]
VENV = "/opt/f5serve"
VARIANTS = ("cu128", "cu130", "cpu", "none")
KNOWN = {str(field.metadata["env"]) for field in fields(Settings)}
LINE = re.compile(r"([a-z0-9.-]+)==([^ ]+) --hash=sha256:([0-9a-f]{64})")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, its arguments) with continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())


DOCKERFILE = list(instructions((ROOT / "Dockerfile").read_text()))


def arguments(instruction: str) -> list[str]:
    return [rest for word, rest in DOCKERFILE if word == instruction]


def test_every_base_is_pinned() -> None:
    defaults = dict(arg.split("=", 1) for arg in arguments("ARG") if "=" in arg)
    stages: set[str] = set()
    for rest in arguments("FROM"):
        image, _, stage = rest.partition(" AS ")
        image = re.sub(r"\$\{(\w+)\}", lambda name: defaults[name[1]], image)
        assert image in stages or re.search(r":[\w.-]*\d", image), f"{image} has no version"
        assert not image.endswith(":latest")
        stages.add(stage)


def test_what_is_copied_exists_and_is_let_in() -> None:
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for name in allowed:
        assert name.startswith(".git/") or list(ROOT.glob(name)), f".dockerignore: no {name}"
    for rest in arguments("COPY"):
        if rest.startswith("--from"):
            continue
        *sources, _ = rest.split()
        for source in sources:
            found = [ROOT / source] if source == "." else list(ROOT.glob(source.rstrip("/")))
            assert found, f"COPY {source}: not there"
            inside = source == "." or source.endswith("/")
            assert inside or any(fnmatch(source, pattern) for pattern in allowed), source


def test_a_secret_cannot_be_let_in() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore, "everything is left out but what is named"
    named = " ".join(arguments("ARG") + arguments("ENV") + arguments("LABEL"))
    assert not re.search(r"KEY|SECRET|TOKEN|PASSWORD", named)


def test_it_ends_as_nobody_in_exec_form() -> None:
    assert arguments("USER")[-1] == "65532:65532"
    assert json.loads(arguments("ENTRYPOINT")[-1]) == ["f5serve"]
    assert json.loads(arguments("CMD")[-1]) == ["start"]


def test_a_server_in_it_can_be_reached() -> None:
    port = next(field.default for field in fields(Settings) if field.name == "port")
    assert arguments("EXPOSE") == [str(port)]
    assert "F5_HOST=0.0.0.0" in " ".join(arguments("ENV"))  # which makes it ask for keys


def test_environment_holds_settings_that_exist() -> None:
    named = re.findall(r"\b(F5_\w+)=", " ".join(arguments("ENV") + arguments("RUN")))
    assert "F5_MODE" in named
    assert set(named) <= KNOWN


def test_everything_installed_is_hashed_or_ours() -> None:
    for command in re.split(r"&&|;", " ".join(arguments("RUN"))):
        if " install " in command:
            hashed = {"--require-hashes", "--only-binary"} <= set(command.split())
            assert hashed or {"--no-index", "--no-deps"} <= set(command.split()), command
        assert not re.search(r"\b(curl|wget|apt-get)\b", command), command


def test_compiled_kernels_lie_where_the_engine_looks() -> None:
    (venv,) = {word for rest in arguments("RUN") for word in rest.split() if word == VENV}
    (place,) = (rest.split()[-1] for rest in arguments("COPY") if "--from=kernels" in rest)
    assert Path(venv) / FOLDER.relative_to(sys.prefix) == Path(place)
    assert "-m f5serve.engine.kernel_build" in " ".join(arguments("RUN"))


@pytest.mark.parametrize("name", VARIANTS)
def test_triton_is_where_kernels_are_compiled_and_not_in_the_image(name: str) -> None:
    folder = ROOT / "requirements"
    assert "triton" not in (folder / f"{name}.txt").read_text()
    compiles = folder / f"{name}-kernels.txt"
    assert compiles.exists() == name.startswith("cu")
    if compiles.exists():
        assert re.fullmatch(r"triton==3\.\d+\.\d+ --hash=\S+\n", compiles.read_text())
    asked = '"/requirements/$TORCH-kernels.txt"'
    assert [asked in rest for rest in arguments("RUN")].count(True) == 1


@pytest.mark.parametrize("name", [*VARIANTS, "build", "cu128-kernels", "cu130-kernels"])
def test_requirements_are_pinned_hashed_and_name_no_index(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    assert lines
    for line in lines:
        assert LINE.fullmatch(line), line


@pytest.mark.parametrize("name", VARIANTS)
def test_requirements_are_what_the_project_asks_for(name: str) -> None:
    """Stale after pyproject.toml has changed: run `make requirements`."""
    extras = {"none": ["local", "media", "books", "s3", "runpod", "serve"]}
    engine = ["engine", "align", "asr", "books", "s3", "runpod", "serve"]
    wanted = extras.get(name, engine)
    pinned = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        package, version = line.split()[0].split("==")
        pinned[package] = version
    for requirement in asked(wanted):
        assert requirement.name in pinned, f"{requirement} is not in {name}.txt"
        assert requirement.specifier.contains(pinned[requirement.name]), f"{requirement}: {name}"
    assert ("torch" in pinned) == (name != "none")
    assert any(package.startswith("nvidia-") for package in pinned) == name.startswith("cu")


def asked(extras: list[str]) -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        yield Requirement(line)
    for extra in extras:
        for requirement in map(Requirement, project["optional-dependencies"][extra]):
            if requirement.name == "f5serve":
                yield from asked(sorted(requirement.extras))
            else:
                yield requirement


def test_each_variant_that_is_spoken_of_can_be_built() -> None:
    text = (ROOT / "Dockerfile").read_text()
    default = re.search(r"^ARG TORCH=(\w+)$", text, re.MULTILINE)
    assert default is not None
    assert default[1] in VARIANTS
    for variant in VARIANTS:
        assert f"{variant}" in text
