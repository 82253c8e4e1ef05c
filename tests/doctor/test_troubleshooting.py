"""The guide leads from what somebody saw to an entry, and knows every code, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from f5serve.doctor.findings import table
from tests.doctor.faults import FAULTS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text()
PASSED_ON = {"NOT_WRITABLE", "STORE_FAILED", "VOICES_FAILED", "NO_ENGINE"}
"""Rows whose findings have the code of an error, or of a folder."""
SEEN = {
    "undefined symbol: _ZN3c105Error": "flash-attn",
    "flash_attn is installed twice": "FLASH_ATTN_TWICE",
    "downloaded at every cold start": "cached model",
    "sync_models_from_s3": "compatibility",
    "stale locks": "flock|operating system",
    "HeadObject": "S3_WRONG_SECRET",
    "status or result is lost": "STORE_NOT_SHARED",
    "unknown endpoint": "UNKNOWN_ENDPOINT",
    "No space left on device": "NO_ROOM_FOR_MODELS",
    "timings look invented": "timing_method",
    "Exit code 1 and no logs": "first line",
    "Tensor size mismatch": "transcript",
    "URL is expired or was never signed": "F5_URL_EXPIRES_S",
}


def entries() -> dict[str, str]:
    """Heading -> text below it."""
    parts = re.split(r"^## (.+)$", GUIDE, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def anchor(heading: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.replace(" ", "-")


@pytest.mark.parametrize("symptom", SEEN)
def test_each_symptom_has_an_entry_that_says_what_to_do(symptom: str) -> None:
    heading = next(one for one in entries() if symptom.lower() in one.lower())
    text = entries()[heading]
    assert re.search(SEEN[symptom], text)
    for part in ("**Meaning.**", "**f5serve**"):
        assert part in text
    assert "**Do.**" in text or "| do |" in text
    assert f"(#{anchor(heading)})" in GUIDE.split("\n## ")[0]


def test_links_lead_somewhere() -> None:
    known = {anchor(heading) for heading in entries()}
    assert set(re.findall(r"\(#([^)]+)\)", GUIDE)) <= known


def test_every_code_is_in_the_guide_and_every_code_of_the_guide_exists() -> None:
    package = ROOT / "src" / "f5serve"
    files = [*package.rglob("*.py"), package / "doctor" / "findings.toml"]
    sources = "\n".join(path.read_text() for path in files)
    listed = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", entries()["Codes of the doctor"]))
    assert {fault.code for fault in FAULTS} <= listed
    assert table().keys() - PASSED_ON <= listed
    for code in set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", GUIDE)):
        stem = re.sub(r"^(TEMP|DATA|CACHE)_(NOT_WRITABLE)$", r"_\2", code)
        elsewhere = {"CUDNN_STATUS_NOT_INITIALIZED"}
        assert stem in sources or code in elsewhere, code
