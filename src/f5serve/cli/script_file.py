"""Script files: the TOML files of `f5-tts_infer-cli`, checked key by key.

TOML file -> ScriptFile -> options of `say`, and the voices of its text
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from f5serve.cli.toml_source import TomlSource, read_toml, shown
from f5serve.errors import InvalidRequest
from f5serve.synthesis.synthesizer import RANGES
from f5serve.text.script import MAIN

HUB = "hf://"
PACKAGE = "infer/examples/"
"""Part of the paths that upstream looks for in its own package."""

MAX_VOICES = 100
MAX_DURATION_S = 86_400

DEVICES = {"auto": "auto", "cpu": "cpu", "cuda": "cuda", "cuda:0": "cuda"}
NUMBERS = {
    "nfe_step": "nfe_step",
    "cfg_strength": "cfg_strength",
    "sway_sampling_coef": "sway_sampling_coef",
    "speed": "speed",
    "cross_fade_duration": "cross_fade_s",
}
"""Keys, and the options in whose ranges their values are."""

UNUSED = {
    "target_rms": (0.1, "the loudness of a reference is always evened to 0.1"),
    "load_vocoder_from_local": (False, "the vocoder is always a file of this machine"),
}
"""Keys that change nothing here: upstream's default, and why."""

TEXTS = (
    *("model", "ckpt_file", "vocab_file", "model_cfg", "ref_audio", "ref_text", "gen_text"),
    *("gen_file", "output_dir", "output_file", "vocoder_name", "device"),
)
FLAGS = ("save_chunk", "remove_silence", "no_legacy_text")
KEYS = (*TEXTS, *FLAGS, *NUMBERS, *UNUSED, "fix_duration", "voices")
VOICE_KEYS = ("ref_audio", "ref_text", "speed")

_NAMED = 5
_VOICE_NAME = re.compile(r"\w[\w.-]{0,63}")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VoiceEntry:
    """A voice of a script file: `[voices.NAME]`.

    Attributes:
        ref_text: transcript of the recording; "" if it is to be found or recognised.
        speed: None is that of the file.
    """

    name: str
    ref_audio: Path
    ref_text: str = ""
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """What a script file says; None and "" where it does not, or an option replaces it.

    Attributes:
        model: a name, e.g. F5TTS_v1_Base; of the architecture if there is a `ckpt_file`.
        model_cfg: as it is written; only the name of the file counts.
        ckpt_file, vocab_file: the path of a file that is there, or a URL that begins with hf://.
        ref_audio, ref_text: of the voice main.
        gen_file: the file that is spoken, in place of `gen_text`.
        fix_duration: seconds of reference and speech together.
        warnings: keys that are not used, and paths that could have meant two files.
    """

    source: TomlSource = field(repr=False)
    model: str = ""
    model_cfg: str = ""
    ckpt_file: str = ""
    vocab_file: str = ""
    ref_audio: Path | None = None
    ref_text: str = ""
    gen_text: str = ""
    gen_file: Path | None = None
    output_dir: str = ""
    output_file: str = ""
    save_chunk: bool = False
    remove_silence: bool | None = None
    cross_fade_duration: float | None = None
    nfe_step: int | None = None
    cfg_strength: float | None = None
    sway_sampling_coef: float | None = None
    speed: float | None = None
    fix_duration: float | None = None
    device: str = ""
    voices: tuple[VoiceEntry, ...] = ()
    warnings: tuple[str, ...] = ()


def read_script_file(path: Path, replaced: Collection[str] = ()) -> ScriptFile:
    """Read a script file.

    Args:
        replaced: keys in whose place there are options: neither read nor checked.

    Raises:
        InvalidRequest: BAD_SCRIPT_FILE, FILE_UNREADABLE.
    """
    return _Reader(read_toml(path), replaced).read()


