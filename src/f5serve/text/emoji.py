"""Which characters are emoji; they are not spoken.

Emoji are found by their Unicode blocks, not by the runtime's table of names, so one that is newer
than the table is found as well.
"""

from __future__ import annotations

import re

_PICTURES = (
    "\U0001f000-\U0001f0ff"  # tiles and cards
    "\U0001f170-\U0001f1ff"  # letters in boxes, and the pairs of letters that are flags
    "\U0001f200-\U0001f2ff"  # Japanese words in boxes
    "\U0001f300-\U0001faff"
    "\u2600-\u2775\u2794-\u27bf"  # without the numbers in circles
    "\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa\u25fb-\u25fe\u2934\u2935\u2b05-\u2b07"
    "\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299\u2139"
)
_JOINERS = "\u200d\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f"
"""What makes one picture of several, chooses its looks or spells a region's flag."""

_PICTURE = re.compile(f"[{_PICTURES}]")
_PICTURES_IN_A_ROW = re.compile(f"[{_PICTURES}][{_PICTURES}{_JOINERS}]*+|[\ufe0e\ufe0f\u20e3]++")
_BEFORE_A_MARK = re.compile(r"(?<! ) ++(?=[.,!?;:])")
_SPACES = re.compile(" ++")


def is_emoji(character: str) -> bool:
    """Whether a character is a picture."""
    return _PICTURE.match(character) is not None


def without_emoji(text: str) -> str:
    """The text with its emoji left out, and words still apart; as it is where it has none."""
    if text.isascii():
        return text
    bare, count = _PICTURES_IN_A_ROW.subn(" ", text)
    if not count:
        return text
    bare = _SPACES.sub(" ", _BEFORE_A_MARK.sub("", bare))
    bare = bare if text[0].isspace() else bare.lstrip()
    return bare if text[-1].isspace() else bare.rstrip()
