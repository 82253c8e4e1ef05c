"""Models over HTTP: what speaks here, what could, and under which licence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import MODEL as STANDIN
from f5serve.fallback.tone import Tone
from f5serve.http.routers.models import OPENAI_IDS, Model, describe_all, resolve_model
from f5serve.models import own_models
from f5serve.models.installed import LocalFile, install
from f5serve.models.local import describe
from f5serve.models.manifest import MODEL_ROLES
from f5serve.models.registry import PUBLISHED, parse_spec
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.synthesis.synthesizer import Synthesizer
from tests.http.house import House, house
from tests.service.test_model_pool import Tones


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("models")) as home:
        assert home.speak().status_code == 200  # so that the model is loaded
        yield home


def test_the_model_that_speaks_comes_first_and_all_are_told(home: House) -> None:
    told = home.client.get("/v1/models").json()
    assert told["object"] == "list"
    first, *others = told["data"]
    assert (first["id"], first["state"], first["alias_of"]) == ("tone", "loaded", None)
    ids = [model["id"] for model in others]
    assert ids == [*OPENAI_IDS, STANDIN, *(spec.id for spec in PUBLISHED.models)]
    for alias in others[: len(OPENAI_IDS)]:
        assert (alias["alias_of"], alias["state"]) == ("tone", "loaded")


def test_licences_are_those_of_the_registry(home: House) -> None:
    for spec in PUBLISHED.models:
        told = home.client.get(f"/v1/models/{spec.id}").json()
        assert (told["licence"], told["commercial_use"]) == (spec.license, spec.commercial)
        assert told["languages"] == list(spec.languages)
        assert (told["object"], told["kind"]) == ("model", "f5")
    standin = home.client.get(f"/v1/models/{STANDIN}").json()
    assert (standin["licence"], standin["state"]) == ("Apache-2.0", "local")


def test_ids_of_openai_stand_for_what_speaks(home: House) -> None:
    for id in (*OPENAI_IDS, "tts-1-1106", "gpt-4o-mini-tts-2025-12-15"):
        told = home.client.get(f"/v1/models/{id}").json()
        assert (told["id"], told["alias_of"]) == (id, "tone")
        assert resolve_model(home.service, id) == ""
    assert resolve_model(home.service, "tone") == "tone"
    assert resolve_model(home.service, "") == ""


@pytest.mark.parametrize("id", ["f5tts_v1_bas", "tts-2", "gpt-4o-mini-tts-x", "vocos", "x" * 500])
def test_what_is_no_model_is_refused(home: House, id: str) -> None:
    message = home.refused(home.client.get(f"/v1/models/{id}"), 404, "unknown_model")
    assert len(message) < 300
    with pytest.raises(InvalidRequest) as caught:
        resolve_model(home.service, id)
    assert caught.value.code == "UNKNOWN_MODEL"


def test_near_names_are_offered(home: House) -> None:
    answer = home.client.get("/v1/models/F5TTS_v1_Bsae")
    assert "Did you mean F5TTS_v1_Base" in home.refused(answer, 404, "unknown_model")


def test_a_model_that_does_not_speak_here_is_told_apart(home: House) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve_model(home.service, "F5TTS_v1_Base")
    assert caught.value.code == "MODEL_NOT_LOADED"
    assert "speaks with tone" in caught.value.message


def test_the_official_client_reads_both(home: House) -> None:
    with openai.OpenAI(api_key="none", base_url=f"{home.url}/v1") as client:
        assert next(iter(client.models.list())).id == "tone"
        one = client.models.retrieve("E2TTS_Base")
    assert (one.id, one.owned_by, one.object) == ("E2TTS_Base", "SWivid", "model")
    assert isinstance(one.created, int)


def test_menus_show_what_requests_may_name(home: House) -> None:
    told = home.client.get("/v1/audio/models").json()["models"]
    assert [model["id"] for model in told] == ["tone", *OPENAI_IDS]
    assert all(model["name"] for model in told)
    for model in told:
        assert home.speak(model=model["id"]).status_code == 200


def test_before_the_model_is_loaded(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        voices, settings = home.service.voices, home.service.settings
        speech = lambda: Synthesizer(Tone(), max_text_chars=100)  # noqa: E731
        operations = SpeechService(home.service.store, voices, speech, settings)  # not begun
        service = replace(home.service, operations=operations)
        models = describe_all(service)
        assert [model.id for model in models][:4] == [*OPENAI_IDS, STANDIN]
        assert all(model.alias_of is None for model in models)
        assert resolve_model(service, "F5TTS_v1_Base") == "F5TTS_v1_Base"
        with pytest.raises(InvalidRequest):
            resolve_model(service, "F6TTS")
        asyncio.run(operations.close(1))


def test_weights_on_disk_and_own_checkpoints_are_found(tmp_path: Path) -> None:
    parts = [LocalFile(role, tmp_path / f"{role}.bin") for role in MODEL_ROLES]
    for part in parts:
        part.path.write_bytes(b"x")
    install(describe(PUBLISHED.get("openf5")), parts, tmp_path)
    entry = {"id": "my-fine-tune", "repo": "me/tune", "arch": "F5TTS_Base", "license": "MIT"}
    text = {"respelling": "in IPA"}
    own_models.add_own(parse_spec({**entry, "commercial": True, "text": text}), tmp_path)
    own = tmp_path / "mine.safetensors"
    own.write_bytes(b"x")

    class Mine(Tone):
        kind = "f5"

    with house(tmp_path, models_dir=tmp_path, ckpt=own, engine=Mine(model="mine")) as home:
        assert home.speak().status_code == 200
        told = {m["id"]: Model(**m) for m in home.client.get("/v1/models").json()["data"]}
    assert next(iter(told)) == "mine"
    assert (told["mine"].state, told["mine"].licence, told["mine"].commercial_use) == (
        "loaded",
        None,
        None,
    )
    assert told["mine"].created == int(own.stat().st_mtime)
    assert (told["openf5"].state, told["openf5"].created > 0) == ("local", True)
    assert (told["german"].state, told["german"].created) == ("absent", 0)
    assert (told["my-fine-tune"].owned_by, told["my-fine-tune"].licence) == ("me", "MIT")
    assert told["my-fine-tune"].note.startswith("Expects words respelled in IPA")


def test_nothing_is_told_of_the_machine(home: House) -> None:
    settings = Settings()
    for path in ("/v1/models", "/v1/audio/models", "/v1/models/F5TTS_Base"):
        assert str(settings.models_dir) not in home.client.get(path).text


def test_models_beside_the_first_one_are_listed_and_speak(tmp_path: Path) -> None:
    source = Tones("tone", "german", "E2TTS_Base")
    with house(tmp_path, options=ServiceOptions(models=source)) as home:
        assert home.speak(model="german").status_code == 200
        assert home.speak(language="de").status_code == 200
        told = {m["id"]: Model(**m) for m in home.client.get("/v1/models").json()["data"]}
        assert (told["german"].state, told["german"].served) == ("loaded", True)
        assert told["german"].memory_mb == 100
        assert (told["E2TTS_Base"].state, told["E2TTS_Base"].served) == ("absent", True)
        assert (told["french"].state, told["french"].served) == ("absent", False)
        menu = home.client.get("/v1/audio/models").json()["models"]
        assert {"german", "tone"} <= {model["id"] for model in menu}
        health = {m["name"]: m["state"] for m in home.client.get("/health").json()["models"]}
        assert health == {"tone": "loaded", "german": "loaded", "E2TTS_Base": "unloaded"}
        home.refused(home.speak(model="french"), 400, "model_not_loaded")
        source.gate = threading.Event()
        answer = home.speak(model="E2TTS_Base", wait_for_model=False)
        assert "is being loaded" in home.refused(answer, 503, "model_loading")
        source.gate.set()
        assert home.speak(model="E2TTS_Base").status_code == 200
    assert source.loads == ["german", "E2TTS_Base"]
