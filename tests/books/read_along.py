"""What a read-along book plays when: its clips, looked at as players do."""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath
from typing import NamedTuple

import av
from lxml import etree

SMIL = {"s": "http://www.w3.org/ns/SMIL"}


class Clip(NamedTuple):
    """A text and its stretch of the chapter's sound, seconds."""

    text: str
    begin_s: float
    end_s: float


def clips(data: bytes) -> list[list[Clip]]:
    """The clips of each chapter with sound: in order, without overlap, inside of the sound."""
    chapters = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".smil")):
            found, folder = [], PurePosixPath(name).parent
            smil = etree.fromstring(archive.read(name))
            sounds = {resolved(folder, e.get("src")) for e in smil.iter("{*}audio")}
            (sound,) = sounds
            with av.open(io.BytesIO(archive.read(sound))) as file:
                frames = list(file.decode(audio=0))
            sound_s = sum(frame.samples / frame.sample_rate for frame in frames)
            at = 0.0
            for par in smil.iter("{*}par"):
                page, _, target = par.find("s:text", SMIL).get("src").partition("#")
                document = etree.fromstring(archive.read(resolved(folder, page)))
                (element,) = document.xpath(f"//*[@id='{target}']")
                audio = par.find("s:audio", SMIL)
                begin_s, end_s = seconds(audio.get("clipBegin")), seconds(audio.get("clipEnd"))
                assert at <= begin_s < end_s <= sound_s + 0.05
                at = end_s
                found.append(Clip("".join(element.itertext()), begin_s, end_s))
            chapters.append(found)
    return chapters


def resolved(folder: PurePosixPath, path: str) -> str:
    """A path of an overlay, inside of the archive."""
    while path.startswith("../"):
        folder, path = folder.parent, path.removeprefix("../")
    return str(folder / path)


def seconds(clock: str) -> float:
    """SMIL's clock value as seconds."""
    total = 0.0
    for part in clock.removesuffix("s").split(":"):
        total = 60 * total + float(part)
    return total
