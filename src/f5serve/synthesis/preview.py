"""A preview of a request: its words and utterances, before anything is synthesized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from f5serve.synthesis.script_request import script_parts
from f5serve.synthesis.speech_plan import Draft, SpeechPart, draft_parts, draft_warnings
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
        drafts: the words of each part; one where the text is no script.
        utterances: with the length of each, see `speech_s`.
        unspeakable: characters that the engine has no sound for; None while no engine is loaded.
        is_script: whether the text had tags.
    """

    drafts: Sequence[Draft]
    utterances: tuple[Utterance, ...]
    unspeakable: tuple[str, ...] | None
    is_script: bool = False

    @property
    def written(self) -> str:
        """The text as it was understood, without tags."""
        return " ".join(draft.spoken.written for draft in self.drafts)

    @property
    def shown(self) -> str:
        """The words for people."""
        return " ".join(draft.spoken.shown for draft in self.drafts)

    @property
    def language(self) -> str:
        """Of the first part whose language is known; "" if none is."""
        return next((one.spoken.language for one in self.drafts if one.spoken.language), "")

    @property
    def changes(self) -> list[Change]:
        """What is not spoken as it is written; places are in `written`."""
        found: list[Change] = []
        begin = 0
        for draft in self.drafts:
            for one in changes(draft.spoken):
                found.append(replace(one, start=one.start + begin, end=one.end + begin))
            begin += len(draft.spoken.written) + 1
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        return draft_warnings(self.drafts)


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
    drafts = draft_parts(request, lexicon, script)
    limit = engine.max_text_bytes if engine is not None else _UNLIMITED
    utterances = [
        one for draft in drafts for one in plan_spoken(draft.request, draft.spoken, limit, seed=0)
    ]
    unspeakable = None
    if engine is not None:
        unspeakable = tuple(engine.unspeakable("".join(one.spoken.mapped.text for one in drafts)))
    return TextPreview(drafts, tuple(utterances), unspeakable, bool(script))


def preview_as_dict(found: TextPreview) -> dict[str, Any]:
    """A preview as JSON, for the command line and POST /v1/text."""
    sources = [draft.part.source for draft in found.drafts] if found.is_script else []
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
