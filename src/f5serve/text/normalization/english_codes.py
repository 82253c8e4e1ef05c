"""Addresses, handles, phones, versions and other codes in written English."""

from __future__ import annotations

import re

from f5serve.text import numbers
from f5serve.text.normalization.english_patterns import (
    INT,
    Table,
    alternatives,
    in_pairs,
)
from f5serve.text.normalization.english_tables import STATES

_DOMAINS = "com|org|net|io|edu|gov|dev|ai|uk|app|info|co|me|tv|ca|au|de|eu"
# Each begins where no address can have begun before: a run of labels is read once.
_ADDRESS = (
    r"https?://[^\s,;]*[\w/]|(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++|"
    rf"(?<![\w@-])(?<![\w-]\.)(?:[\w-]++\.)+(?:{_DOMAINS})\b(?![.-]\w)(?:/[^\s,;]*[\w/])?"
)
_FILES = (
    "pdf|txt|csv|json|xml|html|css|js|ts|py|rs|go|cpp|java|md|doc|docx|xls|xlsx|ppt|pptx|zip|tar|gz"
    "|exe|dll|png|jpg|jpeg|gif|svg|mp3|mp4|wav|flac|ogg|avi|mov|yaml|yml|toml|ini|log|sql|sh"
)
_FILE = rf"(?<![\w.-])[\w-]++(?:\.[\w-]++)*?\.(?:{_FILES})(?![\w-]|\.\w)"
SIGN_NAMES = {
    ".": "dot", ":": "colon", "?": "question mark", "-": "dash", "_": "underscore", "/": "slash",
    "@": "at", "#": "hash", "&": "and", "=": "equals", "%": "percent", "+": "plus", "~": "tilde",
    "!": "exclamation mark", "(": "", ")": "", "'": "", "*": "star", "$": "dollar", "[": "",
    "]": "",
}  # fmt: skip
_PART = re.compile(r"\d+|[^\W\d_]+|.", re.DOTALL)
_SPELLED = "www|io|ai|uk|tv|eu|de|au|pdf|txt|csv|xml|html|css|js|ts|py|rs|md|xls|xlsx|ppt|exe|dll"
_LETTERS = {
    *_SPELLED.split("|"),
    "png",
    "jpg",
    "svg",
    "mp",
    "gz",
    "sql",
    "sh",
    "yml",
    "cpp",
    "http",
}
_WHOLE = {
    "C#": "C sharp", "F#": "F sharp", "G#": "G sharp", "A#": "A sharp", "D#": "D sharp",
    "C++": "C plus plus", "AT&T": "A.T and T", "R&D": "R and D", "Q&A": "Q and A", "B&B": "B and B",
    "R&B": "R and B", "H&M": "H and M", "M&A": "M and A", "P&L": "P and L", "A&E": "A and E",
    "S&P": "S and P", "A/C": "A.C", "N/A": "not applicable", "n/a": "not applicable",
    "I/O": "I O", "A/V": "A V", "A/B": "A B", ".NET": "dot net",
}  # fmt: skip
_NAMED = (
    "Boeing|Airbus|flight|Flight|Route|route|Highway|Hwy|Interstate|Room|room|Suite|Flat|bus|Bus"
    "|Apartment|apartment|Apt|train|Train|Gate|gate|Unit"
)


def addresses() -> Table:
    """Rules for URLs, e-mail, files, hashtags and handles."""
    return [
        ("address", _ADDRESS, _say_address),
        ("address", _FILE, _say_address),
        ("handle", r"(?<![\w#&])#(?=\w*[^\W\d_])(\w++)", _say_hashtag),
        ("handle", r"(?<![\w@])@(\w++)", _say_handle),
        ("sign", rf"(?<![\w&/.])(?:{alternatives(_WHOLE)})(?![\w&/+#])", lambda m: _WHOLE[m[0]]),
        ("measure", r"(?<![\w&/.])(?<!\d\s)km/h(?![\w&/+#])", lambda m: "kilometers per hour"),
    ]


