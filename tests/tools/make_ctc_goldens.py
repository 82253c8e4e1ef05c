"""Writes what `transformers` hears with the tests' tiny CTC models: tests/data/ctc_goldens.npz.

pip install transformers; python -m tests.tools.make_ctc_goldens
"""

from __future__ import annotations

import numpy as np
import torch
from tests.alignment.test_ctc import GOLDENS
from tests.alignment.tiny_ctc import KINDS, config, sounds, weights
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC


def main() -> None:
    """Both kinds, each sound on its own."""
    told = {}
    for kind in KINDS:
        model = Wav2Vec2ForCTC(Wav2Vec2Config(**config(kind))).eval()
        missing = model.load_state_dict(weights(kind), strict=False)
        assert set(missing.missing_keys) <= {"wav2vec2.masked_spec_embed"}, missing
        assert not missing.unexpected_keys, missing
        for index, sound in enumerate(sounds()):
            normed = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
            with torch.inference_mode():
                logits = model(torch.from_numpy(normed[None])).logits[0]
            told[f"{kind}-{index}"] = logits.log_softmax(-1).numpy()
    np.savez_compressed(GOLDENS, **told)


if __name__ == "__main__":
    main()
