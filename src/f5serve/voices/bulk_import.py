"""Imports a folder of recordings with their transcripts into a library.

A transcript is a file of the same name that ends in .txt, .srt or .csv, or a row of a CSV table of
files and texts in the folder. Other files are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.audio.decode import DecodeLimits, audio_error
from f5serve.errors import BadAudio, F5Error, InvalidRequest
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import AUDIO_EXTENSIONS, casefold, check_name, suggest_name
from f5serve.voices.records import Consent
from f5serve.voices.transcripts import (
    MAX_TABLE_BYTES,
    decode_text,
    read_srt,
    read_table,
    read_words,
)

ImportStatus = Literal["added", "replaced", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of one recording.

    Attributes:
        file: its name in the folder.
        name: of the voice, "" if the file has no valid one.
        error: None unless it failed.
        warnings: about its transcript.
    """

    file: str
    name: str
    status: ImportStatus
    error: F5Error | None = None
    warnings: tuple[str, ...] = ()


def import_folder(
    library: VoiceLibrary, folder: Path, consent: Consent | None = None
) -> Iterator[ImportResult]:
    """Import each recording of a folder; one that cannot be used does not stop the others.

    The name of a voice is `suggest_name` of the file name.

    Raises:
        InvalidRequest: FOLDER_UNREADABLE or NO_RECORDINGS.
        StorageFailed: the library's store failed; the rest is not imported.
    """
    files = _files(folder)
    recordings = [path for path in files if path.suffix.lower()[1:] in AUDIO_EXTENSIONS]
    if not recordings:
        raise InvalidRequest(
            f"There are no recordings in {folder}.",
            code="NO_RECORDINGS",
            hint=f"They end in one of {', '.join(AUDIO_EXTENSIONS)}.",
        )
    before = {casefold(record.name): record.revision for record in library.list()}
    transcripts = _Transcripts(files)
    first: dict[str, str] = {}  # file name by voice name
    for path in recordings:
        name = ""
        try:
            name = check_name(suggest_name(path.stem))
            same = first.setdefault(casefold(name), path.name)
            if same != path.name:
                raise InvalidRequest(
                    f"{path.name} would be the same voice as {same}.",
                    code="VOICE_NAME_TAKEN",
                    hint="Keep one of them, or rename the other.",
                )
            text = transcripts.find(path, is_needed=not library.can_transcribe)
            record = library.put(name, read_recording(path), text, consent=consent)
        except (BadAudio, InvalidRequest) as error:
            yield ImportResult(path.name, name, "failed", error)
        else:
            status = _status(before.get(casefold(name)), record.revision)
            yield ImportResult(path.name, name, status, warnings=library.get(record.name).warnings)


def _status(old: str | None, new: str) -> ImportStatus:
    if old is None:
        return "added"
    return "unchanged" if old == new else "replaced"


def read_recording(path: Path) -> bytes:
    """The bytes of a local recording.

    Raises:
        BadAudio: code AUDIO_TOO_LARGE.
        InvalidRequest: code FILE_UNREADABLE.
    """
    limit = DecodeLimits().max_bytes
    data = read_file(path, limit)
    if len(data) > limit:
        raise audio_error("AUDIO_TOO_LARGE", path.stat().st_size, limit)
    return data


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a local file, at most one more than `max_bytes`.

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


class _Transcripts:
    """Finds the transcripts of recordings among the files of their folder."""

    def __init__(self, files: list[Path]) -> None:
        self._files = {(path.stem, path.suffix.lower()): path for path in files}
        self._table: dict[str, str] | None = None

    def find(self, recording: Path, is_needed: bool) -> str:
        """The transcript of a recording; "" if it is not needed and there is none.

        Raises:
            InvalidRequest: REF_TEXT_REQUIRED, NOT_TEXT, TEXT_TOO_LONG, FILE_UNREADABLE.
        """
        text = self._from_file(recording) or self._from_table(recording)
        if is_needed and not text:
            raise InvalidRequest(
                f"The words spoken in {recording.name} are not known.",
                code="REF_TEXT_REQUIRED",
                hint=f"Put them into {recording.stem}.txt, .srt or .csv beside it.",
            )
        return text

    def _from_file(self, recording: Path) -> str:
        for extension in (".txt", ".srt", ".csv"):
            path = self._files.get((recording.stem, extension))
            if path is None:
                continue
            text = _text(path)
            if extension == ".csv":
                text = read_words(text) or ""
            elif extension == ".srt":
                text = read_srt(text)
            if text.strip():
                return text
        return ""

    def _from_table(self, recording: Path) -> str:
        if self._table is None:
            self._table = {}
            for (_, extension), path in self._files.items():
                found = read_table(_text(path)) if extension in (".csv", ".tsv") else None
                for file, words in (found or {}).items():
                    self._table[file.replace("\\", "/").rpartition("/")[2]] = words
        return self._table.get(recording.name) or self._table.get(recording.stem, "")


def _text(path: Path) -> str:
    return decode_text(read_file(path, MAX_TABLE_BYTES), path.name, MAX_TABLE_BYTES)
