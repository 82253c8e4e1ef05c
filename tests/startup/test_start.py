"""A start with a real engine whose weights come from a store, and what it tells about itself."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.errors import F5Error, ModelUnavailable
from f5serve.models.publish import publish
from f5serve.settings import Settings
from f5serve.startup import LoadOptions, Timeline, check_engine, load, load_in_background
from f5serve.startup.weights import Aborted, should_download
from f5serve.store.local import LocalStore
from tests.startup import small_model

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the small model."""
    folder = tmp_path_factory.mktemp("store")
    paths = small_model.write(tmp_path_factory.mktemp("made"))
    publish(LocalStore(folder), small_model.release(paths))
    return folder


@pytest.fixture
def settings(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Settings(
        engine="f5",
        device="cpu",
        store=f"file://{store}",
        models_dir=tmp_path / "image",
        cache_dir=tmp_path / "cache",
        hub_endpoint="http://127.0.0.1:9",
        hub_timeout_s=0.5,
    )


def test_weights_come_from_the_store_and_then_from_the_disk(settings: Settings) -> None:
    timeline = Timeline()
    first = load_in_background(settings, LoadOptions(timeline=timeline, warm_up=True)).result(120)
    assert first.resolved is not None
    assert first.resolved.source == "store"
    assert first.synthesizer.engine.model == "F5TTS_v1_Base"
    steps = {step.name: step for step in timeline.steps}
    assert {"torch", "weights", "load", "warm-up"} <= set(steps)
    assert steps["torch"].concurrent
    assert steps["weights"].note.startswith("store, ")
    assert timeline.unaccounted_s < 0.1 + 0.1 * timeline.ready_s
    second = load(settings)
    assert second.resolved is not None
    assert second.resolved.source == "tier"
    assert "warm-up" not in [step.name for step in second.timeline.steps]


def test_where_no_place_has_it_the_error_comes_out(settings: Settings) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        load(replace(settings, store="memory:", model="E2TTS_Base"))
    assert caught.value.code == "MODEL_MISSING"
    assert "HUB_UNREACHABLE" in caught.value.message


def test_a_process_that_ends_does_not_wait_for_weights(settings: Settings) -> None:
    options = LoadOptions()
    options.stop.set()
    with pytest.raises(Aborted):
        load_in_background(settings, options).result(60)


@pytest.mark.parametrize(
    ("changes", "weights", "expected"),
    [
        ({}, "", False),
        ({"engine": "f5"}, "", True),
        ({"fetch_models": "always"}, "", True),
        ({"engine": "f5", "fetch_models": "never"}, "", False),
        ({"engine": "standin", "fetch_models": "always"}, "", False),
        ({"engine": "f5"}, "random:F5TTS_v1_Base", False),
        ({"engine": "f5", "ckpt": Path("a.pt")}, "", False),
    ],
)
def test_when_weights_are_fetched(
    changes: dict[str, object], weights: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNPOD_WEBHOOK_GET_JOB", raising=False)
    assert should_download(replace(Settings(), **changes), weights) is expected  # type: ignore[arg-type]


def test_a_worker_on_runpod_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_WEBHOOK_GET_JOB", "http://127.0.0.1:9")
    assert should_download(Settings())
    assert not should_download(Settings(fetch_models="never"))


def test_a_worker_behind_a_load_balancer_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_WEBHOOK_GET_JOB", raising=False)
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "e1")
    monkeypatch.delenv("RUNPOD_POD_ID", raising=False)
    assert not should_download(Settings())
    monkeypatch.setenv("RUNPOD_POD_ID", "w1")
    assert should_download(Settings())


def test_a_licence_that_forbids_is_told_before_anything_is_fetched(settings: Settings) -> None:
    forbidding = replace(settings, require_commercial_license=True)
    for ask in (check_engine, load):
        with pytest.raises(F5Error) as caught:
            ask(forbidding)
        assert caught.value.code == "LICENSE_FORBIDS"
    assert not (settings.cache_dir or Path()).exists()


def test_what_will_be_fetched_does_not_have_to_be_here(settings: Settings) -> None:
    check_engine(settings)
    with pytest.raises(ModelUnavailable, match="not on this machine"):
        check_engine(replace(settings, fetch_models="never"))


def test_threads_of_a_start_end(settings: Settings) -> None:
    load(settings)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("f5-load", "f5-import"))]
