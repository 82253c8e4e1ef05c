"""What is installed, read from metadata and files; nothing of it is imported.

`Sources` flow in, packages and what torch's own files say flow out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from importlib import metadata
from pathlib import Path

from f5serve.doctor.facts import Package, Sources, TorchFiles

LOOKED_AT = (
    "torch",
    "triton",
    "flash-attn",
    "numpy",
    "safetensors",
    "huggingface-hub",
    "onnxruntime",
    "boto3",
    "runpod",
    "nvidia-cudnn-cu11",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)


def installed(sources: Sources) -> tuple[Package, ...]:
    """The distributions of `LOOKED_AT`, each as often as it is installed."""
    found: dict[str, Package] = {}
    for name in LOOKED_AT:
        for one in metadata.distributions(name=name, path=list(sources.site)):
            place = str(one.locate_file("."))
            key = f"{name} {one.version} {os.path.realpath(place)}"
            if key not in found:
                is_flash = name == "flash-attn"
                found[key] = Package(
                    name,
                    one.version,
                    place,
                    wheel=_wheel(one) if is_flash else "",
                    size=_size(one) if is_flash else 0,
                )
    return tuple(found.values())


def read_torch(sources: Sources) -> TorchFiles | None:
    """Version and CUDA of the torch that would be imported; None when there is none."""
    for folder in sources.site:
        home = Path(folder or ".") / "torch"
        start = home / "__init__.py"
        if not start.is_file():
            continue
        try:
            text = (home / "version.py").read_text()
        except OSError:
            text = ""
        version = re.search(r"^__version__ *(?::[^=]+)?= *['\"]([^'\"]+)", text, re.M)
        cuda = re.search(r"^cuda *(?::[^=]+)?= *['\"]([^'\"]+)", text, re.M)
        compiled = Path(importlib.util.cache_from_source(str(start)))
        return TorchFiles(
            version=version[1] if version else "",
            cuda=cuda[1] if cuda else "",
            has_bytecode=compiled.is_file(),
            can_compile=os.access(home, os.W_OK),
        )
    return None


def _wheel(package: metadata.Distribution) -> str:
    """Name of the file that it was installed from, when that was a URL."""
    try:
        url = str(json.loads(package.read_text("direct_url.json") or "{}").get("url", ""))
    except ValueError:
        return ""
    return url.split("#")[0].rsplit("/", 1)[-1].replace("%2B", "+")


def _size(package: metadata.Distribution) -> int:
    return sum(file.size or 0 for file in package.files or ())
