"""A preview of a request: its words and utterances, before anything is synthesized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from f5serve.synthesis.script_request import script_parts
from f5serve.synthesis.speech_plan import PartRequest, SpeechPart, part_requests, reading_warnings
from f5serve.synthesis.spoken_request import plan_spoken, speech_s
from f5serve.text.lexicon import Lexicon
from f5serve.text.pinyin import show_pinyin
from f5serve.text.spoken import Change, changes
from f5serve.types import Engine, SpeechRequest, Utterance

_UNLIMITED = 1 << 30
"""Bytes of an utterance while no engine is loaded that has a limit of its own."""


@dataclass(frozen=True, slots=True)
class TextPreview:
    """What a request would speak.

    Attributes:
        requests: the words of each part; one where the text is no script.
        utterances: with the length of each, see `speech_s`.
        unspeakable: characters that the engine has no sound for; None while no engine is loaded.
        is_script: whether the text had tags.
    """

    requests: Sequence[PartRequest]
    utterances: tuple[Utterance, ...]
    unspeakable: tuple[str, ...] | None
    is_script: bool = False

    @property
    def written(self) -> str:
        """The text as it was understood, without tags."""
        return " ".join(part.spoken.written for part in self.requests)

    @property
    def shown(self) -> str:
        """The words for people."""
        return " ".join(part.spoken.shown for part in self.requests)

    @property
    def language(self) -> str:
        """Of the first part whose language is known; "" if none is."""
        return next((one.spoken.language for one in self.requests if one.spoken.language), "")

    @property
    def changes(self) -> list[Change]:
        """What is not spoken as it is written; places are in `written`."""
        found: list[Change] = []
        begin = 0
        for part in self.requests:
            for one in changes(part.spoken):
                found.append(replace(one, start=one.start + begin, end=one.end + begin))
            begin += len(part.spoken.written) + 1
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        return reading_warnings(self.requests)


def preview(
    request: SpeechRequest,
    engine: Engine | None = None,
    lexicon: Lexicon | None = None,
    script: Sequence[SpeechPart] = (),
) -> TextPreview:
    """What would be spoken for a request with clean text, or for a script.

    Raises:
        InvalidRequest: BAD_PINYIN.
    """
    requests = part_requests(request, lexicon, script)
    limit = engine.max_text_bytes if engine is not None else _UNLIMITED
    utterances = [
        one for part in requests for one in plan_spoken(part.request, part.spoken, limit, seed=0)
    ]
    unspeakable = None
    if engine is not None:
        unspeakable = tuple(engine.unspeakable("".join(one.spoken.mapped.text for one in requests)))
    return TextPreview(requests, tuple(utterances), unspeakable, bool(script))


def preview_as_dict(found: TextPreview) -> dict[str, Any]:
    """A preview as JSON, for the command line and POST /v1/text."""
    sources = [part.part.source for part in found.requests] if found.is_script else []
    return {
        "text": found.written,
        "language": found.language or None,
        "spoken_text": found.shown,
        "changes": [asdict(change) for change in found.changes],
        "parts": script_parts(sources),
        "utterances": [
            {"text": show_pinyin(one.text), "duration": round(speech_s(one), 2)}
            for one in found.utterances
        ],
        "unspeakable": None if found.unspeakable is None else list(found.unspeakable),
        "warnings": list(found.warnings),
    }
