"""Why a compiled extension did not load, read from the loader's last line.

A message flows in, an `Explanation` flows out. Pure; nothing is loaded here.

The names that libc10 exports tell the C++ ABI: a function with a string in its signature ends in
`Ss` in the old ABI and holds `__cxx11` in the new one. A wheel asks for the names of the torch that
it was built against.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["abi", "torch", "python", "cuda", "libc", "damaged", "crashed", "slow", "other"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is different, in a word and in a sentence."""

    kind: Kind
    sentence: str


_PLAIN: tuple[tuple[str, Kind, str], ...] = (
    (
        r"undefined symbol: _?Py\w+|compiled (?:for|with) Python|No module named '\w+_cuda'",
        "python",
        "It was built for another Python.",
    ),
    (
        r"lib(?:cudart|cublas|cudnn|nvrtc|c10_cuda|torch_cuda)[\w.-]*: cannot open",
        "cuda",
        "It was built for a CUDA that this torch does not bring.",
    ),
    (r"version [`']GLIBC(?:XX)?_[\d.]+' not found", "libc", "It was built on a newer system."),
    (
        r"file too short|invalid ELF header|truncated|unexpected end of data",
        "damaged",
        "The file is incomplete; such an install often ended on a full disk.",
    ),
)


def explain(message: str, torch_abi: bool | None = None) -> Explanation:
    """Why loading ended with `message`.

    Args:
        torch_abi: C++ ABI of the torch that is here: True for the new one, None when not known.
    """
    found = re.search(r"undefined symbol: (_Z\w+)", message)
    if found and re.match(r"_ZNK?(?:3c10|2at|5torch|5caffe)|_ZN[KS]?\w*c10", found[1]):
        return _explain_symbol(found[1], torch_abi)
    for pattern, kind, sentence in _PLAIN:
        if re.search(pattern, message):
            return Explanation(kind, sentence)
    return Explanation("other", "It does not load.")


def _explain_symbol(symbol: str, torch_abi: bool | None) -> Explanation:
    abi = abi_of(symbol)
    if re.search(r"C[12]E$", symbol):  # a constructor's name goes on with what it takes
        return Explanation(
            "torch",
            "It was built against another torch, or with the other C++ ABI: the name of the "
            "missing symbol is cut short, and its end would tell.",
        )
    if abi is None:
        return Explanation(
            "torch",
            "It was built against another torch minor version: this torch exports no "
            f"{symbol[:80]}.",
        )
    if abi == torch_abi:
        return Explanation(
            "torch", "It has the C++ ABI of this torch, but was built for another minor version."
        )
    named = "cxx11abiTRUE" if abi else "cxx11abiFALSE"
    return Explanation("abi", f"It was built with the other C++ ABI: it is a {named} wheel.")


def abi_of(symbol: str) -> bool | None:
    """The C++ ABI that a mangled name was made with; None when it holds no string.

    A name that a terminal or a person cut short often holds none any more.
    """
    if "__cxx11" in symbol:
        return True
    return False if "Ss" in _without_names(symbol) else None


def _without_names(symbol: str) -> str:
    """A mangled name without the identifiers in it, each of which has its length before it."""
    rest, left = symbol.removeprefix("_Z"), ""
    while rest:
        length = re.match(r"\d+", rest)
        if length:
            rest = rest[length.end() + int(length[0]) :]
            left += "."
        else:
            left, rest = left + rest[0], rest[1:]
    return left
