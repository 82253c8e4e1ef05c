"""Records of books in the store, and the keys under which their parts lie.

    books/_records/<id>.json             what it is, how it is spoken, its chapters and their jobs
    books/<id>/source.<kind>             the file as it was sent
    books/<id>/cover.<png|jpg>           its picture
    books/<id>/chapters/<sha32>.json     the blocks of a chapter; content is in the name
    books/<id>/utterances/<sha32>.bin    what was spoken, see `jobs/checkpoints.py`
    books/<id>/takes.json                takes of sentences: how many, and which is spoken
    books/<id>/paused.json               no chapter is begun while it is there

What lies in a store is untrusted input: `jobs/schema.py` says what a record must be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from f5serve.books.limits import MAX_CHAPTERS
from f5serve.books.model import Anchor, Block, Book
from f5serve.books.sentences import MAX_TAKE
from f5serve.errors import InvalidRequest
from f5serve.jobs.records import SCHEMA, sha256_of
from f5serve.jobs.schema import (
    MAX_BYTES,
    MAX_TIME_S,
    Check,
    Object,
    flag,
    list_of,
    map_of,
    matching,
    number,
    text,
    whole,
)
from f5serve.store.json_documents import canonical_json

RECORDS = "books/_records/"
MAX_RECORD_BYTES = 16_000_000
"""Of a book of 20,000 chapters."""

MAX_CHAPTER_BYTES = 32_000_000
MAX_TAKES = 10_000
"""Sentences of a book that were asked for anew."""

_SLUG_CHARS = 40
_BOOK_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]|[a-z0-9]")
_SHORT = text(4_096)
_SHA256 = matching(r"[0-9a-f]{64}", "SHA-256")


@dataclass(frozen=True, slots=True)
class ChapterRecord:
    """A chapter of a book.

    Attributes:
        number, title, level, chars, language: as of `books.model.Chapter`.
        spoken: whether it is to be spoken.
        revision: sha256 of its blocks; "" for one that is not spoken.
        job_id: of the job that speaks it; "" before that is known.
    """

    number: int
    title: str
    chars: int
    level: int = 1
    language: str = ""
    spoken: bool = True
    reason: str = ""
    revision: str = ""
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class BookRecord:
    """A book that is spoken.

    Attributes:
        source: key of its file in the store.
        cover: key of its picture; "" without one.
        options: how it is spoken, as `BookFields` were sent.
        voices: names of all voices that it was ever spoken in, in lower case.
        updated_at: by the clock of the store, seconds since 1970.
    """

    book_id: str
    title: str
    kind: str
    source: str
    sha256: str
    authors: tuple[str, ...] = ()
    language: str = ""
    identifier: str = ""
    date: str = ""
    cover: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    voices: tuple[str, ...] = ()
    chapters: tuple[ChapterRecord, ...] = ()
    updated_at: float = 0.0

    @property
    def spoken(self) -> tuple[ChapterRecord, ...]:
        """The chapters that are to be spoken."""
        return tuple(chapter for chapter in self.chapters if chapter.spoken)


_CHAPTER = Object(
    {
        "number": whole(1, MAX_CHAPTERS),
        "title": _SHORT,
        "chars": whole(0, MAX_BYTES),
        "level": whole(0, 100),
        "language": _SHORT,
        "spoken": flag,
        "reason": _SHORT,
        "revision": matching(r"(?:[0-9a-f]{64})?", "SHA-256"),
        "job_id": text(128),
    },
    frozenset({"number", "title", "chars"}),
)
BOOK = Object(
    {
        "book_id": matching(_BOOK_ID.pattern, "id of a book"),
        "title": _SHORT,
        "kind": _SHORT,
        "source": _SHORT,
        "sha256": _SHA256,
        "authors": list_of(_SHORT, most=1_000),
        "language": _SHORT,
        "identifier": _SHORT,
        "date": _SHORT,
        "cover": _SHORT,
        "options": Object({}),
        "voices": list_of(_SHORT, most=10_000),
        "chapters": list_of(_CHAPTER, most=MAX_CHAPTERS),
        "updated_at": number(0.0, MAX_TIME_S),
    },
    frozenset({"book_id", "title", "kind", "source", "sha256", "chapters"}),
)
_BLOCK = Object(
    {
        "kind": _SHORT,
        "text": text(1 << 24),
        "file": _SHORT,
        "place": _SHORT,
        "language": _SHORT,
        "level": whole(0, 100),
    },
    frozenset({"kind", "text", "file", "place"}),
)
CHAPTER_BLOCKS = Object(
    {"title": _SHORT, "blocks": list_of(_BLOCK, most=1_000_000)}, frozenset({"blocks"})
)
_NUMBER = re.compile(r"[0-9]{1,10}")


def _by_number(check: Check, most: int) -> Check:
    """An object whose names are whole numbers, and whose values pass `check`."""
    values = map_of(check, most)

    def judge(value: Any) -> str:
        return values(value) or (
            "" if all(map(_NUMBER.fullmatch, value)) else "has a name that is no number"
        )

    return judge


_TAKE = _by_number(whole(1, MAX_TAKE), MAX_TAKES)
_TAKES = _by_number(_TAKE, MAX_CHAPTERS)
TAKES = Object({"takes": _TAKES, "made": _TAKES}, frozenset({"takes"}))


def check_book_id(book_id: str) -> str:
    """`book_id`, if it is one.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    if _BOOK_ID.fullmatch(book_id):
        return book_id
    raise InvalidRequest(
        f"book_id is {book_id[:60]!r}.",
        code="BAD_OPTION",
        hint="It takes 1 to 64 small letters, digits and hyphens, none at the ends.",
    )


