"""The table of findings: complete sentences, all of them used, and exit codes for what is fatal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import f5serve.doctor
from f5serve.doctor.findings import LEVELS, finding, table

SOURCE = Path(f5serve.doctor.__file__).parent
CHECKS = "\n".join(path.read_text() for path in SOURCE.glob("*.py"))
MADE_OF_NAMES = {"TORCH_TOO_OLD", "BOTO3_TOO_OLD"}


@pytest.mark.parametrize("name", table())
def test_a_row_is_whole_and_used(name: str) -> None:
    row = table()[name]
    assert set(row) <= {"section", "level", "exit_code", "what", "why", "fix"}
    assert row["level"] in LEVELS
    assert row["level"] != "fatal" or row["exit_code"] in (3, 4, 5, 6)
    for sentence in (row["what"], row["why"], row["fix"]):
        assert re.search(r"[.?}]$|pip install '[^']+'$", sentence), sentence
    assert f'"{name}"' in CHECKS or name in MADE_OF_NAMES


def test_a_finding_takes_its_sentences_from_its_row() -> None:
    found = finding("VOLUME_NOT_MOUNTED", "/x", name="F5_DATA_DIR")
    assert (found.section, found.level, found.exit_code) == ("disk", "warning", 0)
    assert found.what.startswith("F5_DATA_DIR is on the network volume")
    assert found.value == "/x"
    with pytest.raises(KeyError):
        finding("VOLUME_NOT_MOUNTED")  # a value that the sentence needs


def test_only_a_fatal_finding_has_an_exit_code() -> None:
    assert finding("S3_KEYS_MISSING").exit_code == 0
    assert finding("S3_KEYS_MISSING", level="fatal").exit_code == 3
    assert "exit_code" not in finding("S3_KEYS_MISSING").as_dict()
