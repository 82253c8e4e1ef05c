"""Where weights come from: the order of the places, what each says, and damage on the way."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.models.bucket import sync
from f5serve.models.cache_dirs import CacheDir
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import find
from f5serve.models.publish import publish
from f5serve.models.resolve import ModelSources, ResolvedModel, resolve_model
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from tests.models.conftest import COMMIT, REGISTRY, VOCAB, VOCOS, VOCOS_COMMIT, WEIGHTS, convert
from tests.models.disks import free, leave, small_disk, used
from tests.models.fetching import get_model
from tests.models.hub_standin import Hub
from tests.models.releases import TOTAL, CountingStore, release, version_of


@pytest.fixture(autouse=True)
def _no_other_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    """A store that holds the first version of the model."""
    one = CountingStore()
    publish(one, release(tmp_path / "made"))
    one.calls.clear()
    return one


class Failing(MemoryStore):
    """A store whose every answer is an error."""

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        raise StorageFailed("The bucket refuses: 403.", code="S3_FORBIDDEN")


def get(places: ModelSources) -> ResolvedModel:
    return resolve_model("pinned", places, registry=REGISTRY)


def got_or_code(places: ModelSources) -> ResolvedModel | str:
    try:
        return get(places)
    except F5Error as error:
        return error.code


def told(got: ResolvedModel) -> list[tuple[str, str]]:
    return [(one.source, one.outcome) for one in got.attempts]


def places(tmp_path: Path, **more: object) -> ModelSources:
    tiers = (CacheDir(tmp_path / "tier1"), CacheDir(tmp_path / "tier2"))
    return ModelSources(tmp_path / "image", tiers, **more)  # type: ignore[arg-type]


def fill_cache(cache: Path, vocoder: bool = True) -> None:
    """The published model as another program's cache would hold it."""
    files = {f"models--owner--pinned/snapshots/{COMMIT}/base/model.safetensors": WEIGHTS}
    files[f"models--owner--pinned/snapshots/{COMMIT}/base/vocab.txt"] = VOCAB
    if vocoder:
        files[f"models--owner--vocos/snapshots/{VOCOS_COMMIT}/pytorch_model.bin"] = VOCOS
    for name, data in files.items():
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def never() -> MemoryStore:
    raise AssertionError("the store was opened")


def test_what_is_in_the_image_is_taken_as_it_is(tmp_path: Path) -> None:
    fill_cache(tmp_path / "image" / "hub")
    got = get(places(tmp_path, open_store=never))
    assert (got.source, got.folder) == ("baked", tmp_path / "image")
    assert told(got)[-1] == ("baked", "300 kB")


def test_the_cached_model_of_the_platform_is_hashed(tmp_path: Path) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    fill_cache(cache)
    got = get(places(tmp_path, open_store=never))
    assert got.source == "cache"
    assert got.files.weights.is_relative_to(cache)
    assert told(got)[-1] == ("cache", "300 kB, hashed")


def test_a_changed_file_in_another_programs_cache_is_not_used_and_not_removed(
    tmp_path: Path, store: CountingStore
) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    fill_cache(cache)
    weights = next(cache.rglob("model.safetensors"))
    weights.write_bytes(b"?" + WEIGHTS[1:])
    got = get(places(tmp_path, open_store=lambda: store))
    assert got.source == "store"
    assert ("cache", "model.safetensors is damaged") in told(got)
    assert weights.exists()


def test_the_cached_model_needs_only_the_vocoder_from_the_hub(
    tmp_path: Path, hub: Hub, source: HubSource
) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    fill_cache(cache, vocoder=False)
    got = get(places(tmp_path, hub=source))
    assert got.files.weights.is_relative_to(cache)
    assert not any("model.safetensors" in r.path for r in hub.requests if r.method == "GET")
    hub.requests.clear()
    again = get(places(tmp_path, hub=source))
    assert again.files == got.files
    assert not hub.requests


