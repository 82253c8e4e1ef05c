"""Subtitles as scripts: each cue is a part with its times, and with a voice where one is named.

A voice is named by `ana:` at the start of a line, by `<v ana>` in WebVTT and by the actor in ASS.
`ana_happy` is her style happy, unless a voice has that name; `main` is the voice of the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise

from f5serve.errors import InvalidRequest
from f5serve.text.clean import clean_text
from f5serve.text.cue_files import BadSubtitles, Cue, CueFile, read_cue_file
from f5serve.text.mapped_text import MappedText
from f5serve.text.markup import without_entities
from f5serve.text.script import MAIN, MAX_VOICES, KnownNames, Part, Script, VoiceNames, style_splits

_SHOWN_CHARS = 40
_LONGEST_NAME = 100

_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,100})?\s([^<>]{0,200})>|</v>", re.IGNORECASE)
_READING = re.compile(r"<rt(?:[.\s][^<>]{0,100})?>[^<]*+", re.IGNORECASE)
"""How the characters before it are read."""

_BREAK = re.compile(r"<br\s?/?>", re.IGNORECASE)
_VTT_TAG = re.compile(r"<(?!/?say-as|/?v[.\s>])[^<>]{0,500}>", re.IGNORECASE)
_SRT_TAG = re.compile(
    r"</?(?:[biucsp]|font|lang|ruby|rt|em|strong|span)(?:[.\s=][^<>]{0,500})?\s?/?>",
    re.IGNORECASE,
)
_BRACES = re.compile(r"(?<!\\)\{[^{}]*+\}")
_OVERRIDE = re.compile(r"\{\\[^{}]*+\}")
_DRAWING = re.compile(r"\\p(\d{1,9})")
_ASS_SPACE = re.compile(r"\\[Nnh]")
_SRT_SPACE = re.compile(r"\\[Nh]")
_LINE_END = re.compile(r"\r\n?")

_DASH = re.compile(r"^[^\S\n]*+[-‐–—][^\S\n]?(?=[^\W\d])", re.MULTILINE)
"""Another person speaks; before a digit it is a minus sign."""

_PREFIX = re.compile(
    r"^[^\S\n]*+(?:[-‐–—][^\S\n]?)?(\w[\w.-]{0,63}+)[^\S\n]?[:：](?![\d/])", re.MULTILINE
)
_LEFT_OUT = re.compile(r"[♩♪♫♬]++[^♩♪♫♬]*+[♩♪♫♬]*+|\[(?!pinyin:)[^\[\]]{1,200}\]", re.IGNORECASE)
"""Lyrics between notes, and sounds in square brackets."""

_SPACES = re.compile(r"\s++")

_Speaker = tuple[str, str]
"""A voice and its style, as parts have them."""


def parse_cues(text: str, names: VoiceNames, format: str = "") -> Script:
    """The cues of a subtitle file in order of time.

    Markup, positions, drawings, lyrics between notes and sounds in square brackets are left out.
    Where several voices speak in one cue, its time is shared by their letters.

    Args:
        format: as `read_cue_file`.

    Returns:
        Parts with times, and with at least one letter or digit.

    Raises:
        InvalidRequest: BAD_SUBTITLES as `read_cue_file`, and where no cue has a word; BAD_UNICODE
            and NOT_TEXT as `clean_text`, with the cue.
    """
    file = read_cue_file(text, format)
    return _CueParser(text, file, names).parse()


class _CueParser:
    """The parts of one file, and what is to be said about them."""

    def __init__(self, text: str, file: CueFile, names: VoiceNames) -> None:
        self._text, self._file, self._names = text, file, KnownNames(names)
        self._used: set[_Speaker] = set()
        self._strangers: list[tuple[str, Cue]] = []
        self._left_out: list[tuple[str, Cue]] = []

    def parse(self) -> Script:
        """As `parse_cues`."""
        silent: list[Cue] = []
        by_content: dict[tuple[object, ...], list[Part]] = {}
        for cue in sorted(self._file.cues, key=lambda cue: cue.start_s):
            found = self._parts_of(cue)
            if found:  # ASS has one of equal content in each layer
                spoken = ((part.voice, part.style, part.text.text) for part in found)
                by_content.setdefault((cue.start_s, cue.end_s, *spoken), found)
            else:
                silent.append(cue)
        if not by_content:
            raise BadSubtitles(
                f"None of the {len(self._file.cues):,} cues has a word to speak.",
                "Send subtitles with at least one letter or digit.",
            )
        parts = [part for found in by_content.values() for part in found]
        parts.sort(key=lambda part: part.start_s or 0.0)
        return Script(tuple(parts), tuple(self._warnings(silent)))

    def _parts_of(self, cue: Cue) -> list[Part]:
        turns = [
            (speaker, MappedText.join(text for _, text in turn))
            for speaker, turn in groupby(self._turns(cue), key=lambda turn: turn[0])
        ]
        left_out = [match[0] for _, text in turns for match in _LEFT_OUT.finditer(text.text)]
        turns = [(speaker, _plain(text)) for speaker, text in turns]
        turns = [(speaker, text) for speaker, text in turns if _has_words(text.text, cue)]
        if not turns:
            return []
        self._left_out += [(found, cue) for found in left_out if any(map(str.isalnum, found))]
        self._used.update((voice.lower(), style) for (voice, style), _ in turns)
        if len(self._used) > MAX_VOICES:
            raise BadSubtitles(
                f"With {_title(cue)} there are more than {MAX_VOICES} voices and styles.",
                "Send the file in parts.",
            )
        times = _share(cue, [sum(map(str.isalnum, text.text)) for _, text in turns])
        return [
            Part(text, voice, style, start_s=start_s, end_s=end_s)
            for ((voice, style), text), (start_s, end_s) in zip(turns, times, strict=True)
        ]

    def _turns(self, cue: Cue) -> Iterator[tuple[_Speaker, MappedText]]:
        """Who speaks which part of a cue."""
        text = _without_tags(self._text, cue, self._file.format)
        default = speaker = self._named(cue.actor, cue)
        position = 0
        if self._file.format != "ass":
            for tag in _VOICE.finditer(text.text):
                yield from self._lines(speaker, text[position : tag.start()])
                speaker = default if tag[1] is None else self._named(tag[1], cue)
                position = tag.end()
            text = text[position:]
        yield from self._lines(speaker, text)

    def _lines(self, speaker: _Speaker, text: MappedText) -> Iterator[tuple[_Speaker, MappedText]]:
        position = 0
        for prefix in _PREFIX.finditer(text.text):
            found = self._find(prefix[1])
            if found is not None:
                yield speaker, text[position : prefix.start()]
                speaker, position = found, prefix.end()
        yield speaker, text[position:]

    def _named(self, written: str, cue: Cue) -> _Speaker:
        """The speaker in a place for speakers; the voice of the request for an unknown one."""
        name = " ".join(written.split())
        if not name:
            return "", ""
        found = self._find(name)
        if found is None:
            self._strangers.append((name, cue))
        return found or ("", "")

    def _find(self, written: str) -> _Speaker | None:
        if len(written) > _LONGEST_NAME or written.isdigit():
            return None
        if written.lower() == MAIN:
            return "", ""
        if self._names.has_voice(written):
            return written, ""
        for left, style in style_splits(written):
            voice = "" if left.lower() == MAIN else left
            if self._names.has_voice(voice) and self._names.has_style(voice, style):
                return voice, style
        return None

    def _warnings(self, silent: Sequence[Cue]) -> Iterator[str]:
        for line in self._file.loose_lines[:1]:
            yield f"Line {line:,} belongs to no cue and is not spoken."
        if silent:
            yield (
                f"Cues without words to speak: {len(silent):,} of {len(self._file.cues):,}, first"
                f" {_title(silent[0])}."
            )
        for found, cue in self._left_out[:1]:
            yield (
                f"Sounds in brackets and lyrics beside words, which are not spoken:"
                f" {len(self._left_out):,}, first {_shown(found)} in {_title(cue)}."
            )
        for name, cue in self._strangers[:1]:
            near = self._names.similar(name)[:2] if len(name) <= _LONGEST_NAME else ()
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            yield (
                "Places with a voice that does not exist, where the voice of the request speaks:"
                f" {len(self._strangers):,}, first {_shown(name)} in {_title(cue)}.{meant}"
            )


def _without_tags(text: str, cue: Cue, format: str) -> MappedText:
    """The text of a cue with tags for voices alone, and with \\n at its line ends."""
    start, end = cue.place
    own = text[start:end]
    mapped = MappedText(own, tuple(zip(range(start, end), range(start + 1, end + 1), strict=True)))
    if "\r" in own:
        mapped = mapped.sub(_LINE_END, "\n")
    if format == "ass":
        return _without_overrides(mapped).sub(_ASS_SPACE, "\n")
    if "<" in own:
        mapped = mapped.sub(_BREAK, "\n").keep(_READING)
        mapped = mapped.keep(_VTT_TAG if format == "vtt" else _SRT_TAG)
    if "\\" in own:
        mapped = mapped.keep(_OVERRIDE).sub(_SRT_SPACE, "\n")
    return without_entities(mapped)


def _without_overrides(text: MappedText) -> MappedText:
    """A text of ASS without its braces, and without the drawings that they begin."""
    kept: list[MappedText] = []
    position = 0
    is_drawing = False
    for block in _BRACES.finditer(text.text):
        if not is_drawing:
            kept.append(text[position : block.start()])
        position = block.end()
        for scale in _DRAWING.findall(block[0]):
            is_drawing = int(scale) > 0
    return MappedText.join([*kept, *([] if is_drawing else [text[position:]])])


def _plain(text: MappedText) -> MappedText:
    """One line of what is spoken."""
    text = text.sub(_DASH, "").sub(_LEFT_OUT, " ")
    return text.sub(_SPACES, " ").strip()


def _has_words(text: str, cue: Cue) -> bool:
    """Whether anything is left of a text once it is cleaned."""
    try:
        return bool(clean_text(text, len(text)))
    except InvalidRequest as error:
        if error.code == "EMPTY_TEXT":
            return False
        message = f"{_title(cue).capitalize()} cannot be spoken: {error.message}"
        raise InvalidRequest(message, code=error.code, hint=error.hint) from None


def _share(cue: Cue, letters: Sequence[int]) -> Iterator[tuple[float, float]]:
    """Start and end for each of those who speak in a cue, by the number of their letters."""
    total = sum(letters) or 1
    whole_s = cue.end_s - cue.start_s
    inner = [cue.start_s + whole_s * spoken / total for spoken in accumulate(letters[:-1])]
    return pairwise([cue.start_s, *(round(at_s, 3) for at_s in inner), cue.end_s])


def _title(cue: Cue) -> str:
    return f"cue {cue.number:,} in line {cue.line:,}"


def _shown(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= _SHOWN_CHARS else f"{plain[:_SHOWN_CHARS]}...")
