"""Options that the loaded weights cannot compute, asked for at every door."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.cli.main import run
from f5serve.errors import InvalidRequest
from f5serve.settings import Settings, process_environ
from f5serve.startup import load
from f5serve.synthesis.synthesizer import Synthesizer
from tests.http.house import house as server
from tests.service.house import house as worker
from tests.startup import small_model

pytest.importorskip("torch")

POSSIBLE = "7, 16 or 32"
"""What every converted artifact holds."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A converted artifact without the checkpoint that it was made of."""
    paths = small_model.write(tmp_path_factory.mktemp("made"))
    return Settings(
        engine="f5",
        device="cpu",
        ckpt=paths["weights"],
        vocab=paths["vocab"],
        vocoder=paths["vocoder"],
        arch=small_model.MODEL,
    )


@pytest.fixture(scope="module")
def speech(settings: Settings) -> Synthesizer:
    return load(settings).synthesizer


@pytest.mark.parametrize("route", ["/v1/audio/speech", "/v1/jobs"])
def test_over_http(tmp_path: Path, speech: Synthesizer, route: str) -> None:
    with server(tmp_path, engine=speech.engine) as here:
        if route == "/v1/audio/speech":
            for more in ({}, {"response_format": "pcm"}, {"stream_format": "sse"}):
                answer = here.speak(nfe_step=20, **more)
                assert answer.status_code == 400, answer.text
                assert POSSIBLE in here.refused(answer, 400, "bad_option")
            assert here.speak(nfe_step=7, response_format="wav").status_code == 200
        else:
            body = {"text": "Hello.", "nfe_step": 16, "sway_sampling_coef": 0.5}
            told = here.client.post(route, json=body).json()
            for _ in range(500):
                told = here.client.get(f"{route}/{told['job_id']}").json()
                if told["status"] in ("ERROR", "COMPLETED"):
                    break
                time.sleep(0.01)
            assert told["status"] == "ERROR"
            assert told["failure"]["code"] == "BAD_OPTION"
            assert told["failure"]["retryable"] is False


def test_in_a_worker(tmp_path: Path, speech: Synthesizer) -> None:
    async def story() -> None:
        async with worker(tmp_path, load_speech=lambda: speech) as here:
            error = await here.refuse("j", text="Hello.", nfe_step=20)
            assert (error.code, error.retryable) == ("BAD_OPTION", False)
            assert POSSIBLE in error.message
            assert POSSIBLE in error.hint

    asyncio.run(story())


def test_on_the_command_line(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"--{name}={getattr(settings, name)}" for name in ("ckpt", "vocab", "vocoder", "arch")]
    command = [
        "say",
        "Hello.",
        "--engine=f5",
        "--device=cpu",
        *files,
        "-o",
        str(tmp_path / "a.wav"),
    ]
    assert run([*command, "--nfe-step", "20"]) == InvalidRequest.exit_code
    told = capsys.readouterr().err
    assert "nfe_step 20" in told
    assert POSSIBLE in told
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.slow
def test_a_worker_tells_it_in_its_result(tmp_path: Path, settings: Settings) -> None:
    made = {
        f"F5_{name.upper()}": str(getattr(settings, name))
        for name in ("engine", "device", "ckpt", "vocab", "vocoder", "arch")
    }
    environ = process_environ() | made | {"F5_DATA_DIR": str(tmp_path)}
    job = json.dumps({"input": {"text": "Hello.", "nfe_step": 20}})
    ended = subprocess.run(
        [sys.executable, "-m", "f5serve", "worker", "--test_input", job],
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "BAD_OPTION" in ended.stdout + ended.stderr
    assert POSSIBLE in ended.stdout + ended.stderr


def test_with_the_checkpoint_beside_it_any_schedule_is_computed(
    tmp_path: Path, settings: Settings
) -> None:
    assert settings.ckpt is not None
    original = replace(settings, ckpt=settings.ckpt.with_name("model.safetensors"))
    with server(tmp_path, engine=load(original).synthesizer.engine) as here:
        answer = here.speak(nfe_step=3, sway_sampling_coef=0.5, response_format="wav")
        assert answer.status_code == 200
