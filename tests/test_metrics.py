"""What is counted comes out as Prometheus reads it, whoever counts meanwhile."""

from __future__ import annotations

import math
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.metrics import Registry

NUMBER = r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)"
LABEL = r'[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
LINE = re.compile(
    rf"# HELP [a-z][a-z0-9_]* [^\n]*|# TYPE [a-z][a-z0-9_]* (?:counter|gauge|histogram)"
    rf"|[a-z][a-z0-9_]*(?:\{{{LABEL}(?:,{LABEL})*\}})? {NUMBER}"
)


def lines(registry: Registry) -> list[str]:
    text = registry.render()
    assert text.endswith("\n")
    told = text[:-1].split("\n")
    assert all(LINE.fullmatch(line) for line in told), text
    return told


def test_a_counter_grows_by_label() -> None:
    registry = Registry()
    asked = registry.counter("f5_requests_total", "Requests.", ["operation", "outcome"])
    asked.add(operation="tts", outcome="ok")
    asked.add(2, operation="tts", outcome="BUSY")
    assert lines(registry) == [
        "# HELP f5_requests_total Requests.",
        "# TYPE f5_requests_total counter",
        'f5_requests_total{operation="tts",outcome="BUSY"} 2',
        'f5_requests_total{operation="tts",outcome="ok"} 1',
    ]
    assert asked.value(operation="tts", outcome="BUSY") == 2
    assert asked.value() == 3


def test_what_was_never_counted_is_nought() -> None:
    registry = Registry()
    registry.counter("f5_hits_total", "Hits.")
    assert lines(registry)[-1] == "f5_hits_total 0"


@pytest.mark.parametrize("labels", [{}, {"operation": "tts"}, {"operation": "tts", "code": "x"}])
def test_labels_are_those_of_the_family(labels: dict[str, str]) -> None:
    asked = Registry().counter("f5_requests_total", "Requests.", ["operation", "outcome"])
    with pytest.raises(ValueError, match="labels"):
        asked.add(**labels)


def test_a_gauge_is_set_or_read() -> None:
    registry = Registry()
    registry.gauge("f5_waiting", "Waiting.").set(3)
    registry.gauge("f5_wait_s", "Wait.", source=lambda: 1.5)
    registry.add_source(lambda: {"f5_engine_steps_total": 7.0, "f5_engine_rows_waiting": 1})
    told = lines(registry)
    assert "f5_waiting 3" in told
    assert "f5_wait_s 1.5" in told
    assert told[-4:] == [
        "# TYPE f5_engine_steps_total counter",
        "f5_engine_steps_total 7",
        "# TYPE f5_engine_rows_waiting gauge",
        "f5_engine_rows_waiting 1",
    ]


def test_a_histogram_tells_how_many_were_at_most_so_large() -> None:
    registry = Registry()
    seconds = registry.histogram("f5_s", "Seconds.", [0.1, 1, 10])
    for value in (0.1, 0.5, 0.6, 20.0, math.nan):
        seconds.observe(value)
    assert lines(registry)[2:] == [
        'f5_s_bucket{le="0.1"} 1',
        'f5_s_bucket{le="1"} 3',
        'f5_s_bucket{le="10"} 3',
        'f5_s_bucket{le="+Inf"} 4',
        "f5_s_sum 21.2",
        "f5_s_count 4",
    ]
    assert (seconds.count, seconds.mean) == (4, pytest.approx(5.3))
    assert [seconds.quantile(q) for q in (0.25, 0.5, 1.0)] == [0.1, 1.0, math.inf]


def test_a_histogram_with_labels_is_one_for_each_of_their_values() -> None:
    registry = Registry()
    seconds = registry.histogram("f5_s", "Seconds.", [1, 10], ["route"])
    assert (seconds.count, seconds.mean, seconds.quantile(0.5)) == (0, 0, 0)
    assert lines(registry) == ["# HELP f5_s Seconds.", "# TYPE f5_s histogram"]
    for value, route in ((0.5, "/b"), (5, "/b"), (2, '/"a"')):
        seconds.observe(value, route=route)
    assert lines(registry)[2:] == [
        'f5_s_bucket{route="/\\"a\\"",le="1"} 0',
        'f5_s_bucket{route="/\\"a\\"",le="10"} 1',
        'f5_s_bucket{route="/\\"a\\"",le="+Inf"} 1',
        'f5_s_sum{route="/\\"a\\""} 2',
        'f5_s_count{route="/\\"a\\""} 1',
        'f5_s_bucket{route="/b",le="1"} 1',
        'f5_s_bucket{route="/b",le="10"} 2',
        'f5_s_bucket{route="/b",le="+Inf"} 2',
        'f5_s_sum{route="/b"} 5.5',
        'f5_s_count{route="/b"} 2',
    ]
    assert (seconds.count, seconds.mean, seconds.quantile(1.0)) == (3, 2.5, 10)
    with pytest.raises(ValueError, match="labels"):
        seconds.observe(1)


def test_numbers_from_elsewhere_are_explained_where_somebody_can() -> None:
    registry = Registry()
    registry.add_source(lambda: {"f5_x_total": 1, "f5_y": 2}, {"f5_y": "Why."})
    assert lines(registry)[-3:] == ["# HELP f5_y Why.", "# TYPE f5_y gauge", "f5_y 2"]


@given(st.lists(st.floats(0, 100), max_size=40), st.floats(0.01, 1))
def test_a_quantile_is_a_bound_above_its_share(values: list[float], share: float) -> None:
    seconds = Registry().histogram("f5_s", "Seconds.", [1, 10, 50, 100])
    for value in values:
        seconds.observe(value)
    bound = seconds.quantile(share)
    assert sum(value <= bound for value in values) >= share * len(values)


@given(st.text(), st.floats(allow_nan=False))
def test_any_text_and_number_is_written_readably(text: str, value: float) -> None:
    registry = Registry()
    registry.gauge("f5_x", text, ["said"]).set(value, said=text)
    told = lines(registry)[-1]
    written = told.rpartition(" ")[2]
    assert float(written) == value
    unescaped = re.sub(
        r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], told[11:].rpartition('"')[0]
    )
    assert unescaped == text


@pytest.mark.parametrize(
    ("name", "buckets"), [("f5_s", []), ("f5_s", [2, 1]), ("f5_s", [1, 1]), ("F5 s", [1])]
)
def test_a_family_that_cannot_be_written_is_refused(name: str, buckets: list[float]) -> None:
    with pytest.raises(ValueError, match=r"buckets|names"):
        Registry().histogram(name, "Seconds.", buckets)


def test_a_name_is_taken_once() -> None:
    registry = Registry()
    registry.counter("f5_x_total", "X.")
    with pytest.raises(ValueError, match="already"):
        registry.gauge("f5_x_total", "X.")


def test_no_count_is_lost_between_threads() -> None:
    registry = Registry()
    counted = registry.counter("f5_x_total", "X.", ["by"])
    seconds = registry.histogram("f5_s", "Seconds.", [0.5])

    def count(name: str) -> None:
        for turn in range(2000):
            counted.add(by=name)
            seconds.observe(1)
            if not turn % 500:
                registry.render()

    threads = [threading.Thread(target=count, args=(str(n % 2),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.value() == seconds.count == 8000
    assert counted.value(by="0") == 4000