class _Reader:
    """Reads the keys of a file, and collects what is to be said about it."""

    def __init__(self, source: TomlSource, replaced: Collection[str]) -> None:
        self._source = source
        self._replaced = replaced
        self._top = {key: v for key, v in source.document.items() if key not in replaced}
        self._warnings: list[str] = []

    def read(self) -> ScriptFile:
        self._warn_of_unknown(self._top, KEYS)
        self._warn_of_unused()
        self._check_vocoder()
        gen_file = self._text("gen_file")
        gen_text = "" if gen_file else self._text("gen_text")
        ref_audio = self._text("ref_audio")
        voices = self._voices(has_main=bool(ref_audio) or "ref_audio" in self._replaced)
        file = ScriptFile(
            source=self._source,
            model=self._text("model"),
            model_cfg=self._text("model_cfg"),
            ckpt_file=self._model_file("ckpt_file"),
            vocab_file=self._model_file("vocab_file"),
            ref_audio=self._path("ref_audio", ref_audio) if ref_audio else None,
            ref_text=self._text("ref_text").strip(),
            gen_text=gen_text,
            gen_file=self._path("gen_file", gen_file) if gen_file else None,
            output_dir=self._text("output_dir"),
            output_file=self._text("output_file"),
            save_chunk=bool(self._flag("save_chunk")),
            remove_silence=self._flag("remove_silence"),
            **{key: self._number(key, RANGES[option]) for key, option in NUMBERS.items()},
            fix_duration=self._duration(),
            device=self._device(),
            voices=voices,
            warnings=tuple(self._warnings),
        )
        if not (gen_file or gen_text.strip() or "gen_text" in self._replaced):
            raise InvalidRequest(
                f"{self._source.name} has no text to speak.",
                code="BAD_SCRIPT_FILE",
                hint="Give it gen_text or gen_file, or the command TEXT.",
            )
        return file

    def _voices(self, has_main: bool) -> tuple[VoiceEntry, ...]:
        tables = self._value("voices", dict, "a table: [voices.NAME]") or {}
        if len(tables) > MAX_VOICES:
            raise self._error(
                "voices", f"has {len(tables)} voices", f"It takes {MAX_VOICES} at most."
            )
        if not has_main and MAIN not in tables:
            self._warnings.append(
                f"{self._source.name} has no ref_audio: the voice main is the default voice."
            )
        entries: dict[str, VoiceEntry] = {}
        for name, table in tables.items():
            if name == MAIN:
                self._check_main(has_main)
                continue
            entry = self._voice(name, table)
            same = entries.setdefault(name.casefold(), entry)
            if same is not entry:
                what = f"has the voices {same.name} and {name}, which differ in case alone"
                raise self._error("voices", what, "Give one of them another name.")
        return tuple(entries.values())

    def _check_main(self, has_main: bool) -> None:
        if not has_main:
            raise self._error(
                *("voices", "names main, but there is no ref_audio at the top of the file"),
                "The voice main is ref_audio and ref_text before all [tables]: move them there.",
            )
        self._warnings.append(
            "voices.main is not used: ref_audio at the top of the file is the voice main."
        )

    def _voice(self, name: str, table: Any) -> VoiceEntry:
        where = ("voices", name)
        if not _VOICE_NAME.fullmatch(name):
            what = f"has a voice called {shown(name)}"
            raise self._error("voices", what, "Use up to 64 letters, digits, _, - and .")
        if not isinstance(table, dict):
            what = f"is {shown(table)}, not a table"
            raise self._error(name, what, f"Write [voices.{name}], then its keys.", ("voices",))
        self._warn_of_unknown(table, VOICE_KEYS, f"voices.{name}.")
        ref_audio = self._text("ref_audio", where, table)
        if not ref_audio:
            raise InvalidRequest(
                f"{self._source.name}: voices.{name} has no ref_audio.",
                code="BAD_SCRIPT_FILE",
                hint="Each voice needs a recording: ref_audio = 'FILE'.",
            )
        return VoiceEntry(
            name=name,
            ref_audio=self._path("ref_audio", ref_audio, where),
            ref_text=self._text("ref_text", where, table).strip(),
            speed=self._number("speed", RANGES["speed"], where, table),
        )

    # -- values

    def _value(
        self,
        key: str,
        kind: type[T],
        called: str,
        where: tuple[str, ...] = (),
        table: dict[str, Any] | None = None,
    ) -> T | None:
        value = (self._top if table is None else table).get(key)
        if value is None or isinstance(value, kind):
            return value
        raise self._error(key, f"is {shown(value)}", f"It takes {called}.", where)

    def _text(
        self, key: str, where: tuple[str, ...] = (), table: dict[str, Any] | None = None
    ) -> str:
        return self._value(key, str, "text in quotes", where, table) or ""

    def _flag(self, key: str) -> bool | None:
        return self._value(key, bool, "true or false")

    def _number(
        self,
        key: str,
        bounds: tuple[float, float],
        where: tuple[str, ...] = (),
        table: dict[str, Any] | None = None,
    ) -> Any:
        value: Any = self._value(key, object, "", where, table)
        if value is None:
            return None
        low, high = bounds
        kinds, kind = ((int,), "a whole number") if key == "nfe_step" else ((int, float), "numbers")
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if not (is_number and low <= value <= high):  # not a number is neither more nor less
            hint = f"It takes {kind} from {low:g} to {high:g}."
            raise self._error(key, f"is {shown(value)}", hint, where)
        return value if key == "nfe_step" else float(value)

    def _duration(self) -> float | None:
        value: Any = self._value("fix_duration", object, "")
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value <= MAX_DURATION_S):
            hint = "It takes seconds, those of the reference included."
            raise self._error("fix_duration", f"is {shown(value)}", hint)
        return float(value)

    def _device(self) -> str:
        device = self._text("device")
        if device and device not in DEVICES:
            hint = "It takes cpu, cuda or auto; --device of the command goes before it."
            raise self._error("device", f"is {shown(device)}", hint)
        return DEVICES.get(device, "")

    def _check_vocoder(self) -> None:
        name = self._text("vocoder_name")
        if name not in ("", "vocos"):
            hint = "Only vocos is there, which all models but F5TTS_Base_bigvgan use."
            raise self._error("vocoder_name", f"is {shown(name)}", hint)

    def _model_file(self, key: str) -> str:
        text = self._text(key)
        return text if not text or text.startswith(HUB) else str(self._path(key, text))

    def _path(self, key: str, text: str, where: tuple[str, ...] = ()) -> Path:
        """The file of that name beside the script file, else in the working folder."""
        beside, here = self._source.path.parent / text, Path(text)
        found = [path for path in (beside, here) if _is_file(path)]
        if not found:
            hint = "Files are looked for beside the script file, then in the working folder."
            if PACKAGE in text.replace("\\", "/"):
                hint = f"It is part of the f5-tts package: copy it beside {self._source.name}."
            raise self._error(key, f"is {shown(text)}, and there is no such file", hint, where)
        if len(found) > 1 and not beside.samefile(here):
            self._warnings.append(
                f"{'.'.join((*where, key))} is the file {shown(text)} beside {self._source.name},"
                " not the one in the working folder."
            )
        return found[0]

    # -- what is not used

    def _warn_of_unknown(
        self, table: dict[str, Any], known: Collection[str], prefix: str = ""
    ) -> None:
        unknown = [key for key in table if key not in known]
        for key in unknown[:_NAMED]:
            near = difflib.get_close_matches(key[:64], known, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            self._warnings.append(f"{prefix}{key[:64]} is an unknown key, not used.{meant}")
        if len(unknown) > _NAMED:
            self._warnings.append(f"{len(unknown) - _NAMED} more unknown keys are not used.")

    def _warn_of_unused(self) -> None:
        for key, (default, why) in UNUSED.items():
            value = self._top.get(key, default)
            if value != default:
                self._warnings.append(f"{key} = {shown(value)} is not used: {why}.")

    def _error(self, key: str, what: str, hint: str, where: tuple[str, ...] = ()) -> InvalidRequest:
        return self._source.error(key, what, hint, where)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False
