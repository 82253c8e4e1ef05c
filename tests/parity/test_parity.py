"""Ours against the `f5-tts` package itself, on the same weights and the same noise.

The package runs once, as a child process (answers.py), and answers all cases. test_models.py has
what takes as long by itself, so that `make parity` can run both at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from f5serve.engine.config import PRESETS
from f5serve.engine.engine import F5Engine
from f5serve.engine.vocos import Vocos
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.text.tokens import Vocab
from f5serve.types import SamplingOptions, Utterance, Voice, Wave
from tests.parity.answers import NEEDS_ORACLE, ORACLE, Answers, ask
from tests.parity.cases import full_cases
from tests.parity.ours import CPU, engine_of, error, mel_of, mels_of, sequence_of

TOLERANCE = 1e-5

pytestmark = NEEDS_ORACLE


@pytest.fixture(scope="module")
def vocab() -> Path:
    """The published vocab.txt, as the package ships it."""
    (found,) = ORACLE.parents[1].glob("lib/python3*/site-packages/f5_tts/infer/examples/vocab.txt")
    return found


@pytest.fixture(scope="module")
def cases(vocab: Path) -> dict[str, list[Any]]:
    return full_cases(str(vocab))


@pytest.fixture(scope="module")
def answers(cases: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return ask(cases, tmp_path_factory.mktemp("oracle"))


Find = Callable[[str], Any]


@pytest.fixture(scope="module")
def case(cases: dict[str, list[Any]]) -> Find:
    named = {c["name"]: c for kind in ("mels", "waves", "vocos") for c in cases[kind]}
    return lambda name: named[name]


@pytest.mark.parametrize("name", list(PRESETS))
def test_mel_at_the_published_width(name: str, case: Find, answers: Answers) -> None:
    assert error(mel_of(case(f"wide.{name}")), answers[f"wide.{name}"]) <= TOLERANCE


def test_batch_equals_upstreams_singles_and_not_its_batch(
    cases: dict[str, list[Any]], answers: Answers
) -> None:
    (batch,) = cases["batches"]
    mels = mels_of(engine_of(batch["rows"][0]), [sequence_of(item) for item in batch["rows"]])
    upstream = []
    for i, (item, mel) in enumerate(zip(batch["rows"], mels, strict=True)):
        single = answers[f"single.{item['name']}"]
        assert error(mel, single) <= TOLERANCE
        upstream.append(error(torch.from_numpy(answers[f"padded.{i}"]), single))
    assert upstream[0] <= TOLERANCE
    assert min(upstream[1:]) > 0.01, "upstream mended its batch: say so in the docs"


def test_half_precision_is_no_worse_than_upstreams(case: Find, answers: Answers) -> None:
    exact = answers["half-in-fp32"]
    assert error(mel_of(case("half-in-fp32")), exact) <= TOLERANCE
    ours = error(mel_of(case("half"), torch.float16), exact)
    assert ours <= error(torch.from_numpy(answers["half"]), exact)


def test_vocos_at_its_published_size(case: Find, answers: Answers) -> None:
    item = case("vocos-full")
    vocos = Vocos.from_tensors(random_vocos(item["weights_seed"]), CPU)
    generator = torch.Generator().manual_seed(item["mel_seed"])
    mel = torch.randn(1, item["frames"], 100, generator=generator) - 2
    assert error(vocos(mel)[0], answers["vocos-full"]) <= TOLERANCE


def test_whole_request_from_wave_and_words(case: Find, answers: Answers, vocab: Path) -> None:
    """Mel of the reference, pinyin, duration, sampling: everything before the vocoder."""
    item = case("request")
    generator = torch.Generator().manual_seed(item["cond_seed"])
    wave = torch.randn(1, item["samples"], generator=generator) * 0.05
    wave = (wave * (0.1 / wave.square().mean().sqrt()))[0]
    runner = engine_of(item).runner
    model = runner.backbone, runner.schedules
    engine = F5Engine(*model, runner.vocoder, Vocab.from_file(vocab), "parity")
    options = SamplingOptions(item["nfe_step"], item["cfg_strength"], item["sway"])
    voice = Voice("v", Wave(wave.numpy()), item["ref_text"], "revision")
    utterance = Utterance(item["text"], voice, item["frames"], item["seed"], options)
    (seq,) = engine._sequences([utterance])
    (mel,) = mels_of(engine, [seq])
    mel = mel[seq.prompt.first_frame :]
    assert error(mel, answers["request"]) <= TOLERANCE


def test_parity_fails_when_one_thing_differs(case: Find, answers: Answers) -> None:
    """The comparison would notice: one rotary setting, one seed."""
    item = case("wide.F5TTS_v1_Base")
    other_arch = replace(PRESETS["F5TTS_Base"], depth=4)
    from dataclasses import asdict

    changed = [item | {"arch": asdict(other_arch)}, item | {"seed": item["seed"] + 1}]
    for wrong in changed:
        assert error(mel_of(wrong), answers["wide.F5TTS_v1_Base"]) > 1e-3
