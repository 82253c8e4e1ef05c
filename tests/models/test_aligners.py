"""The aligner is pulled as models are, and lies where `Aligners` finds it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from f5serve.alignment.aligners import Aligners
from f5serve.cli import models as cli_models
from f5serve.cli.options import add_models
from f5serve.errors import ModelUnavailable
from f5serve.models.aligners import ALIGNER, pull_aligner
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import find_vocoder
from f5serve.settings import Settings
from tests.alignment.tiny_onnx import random_model, write
from tests.models.conftest import COMMIT, REGISTRY
from tests.models.hub_standin import Hub, Repo

MODEL, TOKENS = "model.int8.onnx", "tokens.txt"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    graph = write(tmp_path / "made", random_model()).joinpath("model.onnx").read_bytes()
    files = {MODEL: graph, TOKENS: b"<s> 0\na 1\n  2\n", "README.md": b"hello"}
    with Hub({ALIGNER.repo: Repo(COMMIT, files, {MODEL})}) as running:
        yield running


def test_it_is_put_where_aligners_are_looked_for(
    hub: Hub, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_models(parser.add_subparsers())
    args = parser.parse_args(["models", "pull", "aligner", "--json"])
    settings = Settings(models_dir=models_dir, hub_endpoint=hub.endpoint, hub_timeout_s=2.0)
    assert cli_models.run(args, settings) == 0
    said = capsys.readouterr()
    assert "Apache-2.0" in said.err
    folder = Path(json.loads(said.out)["aligner"])
    assert folder == models_dir / "aligners" / "omniASR-CTC-300M"
    assert sorted(path.name for path in folder.iterdir()) == [MODEL, TOKENS]
    aligners = Aligners("omniASR-CTC-300M", models_dir / "aligners")
    assert aligners.is_available
    assert aligners.identity["model"] == folder.name
    assert find_vocoder(models_dir, REGISTRY) is None


def test_it_is_kept_and_another_one_is_refused(
    hub: Hub, source: HubSource, models_dir: Path
) -> None:
    folder = pull_aligner(source, models_dir)
    hub.requests.clear()
    assert pull_aligner(source, models_dir) == folder
    assert hub.requests == []
    tokens = folder / TOKENS
    assert tokens.stat().st_ino == next(models_dir.glob("installed/*/*/vocab.txt")).stat().st_ino
    tokens.unlink()
    for installed in models_dir.glob("installed/*/*/vocab.txt"):
        installed.unlink()
    hub.repos[ALIGNER.repo].files[TOKENS] = b"<s> 0\nb 1\n"
    with pytest.raises(ModelUnavailable) as caught:
        pull_aligner(source, models_dir)
    assert caught.value.code == "HASH_MISMATCH"
    with pytest.raises(ModelUnavailable):
        pull("pinned", source, models_dir, registry=REGISTRY)
