"""The page of `f5serve compare`: one HTML file with sound, spectrograms and figures.

It asks nothing of a network, and has no script. What a text or a name holds is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from f5serve import build
from f5serve.audio.encode import MEDIA_TYPES
from f5serve.cli.output import Output, made_folder
from f5serve.errors import InvalidRequest
from f5serve.synthesis.figures import SpeechFigures, combine
from f5serve.types import AudioFormat

MAX_PAGE_BYTES = 50_000_000
"""With more, browsers are slow to open a page; sound is then put into files beside it."""

PICTURE_WIDTH = 320
"""Of the longest sound of a line, in pixels; others are as much narrower as they are shorter."""

TITLES = {
    "duration": ("Speech, s", 2),
    "chars_per_second": ("Chars / s", 1),
    "words_per_minute": ("Words / min", 0),
    "inference_s": ("Inference, s", 2),
    "rtf": ("RTF", 3),
    "wer": ("WER", 3),
    "peak_dbfs": ("Peak, dBFS", 1),
    "clipped_samples": ("Clipped samples", 0),
    "rms_dbfs": ("RMS, dBFS", 1),
    "longest_pause": ("Longest pause, s", 2),
}
"""The title of each figure, and its decimal places."""

LEAST_IS_BEST = ("inference_s", "rtf", "wer", "clipped_samples")

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; max-width: 60rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .4rem .5rem; border-bottom: 1px solid var(--line); text-align: end;
  font-variant-numeric: tabular-nums; vertical-align: top; }
thead th { vertical-align: bottom; font-weight: 600; background: var(--soft); min-width: 3.2rem; }
tbody th, th:first-child, .sound { text-align: start; }
tbody th { font-weight: 400; min-width: 12rem; } tbody th b { overflow-wrap: anywhere; }
audio { width: 320px; display: block; } img { display: block; margin-top: .4rem; }
small { display: block; text-align: start; max-width: 12rem; }
:focus-visible { outline: 3px solid #2a7de1; outline-offset: 2px; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e8e8e8; } }
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of what is compared."""

    model: str
    voice: str
    preset: str
    seed: int


@dataclass(frozen=True, slots=True)
class Clip:
    """A line as one combination speaks it.

    Attributes:
        audio: encoded, in `format`.
        picture: its spectrogram, a PNG file.
    """

    figures: SpeechFigures
    audio: bytes
    format: AudioFormat
    picture: bytes


Row = tuple[Variant, tuple[Clip, ...]]
"""A combination, and a clip for each line."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a page shows.

    Attributes:
        recogniser: its model; "" without one.
        notes: for the reader, such as warnings of the speech.
    """

    lines: tuple[str, ...]
    rows: tuple[Row, ...]
    recogniser: str = ""
    notes: tuple[str, ...] = ()


def row_as_dict(row: Row, lines: Sequence[str]) -> dict[str, Any]:
    """The figures of a combination, of all lines together and of each."""
    variant, clips = row
    return {
        "model": variant.model,
        "voice": variant.voice,
        "preset": variant.preset,
        "seed": variant.seed,
        **combine([clip.figures for clip in clips]).as_dict(),
        "lines": [
            {"text": line} | clip.figures.as_dict() | {"differing": _differing(clip.figures)}
            for line, clip in zip(lines, clips, strict=True)
        ],
    }


def write_page(
    comparison: Comparison, output: Output, max_bytes: int = MAX_PAGE_BYTES
) -> str | None:
    """Write the page; where it would be too large, its sound goes into a folder beside it.

    Returns:
        The folder's name, None without one.

    Raises:
        InvalidRequest: PAGE_TOO_LARGE, for standard output alone.
        StorageFailed: OUTPUT_UNWRITABLE.
    """
    clips = [clip for _, clips in comparison.rows for clip in clips]
    if 4 * sum(len(clip.audio) + len(clip.picture) for clip in clips) < 3 * max_bytes:
        sources = [_data_url(MEDIA_TYPES[clip.format], clip.audio) for clip in clips]
        output.write(make_page(comparison, sources).encode())
        return None
    if output.path is None:
        raise InvalidRequest(
            f"The page would be larger than {max_bytes // 10**6} MB.",
            code="PAGE_TOO_LARGE",
            hint="Give a file with -o, and its sound is put beside it; or use --format opus.",
        )
    folder = output.path.with_suffix(".files")
    names = [f"{number:03}.{clip.format}" for number, clip in enumerate(clips, 1)]
    with made_folder(folder):
        for name, clip in zip(names, clips, strict=True):
            Output(str(folder / name)).write(clip.audio)
        sources = [quote(f"{folder.name}/{name}") for name in names]
        output.write(make_page(comparison, sources).encode())
    return str(folder)


