"""Tenants of RunPod jobs: a signed field names one, and nothing of it is met by another."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from f5serve.errors import InvalidRequest
from f5serve.runpod.job_tenant import take_tenant
from f5serve.secrets import sign_queued_tenant, sign_tenant
from f5serve.service.queue import QUEUED_AS
from f5serve.settings import Settings
from tests.worker.job_api import JobApi, job_api
from tests.worker.processes import Worker, ready

SECRET = "a-secret-of-the-tests-0123456789abcdef"
VOICE = resources.files("f5serve.voices") / "data"
NOW = 1_790_000_000.0


@pytest.fixture(scope="module")
def api() -> Iterator[JobApi]:
    with job_api() as api:
        yield api


@pytest.fixture(scope="module", autouse=True)
def running(api: JobApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    home = tmp_path_factory.mktemp("worker")
    with ready(api, home, environ={"F5_TENANT_SECRET": SECRET}) as running:
        yield running


def token(tenant: str, lifetime_s: int = 3600) -> str:
    return sign_tenant(SECRET, tenant, int(time.time()) + lifetime_s)


def ask(api: JobApi, tenant: str, **payload: Any) -> dict[str, Any]:
    body = api.wait_answer(api.submit({**payload, "tenant": token(tenant)}))
    assert "error" not in body, body
    return dict(body["output"])


def refused(api: JobApi, tenant: str = "", **payload: Any) -> str:
    return rejected(api, {**payload, "tenant": token(tenant)} if tenant else payload)


def rejected(api: JobApi, payload: dict[str, Any]) -> str:
    """The code of the error that this very input is answered with."""
    return str(api.wait_answer(api.submit(payload))["output"]["code"])


def upload(api: JobApi, tenant: str, name: str) -> None:
    wave = base64.b64encode((VOICE / "default.wav").read_bytes()).decode()
    words = (VOICE / "default.txt").read_text()
    ask(api, tenant, endpoint="upload", voice_name=name, voice_file=wave, ref_text=words)


def own_voices(api: JobApi, tenant: str) -> list[str]:
    """The voices that are listed for a tenant, without those that are everybody's."""
    listed = ask(api, tenant, endpoint="list_voices")["voices"]
    return [one["name"] for one in listed if not one["name"].startswith("public/")]


def test_a_job_without_a_tenant_or_with_a_wrong_one_is_refused(api: JobApi) -> None:
    hello = {"text": "Hello there."}
    assert refused(api, **hello) == "TENANT_NEEDED"
    assert refused(api, endpoint="list_voices") == "TENANT_NEEDED"
    for wrong in ("acme", "", 7, token("acme")[:-1], token("acme").replace("acme", "beta")):
        assert rejected(api, {**hello, "tenant": wrong}) == "TENANT_SIGNATURE", wrong
    assert rejected(api, {**hello, "tenant": token("acme", -60)}) == "TENANT_EXPIRED"


def test_every_operation_is_of_its_tenant(api: JobApi) -> None:
    upload(api, "acme", "ana")
    said = ask(api, "acme", text="Of acme alone.", local_voice="ana")
    job, about = said["job_id"], {"job_id": said["job_id"]}
    assert own_voices(api, "beta") == []
    assert refused(api, "beta", text="Hello.", local_voice="ana") == "VOICE_NOT_FOUND"
    assert refused(api, "beta", endpoint="delete_voice", voice_name="ana") == "VOICE_NOT_FOUND"
    for endpoint in ("status", "result", "download", "cancel"):
        assert refused(api, "beta", endpoint=endpoint, **about) == "INVALID_JOB_ID"
    assert ask(api, "acme", endpoint="status", **about)["status"] == "COMPLETED"
    assert ask(api, "acme", endpoint="result", **about)["job_id"] == job
    assert ask(api, "acme", endpoint="download", **about)["job_id"] == job
    assert own_voices(api, "acme") == ["ana.wav"]
    assert ask(api, "beta", endpoint="health")["status"] == "ok"


def test_a_job_for_later_comes_back_to_its_tenant(api: JobApi) -> None:
    queued = ask(api, "acme", text="Later, for acme.", mode="async")
    until = time.monotonic() + 30
    while ask(api, "acme", endpoint="status", job_id=queued["job_id"])["status"] != "COMPLETED":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert refused(api, "beta", endpoint="result", job_id=queued["job_id"]) == "INVALID_JOB_ID"


def test_a_public_voice_is_read_by_all(api: JobApi) -> None:
    upload(api, "public", "Ben")
    voices = ask(api, "beta", endpoint="list_voices")["voices"]
    assert ("public/Ben.wav", True) in [(one["name"], one["read_only"]) for one in voices]
    assert ask(api, "beta", text="Hello.", local_voice="public/Ben.wav")["job_id"]
    deleting = {"endpoint": "delete_voice", "voice_name": "public/Ben"}
    assert refused(api, "beta", **deleting) == "VOICE_READ_ONLY"
    assert refused(api, "beta", **deleting, with_results=True) == "VOICE_READ_ONLY"


def test_the_secret_is_in_no_log(running: Worker) -> None:
    assert SECRET not in running.text()


def taken(payload: dict[str, Any], **settings: str) -> tuple[str, dict[str, Any]]:
    tenant, rest = take_tenant(payload, Settings(**settings), NOW)  # type: ignore[arg-type]
    return tenant, dict(rest)


def code(payload: dict[str, Any], **settings: str) -> str:
    with pytest.raises(InvalidRequest) as refusal:
        taken(payload, **settings)
    return refusal.value.code


def test_a_queued_job_names_its_tenant_without_an_end() -> None:
    token = sign_queued_tenant(SECRET, "acme", "job-1")
    queued = {"text": "Hi.", "tenant": token, QUEUED_AS: "job-1"}
    assert taken(queued, tenant_secret=SECRET) == ("acme", {"text": "Hi.", QUEUED_AS: "job-1"})
    dub = {**queued, "endpoint": "dub"}
    assert taken(dub, tenant_secret=SECRET)[0] == "acme"
    for forged in (
        {**queued, QUEUED_AS: "job-2"},
        {**queued, QUEUED_AS: ["job-1"]},
        {**queued, "endpoint": "list_voices"},
        {**queued, "endpoint": "result", "job_id": "job-9"},
        {"text": "Hi.", "tenant": token},
    ):
        assert code(forged, tenant_secret=SECRET) == "TENANT_SIGNATURE"


def test_without_a_secret_jobs_share_one_tenant() -> None:
    assert taken({"text": "Hi."}) == ("", {"text": "Hi."})
    assert taken({"text": "Hi."}, tenant="acme") == ("", {"text": "Hi."})
    assert taken({"text": "Hi."}, tenant="acme", tenant_secret=SECRET)[0] == ""
    assert code({"text": "Hi.", "tenant": sign_tenant(SECRET, "acme", 2**40)}) == "TENANT_NOT_TAKEN"