def book_id_of(book: Book) -> str:
    """An id for a book that has none: the same for each edition of it."""
    plain = unicodedata.normalize("NFKD", book.title.lower()).encode("ascii", "ignore").decode()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))[:_SLUG_CHARS].strip("-")
    digest = sha256_of([book.title, book.authors, book.identifier])[:8]
    return f"{slug}-{digest}" if slug else digest


def book_not_found(book_id: str) -> InvalidRequest:
    """The error for a book that is not there; code BOOK_NOT_FOUND."""
    return InvalidRequest(
        f"There is no book {book_id[:64]!r}.",
        code="BOOK_NOT_FOUND",
        hint="List the books, or send it again.",
    )


def record_key(book_id: str) -> str:
    """Key of the record of a book."""
    return f"{RECORDS}{check_book_id(book_id)}.json"


def folder_of(book_id: str) -> str:
    """What all other keys of a book begin with."""
    return f"books/{check_book_id(book_id)}/"


def chapter_key(book_id: str, revision: str) -> str:
    """Key of the blocks of a chapter."""
    return f"{folder_of(book_id)}chapters/{revision[:32]}.json"


def utterances_start(book_id: str) -> str:
    """What the keys of all utterances of a book begin with."""
    return f"{folder_of(book_id)}utterances/"


def jobs_start(book_id: str) -> str:
    """What the ids of all jobs of a book begin with."""
    return f"book-{sha256_of(book_id)[:16]}-"


def encode_book(record: BookRecord) -> bytes:
    """A record as bytes."""
    return canonical_json({"schema": SCHEMA, **asdict(record)})


def decode_book(record: Mapping[str, Any]) -> BookRecord:
    """A record that `BOOK` has passed."""
    names = BookRecord.__slots__
    given = {name: record[name] for name in names if name in record}
    known = ChapterRecord.__slots__
    chapters = tuple(
        ChapterRecord(**{name: one[name] for name in known if name in one})
        for one in record["chapters"]
    )
    lists = {name: tuple(given.get(name, ())) for name in ("authors", "voices")}
    return BookRecord(**{**given, **lists, "chapters": chapters})


def encode_blocks(title: str, blocks: Sequence[Block]) -> bytes:
    """The blocks of a chapter as bytes, whose sha256 is its revision."""
    return canonical_json({"title": title, "blocks": [_block_as_dict(block) for block in blocks]})


def _block_as_dict(block: Block) -> dict[str, Any]:
    return {
        "kind": block.kind,
        "text": block.text,
        "file": block.anchor.file,
        "place": block.anchor.place,
        "language": block.language,
        "level": block.level,
    }


def decode_blocks(record: Mapping[str, Any]) -> tuple[Block, ...]:
    """Blocks of a record that `CHAPTER_BLOCKS` has passed."""
    return tuple(
        Block(
            one["kind"],
            one["text"],
            Anchor(one["file"], one["place"]),
            one.get("language", ""),
            one.get("level", 0),
        )
        for one in record["blocks"]
    )
