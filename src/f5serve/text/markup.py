"""Removes Markdown, HTML and emoji from texts; the words stay.

Only what cannot be meant as words is taken: `**bold**`, `# Heading`, `- item`, `[words](address)`,
`<b>`, `&amp;`, fences, rules, tables. `2 * 3`, `C#`, `a < b` and `snake_case` stay as they are.

Emoji are found by their Unicode blocks, not by the runtime's table of names, so one that is newer
than the table is found as well.
"""

from __future__ import annotations

import html
import re
from functools import partial
from itertools import pairwise

from f5serve.text.aliases import ALIASED
from f5serve.text.mapped_text import MappedText
from f5serve.text.pinyin import SAY_AS

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
_INLINE_TAG = re.compile(rf"{SAY_AS}|{ALIASED}|</?(?:{_INLINE}){_END_OF_TAG}", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCKS}){_END_OF_TAG}", re.IGNORECASE)

_LINK = re.compile(
    r"!?\[([^\[\]]{0,500})\]\((?:[^()\s]|\([^()\s]{0,200}\)){0,2000}+"
    r"(?:\s{1,4}\"[^\"\[\]]{0,200}\")?\)"
)
_FOOTNOTE = re.compile(r"\[\^[\w-]{1,40}\]:?")
_NUMBERED_SOURCE = re.compile(
    r"(?<=[.,!?;:)”\"])\[\d{1,3}(?:, ?\d{1,3}){0,9}\](?:\[\d{1,3}\]){0,9}(?=[\s.,;:!?)]|$)"
)
_LINK_TARGET = re.compile(
    r"^[ ]{0,3}\[[^\[\]\n]{1,200}\]:[ \t]{1,9}(?:https?:|/|#|www\.)[^\n]*+$", re.MULTILINE
)
_REFERENCE = re.compile(r"\[([^\[\]]{1,500})\][ ]?\[[^\[\]]{0,200}\]")
_AUTOLINK = re.compile(
    r"<((?:https?://|mailto:|www\.)[^\s<>]{1,2000}|[\w.+-]{1,64}@[\w.-]{1,200})>"
)
_CITATION = re.compile(
    r"【[^【】\n]{0,40}†[^【】\n]{0,200}】|\ue200[^\ue200\ue201\n]{0,300}\ue201|[\ue200-\ue206]"
)
"""Marks of sources that chat models leave in their answers."""

_MATH = re.compile(
    r"\\\(((?:[^\\]|\\(?![()]))++)\\\)|\\\[((?:[^\\]|\\(?![\[\]]))++)\\\]|\$\$([^$]{1,1000}+)\$\$"
)
_ESCAPE = re.compile(r"(?<!\\)\\++([!-/:-@\[\]^-`{-~])")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,200}+)\}\{([^{}]{1,200}+)\}")
_ROOT = re.compile(r"\\sqrt\{([^{}]{1,200}+)\}")
_WORDS_IN_MATH = re.compile(
    r"\\(?:text|mathrm|mathbf|mathit|operatorname|boxed)\{([^{}]{1,300}+)\}"
)
_COMMAND = re.compile(r"\\([A-Za-z]{1,30}|[^A-Za-z\s])")
_POWER = re.compile(r"\^(?:\{([0-9n])\}|([0-9n])(?![0-9A-Za-z]))")
_SUPERSCRIPTS = dict(zip("0123456789n", "⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ", strict=True))
_COMMANDS = {
    "times": "×", "cdot": "·", "div": "÷", "pm": "±", "mp": "∓", "le": "≤", "leq": "≤", "ge": "≥",
    "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "equiv": "≡", "infty": "∞", "to": "→",
    "rightarrow": "→", "sum": "∑", "int": "∫", "partial": "∂", "sqrt": "√", "degree": "°",
    "circ": "°", "ldots": "…", "dots": "…", "cdots": "…", "in": "∈", "alpha": "α", "beta": "β",
    "gamma": "γ", "delta": "δ", "epsilon": "ε", "theta": "θ", "lambda": "λ", "mu": "μ", "pi": "π",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "omega": "ω", "Delta": "Δ", "Sigma": "Σ",
    "Omega": "Ω", "Phi": "Φ", "Gamma": "Γ", "left": "", "right": "", "big": "", "Big": "",
    "bigl": "", "bigr": "", "displaystyle": "", "%": "%", "$": "$", "&": "&", "#": "#", "_": "_",
    "{": "{", "}": "}",
}  # fmt: skip
"""Commands of LaTeX and their signs; all others are left out."""

_FENCE = re.compile(r"^[ \t]{0,8}(?:```+|~~~+)[\w+#-]{0,30}[ \t]{0,8}$", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]{0,8}\|?[ \t]{0,8}:?-{2,}+:?[ \t]{0,8}\|[-:| \t]*+$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]{0,8}\|?([^\n|]*+\|[^\n]*?)\|?[ \t]{0,8}$", re.MULTILINE)
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

