"""Weight files: every layout that is published, and what is said of the wrong ones."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from f5serve.engine import checkpoint
from f5serve.engine.checkpoint import DeviceAndDtype
from f5serve.engine.config import PRESETS, ModelConfig, infer_config
from f5serve.engine.convert import convert
from f5serve.engine.engine import F5Engine
from f5serve.engine.weight_map import checkpoint_shapes, random_tensors
from f5serve.errors import F5Error, InvalidRequest, ModelUnavailable
from f5serve.types import SamplingOptions
from tests.parity.cases import row, small
from tests.parity.ours import CPU, engine_of, error, sequence_of

FP32 = DeviceAndDtype(CPU, torch.float32)
KEYS = Path(__file__).parents[1] / "data" / "published_keys"


def published(arch: ModelConfig, half_exact: bool = False) -> dict[str, torch.Tensor]:
    """Random weights under full published names; `half_exact` ones lose nothing in 16 bit."""
    tensors = {f"ema_model.transformer.{k}": v for k, v in random_tensors(arch, 11).items()}
    if half_exact:
        tensors = {k: v.half().float() for k, v in tensors.items()}
    extras = {"initted": torch.tensor(True), "step": torch.tensor(9)}
    extras["ema_model.mel_spec.mel_stft.spectrogram.window"] = torch.zeros(1024)
    extras["ema_model.transformer.rotary_embed.inv_freq"] = torch.zeros(32)
    return tensors | extras


def speak(path: Path, name: str, original: Path | None = None, **options: Any) -> torch.Tensor:
    """The mel of one small row by the weights in `path`."""
    case = row(small(name), name, 96, **options)
    stub = engine_of(case)
    model = checkpoint.load(path, name, FP32, original)
    engine = F5Engine(*model, stub.runner.vocoder, stub._vocab, name)
    return engine.runner.sample([sequence_of(case)])[0]


def refusal(path: Path, name: str) -> F5Error:
    with pytest.raises(F5Error) as caught:
        checkpoint.load(path, name, FP32)
    assert caught.value.hint
    assert caught.value.message.endswith(".") or ":" in caught.value.message
    return caught.value


@pytest.mark.parametrize("name", ["F5TTS_v1_Base", "E2TTS_Base"])
def test_published_key_names_are_ours(name: str) -> None:
    """Against the list of keys and shapes of the real files."""
    listed = {}
    for line in (KEYS / f"{name}.txt").read_text().splitlines():
        key, _, shape = line.partition(" ")
        listed[key] = tuple(int(n) for n in shape.strip("()").split(",") if n.strip())
    known = {f"ema_model.transformer.{k}": v for k, v in checkpoint_shapes(PRESETS[name]).items()}
    rest = listed.keys() - known.keys()
    assert {k: listed[k] for k in known} == known
    assert {k.rpartition("transformer.")[2].partition(".")[0] for k in rest} <= {
        "initted", "step", "rotary_embed", "ema_model",
    }  # fmt: skip


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_layout_gives_the_same_mel(name: str, tmp_path: Path) -> None:
    tensors = published(small(name), half_exact=True)
    save_file(tensors, tmp_path / "m.safetensors")
    wanted = speak(tmp_path / "m.safetensors", name)

    torch.save({"ema_model_state_dict": tensors, "update": 3}, tmp_path / "m.pt")
    plain = {k.removeprefix("ema_model."): v for k, v in tensors.items()}
    torch.save({"model_state_dict": plain}, tmp_path / "plain.pt")
    convert(tmp_path / "m.safetensors", name, tmp_path / "a16.safetensors")
    convert(tmp_path / "m.pt", name, tmp_path / "a32.safetensors", dtype="float32")
    for file in ("m.pt", "plain.pt", "a16.safetensors", "a32.safetensors"):
        assert error(speak(tmp_path / file, name), wanted) <= 1e-5, file


@pytest.mark.parametrize("wrapper", ["ema_model._orig_mod.", "model.ema_model.", "module.model."])
def test_prefixes_of_wrappers_are_removed(wrapper: str, tmp_path: Path) -> None:
    """A compiled model, one saved by transformers with its vocoder; an average goes first."""
    name = "F5TTS_Base"
    plain = random_tensors(small(name), 11)
    wrapped = {f"{wrapper}transformer.{key}": value for key, value in plain.items()}
    others = {f"model.transformer.{key}": value + 1 for key, value in plain.items()}
    vocoder = {
        "vocoder._orig_mod.head.out.weight": torch.zeros(3),
        "model.vocoder.x": torch.ones(2),
    }
    averaged = "ema_model." in wrapper
    save_file((others if averaged else {}) | wrapped | vocoder, tmp_path / "m.safetensors")
    file = checkpoint.CheckpointFile.inspect(tmp_path / "m.safetensors")
    checkpoint.validate_keys(file, name)
    with file.open() as tensors:
        assert tensors.keys() == plain.keys()
        assert all(torch.equal(tensors[key], value) for key, value in plain.items())


@pytest.mark.parametrize("in_place", [True, False])
def test_published_parameters_lie_in_the_files_own_pages(tmp_path: Path, in_place: bool) -> None:
    """Unless something else is made of them."""
    save_file(published(small("F5TTS_v1_Base")), tmp_path / "m.safetensors")
    placement = replace(FP32, in_place=in_place)
    model, _ = checkpoint.load(tmp_path / "m.safetensors", "F5TTS_v1_Base", placement)
    parameters = dict(model.named_parameters())
    ranges = [
        [int(end, 16) for end in line.split()[0].split("-")]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(str(tmp_path / "m.safetensors"))
    ]
    address = parameters["blocks.0.ff.up.weight"].data_ptr()
    assert any(first <= address < last for first, last in ranges) is in_place
    assert in_place or not ranges
    assert not any(p.is_meta for p in parameters.values())


def test_artifact_drops_the_time_layers_and_names_its_source(tmp_path: Path) -> None:
    source = tmp_path / "m.safetensors"
    save_file(published(small("F5TTS_v1_Base")), source)
    artifact = convert(source, "F5TTS_v1_Base", tmp_path / "a.safetensors", license="CC0-1.0")
    names = load_file(artifact).keys()
    assert {"schedule.7", "schedule.16", "schedule.32"} <= names
    assert not any("time" in k or "attn_norm" in k for k in names)
    file = checkpoint.CheckpointFile.inspect(artifact)
    assert file.metadata["license"] == "CC0-1.0"
    assert file.metadata["source"] == "m.safetensors"
    assert len(file.metadata["source_sha256"]) == 64
    assert list(tmp_path.glob(".*partial")) == []


def test_artifact_of_the_real_size_takes_a_third() -> None:
    arch = PRESETS["F5TTS_v1_Base"]
    from f5serve.engine.weight_map import is_time_layer

    sizes = {k: torch.Size(v).numel() for k, v in checkpoint_shapes(arch).items()}
    kept = 2 * sum(n for k, n in sizes.items() if not is_time_layer(k))
    tables = 4 * (7 + 16 + 32) * (6 * arch.depth + 2) * arch.dim
    assert (kept + tables) / (4 * sum(sizes.values())) < 0.32


def test_schedule_that_the_artifact_lacks(tmp_path: Path) -> None:
    source = tmp_path / "m.safetensors"
    save_file(published(small("F5TTS_v1_Base"), half_exact=True), source)
    artifact = convert(source, "F5TTS_v1_Base", tmp_path / "a.safetensors")
    with pytest.raises(InvalidRequest) as caught:
        speak(artifact, "F5TTS_v1_Base", nfe_step=9)
    assert caught.value.code == "BAD_OPTION"
    assert "nfe_step 9 with sway_sampling_coef -1" in caught.value.message
    assert "7, 16 or 32" in caught.value.hint
    wanted = speak(source, "F5TTS_v1_Base", nfe_step=9, sway=0.3)
    got = speak(artifact, "F5TTS_v1_Base", original=source, nfe_step=9, sway=0.3)
    assert error(got, wanted) <= 1e-5


def test_what_the_artifact_lacks_is_refused_at_once(tmp_path: Path) -> None:
    source = tmp_path / "m.safetensors"
    save_file(published(small("F5TTS_v1_Base"), half_exact=True), source)
    artifact = convert(source, "F5TTS_v1_Base", tmp_path / "a.safetensors")
    alone = checkpoint.load(artifact, "F5TTS_v1_Base", FP32)[1]
    for steps, sway in ((20, -1.0), (16, 0.0), (32, -0.5)):
        with pytest.raises(InvalidRequest, match="hold the schedules of 7, 16 or 32 steps"):
            alone.check(steps, sway)
    alone.check(16, -1.0)
    beside = checkpoint.load(artifact, "F5TTS_v1_Base", FP32, source)[1]
    beside.check(20, 0.5)
    beside.get(20, 0.5)
    source.unlink()  # somebody cleans up while the engine runs
    assert beside.get(20, 0.5).modulation is not None
    with pytest.raises(InvalidRequest, match="hold the schedules of 7, 16 or 32 steps"):
        beside.prepare(21, 0.5)


def test_schedules_are_computed_once_and_only_the_last_are_kept() -> None:
    engine = engine_of(row(small("F5TTS_v1_Base"), "x", 64))
    schedules = engine.runner.schedules
    first = schedules.get(7, -1.0)
    assert schedules.get(7, -1.0) is first
    for steps in range(10, 20):
        schedules.get(steps, -1.0)
    assert schedules.get(7, -1.0) is not first
    assert torch.equal(schedules.get(7, -1.0).modulation, first.modulation)


def test_sizes_are_read_off_the_shapes() -> None:
    odd = replace(PRESETS["F5TTS_v1_Base"], dim=256, depth=3, text_dim=96, conv_layers=1, ff_mult=3)
    odd = replace(odd, vocab_size=300)
    assert infer_config(PRESETS["F5TTS_v1_Base"], checkpoint_shapes(odd)) == odd


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"drop": "proj_out.bias"}, "1 missing: proj_out.bias"),
        ({"drop": "proj_out.weight"}, "lacks proj_out.weight"),
        ({"add": "transformer_blocks.0.attn.q_norm.weight"}, "1 unknown: transformer_blocks.0"),
        ({"reshape": "input_embed.proj.weight"}, "of another shape: input_embed.proj.weight is"),
    ],
)
def test_wrong_tensors_are_named(change: dict[str, str], said: str, tmp_path: Path) -> None:
    tensors = random_tensors(small("F5TTS_v1_Base"))
    if "drop" in change:
        del tensors[change["drop"]]
    if "add" in change:
        tensors[change["add"]] = torch.zeros(64)
    if "reshape" in change:
        tensors[change["reshape"]] = torch.zeros(128, 3)
    save_file(tensors, tmp_path / "m.safetensors")
    found = refusal(tmp_path / "m.safetensors", "F5TTS_v1_Base")
    assert found.code == "CHECKPOINT_MISMATCH"
    assert said in found.message


def test_the_preset_that_would_fit_is_named(tmp_path: Path) -> None:
    save_file(random_tensors(small("E2TTS_Base")), tmp_path / "m.safetensors")
    found = refusal(tmp_path / "m.safetensors", "F5TTS_v1_Base")
    assert "E2TTS_Base" in found.message
    assert "--arch E2TTS_Base" in found.hint


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    save_file(random_tensors(small("F5TTS_v1_Base")), good)
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-1000])
    (tmp_path / "junk.safetensors").write_bytes(b"\xff" * 100)
    (tmp_path / "huge.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    (tmp_path / "junk.pt").write_bytes(b"no pickle at all")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name in ("cut.safetensors", "junk.safetensors", "huge.safetensors", "junk.pt"):
        assert refusal(tmp_path / name, "F5TTS_v1_Base").code == "CHECKPOINT_DAMAGED", name
    assert refusal(tmp_path / "other.safetensors", "F5TTS_v1_Base").code == "CHECKPOINT_MISMATCH"
    assert refusal(tmp_path / "gone.safetensors", "F5TTS_v1_Base").code == "MODEL_MISSING"
    with pytest.raises(InvalidRequest, match="no architecture 'F6'"):
        checkpoint.load(good, "F6", FP32)


class Canary:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"model_state_dict": Canary(trace)}))
    torch.save({"model_state_dict": Canary(trace)}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        assert refusal(tmp_path / name, "F5TTS_v1_Base").code == "CHECKPOINT_DAMAGED"
    assert not trace.exists()


def test_converting_twice_or_into_nowhere(tmp_path: Path) -> None:
    source = tmp_path / "m.safetensors"
    save_file(random_tensors(small("F5TTS_v1_Base")), source)
    artifact = convert(source, "F5TTS_v1_Base", tmp_path / "a.safetensors")
    with pytest.raises(InvalidRequest, match="converted already"):
        convert(artifact, "F5TTS_v1_Base", tmp_path / "b.safetensors")
    with pytest.raises(F5Error) as caught:
        convert(source, "F5TTS_v1_Base", tmp_path / "no" / "folder.safetensors")
    assert caught.value.code == "OUTPUT_UNWRITABLE"
    with pytest.raises(ModelUnavailable, match="not as E2TTS_Base"):
        checkpoint.load(artifact, "E2TTS_Base", FP32)


def test_default_options_match_a_shipped_schedule() -> None:
    from f5serve.engine.schedule import PRECOMPUTED_STEPS, PRECOMPUTED_SWAY

    options = SamplingOptions()
    assert options.nfe_step in PRECOMPUTED_STEPS
    assert options.sway_sampling_coef == PRECOMPUTED_SWAY
