"""A folder of recordings with their words beside them, to voices of the library.

A folder flows in; what became of each recording flows out, as it happens. The words are in a file
of the same name that ends in .txt, .srt or .csv, or in a table of files and texts in the same
folder. What is not a recording is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.audio.decode import DecodeLimits
from f5serve.audio.refusals import refuse
from f5serve.errors import BadAudio, F5Error, InvalidRequest
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import AUDIO_ENDINGS, check_name, fold, suggest_name
from f5serve.voices.records import Consent
from f5serve.voices.transcripts import (
    MAX_TABLE_BYTES,
    decode_text,
    read_srt,
    read_table,
    read_words,
)

What = Literal["added", "replaced", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recording.

    Attributes:
        file: its name in the folder.
        name: of the voice, "" when it has none.
        error: why it failed; None otherwise.
        notes: what is odd about its transcript.
    """

    file: str
    name: str
    what: What
    error: F5Error | None = None
    notes: tuple[str, ...] = ()


def import_folder(
    library: VoiceLibrary, folder: Path, consent: Consent | None = None
) -> Iterator[Outcome]:
    """Import each recording of a folder; one that cannot be used does not stop the others.

    A file's name becomes the voice's, spelled as `suggest_name` does.

    Raises:
        InvalidRequest: FOLDER_UNREADABLE or NO_RECORDINGS.
        StorageFailed: the library's store failed; the rest is not imported.
    """
    files = _files(folder)
    recordings = [path for path in files if path.suffix.lower()[1:] in AUDIO_ENDINGS]
    if not recordings:
        raise InvalidRequest(
            f"There are no recordings in {folder}.",
            code="NO_RECORDINGS",
            hint=f"They end in one of {', '.join(AUDIO_ENDINGS)}.",
        )
    before = {fold(record.name): record.revision for record in library.list()}
    words = _Words(files)
    done: dict[str, str] = {}
    for path in recordings:
        name = ""
        try:
            name = check_name(suggest_name(path.stem))
            _refuse_second(path, done.setdefault(fold(name), path.name))
            said = words.of(path, is_needed=not library.writes_transcripts)
            record = library.put(name, read_recording(path), said, consent=consent)
        except (BadAudio, InvalidRequest) as error:
            yield Outcome(path.name, name, "failed", error)
        else:
            what = _change(before.get(fold(name)), record.revision)
            yield Outcome(path.name, name, what, notes=library.get(record.name).warnings)


def _change(old: str | None, new: str) -> What:
    if old is None:
        return "added"
    return "unchanged" if old == new else "replaced"


def read_recording(path: Path) -> bytes:
    """The bytes of a recording on this machine.

    Raises:
        BadAudio: code AUDIO_TOO_LARGE.
        InvalidRequest: code FILE_UNREADABLE.
    """
    limit = DecodeLimits().max_bytes
    data = read_file(path, limit)
    if len(data) > limit:
        raise refuse("AUDIO_TOO_LARGE", path.stat().st_size, limit)
    return data


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file on this machine, one more than `max_bytes` at most.

    Raises:
        InvalidRequest: code FILE_UNREADABLE.
    """
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be read: {error.strerror or error}.",
            code="FILE_UNREADABLE",
            hint="Check the name and its permissions.",
        ) from None


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InvalidRequest(
            f"The folder {folder} cannot be read: {error.strerror or error}.",
            code="FOLDER_UNREADABLE",
            hint="Give a folder of recordings with their transcripts.",
        ) from None


def _refuse_second(path: Path, first: str) -> None:
    if first != path.name:
        raise InvalidRequest(
            f"{path.name} would be the same voice as {first}.",
            code="VOICE_NAME_TAKEN",
            hint="Keep one of them, or rename the other.",
        )


class _Words:
    """Finds the words of recordings among the files of their folder."""

    def __init__(self, files: list[Path]) -> None:
        self._beside = {(path.stem, path.suffix.lower()): path for path in files}
        self._table: dict[str, str] | None = None

    def of(self, recording: Path, is_needed: bool = True) -> str:
        """The words of a recording; empty where they are not needed and there are none.

        Raises:
            InvalidRequest: REF_TEXT_REQUIRED, NOT_TEXT, TEXT_TOO_LONG, FILE_UNREADABLE.
        """
        words = self._beside_it(recording) or self._from_table(recording)
        if is_needed and not words:
            raise InvalidRequest(
                f"The words spoken in {recording.name} are not known.",
                code="REF_TEXT_REQUIRED",
                hint=f"Put them into {recording.stem}.txt, .srt or .csv beside it.",
            )
        return words

    def _beside_it(self, recording: Path) -> str:
        for ending in (".txt", ".srt", ".csv"):
            path = self._beside.get((recording.stem, ending))
            if path is None:
                continue
            text = _text(path)
            if ending == ".csv":
                text = read_words(text) or ""
            words = read_srt(text) if ending == ".srt" else text
            if words.strip():
                return words
        return ""

    def _from_table(self, recording: Path) -> str:
        if self._table is None:
            self._table = {}
            for (_, ending), path in self._beside.items():
                found = read_table(_text(path)) if ending in (".csv", ".tsv") else None
                for file, words in (found or {}).items():
                    self._table[file.replace("\\", "/").rpartition("/")[2]] = words
        return self._table.get(recording.name) or self._table.get(recording.stem, "")


def _text(path: Path) -> str:
    return decode_text(read_file(path, MAX_TABLE_BYTES), path.name, MAX_TABLE_BYTES)
