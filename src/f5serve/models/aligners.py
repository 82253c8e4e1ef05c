"""The aligner that can be pulled: omniASR-CTC-300M, for words of 1,600 languages.

It is installed as models are (`installed`), and linked to where aligners are looked for:

    <models folder>/aligners/omniASR-CTC-300M/    model.int8.onnx, tokens.txt
"""

from __future__ import annotations

from pathlib import Path

from f5serve.models.disk import OnProgress, cannot_write, no_progress
from f5serve.models.hub import pull_alone
from f5serve.models.hub_client import HubSource
from f5serve.models.installed import link
from f5serve.models.registry import ModelFile, ModelSpec

ALIGNER = ModelSpec(
    id="omniASR-CTC-300M",
    repo="csukuangfj2/sherpa-onnx-omnilingual-asr-1600-languages-300M-ctc-int8-2025-11-12",
    license="Apache-2.0",
    commercial=True,
    files=(ModelFile("weights", "model.int8.onnx"), ModelFile("vocab", "tokens.txt")),
    note="Word times in 1,600 languages; 365 MB.",
)
"""Revision and hashes are not known: they are those of the first pull."""

FOLDER = "aligners"


def pull_aligner(
    source: HubSource, models_dir: Path, on_progress: OnProgress = no_progress
) -> Path:
    """Fetch the aligner, and put it where F5_ALIGNER=auto finds it; returns its folder.

    Raises:
        ModelUnavailable, StorageFailed: as `hub.pull`.
    """
    version = pull_alone(ALIGNER, source, models_dir, on_progress)
    names = {file.role: file.path for file in ALIGNER.files}
    folder = models_dir / FOLDER / ALIGNER.id
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in version.manifest.files:
            link(version.path(file), folder / names[file.role], file.sha256, models_dir)
    except OSError as error:
        raise cannot_write(folder, version.manifest.size, error) from None
    return folder
