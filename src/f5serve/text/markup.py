"""Removes Markdown, HTML and emoji from texts; the words stay.

Only what cannot be meant as words is taken: `**bold**`, `# Heading`, `- item`, `[words](address)`,
`<b>`, `&amp;`, fences, rules, tables. `2 * 3`, `C#`, `a < b` and `snake_case` stay as they are.

Emoji are found by their Unicode blocks, not by the runtime's table of names, so one that is newer
than the table is found as well.
"""

from __future__ import annotations

import html
import re

_AMPERSANDS = re.compile(r"&(?:amp;)++")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_COMMENT = re.compile(r"<!--(?:[^<>-]|-(?!->))*+-->")

_INLINE = (
    "a|abbr|b|bdi|bdo|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|rp|rt|ruby|s|samp|small"
    "|span|strike|strong|sub|sup|time|tt|u|var|wbr|emphasis|phoneme|prosody|say-as|voice"
)
_BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|center|dd|details|div|dl|dt|figcaption|figure"
    "|footer|form|h[1-6]|head|header|hr|html|img|li|main|nav|ol|p|pre|section|summary|table|tbody"
    "|td|tfoot|th|thead|title|tr|ul|break|speak"
)
# Attributes have an equals sign: "a <b and c> d" is no tag.
_END_OF_TAG = r"(?:\s[^<>=]{0,100}=[^<>]{0,2000})?\s{0,9}/?>"
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE}){_END_OF_TAG}", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCKS}){_END_OF_TAG}", re.IGNORECASE)

_LINK = re.compile(
    r"!?\[([^\[\]]{0,500})\]\((?:[^()\s]|\([^()\s]{0,200}\)){0,2000}+"
    r"(?:\s{1,4}\"[^\"\[\]]{0,200}\")?\)"
)
_FOOTNOTE = re.compile(r"\[\^[\w-]{1,40}\]:?")
_FENCE = re.compile(r"^[ \t]{0,8}(?:```+|~~~+)[\w+#-]{0,30}[ \t]{0,8}$", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]{0,8}\|?[ \t]{0,8}:?-{2,}+:?[ \t]{0,8}\|[-:| \t]*+$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]{0,8}\|([^\n]*)\|[ \t]{0,8}$", re.MULTILINE)
_CELL_END = re.compile(r"\|")
# Nothing that a word or a number touches outside is a mark: 2**3**4, snake_case_name.
_CODE = re.compile(r"(?<!`)(`{1,3}+)([^`]{1,1000})\1(?!`)")
_STRUCK = re.compile(r"(?<!~)(~~)(?=[^\s~])([^~]{1,1000})~~(?!~)")
_STARRED = re.compile(
    r"(?<![*A-Za-z0-9])(\*{1,3}+)(?=[^\s*])([^*]{1,1000})(?<=[^\s*])\1(?![*A-Za-z0-9])"
)
_UNDERLINED = re.compile(r"(?<![_\w])(_{1,3}+)(?=[^\s_])([^_]{1,1000})(?<=[^\s_])\1(?![_\w])")
_RULE = re.compile(
    r"^[ \t]{0,8}(?:(?:-[ \t]{0,3}){3,}+|(?:\*[ \t]{0,3}){3,}+|(?:_[ \t]{0,3}){3,}+|={3,}+)$",
    re.MULTILINE,
)
_QUOTE = re.compile(r"^[ \t]{0,8}(?:>[ \t]{0,3}(?![=\d\s]))++", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]{0,8}(?:#{1,6}[ \t]++)++(.*)$", re.MULTILINE)
_ITEM = re.compile(
    r"^[ \t]{0,40}(?:(?:[-*•][ \t]++)++(?:\[[ xX]\][ \t]++)?|(?=\d{1,3}[.)][ \t]))", re.MULTILINE
)
_ITEM_MARK = re.compile(r"^(?:(?:[-*•]|#{1,6}) |> ?(?![=\d\s]))++")

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


def without_markup(text: str) -> str:
    """The words of a text with "\\n" at line ends; an empty line parts headings and items.

    "# News\\nIt is **true**:\\n- one\\n- two" -> "News\\n\\nIt is true:\\n\\none\\n\\ntwo"
    """
    if "&" in text:
        text = _ENTITY.sub(_unescape, _AMPERSANDS.sub("&", text))
    if "<" in text and ">" in text:
        text = _INLINE_TAG.sub("", _COMMENT.sub(" ", text))
        text = _BLOCK_TAG.sub("\n", text)
    if "[" in text:
        text = _FOOTNOTE.sub("", _LINK.sub(r"\1", text))
    text = _FENCE.sub("", text)
    if "|" in text and _TABLE_RULE.search(text):
        text = _TABLE_ROW.sub(_join_cells, _TABLE_RULE.sub("", text))
    for mark, pattern in (("`", _CODE), ("~~", _STRUCK), ("*", _STARRED), ("_", _UNDERLINED)):
        for _ in range(2):  # one may be within another
            text = pattern.sub(r"\2", text) if mark in text else text
    text = _QUOTE.sub("", _RULE.sub("", text))
    return _ITEM.sub("\n", _HEADING.sub(r"\1\n", text))


def without_item_mark(line: str) -> str:
    """A line without marks of items or headings at its beginning that no plain space followed."""
    return _ITEM_MARK.sub("", line)


def _unescape(match: re.Match[str]) -> str:
    text = html.unescape(match[0])
    return match[0] if len(text) > 1 and text.endswith(";") else text  # a part of it was a name


def _join_cells(match: re.Match[str]) -> str:
    """The cells of a row of a table, with pauses between them."""
    cells = (cell.strip() for cell in _CELL_END.split(match[1]))
    return ", ".join(filter(None, cells)) + "."


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
