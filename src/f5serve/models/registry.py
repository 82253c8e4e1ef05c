"""The published checkpoints, as data: what each is, where it lies and what its licence permits.

A model id flows in, a frozen `ModelSpec` flows out. This module knows nothing of disks, of the
network or of torch; `arch` is the name of an engine preset and is not looked up here.

A revision or hash of None is not known. Such a file is taken as it is first seen, recorded beside
it, and refused when it changes (`verify`, `hub`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal, get_args

from f5serve.errors import ModelUnavailable

Role = Literal["weights", "vocab", "vocoder", "config"]
ROLES: frozenset[str] = frozenset(get_args(Role))


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a repository on the hub.

    Attributes:
        path: inside the repository, with forward slashes.
        size: bytes, or None when not known.
        sha256: lower-case hex, or None when not known.
        repo: where it lies when not in the repository of its model.
        revision: commit of that other repository.
    """

    role: Role
    path: str
    size: int | None = None
    sha256: str | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One checkpoint that can be asked for by name.

    Attributes:
        id: what F5_MODEL and `f5serve models` call it.
        repo: "owner/name" on the hub.
        revision: pinned commit, or None: resolved at the first pull, then kept.
        files: empty when their names are not known; the single checkpoint and vocab.txt are taken.
        arch: preset of the engine; v0 and v1 cannot be told apart by looking at a file.
        languages: ISO 639-1 codes.
        license: SPDX name, as the model's page states it.
        commercial: whether that licence permits commercial use.
        note: what else somebody should know before using it.
    """

    id: str
    repo: str
    revision: str | None
    files: tuple[ModelFile, ...]
    arch: str
    languages: tuple[str, ...]
    license: str
    commercial: bool
    note: str = ""


_F5 = "SWivid/F5-TTS"
_F5_REVISION = "84e5a410d9cead4de2f847e7c9369a6440bdfaca"
_NC = "CC-BY-NC-4.0"

# One vocabulary serves all official models; upstream ships it, too, with LF instead of CRLF ends.
_VOCAB = ModelFile(
    "vocab",
    "F5TTS_v1_Base/vocab.txt",
    13_800,
    "2a05f992e00af9b0bd3800a8d23e78d520dbd705284ed2eedb5f4bd29398fa3c",
    _F5,
    _F5_REVISION,
)


def _community(weights: str, vocab: str = "vocab.txt") -> tuple[ModelFile, ...]:
    return ModelFile("weights", weights), ModelFile("vocab", vocab)


VOCODER = ModelSpec(
    id="vocos",
    repo="charactr/vocos-mel-24khz",
    revision="0feb3fdd929bcd6649e0e7c5a688cf7dd012ef21",
    files=(
        ModelFile(
            "vocoder",
            "pytorch_model.bin",
            54_365_991,
            "97ec976ad1fd67a33ab2682d29c0ac7df85234fae875aefcc5fb215681a91b2a",
        ),
        ModelFile(
            "config",
            "config.yaml",
            461,
            "da9033922f969a47f0c160010226919e59f27761fd5066f3828d46de6650b0fc",
        ),
    ),
    arch="",
    languages=(),
    license="MIT",
    commercial=True,
    note="The vocoder of every model; pulled with each.",
)

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="F5TTS_v1_Base",
        repo=_F5,
        revision=_F5_REVISION,
        files=(
            ModelFile(
                "weights",
                "F5TTS_v1_Base/model_1250000.safetensors",
                1_348_435_761,
                "670900fd14e6c458b95da6e9ed317cdb20dbaf7a1c02ac06a05475a9d32b6a38",
            ),
            _VOCAB,
        ),
        arch="F5TTS_v1_Base",
        languages=("zh", "en"),
        license=_NC,
        commercial=False,
    ),
    ModelSpec(
        id="F5TTS_v1_Base_no_zero_init",
        repo=_F5,
        revision=_F5_REVISION,
        files=(
            ModelFile("weights", "F5TTS_v1_Base_no_zero_init/model_1250000.safetensors"),
            _VOCAB,
        ),
        arch="F5TTS_v1_Base",
        languages=("zh", "en"),
        license=_NC,
        commercial=False,
        note="Hash of the weights not known.",
    ),
    ModelSpec(
        id="F5TTS_Base",
        repo=_F5,
        revision=_F5_REVISION,
        files=(
            ModelFile(
                "weights",
                "F5TTS_Base/model_1200000.safetensors",
                1_348_645_281,
                "4180310f91d592cee4bc14998cd37c781f779cf105e8ca8744d9bd48ca7046ae",
            ),
            _VOCAB,
        ),
        arch="F5TTS_Base",
        languages=("zh", "en"),
        license=_NC,
        commercial=False,
    ),
    ModelSpec(
        id="E2TTS_Base",
        repo="SWivid/E2-TTS",
        revision="67a123c000395128b7410eb6566a6db3162e4687",
        files=(
            ModelFile(
                "weights",
                "E2TTS_Base/model_1200000.safetensors",
                1_334_133_985,
                "8a813cd26fd21b298734eece9474bfea842a585adff98d2bb89fd384b1c00ac7",
            ),
            _VOCAB,
        ),
        arch="E2TTS_Base",
        languages=("zh", "en"),
        license=_NC,
        commercial=False,
        note="Its repository holds no vocabulary; the one of F5TTS_v1_Base is pulled with it.",
    ),
    ModelSpec(
        id="silma-ar-en",
        repo="silma-ai/silma-tts",
        revision="226dd7a65cadf51f9a6dbe3953fc89003b3844d5",
        files=(
            ModelFile(
                "weights",
                "model.pt",
                2_603_209_272,
                "f43256d0b78b8803c638aed0875da5a4b372b4a784690a0156e5baff14f7336c",
            ),
            ModelFile("vocab", "vocab.txt"),
        ),
        arch="F5TTS_v1_Small",
        languages=("ar", "en"),
        license="Apache-2.0",
        commercial=True,
        note="Its own package adds vowel marks to Arabic text first; f5serve does not.",
    ),
    ModelSpec(
        id="finnish",
        repo="AsmoKoskinen/F5-TTS_Finnish_Model",
        revision=None,
        files=_community("model_common_voice_fi_vox_populi_fi_20241206.safetensors"),
        arch="F5TTS_Base",
        languages=("fi",),
        license=_NC,
        commercial=False,
        note="Revision and hashes not known.",
    ),
    ModelSpec(
        id="french",
        repo="RASPIAUDIO/F5-French-MixedSpeakers-reduced",
        revision=None,
        files=_community("model_last_reduced.pt"),
        arch="F5TTS_Base",
        languages=("fr",),
        license=_NC,
        commercial=False,
        note="Revision and hashes not known.",
    ),
    ModelSpec(
        id="german",
        repo="hvoss-techfak/F5-TTS-German",
        revision=None,
        files=_community("model_f5tts_german.pt"),
        arch="F5TTS_Base",
        languages=("de",),
        license=_NC,
        commercial=False,
        note="Revision and hashes not known.",
    ),
    ModelSpec(
        id="hindi",
        repo="SPRINGLab/F5-Hindi-24KHz",
        revision=None,
        files=_community("model_2500000.safetensors"),
        arch="F5TTS_Small",
        languages=("hi",),
        license="CC-BY-4.0",
        commercial=True,
        note="Revision and hashes not known. Attribution required.",
    ),
    ModelSpec(
        id="italian",
        repo="alien79/F5-TTS-italian",
        revision=None,
        files=_community("model_159600.safetensors"),
        arch="F5TTS_Base",
        languages=("it",),
        license=_NC,
        commercial=False,
        note="Revision and hashes not known.",
    ),
    ModelSpec(
        id="japanese",
        repo="Jmica/F5TTS",
        revision=None,
        files=_community("JA_21999120/model_21999120.pt", "JA_21999120/vocab_japanese.txt"),
        arch="F5TTS_Base",
        languages=("ja",),
        license=_NC,
        commercial=False,
        note="Revision and hashes not known.",
    ),
    ModelSpec(
        id="latvian",
        repo="RaivisDejus/F5-TTS-Latvian",
        revision=None,
        files=_community("model.safetensors"),
        arch="F5TTS_Base",
        languages=("lv",),
        license="CC0-1.0",
        commercial=True,
        note="Revision and hashes not known. Licence as its page states it.",
    ),
    ModelSpec(
        id="russian",
        repo="hotstone228/F5-TTS-Russian",
        revision=None,
        files=_community("model_last.safetensors"),
        arch="F5TTS_Base",
        languages=("ru",),
        license=_NC,
        commercial=False,
        note="Revision and hashes not known. Its page has also said CC-BY-NC-SA-4.0.",
    ),
    ModelSpec(
        id="spanish",
        repo="jpgallegoar/F5-Spanish",
        revision="a78d95747d046e1c1ed3d636e4141dee0a8a5c68",
        files=_community("model_1200000.safetensors"),
        arch="F5TTS_Base",
        languages=("es",),
        license=_NC,
        commercial=False,
        note="Hashes not known. Published as CC0-1.0 at first; its page says CC-BY-NC-4.0 since "
        "November 2024.",
    ),
    ModelSpec(
        id="openf5",
        repo="mrfakename/OpenF5-TTS-Base",
        revision=None,
        files=(),
        arch="F5TTS_v1_Base",
        languages=("en",),
        license="Apache-2.0",
        commercial=True,
        note="Revision, file names and hashes not known. Licence and architecture as its page "
        "states them.",
    ),
)


@dataclass(frozen=True, slots=True)
class Registry:
    """Models that can be asked for by name, and the vocoder they share."""

    models: tuple[ModelSpec, ...]
    vocoder: ModelSpec

    def get(self, model_id: str) -> ModelSpec:
        """The model, or the vocoder, of that name.

        Raises:
            ModelUnavailable: code UNKNOWN_MODEL, naming those that are spelled nearly so.
        """
        known = {spec.id: spec for spec in (*self.models, self.vocoder)}
        if model_id in known:
            return known[model_id]
        folded = {name.lower(): name for name in known}
        near = difflib.get_close_matches(model_id.lower(), folded, n=3, cutoff=0.5)
        hint = "`f5serve models list` shows all of them; F5_CKPT takes a file of your own."
        if near:
            hint = f"Nearest: {', '.join(folded[name] for name in near)}. {hint}"
        raise ModelUnavailable(
            f"There is no model called {model_id!r}.", code="UNKNOWN_MODEL", hint=hint
        )


PUBLISHED = Registry(MODELS, VOCODER)


def get(model_id: str) -> ModelSpec:
    """The published model, or the vocoder, of that name.

    Raises:
        ModelUnavailable: code UNKNOWN_MODEL, naming those that are spelled nearly so.
    """
    return PUBLISHED.get(model_id)


def check_license(spec: ModelSpec, require_commercial: bool) -> None:
    """Refuse a model whose licence forbids what this installation is for.

    Raises:
        ModelUnavailable: code LICENSE_FORBIDS.
    """
    if require_commercial and not spec.commercial:
        permitted = ", ".join(m.id for m in MODELS if m.commercial)
        raise ModelUnavailable(
            f"The licence of {spec.id}, {spec.license}, does not permit commercial use.",
            code="LICENSE_FORBIDS",
            hint=f"F5_REQUIRE_COMMERCIAL_LICENSE=1 is set. These may be used: {permitted}.",
        )
