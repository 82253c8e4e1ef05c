"""Reads and checks the fields of a request; what is not understood is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, cast

from f5serve.alignment.subtitles import FORMATS, SubtitleFormat
from f5serve.audio.encode import MEDIA_TYPES
from f5serve.errors import InvalidRequest
from f5serve.jobs.records import sha256_of
from f5serve.store.json_documents import is_sendable
from f5serve.synthesis.synthesizer import RANGES
from f5serve.text.normalize import clean_text
from f5serve.types import AudioFormat, SamplingOptions, SpeechRequest, Voice
from f5serve.voices.names import is_url
from f5serve.voices.records import Consent

TIMING_FORMATS = FORMATS
DEFAULT_VOICE = "default"
MAX_NAME_CHARS = 4_096
"""Longest text in fields for names and URLs."""

MAX_REF_TEXT_CHARS = 10_000
MAX_TIMEOUT_S = 3600
MAX_JOB_ID_CHARS = 512
_DELIVERY = frozenset({"endpoint", "mode", "return_audio", "timeout_s"})
"""Fields that say how an answer is wanted, not what is sent."""

ABOUT_CHARS = 120
"""Of a text, where only its beginning is told."""

_SHOWN_CHARS = 40
_WARNED = 5
"""Fields that are not known, in the warnings of one answer."""


@dataclass(frozen=True, slots=True)
class TTSRequest:
    """A tts request whose fields are valid.

    Attributes:
        text: clean, as it will be spoken.
        voice: name or URL; `ref_text` and `consent` belong to a URL.
        model: id that was asked for, or "".
        returns_audio: whether the audio is wanted in the response, as base64.
        is_async: whether it is to be queued rather than done now.
        timeout_s: how long it may take, or None.
        sha256: of everything that was asked for, as it was sent.
        raw_fields: the request as it was sent, as JSON; of unknown fields only the names.
    """

    text: str
    voice: str
    ref_text: str
    consent: Consent | None
    options: SamplingOptions
    format: AudioFormat
    cross_fade_s: float
    remove_silence: bool
    quick_start: bool
    verify: bool
    model: str
    word_timings: bool
    timing_formats: tuple[SubtitleFormat, ...]
    returns_audio: bool
    is_async: bool
    timeout_s: int | None
    sha256: str
    raw_fields: Mapping[str, Any]
    warnings: tuple[str, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """What people tell a job by while it has no result."""
        voice = self.voice if not is_url(self.voice) else "url"
        return {"text": self.text[:ABOUT_CHARS], "voice": voice, "format": self.format}

    def speech_request(self, voice: Voice) -> SpeechRequest:
        """What `Synthesizer` is asked for."""
        return SpeechRequest(
            text=self.text,
            voice=voice,
            options=self.options,
            format=self.format,
            cross_fade_s=self.cross_fade_s,
            remove_silence=self.remove_silence,
            quick_start=self.quick_start,
            time_words=self.word_timings or bool(self.timing_formats),
            verify=self.verify,
        )

    def identity(self, voice: Voice) -> dict[str, Any]:
        """All that decides how the answer will sound and look."""
        return {
            "text": self.text,
            "voice": voice.revision,
            "options": asdict(self.options),
            "format": self.format,
            "cross_fade_s": self.cross_fade_s,
            "remove_silence": self.remove_silence,
            "quick_start": self.quick_start,
            "word_timings": self.word_timings,
            "timing_formats": list(self.timing_formats),
        }


class Fields:
    """Typed access to the fields of a request; null counts as absent.

    All methods raise InvalidRequest, code BAD_OPTION, naming the field, its value and what it
    takes.
    """

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload
        self.known: dict[str, Any] = {}

    def text(self, name: str, default: str = "", max_chars: int = MAX_NAME_CHARS) -> str:
        """A string of at most `max_chars` characters."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > max_chars:
            raise bad_option(name, value, f"a text of at most {max_chars:,} characters")
        return check_encodable(name, value)

    def any_text(self, name: str) -> str:
        """A string, for somebody else to judge; "" when absent."""
        value = self._take(name)
        if value is not None and not isinstance(value, str):
            raise bad_option(name, value, "a text")
        return value or ""

    def number(self, name: str, default: float) -> float:
        """A number within `speech.RANGES`."""
        value = self._take(name)
        if value is None:
            return default
        low, high = RANGES[name]
        if not _is_number(value) or not low <= value <= high:
            raise bad_option(name, value, f"{low:g} to {high:g}")
        return float(value)

    def whole(self, name: str, between: tuple[float, float] | None = None) -> int | None:
        """A whole number within `between`, else `speech.RANGES`, or None when absent."""
        value = self._take(name)
        low, high = between or RANGES[name]
        if value is None:
            return None
        if not _is_number(value) or value != int(value) or not low <= value <= high:
            raise bad_option(name, value, f"a whole number from {low:.0f} to {high:.0f}")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise bad_option(name, value, "true or false")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of `choices`."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str) or value.lower() not in choices:
            raise bad_option(name, value, _list(choices))
        return value.lower()

    def choices(self, name: str, choices: Sequence[str]) -> tuple[str, ...]:
        """One of `choices` or a list of them; each once."""
        value = self._take(name)
        given = value if isinstance(value, list) else [] if value is None else [value]
        if len(given) > len(choices):
            raise bad_option(name, value, f"one or a list of {_list(choices)}")
        for item in given:
            if not isinstance(item, str) or item.lower() not in choices:
                raise bad_option(name, item, f"one or a list of {_list(choices)}")
        return tuple(dict.fromkeys(item.lower() for item in given))

    def object(self, name: str) -> Mapping[str, Any] | None:
        """A JSON object, or None when absent."""
        value = self._take(name)
        if value is not None and not isinstance(value, Mapping):
            raise bad_option(name, value, "an object")
        return value

    def unknown(self) -> list[str]:
        """The first names that were sent and never asked for, cut where they are long."""
        names = (str(name) for name in self._payload if name not in self.known)
        return [_plain(name[:_SHOWN_CHARS]) for name in islice(names, _WARNED)]

    def sent(self) -> dict[str, Any]:
        """What was sent and asked for."""
        return {name: value for name, value in self.known.items() if value is not None}

    def _take(self, name: str) -> Any:
        value = self._payload.get(name)
        self.known[name] = value
        return value