def codes() -> Table:
    """Rules for rows of digits that are no amount."""
    return [*_phones(), *_names()]


def _phones() -> Table:
    return [
        (
            "postcode",
            rf"\b({alternatives(STATES)})\s(\d{{5}})(?:-(\d{{4}}))?(?![\d-])",
            _say_zip,
        ),
        ("postcode", r"\b([A-Z]{1,2}\d[A-Z\d]?)\s(\d[A-Z]{2})\b", _say_postcode),
        (
            "phone",
            r"(?<![\w.])(?:(?P<plus>\+\d{1,3}|1)[\s.-]?)?\((?P<area>\d{3})\)\s?-?(?P<rest>\d{3}[\s.-]\d{4})(?![\w-])",
            _say_phone,
        ),
        (
            "phone",
            r"(?<![\w+])(?P<plus>\+\d{1,3})(?P<area>)(?P<rest>(?:[\s.-]?\(?\d{2,6}\)?){2,6})(?![\w-])",
            _say_phone,
        ),
        (
            "phone",
            r"(?<![\w.-])(?:(?P<plus>1)[\s.-])?(?P<area>)(?P<rest>\d{3}[.-]\d{3}[.-]\d{4})(?![\w-])",
            _say_phone,
        ),
        (
            "phone",
            r"(?<![\w.-])(?P<plus>)(?P<area>)(?P<rest>\d{3}-\d{4}(?:-\d{4})?)(?![\w-])",
            _say_phone,
        ),
        (
            "phone",
            r"(?<![\w.-])(?P<plus>)(?P<area>)(?P<rest>\d{3}\s\d{3}[\s-]\d{4})(?![\w-])",
            _say_phone,
        ),
        ("phone", r"(?<![\w.,-])(?P<rest>\d{4}(?:[\s-]\d{4}){3})(?![\w-])", _say_digit_groups),
        ("phone", r"(?<![\w.,/-])(?P<rest>\d{1,9}(?:-\d{1,9}){2,6})(?![\w-])", _say_digit_groups),
        (
            "phone",
            r"(?<![\w.,-])(?P<plus>)(?P<area>)(?P<rest>0\d{2,4}[\s-]\d{3,4}[\s-]\d{3,4})(?![\w-])",
            _say_phone,
        ),
        ("phone", r"(\bPorsche\s)911\b", lambda m: f"{m[1]}nine eleven"),
        (
            "phone",
            r"(?<![\w.,$£€#/:-])(?:911|411)(?![\w%/:-]|[.,]\d)",
            lambda m: numbers.digits(m[0]),
        ),
    ]


def _names() -> Table:
    return [
        ("version", r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.]*\d)", _say_ip),
        (
            "version",
            rf"(\b[vV]|\b(?:[Vv]ersion|Python|Java|Ubuntu|iOS|Android|macOS|release|build)\s)"
            rf"({INT}(?:\.\d++)++)",
            lambda m: f"{m[1].strip()} {_points(m[2])}",
        ),
        ("version", r"\d(?<![\d.]\d)\d*+(?:\.\d++){2,}+", lambda m: _points(m[0])),
        ("cardinal", r"\b0[xX]([0-9A-Fa-f]{1,16})\b", lambda m: f"zero x {_spelled(m[1])}"),
        ("cardinal", r"(?<![\w&])#([0-9A-Fa-f]{6}|[0-9A-Fa-f]{3})(?![\w-])", _say_color),
        ("cardinal", r"#(?P<rest>\d++(?:-\d++)+)(?![\w-])", _say_order),
        ("cardinal", r"\b([Ff]light\s)([A-Z]{1,3})\s?(\d{1,4})(?!\w)", _say_flight),
        ("cardinal", r"#(?=\d)", lambda m: "number"),
        (
            "cardinal",
            rf"\b({_NAMED})\s(\d{{3,4}})(?!\d|[,./:-]\d|\s(?:people|meters|miles))",
            _say_named,
        ),
        ("cardinal", r"(\d(?<!\w\d)\d{2,3})p\b", lambda m: f"{in_pairs(m[1])} p"),
        ("cardinal", r"\bI-(\d{1,3})\b", lambda m: f"I {in_pairs(m[1])}"),
        ("cardinal", r"\b(A|B|F|MD|DC)-?(\d{3})(?![\w,.-])", lambda m: f"{m[1]} {in_pairs(m[2])}"),
    ]


