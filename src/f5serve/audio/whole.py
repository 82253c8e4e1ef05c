"""The complete parts of a file, by the kind of its container; a file that was cut is refused."""

from __future__ import annotations

from collections.abc import Callable

from f5serve.audio.boxes import mp4_parts, webm_parts, wma_parts
from f5serve.audio.flac import flac_parts
from f5serve.audio.frames import adts_parts, amr_parts, mp3_parts
from f5serve.audio.ogg import ogg_parts
from f5serve.audio.parts import MAX_PARTS, Damaged, Part
from f5serve.audio.riff import aiff_parts, au_parts, caf_parts, w64_parts, wav_parts
from f5serve.audio.tags import id3_bytes

_PARTS: dict[str, Callable[[memoryview], list[Part]]] = {
    "wav": wav_parts,
    "w64": w64_parts,
    "aiff": aiff_parts,
    "au": au_parts,
    "caf": caf_parts,
    "flac": flac_parts,
    "ogg": ogg_parts,
    "mp3": mp3_parts,
    "aac": adts_parts,
    "amr": amr_parts,
    "m4a": mp4_parts,
    "webm": webm_parts,
    "wma": wma_parts,
}


def parts_of(container: str, data: memoryview) -> list[Part]:
    """The parts of a file whose container `sniff` has named.

    Raises:
        Damaged: it is not whole.
    """
    parts = _PARTS[container](data[id3_bytes(data) :])
    if len(parts) > MAX_PARTS:
        raise Damaged(f"{len(parts):,} files are joined in it")
    return parts
