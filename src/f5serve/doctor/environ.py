"""The variables that matter here, fit to be shown: keys and passwords are masked.

A mapping flows in and another flows out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_OURS = re.compile(
    r"(?:F5|AWS|S3|BUCKET|HF|RUNPOD|CUDA|NVIDIA|TORCH|PYTORCH|OMP|MKL)_\w+"
    r"|PORT|PORT_HEALTH|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|PYTHONPATH|https?_proxy|no_proxy",
    re.IGNORECASE,
)
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD", re.IGNORECASE)
_USER = re.compile(r"(\w+://)[^/@\s]*@")
_QUERY = re.compile(r"\?\S*")


def shown(environ: Mapping[str, str]) -> dict[str, str]:
    """Name -> value of those variables, by name."""
    return {name: _mask(name, environ[name]) for name in sorted(environ) if _OURS.fullmatch(name)}


def _mask(name: str, value: str) -> str:
    if _SECRET.search(name):
        return f"*** ({len(value)} characters)" if value else "(empty)"
    return _QUERY.sub("?***", _USER.sub(r"\1***@", value))