PICTURES = (
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

_PICTURE = re.compile(f"[{PICTURES}]")
_PICTURES_IN_A_ROW = re.compile(f"[{PICTURES}][{PICTURES}{_JOINERS}]*+|[\ufe0e\ufe0f\u20e3]++")
_BEFORE_A_MARK = re.compile(r"(?<! ) ++(?=[.,!?;:])")
_SPACES = re.compile(" ++")


def without_entities(text: MappedText) -> MappedText:
    """The characters for `&amp;`, `&#38;` and the like."""
    if "&" not in text.text:
        return text
    return text.sub(_AMPERSANDS, "&").sub(_ENTITY, _unescape)


def without_markup(text: MappedText) -> MappedText:
    """The words of a text with "\\n" at line ends; an empty line parts headings and items.

    "# News\\nIt is **true**:\\n- one\\n- two" -> "News\\n\\nIt is true:\\n\\none\\n\\ntwo"
    """
    if "\\" in text.text or "$$" in text.text:
        text = text.rewrite(_MATH, partial(_without_math, text)).keep(_ESCAPE, 1)
    if "<" in text.text and ">" in text.text:
        text = text.keep(_AUTOLINK, 1).sub(_COMMENT, " ").sub(_INLINE_TAG, _without_tag)
        text = text.sub(_BLOCK_TAG, "\n")
    if "[" in text.text:
        text = _without_links(text)
    text = text.keep(_CITATION).keep(_FENCE)
    if "|" in text.text and _TABLE_RULE.search(text.text):
        text = text.keep(_TABLE_RULE)
        text = text.rewrite(_TABLE_ROW, partial(_join_cells, text))
    for mark, pattern in (("`", _CODE), ("~~", _STRUCK), ("*", _STARRED), ("_", _UNDERLINED)):
        for _ in range(2):  # one may be within another
            text = text.keep(pattern, 2) if mark in text.text else text
    text = text.keep(_RULE).keep(_QUOTE)
    text = text.rewrite(_HEADING, partial(_end_heading, text))
    return text.sub(_ITEM, "\n")


def without_item_mark(line: MappedText) -> MappedText:
    """A line without marks of items or headings at its beginning that no plain space followed."""
    return line.keep(_ITEM_MARK)


def _unescape(match: re.Match[str]) -> str:
    text = html.unescape(match[0])
    return match[0] if len(text) > 1 and text.endswith(";") else text  # a part of it was a name


def _without_tag(match: re.Match[str]) -> str | None:
    is_spoken = match["words"] is not None or match["written"] is not None
    return None if is_spoken else ""  # pinyin and aliases are for later steps


def _without_math(text: MappedText, match: re.Match[str]) -> MappedText:
    """A formula of LaTeX without its delimiters, its commands as the signs that they stand for."""
    formula = text[slice(*match.span(match.lastindex or 0))]
    if "\\" in formula.text:
        for _ in range(2):  # a fraction may hold another
            formula = formula.sub(_FRACTION, r"\1/\2").sub(_ROOT, r"√\1").keep(_WORDS_IN_MATH, 1)
        formula = formula.sub(_COMMAND, lambda command: _COMMANDS.get(command[1], " "))
    return formula.sub(_POWER, lambda power: _SUPERSCRIPTS[power[1] or power[2]])


def _without_links(text: MappedText) -> MappedText:
    text = text.keep(_LINK, 1).keep(_FOOTNOTE).keep(_NUMBERED_SOURCE)
    if _LINK_TARGET.search(text.text):
        text = text.keep(_LINK_TARGET).keep(_REFERENCE, 1)
    return text


def _join_cells(text: MappedText, match: re.Match[str]) -> MappedText | None:
    """The cells of a row of a table, with pauses between them."""
    start, end = match.span(1)
    borders = [start - 1, *(bar.start() + start for bar in _CELL_END.finditer(match[1])), end]
    cells = [text[left + 1 : right].strip() for left, right in pairwise(borders)]
    parts: list[MappedText] = []
    for cell in (cell for cell in cells if cell.text):
        parts += [_pause(",", parts[-1]), _added(" ", parts[-1]), cell] if parts else [cell]
    return MappedText.join([*parts, _pause(".", parts[-1])] if parts else [])


def _pause(mark: str, before: MappedText) -> MappedText:
    """A mark behind a cell that has none itself."""
    return _added("" if before.text[-1] in ".,;:!?…。！？：" else mark, before)


def _end_heading(text: MappedText, match: re.Match[str]) -> MappedText:
    heading = text[slice(*match.span(1))]
    return MappedText.join([heading, _added("\n", heading)])


def _added(text: str, before: MappedText) -> MappedText:
    """What stands for no character, behind one that does."""
    end = before.spans[-1][1] if before.spans else 0
    return MappedText(text, ((end, end),) * len(text))


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
