"""The voices of a script, from the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from f5serve.errors import InvalidRequest
from f5serve.synthesis.script_request import CastVoice
from f5serve.text.lexicon import Lexicon
from f5serve.types import Voice
from f5serve.voices.lexicons import LexiconLibrary
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import is_url


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

    def styles(self, voice: str) -> frozenset[str] | None:
        """As `VoiceNames.styles`; a request to the store for each name that is not cached.

        Raises:
            StorageFailed: the store's own code.
        """
        library = self.voices
        name = voice or self.speaker
        try:
            if voice and not library.exists(name):
                return None
            return frozenset() if is_url(name) else frozenset(library.styles(name))
        except InvalidRequest:  # no name of a voice
            return None

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
        return CastVoice(found, self.rules.over(own.lexicon), reading, own.warnings)
