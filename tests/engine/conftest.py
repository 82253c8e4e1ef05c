"""Small models gain nothing from a second core, and lose much where it is busy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Callable[[str], Path]:
    """Writes /proc/cpuinfo of a CPU by this vendor."""

    def write(vendor: str) -> Path:
        path = tmp_path / "cpuinfo"
        path.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: some CPU\n")
        return path

    return write
