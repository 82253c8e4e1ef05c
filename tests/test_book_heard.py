"""A book is what is heard: spoken by the stand-in speaker, its files decoded and heard by Whisper.

The first chapters of a book; F5_TEST_FULL=1 takes 2,000 words, some 15 minutes of speech.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import av
import numpy as np
import pytest
from lxml import etree

from f5serve.asr.word_errors import compare
from f5serve.audio.decode import DecodeLimits, decode
from f5serve.audio.join import sound_range
from f5serve.cli.main import run
from f5serve.text.cue_files import read_cue_file
from f5serve.types import SAMPLE_RATE, Wave
from tests.books import prose
from tests.conftest import IS_FULL
from tests.hearing import transcribe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600 if IS_FULL else 600)]

WORDS = 2_000 if IS_FULL else 60
MAX_WER = 0.12
"""Whisper tiny.en errs on human speech as well."""

MARK_S = 0.05
"""Between the mark of a chapter and its first word."""

SILENCE_S = 1.5
"""Before each mark: most of the pause behind a chapter."""

LONG = DecodeLimits(max_s=3_600.0)

NAMES = {"h": "http://www.w3.org/1999/xhtml", "s": "http://www.w3.org/ns/SMIL"}


@dataclass(frozen=True, slots=True)
class Heard:
    """The files of a spoken book.

    Attributes:
        chapters: title and paragraphs, as they were written.
        marks: where each chapter begins and ends in the m4b, seconds, with its title.
        wave: the whole m4b.
        cues: begin, end and text of each subtitle.
    """

    folder: Path
    chapters: list[tuple[str, list[str]]]
    marks: list[tuple[float, float, str]]
    wave: Wave
    cues: list[tuple[float, float, str]]

    def sound(self, start_s: float, end_s: float) -> Wave:
        """A stretch of the m4b."""
        edges = (round(at_s * SAMPLE_RATE) for at_s in (start_s, end_s))
        return Wave(self.wave.samples[slice(*edges)])


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    folder = tmp_path_factory.mktemp("book")
    chapters = prose.chapters(WORDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("F5_DATA_DIR", str(folder / "data"))
        patch.setenv("F5_RECOGNISER", "off")
        Path("lamp.epub").write_bytes(prose.as_epub(chapters))
        argv = ["book", "lamp.epub", "--engine", "standin", "-o", "out.m4b", "--epub", "read.epub"]
        assert run([*argv, "--subtitles", "srt"]) == 0
    with av.open(str(folder / "out.m4b")) as file:
        marks = [mark(one) for one in file.chapters()]
        frames = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    cues = read_srt((folder / "out.srt").read_text())
    return Heard(folder, chapters, marks, Wave(np.concatenate(frames)), cues)


def mark(chapter: Any) -> tuple[float, float, str]:
    start_s, end_s = (float(chapter[edge] * chapter["time_base"]) for edge in ("start", "end"))
    return start_s, end_s, chapter["metadata"]["title"]


def test_what_is_written_is_heard(book: Heard) -> None:
    assert prose.count_words(book.chapters) >= WORDS
    assert [title for *_, title in book.marks] == [title for title, _ in book.chapters]
    words, errors, told = 0, 0, []
    for (title, paragraphs), (start_s, end_s, _) in zip(book.chapters, book.marks, strict=True):
        heard = transcribe(book.sound(start_s, end_s))
        found = compare(written(title, paragraphs), heard, "en")
        words, errors = words + found.words, errors + found.errors
        told.append(found)
    assert errors <= MAX_WER * words, told


def test_a_mark_is_near_the_first_word_of_its_chapter(book: Heard) -> None:
    starts_s = [start_s for start_s, _, _ in book.marks]
    assert starts_s[0] == 0.0
    heard, timed = [], []
    for start_s in starts_s:
        first, _ = sound_range(book.sound(start_s, start_s + 2))
        heard.append(first / SAMPLE_RATE)
        before = book.sound(max(0.0, start_s - SILENCE_S), start_s).samples
        assert np.abs(before).max(initial=0.0) < 0.003
        timed.append(next(begin for begin, *_ in book.cues if begin >= start_s - MARK_S) - start_s)
    assert max(map(abs, heard + timed)) <= MARK_S, (heard, timed)


def test_overlays_lead_through_the_sound_of_each_chapter(book: Heard) -> None:
    with zipfile.ZipFile(book.folder / "read.epub") as file:
        overlays = sorted(name for name in file.namelist() if name.endswith(".smil"))
        for name, (title, paragraphs), (start_s, end_s, _) in zip(
            overlays, book.chapters, book.marks, strict=True
        ):
            pairs = list(etree.fromstring(file.read(name)).iterfind(".//s:par", NAMES))
            audio = [pair.find("s:audio", NAMES) for pair in pairs]
            (sound,) = {one.get("src") for one in audio}
            length_s = decode(file.read(resolve(name, sound)), LONG).duration_s
            assert length_s == pytest.approx(end_s - start_s, abs=0.1)  # whole frames of MP3
            edges = [seconds(one.get(edge)) for one in audio for edge in ("clipBegin", "clipEnd")]
            assert edges == sorted(edges)
            assert edges[0] >= 0
            assert edges[-1] <= length_s
            assert all(begin < end for begin, end in zip(edges[::2], edges[1::2], strict=True))
            addresses = [pair.find("s:text", NAMES).get("src").split("#") for pair in pairs]
            (page,) = {page for page, _ in addresses}
            read = etree.fromstring(file.read(resolve(name, page))).iterfind(".//h:span", NAMES)
            texts = {one.get("id"): "".join(one.itertext()) for one in read}
            assert " ".join(texts[id] for _, id in addresses) == written(title, paragraphs)


def test_subtitles_are_the_text_in_the_time_of_the_sound(book: Heard) -> None:
    times = [edge for begin_s, end_s, _ in book.cues for edge in (begin_s, end_s)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= book.wave.duration_s
    shown = " ".join(text for *_, text in book.cues)
    assert shown == " ".join(written(*chapter) for chapter in book.chapters)


def written(title: str, paragraphs: list[str]) -> str:
    """All that is spoken of a chapter."""
    return " ".join([title, *(one for one in paragraphs if one != prose.SCENE_BREAK)])


def read_srt(text: str) -> list[tuple[float, float, str]]:
    return [
        (one.start_s, one.end_s, " ".join(text[slice(*one.place)].split()))
        for one in read_cue_file(text).cues
    ]


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def resolve(name: str, address: str) -> str:
    """The path in the archive that an entry means by an address with "../" before it."""
    return str(PurePosixPath(name).parents[1] / address.removeprefix("../"))