def parse_tts(
    payload: Mapping[str, Any],
    defaults: SamplingOptions,
    max_text_chars: int,
    quick_start: bool = False,
    verify: bool = False,
) -> TTSRequest:
    """The request for speech in a job's input.

    Args:
        quick_start, verify: whether to do so where the request does not say.

    Raises:
        InvalidRequest: BAD_OPTION; EMPTY_TEXT "Text input is required."; or one of `clean_text`.
    """
    fields = Fields(payload)
    # Length and half pairs are for clean_text to refuse, with words of its own.
    text = clean_text(fields.any_text("text"), max_text_chars)
    fields.choice("endpoint", ["tts"], "tts")
    voice = _voice(fields)
    options = SamplingOptions(
        nfe_step=fields.whole("nfe_step") or defaults.nfe_step,
        cfg_strength=fields.number("cfg_strength", defaults.cfg_strength),
        sway_sampling_coef=fields.number("sway_sampling_coef", defaults.sway_sampling_coef),
        speed=fields.number("speed", defaults.speed),
        seed=fields.whole("seed"),
    )
    fields.text("timing_method")  # of older clients; there is one method
    # Read in the order written: what is left over, and the hash, come last.
    return TTSRequest(
        text=text,
        voice=voice,
        options=options,
        format=cast(AudioFormat, fields.choice("response_format", list(MEDIA_TYPES), "wav")),
        cross_fade_s=fields.number("cross_fade_s", 0.15),
        remove_silence=fields.flag("remove_silence", False),
        quick_start=fields.flag("quick_start", quick_start),
        verify=fields.flag("verify", verify),
        consent=parse_consent(fields),
        ref_text=fields.text("ref_text", max_chars=MAX_REF_TEXT_CHARS),
        model=fields.text("model"),
        word_timings=fields.flag("return_word_timings", True),
        timing_formats=_timing_formats(fields, payload),
        returns_audio=fields.choice("return_audio", ["url", "base64"], "url") == "base64",
        is_async=fields.choice("mode", ["sync", "async"], "sync") == "async",
        timeout_s=fields.whole("timeout_s", (1, MAX_TIMEOUT_S)),
        warnings=tuple(f"The field {name!r} is not known." for name in fields.unknown()),
        sha256=_request_sha256(fields.sent(), voice),
        raw_fields={**fields.sent(), **dict.fromkeys(fields.unknown())},
    )


def _timing_formats(fields: Fields, payload: Mapping[str, Any]) -> tuple[SubtitleFormat, ...]:
    """Files of word times; srt for older clients, who ask for the times themselves alone."""
    formats = cast(tuple[SubtitleFormat, ...], fields.choices("timing_format", TIMING_FORMATS))
    return formats or (("srt",) if payload.get("return_word_timings") is True else ())


def parse_consent(fields: Fields) -> Consent | None:
    """That the person who is heard agrees: {by, attested, at, statement_sha256}."""
    given = fields.object("consent")
    if given is None:
        return None
    inner = Fields(given)
    consent = Consent(
        by=inner.text("by"),
        attested=inner.flag("attested", True),
        at=inner.text("at"),
        statement_sha256=inner.text("statement_sha256"),
    )
    # What else it holds was not looked at and may be no JSON, such as an infinite number.
    fields.known["consent"] = inner.sent()
    return consent


def check_job_id(job_id: str) -> str:
    """`job_id`, if a record can hold it.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    if len(job_id) > MAX_NAME_CHARS:
        raise bad_option("job_id", job_id, f"a text of at most {MAX_NAME_CHARS:,} characters")
    return check_encodable("job_id", job_id)


def check_encodable(name: str, value: str) -> str:
    """`value`, if it can be written down: half of a surrogate pair is no character.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    if is_sendable(value):
        return value
    raise bad_option(name, value, "text without halves of surrogate pairs, which are no characters")


def _plain(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def bad_option(name: str, value: Any, takes: str) -> InvalidRequest:
    """The error for a field that cannot be used."""
    shown = repr(value)
    if len(shown) > _SHOWN_CHARS:
        shown = shown[:_SHOWN_CHARS] + "..."
    return InvalidRequest(f"{name} is {shown}.", code="BAD_OPTION", hint=f"It takes {takes}.")


def _voice(fields: Fields) -> str:
    local, alias = fields.text("local_voice"), fields.text("voice")
    if local and alias and local != alias:
        raise bad_option("voice", alias, "the same value as local_voice, or leave one of them out")
    return local or alias or DEFAULT_VOICE


def _request_sha256(sent: dict[str, Any], voice: str) -> str:
    """Hash of what was sent. Defaults are left out: they may differ between two workers."""
    for name in (*_DELIVERY, "local_voice", "timing_method"):
        sent.pop(name, None)
    return sha256_of({**sent, "voice": voice})


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}" if len(names) > 1 else names[0]
