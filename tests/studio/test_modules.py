"""The parts of the page that know no page: run in the browser, one by one."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser

from tests.http.house import house
from tests.studio.browser import Visit, call, needs_chromium, visiting

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def visit(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    with house(tmp_path_factory.mktemp("modules")) as home, visiting(browser, home.url) as visit:
        visit.page.goto(home.url)
        yield visit


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (7.9, "0:07"), (750, "12:30"), (3723, "1:02:03")]
)
def test_clock(visit: Visit, seconds: float, shown: str) -> None:
    assert call(visit, "format.js", "return its.clock(given)", seconds) == shown


def test_times_that_are_none_are_zero(visit: Visit) -> None:
    assert call(visit, "format.js", "return [NaN, -3, Infinity].map(its.clock)") == ["0:00"] * 3


@pytest.mark.parametrize(
    ("seconds", "said"), [(5, "just now"), (120, "2 min ago"), (7300, "2 h ago")]
)
def test_ago(visit: Visit, seconds: int, said: str) -> None:
    now = 1_800_000_000_000
    body = "return its.ago(given[0], given[1])"
    assert call(visit, "format.js", body, [now / 1000 - seconds, now]) == said


def test_speech_is_estimated_by_script_and_speed(visit: Visit) -> None:
    body = "return given.map(([text, speed]) => its.speechSeconds(text, speed))"
    given = [["x" * 150, 1], ["x" * 150, 2], ["你好" * 9, 1], ["  \n ", 1]]
    assert call(visit, "format.js", body, given) == pytest.approx([10, 5, 4, 0])


EVENTS = (
    ': hello\r\ndata: {"a": "ü€"}\r\n\r\nevent: x\ndata:{"b":2}\n\n'
    'data: {"c": 3}\r\rdata: [DONE]\n\n'
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_they_are_cut(visit: Visit, size: int) -> None:
    told = call(
        visit,
        "sse.js",
        """const bytes = new TextEncoder().encode(given[0]);
        const stream = new ReadableStream({ start(out) {
          for (let at = 0; at < bytes.length; at += given[1]) {
            out.enqueue(bytes.slice(at, at + given[1]));
          }
          out.close();
        } });
        const all = [];
        for await (const event of its.events(stream)) all.push(event);
        return all;""",
        [EVENTS, size],
    )
    assert told == [{"a": "ü€"}, {"b": 2}, {"c": 3}]


def test_last_event_needs_no_empty_line(visit: Visit) -> None:
    told = call(
        visit,
        "sse.js",
        """const all = [];
        for await (const event of its.events(new Response('data: {"a": 1}').body)) all.push(event);
        return all;""",
    )
    assert told == [{"a": 1}]


@pytest.mark.parametrize("size", [1, 5, 44, 100, 5000])
def test_samples_come_back_from_a_wav_file_in_parts(visit: Visit, size: int) -> None:
    told = call(
        visit,
        "pcm.js",
        """const samples = Float32Array.from({ length: 999 }, (_, i) => Math.sin(i / 9) * 1.2);
        const file = new Uint8Array(await its.wavFile(samples, 16000).arrayBuffer());
        const reader = new its.SampleReader(true);
        const back = [];
        for (let i = 0; i < file.length; i += given) {
          back.push(...reader.read(file.slice(i, i + given)));
        }
        return { back, rate: reader.sampleRate, file: btoa(String.fromCharCode(...file)) };""",
        size,
    )
    samples = np.clip(np.sin(np.arange(999) / 9) * 1.2, -1, 32767 / 32768)
    np.testing.assert_allclose(told["back"], samples, atol=1 / 32768)
    assert told["rate"] == 16000
    read, rate = soundfile.read(io.BytesIO(base64.b64decode(told["file"])), dtype="float32")
    assert rate == 16000
    np.testing.assert_array_equal(read, np.float32(told["back"]))


def test_headers_of_wav_with_other_parts_are_read(visit: Visit) -> None:
    out = io.BytesIO()
    soundfile.write(out, np.array([0.5, -0.5]), 24000, format="WAVEX", subtype="PCM_16")
    body = """const reader = new its.SampleReader(true);
        return [...reader.read(its.bytesOf(given))].concat(reader.sampleRate);"""
    told = call(visit, "pcm.js", body, base64.b64encode(out.getvalue()).decode())
    assert told == [0.5, -0.5, 24000]


def test_peaks_of_growing_sound_are_those_of_the_whole(visit: Visit) -> None:
    grown, whole = call(
        visit,
        "waveform.js",
        """const sound = Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i * i));
        const some = new its.Peaks(), all = new its.Peaks();
        for (const end of [100, 333, 2400, 2401, 5000]) some.grow(sound.subarray(0, end));
        all.grow(sound);
        return [some.values, all.values];""",
    )
    assert grown == whole
    assert len(whole) == 21


WORDS = [
    {"word": "Well,", "start": 0.1, "end": 0.4},
    {"word": "well", "start": 0.5, "end": 0.8},
    {"word": "missing", "start": 1, "end": 1.2},
    {"word": "done.", "start": 1.5, "end": 2},
]


def test_words_are_found_in_their_order_and_the_text_stays(visit: Visit) -> None:
    told = call(
        visit,
        "words.js",
        """const box = document.createElement("p");
        const words = new its.Words(box, () => {});
        words.show("Well,  well\\n(is) done.", given);
        const shown = box.textContent;
        const heard = [0, 0.1, 0.45, 0.9, 5].map((at) => {
          words.follow(at);
          return box.querySelector(".now")?.textContent ?? "";
        });
        return { shown, heard, steps: [words.after(0), words.after(0.5), words.after(9),
                                       words.before(0.5), words.before(0.2), words.before(9)] };""",
        WORDS,
    )
    assert told["heard"] == ["", "Well,", "Well,", "well", "done."]
    assert told["shown"].replace(" missing", "") == "Well,  well\n(is) done."
    assert told["steps"] == [0.1, 1, 2, 0.1, 0.1, 1.5]


@pytest.mark.parametrize(
    ("numbers", "written"), [([1], "1"), ([1, 2, 3, 5, 7, 8], "1-3,5,7-8"), ([], "")]
)
def test_chapters_are_written_as_ranges(visit: Visit, numbers: list[int], written: str) -> None:
    assert call(visit, "new-book.js", "return its.ranges(given)", numbers) == written


def test_words_that_are_not_written_are_not_shown(visit: Visit) -> None:
    told = call(
        visit,
        "timed-text.js",
        """const { nodes, spans } = its.wordNodes("It is 3, is it?", given);
        const box = document.createElement("p");
        box.append(...nodes);
        return [box.textContent, spans.map((span) => box.contains(span))];""",
        [{"word": word} for word in ("It", "is", "three,", "is", "it?")],
    )
    assert told == ["It is 3, is it?", [True, True, False, True, True]]
