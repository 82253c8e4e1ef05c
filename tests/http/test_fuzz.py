"""Schemathesis reads the OpenAPI document and holds the real application to it.

Every answer must have a status, a kind of content and a body that the document names; nothing may
be a server error that is not told; no route may answer without the key.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from f5serve.secrets import ApiKey, digest, new_key
from tests.http.house import house

SECONDS = int(os.environ.get("F5_FUZZ_SECONDS", "25"))
"""For how long; more finds more (`make fuzz`)."""

SEED = ["--seed", "1"] if SECONDS <= 60 else []
"""A short run asks much the same each time, so that it fails for what has changed."""

CONFIG = Path(__file__).with_name("schemathesis.toml")
SPARE_S = 90
"""It stops by itself; for the imports, the last example and the report."""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + SPARE_S + 60)
def test_the_document_is_kept(tmp_path: Path) -> None:
    key = new_key()
    keys = (ApiKey("fuzzer", digest(key.encode())),)
    with house(tmp_path, api_keys=keys, wrong_keys_per_minute=1_000_000) as home:
        told = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
                *("run", f"{home.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {key}", *SEED),
                *("--max-time", str(SECONDS), "--continue-on-failure", "--no-color"),
                *("--request-timeout", "20", "--generation-database", "none", "--no-shrink"),
            ],
            cwd=tmp_path,  # where it keeps what it has learned
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=SECONDS + SPARE_S,
            check=False,
        )
    assert told.returncode == 0, told.stdout[-20_000:] + told.stderr[-5_000:]
    made = re.search(r"([\d,]+) generated", told.stdout)
    assert made is not None
    assert int(made[1].replace(",", "")) > SECONDS, told.stdout[-5_000:]
