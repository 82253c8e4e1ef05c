"""F5_TENANT for commands that read or write the store, and tokens that name a tenant."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from f5serve.cli.main import run
from f5serve.store.local import LocalStore
from f5serve.store.namespace import tenant_names, tenant_store
from f5serve.tenant_tokens import verify
from tests.voices.material import WORDS, recording

SECRET = "a-secret-of-the-tests-0123456789abcdef"


def test_commands_work_for_the_tenant_that_is_set(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.wav").write_bytes(recording())
    store = LocalStore(folder / "data" / "store")

    def told(tenant: str, *argv: str, exit_code: int = 0) -> str:
        monkeypatch.setenv("F5_TENANT", tenant)
        capsys.readouterr()
        assert run(argv) == exit_code
        printed = capsys.readouterr()
        return printed.err if exit_code else printed.out

    for tenant, name in (("public", "ana"), ("acme", "ben")):
        told(tenant, "voices", "add", name, "a.wav", "--ref-text", WORDS)
    told("acme", "lexicon", "add", "F5", "eff five")
    assert sorted(tenant_names(store)) == ["acme", "public"]
    assert not list(store.list("voices/"))

    def voices(tenant: str) -> dict[str, bool]:
        listed = json.loads(told(tenant, "voices", "list", "--json"))["voices"]
        return {one["name"]: one["read_only"] for one in listed if one["source"] == "library"}

    assert voices("acme") == {"ben": False, "public/ana": True}
    assert voices("") == voices("beta") == {"public/ana": True}
    assert voices("public") == {"ana": False}
    assert "public/ana" in told("acme", "voices", "list")
    assert "F5" in told("acme", "lexicon", "show")
    assert "F5" not in told("beta", "lexicon", "show")
    refusal = told("acme", "voices", "remove", "public/ana", exit_code=3)
    assert "belongs to the tenant public" in refusal
    assert "eff five" in told("acme", "text", "F5.")
    assert "eff five" not in told("beta", "text", "F5.")
    told("public", "voices", "remove", "ana")
    assert voices("acme") == {"ben": False}


def test_old_jobs_of_all_tenants_go_unless_one_is_set(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(folder / "data" / "store")
    for tenant in ("", "acme", "beta"):
        tenant_store(store, tenant).put("jobs/job-1/state.json", b"{}")
    for path in (folder / "data" / "store").rglob("state.json"):
        _age(path, days=3)

    def removed(tenant: str) -> int:
        monkeypatch.setenv("F5_TENANT", tenant)
        capsys.readouterr()
        assert run(["jobs", "gc", "--days", "1", "--json"]) == 0
        return int(json.loads(capsys.readouterr().out)["jobs"])

    assert removed("beta") == 1
    assert removed("") == 2
    assert removed("") == 0


def _age(path: Path, days: int) -> None:
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


def test_a_token_is_signed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["keys", "sign", "acme"]) == 3
    assert "F5_TENANT_SECRET" in capsys.readouterr().err
    monkeypatch.setenv("F5_TENANT_SECRET", SECRET)
    before = int(time.time())
    assert run(["keys", "sign", "acme", "--expires", "2h", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert before + 7_200 <= told["expires"] <= time.time() + 7_200
    assert verify(SECRET, told["token"], before) == told["tenant"] == "acme"
    assert run(["keys", "sign", "acme"]) == 0
    assert verify(SECRET, capsys.readouterr().out.strip(), before + 3_599) == "acme"
    for wrong in (["Acme"], ["acme", "--expires", "soon"], ["acme", "--expires", "0h"]):
        assert run(["keys", "sign", *wrong]) == 3
    monkeypatch.setenv("F5_TENANT_SECRET", "short")
    assert run(["keys", "sign", "acme"]) == 3
