"""The environment as the doctor takes it: read as far as it can be, and fit to be shown.

A mapping flows in; settings with what is wrong about them, or a mapping with keys and passwords
masked, flow out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields

from f5serve.errors import InvalidRequest
from f5serve.masking import MASK, bare_url, is_secret
from f5serve.settings import Settings

_OURS = re.compile(
    r"(?:F5|AWS|S3|BUCKET|HF|RUNPOD|CUDA|NVIDIA|TORCH|PYTORCH|OMP|MKL)_\w+"
    r"|PORT|PORT_HEALTH|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|PYTHONPATH|\w+_proxy",
    re.IGNORECASE,
)


def read_leniently(environ: Mapping[str, str]) -> tuple[Settings, list[tuple[str, InvalidRequest]]]:
    """Settings with the default in place of each value that cannot be read, and those refusals.

    All of them are to be named, not only the first; nothing runs on such settings.
    """
    kept, refused = dict(environ), []
    for item in fields(Settings):
        name = str(item.metadata["env"])
        try:
            Settings.from_environ({name: environ.get(name, "")})
        except InvalidRequest as refusal:
            refused.append((name, refusal))
            del kept[name]
    return Settings.from_environ(kept), refused


def shown(environ: Mapping[str, str]) -> dict[str, str]:
    """Name -> value of those variables, by name."""
    return {name: _mask(name, environ[name]) for name in sorted(environ) if _OURS.fullmatch(name)}


def _mask(name: str, value: str) -> str:
    if is_secret(name):
        return f"{MASK} ({len(value)} characters)" if value else "(empty)"
    return bare_url(value)
