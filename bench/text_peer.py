"""A text normalizer as a peer: reads lines of JSON [text, ...], answers with readings and seconds.

Runs under a Python that has wetext, kitten-text-processing and verbalis; nothing of this project is
imported.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def wetext(language: str) -> Callable[[str], str] | None:
    from wetext import Normalizer  # type: ignore[import-not-found]

    if language not in ("en", "zh", "ja"):
        return None
    normalizer = Normalizer(lang=language, operator="tn")
    return lambda text: str(normalizer.normalize(text))


def kitten(language: str) -> Callable[[str], str] | None:
    import kitten_text_processing  # type: ignore[import-not-found]

    if language not in kitten_text_processing.SUPPORTED_LANGUAGES:
        return None
    return lambda text: str(kitten_text_processing.normalize_text(text, language))


def verbalis(language: str) -> Callable[[str], str] | None:
    from verbalis import Verbalizer  # type: ignore[import-not-found]

    try:
        verbalizer = Verbalizer(language)
    except (ValueError, RuntimeError):
        return None
    return lambda text: str(verbalizer.process(text))


def main() -> None:
    """One tool and one language, by the arguments; lines on stdin, the answer on stdout."""
    tool, language = sys.argv[1:]
    normalize = {"wetext": wetext, "kitten": kitten, "verbalis": verbalis}[tool](language)
    texts = json.load(sys.stdin)
    if normalize is None:
        json.dump(None, sys.stdout)
        return
    normalize(texts[0])  # loads what is loaded once
    readings: list[str | None] = []
    seconds: list[float] = []
    for text in texts:
        began = time.perf_counter()
        try:
            readings.append(normalize(text))
        except Exception:  # noqa: BLE001 - a line that a tool fails on is a line that it misses
            readings.append(None)
        seconds.append(time.perf_counter() - began)
    json.dump({"readings": readings, "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main()
