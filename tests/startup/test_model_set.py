"""Several checkpoints in one process: as many one-model processes say the same."""

from __future__ import annotations

import asyncio
import gc
import string
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error, ModelUnavailable
from f5serve.models.publish import publish
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.startup import LoadOptions, load
from f5serve.startup.model_set import ModelSet
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary
from tests.startup import small_model

pytest.importorskip("torch")

MODELS = {
    "F5TTS_v1_Base": ("F5TTS_v1_Base", {}),
    "german": ("F5TTS_Base", {"seed": 1, "dim": 128, "vocab": [*small_model.VOCAB, *"äöüßÄÖÜ"]}),
    "E2TTS_Base": (
        "E2TTS_Base",
        {"seed": 2, "dim": 192, "vocab": list(" ,.?" + string.ascii_letters)},
    ),
}
TEXT = "Four score and seven."


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a machine whose store holds three models."""
    folder, home = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("home")
    for model, (arch, changes) in MODELS.items():
        made: Any = changes
        paths = small_model.write(home / model, arch, **made)
        publish(LocalStore(folder), small_model.release(paths, model, arch))
    return Settings(
        engine="f5",
        device="cpu",
        threads=1,
        store=f"file://{folder}",
        models_dir=home / "image",
        cache_dir=home / "cache",
        hub_endpoint="http://127.0.0.1:9",
        hub_timeout_s=0.5,
        quality="fast",
        models="german, E2TTS_Base",
        result_cache=False,
    )


@pytest.fixture(scope="module")
def alone(settings: Settings) -> dict[str, bytes]:
    """What each model says in a process that has no other."""
    return {
        model: sound(load(replace(settings, model=model, models="")).synthesizer)
        for model in MODELS
    }


@pytest.fixture
def options() -> Iterator[LoadOptions]:
    options = LoadOptions()
    yield options
    options.stop.set()


def sound(synthesizer: Synthesizer) -> bytes:
    service = SpeechService(MemoryStore(), library(), lambda: synthesizer, Settings(quality="fast"))
    return asyncio.run(spoken(service))


def library() -> VoiceLibrary:
    return VoiceLibrary(MemoryStore(), Path(tempfile.mkdtemp()))


async def spoken(service: SpeechService, **fields: Any) -> bytes:
    """The wave of one request."""
    payload = {"text": TEXT, "seed": 3, "return_audio": "base64", **fields}
    answer = await service.answer(payload, f"job-{fields.get('model', '')}-{id(fields)}")
    return str(answer["audio_base64"]).encode()


def service_of(settings: Settings, options: LoadOptions) -> SpeechService:
    def load_first() -> Synthesizer:
        return load(settings, options).synthesizer

    models = ServiceOptions(models=ModelSet(settings, options))
    return SpeechService(MemoryStore(), library(), load_first, settings, models)


def test_models_side_by_side_say_what_each_says_alone(
    settings: Settings, options: LoadOptions, alone: dict[str, bytes]
) -> None:
    async def work() -> None:
        service = service_of(settings, options)
        for model in (*MODELS, *MODELS):
            assert await spoken(service, model=model) == alone[model], model
        together = await asyncio.gather(*(spoken(service, model=model) for model in MODELS))
        assert together == list(alone.values())
        assert await spoken(service, language="de") == alone["german"]
        models = service.runtime.executor.models
        assert {told["state"] for told in models.health()} == {"loaded"}
        first, *others = (one.engine for one in models.loaded)
        assert all(other.loop is first.loop for other in others)  # type: ignore[attr-defined]
        await service.close(5)

    assert len(set(alone.values())) == len(MODELS)
    asyncio.run(work())


def test_a_model_that_is_let_go_leaves_nothing_behind(
    settings: Settings, options: LoadOptions, alone: dict[str, bytes]
) -> None:
    async def work() -> None:
        service = service_of(replace(settings, model_memory_gb=0.004), options)
        models, kept = service.runtime.executor.models, []
        for model in (*MODELS, *MODELS):
            assert await spoken(service, model=model) == alone[model], model
            (loaded,) = models.loaded
            engine: Any = loaded.engine
            kept.append(weakref.ref(next(engine.runner.backbone.parameters())))
            del loaded, engine
        assert sum(ref() is not None for ref in kept) == 1
        await service.close(5)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(work())
    finally:
        gc.enable()


def test_what_is_wrong_with_one_model_touches_no_other(
    settings: Settings, options: LoadOptions, tmp_path: Path, alone: dict[str, bytes]
) -> None:
    async def work() -> None:
        moved = replace(settings, models="german,french,E2TTS_Base", cache_dir=tmp_path)
        service = service_of(moved, options)
        await spoken(service, model="german")
        (file,) = tmp_path.rglob("german/**/*.safetensors")
        assert await spoken(service, model="F5TTS_v1_Base") == alone["F5TTS_v1_Base"]
        with pytest.raises(ModelUnavailable) as nowhere:  # neither store nor hub has it
            await spoken(service, model="french")
        assert nowhere.value.code == "MODEL_MISSING"
        assert await spoken(service, model="german") == alone["german"]
        assert file.exists()
        await service.close(5)

    asyncio.run(work())


def test_names_that_are_unknown_are_refused_at_the_start(settings: Settings) -> None:
    with pytest.raises(F5Error) as refusal:
        ModelSet(replace(settings, models="german,grman"), LoadOptions())
    assert refusal.value.code == "UNKNOWN_MODEL"
    assert "german" in refusal.value.hint


def test_all_are_those_on_this_machine(settings: Settings) -> None:
    load(replace(settings, model="german"))
    models = ModelSet(replace(settings, models="all,E2TTS_Base:preload"), LoadOptions())
    assert models.preloaded == ("E2TTS_Base",)
    assert models.names[0] == "F5TTS_v1_Base"
    assert set(models.names) >= {"german", "E2TTS_Base"}
    assert models.needs_bytes("german") > 0
    assert models.memory_bytes > 1e8
    assert models.speaks("german", "de")
    assert not models.speaks("own", "de")
