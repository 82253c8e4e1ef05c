"""The bench of long jobs, in small: memory does not grow with the speech."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import long_job
from f5serve.audio.encode import FORMATS
from tests.conftest import IS_FULL

HOURS = 0.3
"""Twice as many megabytes as allowed, were the samples of the whole kept once."""

MOST_MB = 130.0
SPOKEN = tuple(FORMATS) if IS_FULL else ("wav", "flac")
"""Opus and AAC take ten times as long; tests/audio tells of the memory of each encoder."""


def test_a_long_job_is_made_in_stretches() -> None:
    command = [sys.executable, long_job.__file__, "--hours", str(HOURS)]
    command += ["--formats", ",".join(SPOKEN), "--most-mb", str(MOST_MB)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, told
    assert [(case["format"], case["streamed"]) for case in told] == [
        (format, streamed) for format in SPOKEN for streamed in (False, True)
    ]
    assert all(0.25 < case["hours"] < 0.35 for case in told)
    assert told[0]["mb"] > 45


def test_a_text_is_as_long_as_its_speech() -> None:
    assert abs(len(long_job.text_of(1.0)) * long_job.S_PER_BYTE - 3600) < 10
    assert Path(long_job.__file__).name == "long_job.py"
