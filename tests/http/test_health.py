"""/ping for machines and /health for people: what each tells, and to whom."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from f5serve import __version__
from f5serve.errors import F5Error
from f5serve.http.routers.health import Health
from f5serve.http.state import Lifecycle, health_status
from f5serve.secrets import parse_keys
from f5serve.service.active_jobs import SHUT_DOWN_CODE
from tests.http.house import House, house

KEY = "a-key-of-the-tests-0123456789"


def wait_ready(home: House) -> None:
    until = time.monotonic() + 20
    while home.client.get("/ping").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_ready(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        wait_ready(home)
        assert home.client.get("/ping").json() == {"status": "ready"}
        home.service.lifecycle.is_shutting_down = True
        answer = home.client.get("/ping")
        assert "shutting down" in home.refused(answer, 503, "shut_down")
        assert answer.headers["Retry-After"]
        assert home.client.get("/health").json()["status"] == "ending"


def test_health_tells_all_to_whom_it_knows_and_little_to_strangers(tmp_path: Path) -> None:
    with house(tmp_path, api_keys=parse_keys(KEY)) as home:
        wait_ready(home)  # without a key
        short = home.client.get("/health")
        assert short.status_code == 200
        assert short.json() == {"status": "ok", "version": __version__}
        told = home.client.get("/health", headers={"X-API-Key": KEY}).json()
        assert Health.model_validate(told)
        assert told["model"] == {"name": "tone", "state": "ready", "engine": "tone"}
        assert told["store"] == "ok"
        assert told["queue"]["jobs"] == 0
        assert told["commit"]
        assert {"doctor", "disk", "metrics", "device"} <= told.keys()


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ({"name": "", "state": "waiting"}, 204, "loading"),
        ({"name": "", "state": "loading"}, 204, "loading"),
        ({"name": "tone", "state": "ready"}, 200, "ok"),
    ],
)
def test_states_of_a_model(model: dict[str, str], status: int, said: str) -> None:
    assert Lifecycle().status(model) == status
    assert health_status(model, Lifecycle()) == said
    assert Lifecycle(is_checked=False).status(model) == 204
    assert health_status(model, Lifecycle(is_checked=False)) == "loading"
    with pytest.raises(F5Error) as ending:
        Lifecycle(is_shutting_down=True).status(model)
    assert ending.value.code == SHUT_DOWN_CODE
    assert health_status(model, Lifecycle(is_shutting_down=True)) == "ending"


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ({"state": "failed"}, "DEVICE_BROKEN"),
        ({"state": "failed", "failure": {"error": "/a/b.", "code": "NO_GPU"}}, "MODEL_FAILED"),
        ({"state": "failed", "failure": {"code": "INTERNAL"}}, "MODEL_FAILED"),
    ],
)
def test_a_model_that_will_never_speak(model: dict[str, object], code: str) -> None:
    with pytest.raises(F5Error) as failed:
        Lifecycle().status(model)
    assert failed.value.code == code
    assert "/a/b" not in failed.value.message
    assert health_status(model, Lifecycle()) == "failed"