def test_the_store_fills_a_tier_and_is_not_asked_again(
    tmp_path: Path, store: CountingStore
) -> None:
    got = get(places(tmp_path, open_store=lambda: store))
    assert (got.source, got.folder) == ("store", tmp_path / "tier1")
    assert version_of(got.files) == 1
    outcomes = dict(told(got))
    assert outcomes["store"].startswith("251 kB at ")
    assert [name for name, _ in told(got)] == ["baked", "tier", "tier", "store"]
    again = get(places(tmp_path, open_store=never))
    assert (again.source, again.files) == ("tier", got.files)
    assert told(again)[-1][1].endswith(", hashed")


def test_the_hub_comes_last(tmp_path: Path, hub: Hub, source: HubSource) -> None:
    got = get(places(tmp_path, open_store=MemoryStore, hub=source))
    assert (got.source, got.folder) == ("hub", tmp_path / "tier1")
    assert ("store", "not there") in told(got)
    assert told(got)[-1][1].startswith("350 kB at ")
    hub.requests.clear()
    assert get(places(tmp_path, open_store=never, hub=source)).source == "tier"
    assert not hub.requests


def test_converted_weights_go_before_published_ones_wherever_they_are(
    tmp_path: Path, store: CountingStore
) -> None:
    fill_cache(tmp_path / "image" / "hub")
    sync(store, "pinned", tmp_path / "tier2")
    got = get(places(tmp_path, open_store=never))
    assert (got.source, got.folder) == ("tier", tmp_path / "tier2")


@pytest.mark.parametrize("role", ["weights", "vocab", "vocoder"])
def test_damage_on_a_tier_is_found_and_fetched_anew(
    tmp_path: Path, store: CountingStore, role: str
) -> None:
    first = get(places(tmp_path, open_store=lambda: store))
    path: Path = getattr(first.files, role)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    got = get(places(tmp_path, open_store=lambda: store))
    assert got.source == "store"
    assert any("damaged" in outcome for _, outcome in told(got))
    assert version_of(got.files) == 1


def test_damage_of_what_the_hub_gave_is_found_and_fetched_anew(
    tmp_path: Path, source: HubSource
) -> None:
    first = get(places(tmp_path, hub=source))
    first.files.weights.write_bytes(b"?" + WEIGHTS[1:])
    got = get(places(tmp_path, hub=source))
    assert got.source == "hub"
    assert got.files.weights.read_bytes() == WEIGHTS
    assert "weights.safetensors is damaged" in [outcome for _, outcome in told(got)]


def test_a_damaged_artifact_gives_way_to_the_published_file(
    tmp_path: Path, source: HubSource
) -> None:
    folder = tmp_path / "tier1"
    pull("pinned", source, folder, registry=REGISTRY)
    artifact = convert(folder)
    assert get(places(tmp_path, open_store=never)).files.weights == artifact
    artifact.write_bytes(b"conversed")
    got = get(places(tmp_path, open_store=never))
    assert got.files.weights.read_bytes() == WEIGHTS
    assert not artifact.exists()