def _say_address(match: re.Match[str]) -> str:
    text = re.sub(r"^https?://", "", match[0]).rstrip("/")
    return " ".join(filter(None, map(_say_part, _PART.findall(text))))


def _say_part(part: str) -> str:
    if part.isdecimal():
        return numbers.cardinal(part) if len(part) < 3 else _pairs_or_digits(part)
    if part in _LETTERS:
        return " ".join(part if part == "www" else part.upper())
    return SIGN_NAMES.get(part, part)


def _pairs_or_digits(text: str) -> str:
    return in_pairs(text) if len(text) == 4 else numbers.digits(text)


def _say_hashtag(match: re.Match[str]) -> str | None:
    if re.fullmatch(r"[0-9A-Fa-f]{6}", match[1]) and re.search(r"\d", match[1]):
        return None
    return f"hashtag {_split_name(match[1])}"


def _say_handle(match: re.Match[str]) -> str:
    return f"at {' underscore '.join(filter(None, match[1].split('_')))}"


def _split_name(name: str) -> str:
    """ "ThrowbackThursday" -> "Throwback Thursday", "euro2024" -> "euro 2024"."""
    words = re.findall(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+", name)
    return " ".join(words) or name


def _say_zip(match: re.Match[str]) -> str:
    state, first, last = match[1], match[2], match[3]
    words = f"{STATES[state]} {numbers.digits(first)}"
    return f"{words}, {numbers.digits(last)}" if last else words


def _say_postcode(match: re.Match[str]) -> str:
    return f"{_spelled(match[1])}, {_spelled(match[2])}"


def _say_phone(match: re.Match[str]) -> str | None:
    plus = match["plus"] or ""
    groups = [group for group in re.split(r"[\s().-]+", match["rest"]) if group]
    if plus.startswith("+") and not 6 <= sum(map(len, groups)) <= 13:
        return None
    words = [_group(group) for group in [plus.lstrip("+"), match["area"] or "", *groups] if group]
    return f"{'plus ' if plus.startswith('+') else ''}{', '.join(words)}"


def _group(digits: str) -> str:
    return "eight hundred" if digits == "800" else numbers.digits(digits)


def _say_digit_groups(match: re.Match[str]) -> str:
    groups = re.split(r"[\s-]", match["rest"])
    is_count = all(len(group) < 3 for group in groups)  # "1-2-3"
    say = numbers.cardinal if is_count else numbers.digits
    return ", ".join(map(say, groups))


def _say_order(match: re.Match[str]) -> str:
    return "number " + ", ".join(map(numbers.digits, match["rest"].split("-")))


def _say_flight(match: re.Match[str]) -> str:
    return f"{match[1]}{_spelled(match[2])} {in_pairs(match[3])}"


def _say_ip(match: re.Match[str]) -> str | None:
    parts = match[1].split(".")
    if any(int(part) > 255 or str(int(part)) != part for part in parts):
        return None
    return " dot ".join(map(in_pairs, parts))


def _points(text: str) -> str:
    return " point ".join(map(numbers.cardinal, text.split(".")))


def _spelled(code: str) -> str:
    """Letters and digits one by one: "1A" -> "one A"."""
    return " ".join(numbers.digits(c) if c.isdecimal() else c.upper() for c in code)


def _say_color(match: re.Match[str]) -> str | None:
    return f"hash {_spelled(match[1])}" if re.search(r"[A-Fa-f]", match[1]) else None


def _say_named(match: re.Match[str]) -> str:
    return f"{match[1]} {in_pairs(match[2])}"
