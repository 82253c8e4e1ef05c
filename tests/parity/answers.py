"""What the `f5-tts` package answers to cases, in an environment of its own (`make oracle`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
ORACLE = Path(os.environ.get("F5SERVE_ORACLE", ROOT / ".venv-oracle")) / "bin" / "python"
NEEDS_ORACLE = [
    pytest.mark.parity,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not ORACLE.exists(), reason="`make oracle` installs the f5-tts package"),
]
Answers = dict[str, Any]


def ask(cases: dict[str, list[Any]], folder: Path) -> Answers:
    """Let the package answer."""
    (folder / "cases.json").write_text(json.dumps(cases))
    command = [str(ORACLE), "-W", "ignore", str(ROOT / "tests/tools/oracle.py")]
    subprocess.run(
        [*command, str(folder / "cases.json"), str(folder / "answers.npz")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
        check=True,
        timeout=1000,
    )
    return dict(np.load(folder / "answers.npz"))