def test_a_store_that_fails_is_a_warning(
    tmp_path: Path, source: HubSource, caplog: pytest.LogCaptureFixture
) -> None:
    got = get(places(tmp_path, open_store=Failing, hub=source))
    assert got.source == "hub"
    warned = [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "weights from store (memory" in warned[0]
    assert "S3_FORBIDDEN: The bucket refuses: 403" in warned[0]


def test_a_store_that_cannot_be_opened_is_a_warning(tmp_path: Path, source: HubSource) -> None:
    def open_store() -> MemoryStore:
        raise StorageFailed("boto3 is not installed.", code="EXTRA_MISSING")

    got = get(places(tmp_path, open_store=open_store, hub=source))
    assert ("store", "EXTRA_MISSING: boto3 is not installed") in told(got)


def test_when_all_fail_each_is_named_with_its_reason(tmp_path: Path, hub: Hub) -> None:
    hub.faults.status = 500
    with pytest.raises(ModelUnavailable) as caught:
        get(places(tmp_path, open_store=Failing, hub=HubSource(hub.endpoint, timeout_s=1.0)))
    error = caught.value
    assert (error.code, error.retryable) == ("MODEL_MISSING", True)
    for piece in ("baked", "tier1", "tier2", "S3_FORBIDDEN", "HUB_FAILED", hub.endpoint):
        assert piece in error.message


def test_an_unknown_model_is_looked_for_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        resolve_model("pined", places(tmp_path, open_store=never), registry=REGISTRY)
    assert caught.value.code == "UNKNOWN_MODEL"


def test_a_full_first_tier_leads_to_the_second(tmp_path: Path, store: CountingStore) -> None:
    with small_disk(tmp_path / "tier1", "1m") as disk:
        leave(disk, TOTAL // 2)
        before = used(disk)
        got = get(places(tmp_path, open_store=lambda: store))
        assert got.folder == tmp_path / "tier2"
        assert used(disk / "installed") == 0
        assert used(disk) == before


def test_a_full_disk_is_told_rather_than_the_hub_that_is_not_reached(
    tmp_path: Path, store: CountingStore
) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        leave(disk, TOTAL // 2)
        full = ModelSources(tmp_path / "image", (CacheDir(disk / "m"),), lambda: store, gone())
        with pytest.raises(StorageFailed) as caught:
            get(full)
    assert caught.value.code == "NO_SPACE"
    assert str(disk / "m") in caught.value.message


def gone() -> HubSource:
    return HubSource("http://127.0.0.1:9", timeout_s=0.5)


@pytest.mark.parametrize("fetch", ["store", "hub"])
def test_every_fill_level_ends_with_a_whole_model_or_none(
    tmp_path: Path, store: CountingStore, source: HubSource, fetch: str
) -> None:
    """From nothing to plenty left: what is there in the end is whole, and nothing else is there."""
    with_hub = {"hub": source} if fetch == "hub" else {"open_store": lambda: store}
    fitted = []
    for level in range(0, 1_600_000, 130_000):
        with small_disk(tmp_path / f"disk{level}", "2m") as disk:
            leave(disk, level)
            before = free(disk)
            tier = CacheDir(disk / "models")
            outcome = got_or_code(ModelSources(tmp_path / "image", (tier,), **with_hub))  # type: ignore[arg-type]
            fitted.append(isinstance(outcome, ResolvedModel))
            if isinstance(outcome, ResolvedModel):
                assert outcome.files.vocab.stat().st_size in (len(VOCAB), 900)
            else:
                assert outcome == "NO_SPACE"
                assert find("pinned", tier.path, registry=REGISTRY) is None
                assert free(disk) >= before - 64_000  # folders and locks, no pieces of files
    assert fitted == sorted(fitted)
    assert set(fitted) == {True, False}


def test_processes_on_one_small_disk_share_one_copy(tmp_path: Path) -> None:
    """Room for one model and a half: who waits finds it, nobody takes room for a second one."""
    folder = tmp_path / "store"
    publish(LocalStore(folder), release(tmp_path / "made"))
    with small_disk(tmp_path / "disk", "1m") as disk:
        leave(disk, TOTAL * 3 // 2)
        tiers = [disk / "models", tmp_path / "other"]
        with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
            got = [f.result(60) for f in [pool.submit(get_model, folder, tiers) for _ in range(4)]]
        assert {where for where, _ in got} == {str(tiers[0])}
        assert "store" in {source for _, source in got}
        assert not tiers[1].exists()


def test_progress_may_end_it(tmp_path: Path, store: CountingStore, source: HubSource) -> None:
    class Enough(Exception):
        pass

    def stop(_: object) -> None:
        raise Enough

    for more in ({"open_store": lambda: store}, {"hub": source}):
        with pytest.raises(Enough):
            resolve_model("pinned", places(tmp_path, **more), stop, REGISTRY)
