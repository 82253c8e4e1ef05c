"""The vocabulary that random weights speak with: the package's own, or one of as many lines."""

from __future__ import annotations

import subprocess
from pathlib import Path

PUBLISHED_LINES = 2545
"""Lines of the vocabulary that all published checkpoints have."""


def of_package(python: str) -> Path:
    """The file inside the f5-tts package of that interpreter's environment."""
    code = "import importlib.util as u; print(u.find_spec('f5_tts').submodule_search_locations[0])"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip()) / "infer" / "examples" / "vocab.txt"


def made_up(path: Path) -> Path:
    """Write printable ASCII, then placeholders, for a machine without the package."""
    lines = [chr(code) for code in range(ord(" "), ord("~") + 1)]
    lines += [f"<{i}>" for i in range(PUBLISHED_LINES - len(lines))]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
