"""Chapters of books as jobs: a tts job whose text lies in the store, with a voice for each speaker.

A chapter's job id follows from all that was asked, so one that is done is never done again, and a
changed one is another job. Its utterances are kept with the book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr
from pydantic.json_schema import SkipJsonSchema

from f5serve.books.limits import MAX_CHAPTERS
from f5serve.books.model import Block
from f5serve.books.sentences import MAX_TAKE, ChapterReading, Pauses, chapter_script
from f5serve.service.book_records import MAX_TAKES, jobs_start, utterances_start
from f5serve.service.book_store import BookStore
from f5serve.service.fields import Flag, Name, lower, whole, within
from f5serve.service.request_errors import MAX_PAUSE_S, MAX_SPEAKERS
from f5serve.service.requests import TTSRequest
from f5serve.synthesis.script_request import Cast, CastScript, CastVoice, ScriptSyntax, cast_script
from f5serve.text.clean import empty_text
from f5serve.types import AudioFormat, SamplingOptions, SpeechRequest, Voice

CHAPTER = "chapter"
"""The operation."""

FORMAT: AudioFormat = "flac"
"""Lossless: files of a book are made of it, in any format."""

Seconds = Annotated[float, Field(ge=0, le=MAX_PAUSE_S, strict=True, allow_inf_nan=False)]
Take = Annotated[int, Field(ge=1, le=MAX_TAKE, strict=True)]
Seed = Annotated[str, Field(pattern=r"^[0-9]{1,10}$", strict=True)]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", strict=True)]


class Speaker(BaseModel):
    """Who speaks for a name in a book."""

    model_config = ConfigDict(extra="forbid")

    voice: Name | None = Field(None, description="Of the library; without it that of the book.")
    style: Name | None = None
    speed: Annotated[float, within("speed")] | None = None


class PauseFields(BaseModel):
    """Silence between the parts of a book."""

    sentence_pause: Seconds | None = Field(
        None, description="Seconds of silence behind a sentence; 0.35 without it."
    )
    paragraph_pause: Seconds | None = Field(None, description="Behind a paragraph; 0.75.")
    heading_pause: Seconds | None = Field(None, description="Behind a heading; 1.2.")
    chapter_pause: Seconds | None = Field(None, description="At the end of a chapter; 2.")

    def pauses(self) -> Pauses:
        """As the sentences of a chapter are given them."""
        given = {
            "sentence_s": self.sentence_pause,
            "paragraph_s": self.paragraph_pause,
            "heading_s": self.heading_pause,
            "chapter_s": self.chapter_pause,
        }
        return Pauses(**{name: value for name, value in given.items() if value is not None})


CastFields = Annotated[dict[str, Speaker], Field(max_length=MAX_SPEAKERS)]


class ChapterRequest(TTSRequest, PauseFields):
    """A chapter of a book: the fields of the chapter operation.

    Attributes:
        revision: of its blocks, as the book's record has it.
        revisions: of voices and rules that it is to be spoken with; they decide the job's id.
        retakes: by the seed that a sentence had first, which take of it is spoken.
    """

    max_attempts: ClassVar[int] = 100  # each goes on where the one before was interrupted

    book: Name
    chapter: Annotated[int, Field(ge=1, le=MAX_CHAPTERS, strict=True), BeforeValidator(whole)]
    revision: Revision
    speakers: CastFields | None = None
    revisions: Annotated[dict[str, Name], Field(max_length=2 * MAX_SPEAKERS)] | None = None
    retakes: Annotated[dict[Seed, Take], Field(max_length=MAX_TAKES)] | None = None
    book_seed: Annotated[int, within("seed")] = 0
    endpoint: SkipJsonSchema[Annotated[Literal["chapter"], BeforeValidator(lower)] | None] = None  # type: ignore[assignment]
    text: SkipJsonSchema[Annotated[str, BeforeValidator(lambda value: value or "")]] = ""
    markup: SkipJsonSchema[Name | None] = None  # type: ignore[assignment]
    ssml: SkipJsonSchema[Flag | None] = None
    duration_s: SkipJsonSchema[float | None] = None
    takes: SkipJsonSchema[int | None] = None

    _blocks: tuple[Block, ...] = PrivateAttr(default=())

    @property
    def format(self) -> AudioFormat:
        return FORMAT

    @property
    def kept_under(self) -> str:
        """As `TTSRequest.kept_under`."""
        return utterances_start(self.book)

    @property
    def job_id(self) -> str:
        """Under which it is spoken."""
        return f"{jobs_start(self.book)}{self.chapter}-{self.sha256[:16]}"

    def load(self, books: BookStore) -> None:
        """Read the blocks of the chapter; blocks.

        Raises:
            F5Error: BOOK_PAUSED; EMPTY_TEXT; as `BookStore.blocks`.
        """
        books.check_running(self.book)
        title, self._blocks = books.blocks(self.book, self.revision)
        script = chapter_script(self._blocks, ChapterReading())
        self.text = " ".join(part.text.text for part in script.parts).strip()
        if not self.text:
            raise empty_text()
        self._about = f"{self.chapter}. {title}"

    def prepare(
        self,
        defaults: SamplingOptions,
        max_text_chars: int,
        quick_start: bool = False,
        verify: bool = False,
        normalize: str = "",
    ) -> ChapterRequest:
        """As `TTSRequest.prepare`, after `load`; a chapter may be longer than other texts."""
        self._defaults, self._verify, self._normalize = defaults, verify, normalize
        return self

    def syntax(self, speed: float) -> ScriptSyntax:
        """Tags are read where there are speakers only."""
        return ScriptSyntax("auto" if self.speakers else "off")

    def cast(self, cast: Cast) -> CastScript:
        """As `TTSRequest.cast`."""
        speakers = {name.lower(): one for name, one in (self.speakers or {}).items()}
        own = _BookCast(cast, speakers)
        reading = ChapterReading(
            self.pauses(),
            self.book_seed,
            self.language or "",
            own if speakers else None,
            {int(seed): take for seed, take in (self.retakes or {}).items()},
        )
        return cast_script(chapter_script(self._blocks, reading), own)

    def speech_request(self, voice: Voice) -> SpeechRequest:
        """As `TTSRequest.speech_request`."""
        return replace(super().speech_request(voice), skip_unspeakable=True)


@dataclass(frozen=True, slots=True)
class _BookCast:
    """A `Cast` with the names of a book before those of the library."""

    library: Cast
    speakers: Mapping[str, Speaker]

    def styles(self, voice: str) -> frozenset[str] | None:
        """As `VoiceNames.styles`."""
        speaker = self.speakers.get(voice.lower())
        return self.library.styles(voice if speaker is None else speaker.voice or "")

    def similar(self, voice: str) -> Sequence[str]:
        """As `VoiceNames.similar`."""
        return self.library.similar(voice)

    def load(self, voice: str, style: str) -> CastVoice:
        """As `Cast.load`."""
        speaker = self.speakers.get(voice.lower()) if voice else None
        if speaker is None:
            return self.library.load(voice, style)
        found = self.library.load(speaker.voice or "", style or speaker.style or "")
        return found if speaker.speed is None else replace(found, speed=speaker.speed)
