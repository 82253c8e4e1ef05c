"""Each planted misconfiguration is named, alone, and good machines are left in peace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from f5serve.doctor import report as doctor
from f5serve.doctor.report import Report
from tests.doctor.bucket import Bucket, serving
from tests.doctor.faults import FAULTS, Fault
from tests.doctor.machines import GOOD, KEYS, RUNPOD, Machine, runpod_worker
from tests.store import servers


@pytest.fixture(autouse=True)
def _plain_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and keys of whoever runs the tests are not those of the machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in os.environ.keys() - servers.clean_environment().keys():
        monkeypatch.delenv(name)


def said(report: Report) -> set[str]:
    """Codes that are worth a word to whoever did nothing wrong."""
    return {f.code for f in report.findings if f.level in ("warning", "fatal")}


def told(report: Report) -> str:
    return "\n".join(str(finding.as_dict()) for finding in report.problems)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_misconfiguration_is_named_and_nothing_else(fault: Fault, tmp_path: Path) -> None:
    machine = fault.good(tmp_path / "machine")
    fault.spoil(machine)
    sources = machine.sources()
    if not fault.is_quick:
        full = doctor.full(sources)
        assert said(full) == {fault.code}, told(full)
    quick = doctor.quick(sources)
    assert said(quick) <= {fault.code}, told(quick)
    if fault.is_quick:
        assert said(quick) == {fault.code}
    for finding in quick.problems:
        public = str(finding.public())
        assert str(tmp_path) not in public
        assert "canary" not in str(finding.as_dict())
        assert finding.what.endswith((".", "?"))
        assert finding.fix


def test_there_are_more_than_forty_plants_and_as_many_codes() -> None:
    assert len(FAULTS) + len(BUCKETS) >= 100
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert len({fault.code for fault in FAULTS}) >= 75


@pytest.mark.parametrize("name", GOOD)
def test_a_good_machine_is_left_in_peace(name: str, tmp_path: Path) -> None:
    sources = GOOD[name](tmp_path / "machine").sources()
    quick = doctor.quick(sources)
    assert said(quick) == set(), told(quick)
    if name not in ("runpod worker", "runpod server"):  # their bucket is not on loopback
        full = doctor.full(sources)
        assert said(full) == set(), told(full)
        assert full.exit_code == 0


def at(bucket_url: str) -> Callable[[Path], Machine]:
    def make(folder: Path) -> Machine:
        machine = runpod_worker(folder)
        machine.variables |= {"AWS_ENDPOINT_URL": bucket_url, "AWS_REGION": "us-east-1"}
        return machine

    return make


def test_a_good_worker_with_a_real_bucket_is_left_in_peace(tmp_path: Path) -> None:
    with servers.rclone(tmp_path / "rclone") as options:
        machine = at(options.endpoint_url)(tmp_path / "machine")
        keys = (options.access_key, options.secret_key)
        machine.variables |= dict(zip(KEYS, keys, strict=True))
        machine.variables["S3_BUCKET"] = options.bucket
        report = doctor.full(machine.sources())
    assert said(report) == set(), told(report)
    store = next(f for f in report.findings if f.section == "store")
    assert "put, read, signed and removed" in store.value


BUCKETS: dict[str, tuple[Callable[[Bucket], None], str, int]] = {
    "wrong key": (
        lambda b: b.refuses.update(PUT="InvalidAccessKeyId", DELETE="InvalidAccessKeyId"),
        "S3_WRONG_KEY",
        5,
    ),
    "wrong secret": (
        lambda b: b.refuses.update(PUT="SignatureDoesNotMatch", DELETE="SignatureDoesNotMatch"),
        "S3_WRONG_SECRET",
        5,
    ),
    "no such bucket": (lambda b: b.refuses.update(PUT="NoSuchBucket"), "S3_NO_BUCKET", 5),
    "may not read": (lambda b: b.refuses.update(GET="AccessDenied"), "S3_FORBIDDEN", 5),
    "may not delete": (lambda b: b.refuses.update(DELETE="AccessDenied"), "STORE_KEEPS", 0),
    "forgets": (lambda b: setattr(b, "forgets", True), "STORE_FORGETS", 5),
    "signed URL refused": (lambda b: setattr(b, "signed_status", 403), "URL_UNREADABLE", 0),
    "clock five minutes off": (lambda b: setattr(b, "clock_s", 300), "CLOCK_SKEW", 0),
    "clock an hour off": (lambda b: setattr(b, "clock_s", -3600), "CLOCK_SKEW", 5),
}


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_that_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    spoil, code, exit_code = BUCKETS[name]
    with serving() as bucket:
        spoil(bucket)
        report = doctor.full(at(bucket.url)(tmp_path / "machine").sources())
        left = list(bucket.objects)
    assert said(report) == {code}, told(report)
    assert report.exit_code == exit_code
    assert "canary" not in told(report)
    assert not left or code == "STORE_KEEPS"


def test_no_secret_and_no_query_is_shown(tmp_path: Path) -> None:
    machine = runpod_worker(tmp_path / "machine")
    machine.variables |= {
        "F5_STORE": "s3://user:canary-pass@host/bucket",
        "HF_TOKEN": "hf_canary0123456789",
        "AWS_ENDPOINT_URL": "https://canary:canary@host/path?sig=canary",
    }
    report = doctor.quick(machine.sources())
    assert "canary" not in str(report.as_dict())
    shown = report.environment
    assert shown["AWS_SECRET_ACCESS_KEY"].startswith("*** (")
    assert shown["S3_BUCKET"] == "my-voices"
    assert set(RUNPOD) <= shown.keys()
    assert "HOME" not in shown
