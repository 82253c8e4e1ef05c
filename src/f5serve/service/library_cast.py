"""The voices of a script, from the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from f5serve.errors import InvalidRequest
from f5serve.synthesis.script_request import CastVoice
from f5serve.text.lexicon import Lexicon
from f5serve.types import Voice
from f5serve.voices.lexicons import LexiconLibrary
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import is_url

ASKED_ONE_BY_ONE = 8


@dataclass(frozen=True, slots=True)
class LibraryCast:
    """A `Cast` over the library.

    Attributes:
        speaker: name or URL of the request's voice.
        voice, lexicon: of the request.
        rules: of the request itself, which come before those of every voice.
        reading: the kinds of text normalization that are not used for texts in a voice.
    """

    voices: VoiceLibrary
    lexicons: LexiconLibrary
    speaker: str
    voice: Voice
    lexicon: Lexicon
    rules: Lexicon
    reading: Callable[[Voice], frozenset[str]]
    _asked: set[str] = field(default_factory=set)

    def styles(self, voice: str) -> frozenset[str] | None:
        """As `VoiceNames.styles`; a request to the store for each of the first names.

        Raises:
            StorageFailed: the store's own code.
        """
        name = voice or self.speaker
        try:
            if voice and not self._has(voice):
                return None
            return frozenset() if is_url(name) else frozenset(self.voices.styles(name))
        except InvalidRequest:  # no name of a voice
            return None

    def _has(self, voice: str) -> bool:
        """Whether there is such a voice. Lines may begin with any word and a colon: many names are
        looked up in a list, which may be some seconds old."""
        if len(self._asked) >= ASKED_ONE_BY_ONE:
            return self.voices.is_listed(voice)
        self._asked.add(voice)
        return self.voices.exists(voice)

    def similar(self, voice: str) -> Sequence[str]:
        return self.voices.similar_names(voice)

    def load(self, voice: str, style: str) -> CastVoice:
        """As `Cast.load`."""
        is_main = not voice and style in ("", self.voice.style)
        name = voice or self.speaker
        found = self.voice if is_main else self.voices.get(name, style)
        reading = self.reading(found)
        if not voice:
            return CastVoice(found, self.lexicon, reading)
        own = self.lexicons.for_voice(voice)
        return CastVoice(found, self.rules.over(own.lexicon), reading, warnings=own.warnings)