def make_page(comparison: Comparison, sources: Sequence[str]) -> str:
    """The page as HTML.

    Args:
        sources: URLs of the sound of all clips, row by row.
    """
    return "\n".join(_page(comparison, sources)) + "\n"


def _page(comparison: Comparison, sources: Sequence[str]) -> Iterator[str]:
    lines, rows = comparison.lines, comparison.rows
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:"
    if not all(source.startswith("data:") for source in sources):
        policy += " 'self' file:"
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Comparison of speech</title>\n<style>{STYLE}</style>\n<main>"
    yield "<h1>Comparison of speech</h1>\n<p>Made by f5serve "
    yield f"{escape(build.stamp().version)}. Bold figures are the best of their column. "
    if comparison.recogniser:
        yield f"WER by the recogniser {escape(comparison.recogniser)}. "
    yield "Spectrograms have one scale of colours, and those of a line one of time.</p>"
    if comparison.notes:
        yield "<ul>"
        yield from (f"<li>{escape(note)}</li>" for note in comparison.notes)
        yield "</ul>"
    if len(lines) > 1:
        totals = [(variant, combine([c.figures for c in clips])) for variant, clips in rows]
        yield "<h2>All lines together</h2>"
        yield from _table("All lines together", totals)
    for index, line in enumerate(lines):
        title = f"Line {index + 1}"
        yield f"<h2>{title}: <q dir=auto>{escape(line)}</q></h2>"
        clips = [clips[index] for _, clips in rows]
        longest_s = max(clip.figures.speech_s for clip in clips)
        sounds = [
            _sound(clip, source, f"{title}, {_label(variant)}", longest_s)
            for clip, source, (variant, _) in zip(
                clips, sources[index :: len(lines)], rows, strict=True
            )
        ]
        measured = [(variant, clips[index].figures) for variant, clips in rows]
        yield from _table(title, measured, sounds)
    yield "</main>\n</html>"


def _table(
    name: str, rows: Sequence[tuple[Variant, SpeechFigures]], sounds: Sequence[str] = ()
) -> Iterator[str]:
    """A row for each combination; it scrolls by itself where it is wider than the window."""
    figures = [measured.as_dict() for _, measured in rows]
    best = {key: _least([one[key] for one in figures]) for key in LEAST_IS_BEST}
    yield f'<div role="region" aria-label="{name}" tabindex="0">\n<table>\n<thead><tr>'
    yield '<th scope="col">Combination</th>'
    if sounds:
        yield '<th scope="col" class="sound">Sound</th>'
    yield from (f'<th scope="col">{title}</th>' for title, _ in TITLES.values())
    yield "</tr></thead>\n<tbody>"
    for index, (variant, measured) in enumerate(rows):
        settings = f"{variant.voice} · {variant.preset} · seed {variant.seed}"
        yield f'<tr><th scope="row"><b>{escape(variant.model)}</b><br>{escape(settings)}</th>'
        if sounds:
            yield f'<td class="sound">{sounds[index]}</td>'
        for key, (_, places) in TITLES.items():
            yield _cell(figures[index][key], places, best.get(key), key == "wer", measured)
        yield "</tr>"
    yield "</tbody>\n</table>\n</div>"


def _cell(
    value: float | None, places: int, best: float | None, is_wer: bool, figures: SpeechFigures
) -> str:
    if value is None:
        return "<td>–</td>"
    shown = f"{value:.{places}f}"
    if value == best:
        shown = f"<strong>{shown}</strong>"
    differing = _differing(figures) if is_wer else []
    words = "; ".join(f"{text or '–'} → {found or '–'}" for text, found in differing)
    return f"<td>{shown}" + (f"<small>{escape(words)}</small>" if words else "") + "</td>"


def _least(values: Sequence[float | None]) -> float | None:
    """The least of different values; None where there is nothing to choose."""
    known = [value for value in values if value is not None]
    return min(known) if len(set(known)) > 1 else None


def _differing(figures: SpeechFigures) -> list[tuple[str, str]]:
    """Words of the text, and what was understood instead."""
    return list(figures.errors.differing) if figures.errors else []


def _sound(clip: Clip, source: str, label: str, longest_s: float) -> str:
    """A player above its spectrogram."""
    width = max(1, round(PICTURE_WIDTH * clip.figures.speech_s / (longest_s or 1)))
    picture = _data_url("image/png", clip.picture)
    return (
        f'<audio controls preload="metadata" aria-label="{escape(label)}" src="{escape(source)}">'
        f'</audio><img alt="Spectrogram of {escape(label)}" width="{width}" height="100" '
        f'src="{picture}">'
    )


def _label(variant: Variant) -> str:
    return f"{variant.model}, {variant.voice}, {variant.preset}, seed {variant.seed}"


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
