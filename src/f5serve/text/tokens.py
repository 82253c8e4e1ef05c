"""Tokenizes text for F5-TTS: characters, and pinyin syllables for Chinese.

The rules are those of upstream's `convert_char_to_pinyin`, token for token, since every
published checkpoint was trained on them; tests/data/tokens.json holds upstream's own answers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from f5serve.errors import ModelUnavailable
from f5serve.text.markup import is_emoji
from f5serve.text.pinyin import show_pinyin, syllable_of

MAX_VOCAB_BYTES = 1_000_000
MAX_VOCAB_LINES = 20_000
UNKNOWN_ID = 0

_SAME_SOUND = str.maketrans({";": ",", "“": '"', "”": '"', "‘": "'", "’": "'"})
_STAND_INS = {"−": "-", "∼": "~", "⁄": "/", "∙": "·", "∶": ":"}
"""What a mathematical sign is read as by a checkpoint that does not know it."""

_SHORT = 8
"""Characters of words whose pinyin is remembered; longer ones are rare, and would take memory."""

_NO_SPACE_AFTER = frozenset(" :'\"")


def tokenize(text: str) -> list[str]:
    """Tokens of one line, as upstream makes them: `"hi 你好"` -> `h i _ _ ni2 _ hao3`, _ a space.

    Pinyin that was given (text/pinyin.py) is a token as it is.

    Give reference and new text in one string: where words begin depends on what stands before.
    """
    return [token for _, token in _read(text)]


def _read(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of a character and its token; a space that belongs to no character goes with " "."""
    import rjieba

    last = ""
    for word in rjieba.cut(text.translate(_SAME_SOUND)):
        for pair in _read_word(word, last):
            last = pair[1]
            yield pair


def _read_word(word: str, last: str) -> Iterator[tuple[str, str]]:
    if word.isascii():
        if len(word) > 1 and last and last not in _NO_SPACE_AFTER:
            yield " ", " "
        yield from zip(word, word, strict=True)
        return
    if all("\u0800" <= char <= "\uffff" for char in word):
        # Read as one word: how a character sounds can depend on its neighbours.
        tokens = _syllables(word)
    else:
        tokens = [_syllables(char)[0] if _is_chinese(char) else char for char in word]
    for char, token in zip(word, tokens, strict=True):
        given = syllable_of(char)
        if given or _is_chinese(char):
            yield " ", " "
        yield char, given or token


def _is_chinese(char: str) -> bool:
    """Whether a space is put in front: upstream's range, which holds Bopomofo to CJK ideographs."""
    return "\u3100" <= char <= "\u9fff"


def _has_pinyin(char: str) -> bool:
    """Whether pypinyin may know the character; it knows a few outside of the Chinese range."""
    return _is_chinese(char) or char in "\u3007\ufa18" or "\ue815" <= char <= "\ue864"


def _syllables(word: str) -> Sequence[str]:
    return _short_syllables(word) if len(word) <= _SHORT else _find_syllables(word)


@lru_cache(maxsize=8192)
def _short_syllables(word: str) -> Sequence[str]:
    return _find_syllables(word)


def _find_syllables(word: str) -> Sequence[str]:
    if not any(map(_has_pinyin, word)):
        return list(word)
    # 0.17 s and 56 MB, which only Chinese needs.
    from pypinyin import Style, lazy_pinyin

    syllables: list[str] = lazy_pinyin(word, style=Style.TONE3, tone_sandhi=True)
    if len(syllables) == len(word):
        return syllables
    # pypinyin hands back neighbours that it cannot read in one piece, for which upstream fails.
    return [syllable for char in word for syllable in _syllables(char)] if word[1:] else [word]


class Vocab:
    """The tokens that a checkpoint knows; the line of a token in vocab.txt is its id."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._lines = len(tokens)

    @classmethod
    def from_file(cls, path: Path) -> Vocab:
        """Read a vocab.txt: UTF-8, one token a line, the first one a space.

        Raises:
            ModelUnavailable: code BAD_VOCAB.
        """
        tokens = _lines(path)
        if not tokens or tokens[0] != " ":
            raise _bad_vocab(path, "does not begin with a line that holds one space")
        if len(tokens) > MAX_VOCAB_LINES:
            raise _bad_vocab(path, f"has {len(tokens)} lines, more than {MAX_VOCAB_LINES}")
        return cls(tokens)

    def __len__(self) -> int:
        """Number of lines, which is what the text embedding of a checkpoint is sized by."""
        return self._lines

    def __contains__(self, token: str) -> bool:
        """Whether it is a line of the vocabulary."""
        return token in self._ids

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """Ids of `tokens`; one that is not in the vocabulary gets 0, the id of a space."""
        return [self._id(token) for token in tokens]

    def _id(self, token: str) -> int:
        known = token if token in self._ids else _STAND_INS.get(token, token)
        return self._ids.get(known, UNKNOWN_ID)

    def _knows(self, token: str) -> bool:
        return token in self._ids or _STAND_INS.get(token) in self._ids

    def missing(self, text: str) -> list[str]:
        """Characters of `text` that would be swallowed: speakable, but without a token.

        Letters, digits, their marks, currency and mathematical signs, each once and in order;
        punctuation, arrows and emoji carry no speech of their own. Given pinyin is shown as
        `[pinyin:dia1]`.
        """
        lost = (char for char, token in _read(text) if not self._knows(token))
        return [show_pinyin(char) for char in dict.fromkeys(lost) if _carries_speech(char)]


def _carries_speech(char: str) -> bool:
    if is_emoji(char):
        return False
    if syllable_of(char):
        return True
    category = unicodedata.category(char)
    # Of category Mn or Sm all the same: variation selectors, arrows, a bar that parts two titles.
    silent = (
        "\ufe00" <= char <= "\ufe0f"
        or char == "\u20e3"
        or "\u2190" <= char <= "\u21ff"
        or char == "|"
    )
    return (category[0] in "LNM" or category in ("Sc", "Sm")) and not silent


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_VOCAB_BYTES + 1)
    except OSError as error:
        raise _bad_vocab(path, f"cannot be read ({error.strerror})") from None
    if len(data) > MAX_VOCAB_BYTES:
        raise _bad_vocab(path, f"is larger than {MAX_VOCAB_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad_vocab(path, f"is not UTF-8 at byte {error.start}") from None
    # Not splitlines(): a token may itself be one of the rarer line separators.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _bad_vocab(path: Path, what: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The vocabulary {path.name} {what}.",
        code="BAD_VOCAB",
        hint="Use the vocab.txt that was published with the checkpoint.",
    )
