"""Words in the tokens of a model: every letter once, spaces where the script has them."""

from __future__ import annotations

import pytest

from f5serve.alignment.spelling import Speller
from tests.alignment.tiny_onnx import LETTERS

CHARACTERS = ["<pad>", *LETTERS]
PIECES = ["<blk>", "▁", "▁the", "▁h", "h", "e", "el", "l", "o", "你", "好", "▁好"]
CHINESE = ["<s>", " ", "a", "你", "好"]


@pytest.mark.parametrize(
    ("tokens", "text", "told"),
    [
        (CHARACTERS, "Éa ça", "e a | c a"),
        (["A", "B", "|"], "Ab ba", "A B | B A"),
        (CHARACTERS, "don’t", "d o n t"),
        (CHARACTERS, "ab δ cd", "a b |  | c d"),
        (PIECES, "The hello lo", "▁the ▁h el l o ▁ l o"),
        (PIECES, "你 好", "你 好"),
        (CHINESE, "a 你 好 a", "a 你 好 a"),
        ([" ", "न", "म", "स", "्", "त", "े"], "नमस्ते नम", "न म स ् त े   न म"),
    ],
)
def test_tokens(tokens: list[str], text: str, told: str) -> None:
    ids = {token: index for index, token in enumerate(tokens)}
    found = []
    for word in Speller(ids).spell(text.split()):
        if found and word.boundary is not None:
            found.append(tokens[word.boundary])
        found.append(" ".join(tokens[token] for token in word.tokens))
    assert " ".join(found) == told


def test_letters_are_counted_and_marks_are_not() -> None:
    (word,) = Speller({"ש": 1, "ל": 2}).spell(["שָׁלוֹם"])
    assert (word.letters, word.known, word.tokens) == (4, 2, (1, 2))
    (word,) = Speller({"▁hel": 1, "lo": 2}).spell(["hello!"])
    assert (word.letters, word.known) == (5, 5)
    assert Speller({}).spell(["a"])[0].tokens == ()
