"""The parts of the script editor that know no page: places in a text, tags, seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.http.house import house
from tests.studio.browser import Visit, call, needs_chromium, visiting

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def visit(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    with house(tmp_path_factory.mktemp("modules")) as home, visiting(browser, home.url) as visit:
        visit.page.goto(home.url)
        yield visit


def part(text: str, start: int, **fields: Any) -> dict[str, Any]:
    """A part as /v1/text gives it."""
    none = dict.fromkeys(("voice", "style", "speed", "seed", "pause"))
    return {**none, "text": text, "start": start, "end": start + len(text), **fields}


def changed(visit: Visit, text: str, parts: list[dict[str, Any]], index: int, seed: Any) -> str:
    """The text with a change by `seedChange` in it."""
    body = """const [text, parts, index, seed] = given;
        const { from, to, text: put } = its.seedChange(text, its.linesOf(parts, text), index, seed);
        return text.slice(0, from) + put + text.slice(to);"""
    return str(call(visit, "seeds.js", body, [text, parts, index, seed]))


def test_characters_are_counted_as_the_server_counts_them(visit: Visit) -> None:
    text = "🙂 [ana] Hé 🎻 so.  "
    start = text.index(" Hé")
    lines = call(
        visit,
        "seeds.js",
        "return its.linesOf(given[1], given[0]).map(({ from, to }) => given[0].slice(from, to))",
        [text, [part("🙂", 0), part(text[start:], start)]],
    )
    assert lines == ["🙂", "Hé 🎻 so."]


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        ("Oh! ana: Hello. ben: No.", ["Hello.", "No."]),  # before the first
        ("ana: Hello there. ben: No.", ["Hello there.", "No."]),  # inside
        ("ana: Hello. ben: No. Never.", ["Hello.", "No. Never."]),  # behind the last
        ("ana: Hello", ["Hello", ""]),  # the end is gone
        ("ben: No.", ["", "No."]),
        ("", ["", ""]),
    ],
)
def test_lines_move_with_the_text(visit: Visit, after: str, kept: list[str]) -> None:
    before = "ana: Hello. ben: No."
    found = call(
        visit,
        "edit.js",
        """return its.moved([{ from: 5, to: 11 }, { from: 17, to: 20 }], given[0], given[1])
            .map(({ from, to }) => given[1].slice(from, to))""",
        [before, after],
    )
    assert found == kept


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("There is no voice 'bob', at line 2, column 4.", "[bob]"),
        ("There is no voice 'bob', at character 10.", "[bob]"),
        ("The tag is not closed, at position 1.", "🙂"),
        ("There is no style in [style:mad].", "[style:mad]"),
        ("There is no voice 'bob', at character 900.", None),
        ("Line 9 is wrong, at line 900, column 2.", None),
        ("Nothing is known of it.", None),
    ],
)
def test_places_in_errors_are_found(visit: Visit, message: str, place: str | None) -> None:
    text = "🙂 ana\n🙂: [bob] [style:mad]"
    body = """const place = its.placeOf(...given);
        return place && given[1].slice(place.from, place.to);"""
    assert call(visit, "edit.js", body, [message, text]) == place


def test_a_tag_has_what_is_not_as_usual(visit: Visit) -> None:
    body = "return given.map((part) => its.tagOf(part, part.seed))"
    parts = [
        part("", 0),
        part("", 0, voice='a"na', style="happy", seed=0, speed=1.1),
    ]
    assert call(visit, "seeds.js", body, parts) == [
        '{"name": "main"}',
        '{"name": "a\\"na", "style": "happy", "seed": 0, "speed": 1.1}',
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("🙂 ana: Hello.", "🙂 ana: [seed:7] Hello."),
        ("[seed:5] Hello.", "[seed:7] Hello."),
        ("[seed 5]Hello.", "[seed:7] Hello."),
        ('{"name": "ana", "speed": 2} Hello.', '{"name": "ana", "speed": 2, "seed": 7} Hello.'),
        ('{"name": "ana", "seed": 5} [happy] Hello.', '{"name": "ana", "seed": 7} [happy] Hello.'),
        ("{Happy} Hello.", "{Happy} [seed:7] Hello."),
        ("{not: json} Hello.", "{not: json} [seed:7] Hello."),
    ],
)
def test_a_seed_is_written_before_its_line(visit: Visit, text: str, kept: str) -> None:
    parts = [part("Hello.", text.index("Hello."))]
    assert changed(visit, text, parts, 0, 7) == kept


def test_a_seed_of_another_line_is_left_alone(visit: Visit) -> None:
    text = "[seed:5] Hello. [pause:1s] Bye."
    parts = [part("Hello.", 9, seed=5), part("Bye.", text.index("Bye."), seed=5)]
    assert changed(visit, text, parts, 1, 7) == "[seed:5] Hello. [pause:1s] [seed:7] Bye."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ana: [seed:7] Hello.", "ana: Hello."),
        ('{"name": "ana", "seed": 7} Hello.', '{"name": "ana"} Hello.'),
    ],
)
def test_a_seed_is_taken_out_again(visit: Visit, text: str, left: str) -> None:
    parts = [part("Hello.", text.index("Hello."), voice="ana", seed=7)]
    assert changed(visit, text, parts, 0, None) == left


def test_a_seed_that_comes_from_further_up_is_ended(visit: Visit) -> None:
    text = "[seed:7] Hello. [pause:1s] Bye."
    parts = [part("Hello.", 9, seed=7), part("Bye.", text.index("Bye."), voice="ana", seed=7)]
    assert changed(visit, text, parts, 1, None) == '[seed:7] Hello. [pause:1s] {"name": "ana"} Bye.'


@pytest.mark.parametrize(
    ("text", "voice"),
    [
        ("", "main voice"),
        ("ana: Hello. ", "ana"),
        ("ana: Hello.\nBen: Oh ", "ben"),
        ("[voice:ana] Hello, [ben] or ", "ben"),
        ('{"name": "ana", "seed": 7} Hello [laughs] ', "ana"),
        ("ana: Hello. [/] And ", "main voice"),
        ("She said to ben: go. ", "main voice"),
    ],
)
def test_the_voice_behind_a_text(visit: Visit, text: str, voice: str) -> None:
    body = "return its.voiceBefore(given, ['ana', 'ben'], 'main voice')"
    assert call(visit, "insert.js", body, text) == voice


def test_work_is_one_thing_at_a_time(visit: Visit) -> None:
    told = call(
        visit,
        "work.js",
        """const work = new its.Work();
        const busy = [];
        work.addEventListener("change", () => busy.push(work.busy));
        const first = work.run((signal) => new Promise((_, give) => {
          signal.addEventListener("abort", () => give(new Error("given up")));
        }));
        const second = await work.run(async () => {});
        work.cancel();
        const third = async () => { throw new Error("third"); };
        return [second.message, await first, (await work.run(third)).message,
                await work.run(async () => {}), busy];""",
    )
    assert told[0].startswith("Something is being made.")
    assert told[1:4] == ["cancelled", "third", None]
    assert told[4] == [True, False] * 3
