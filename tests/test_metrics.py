"""Metrics come out as Prometheus reads them, and their sources are read where they change."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from f5serve.metrics import Registry, count, mean, quantile


def samples(registry: Registry) -> dict[str, float]:
    """Value by full name with labels, as Prometheus' own parser reads them."""
    return {
        sample.name + str(sample.labels or ""): sample.value
        for family in text_string_to_metric_families(registry.write())
        for sample in family.samples
    }


def test_counters_by_label_and_their_sum() -> None:
    registry = Registry()
    asked = registry.counter("f5_requests_total", "Requests.", ["operation", "outcome"])
    registry.counter("f5_hits_total", "Hits.")
    asked.labels("tts", "ok").inc()
    asked.labels("tts", "BUSY").inc(2)
    assert samples(registry) == {
        "f5_hits_total": 0,
        "f5_requests_total{'operation': 'tts', 'outcome': 'ok'}": 1,
        "f5_requests_total{'operation': 'tts', 'outcome': 'BUSY'}": 2,
    }
    assert registry.value("f5_requests_total", operation="tts", outcome="BUSY") == 2
    assert registry.value("f5_requests_total", operation="tts", outcome="never") == 0
    assert registry.value("f5_requests_total") == 3
    assert "# TYPE f5_requests_total counter" in registry.write()


def test_a_gauge_with_a_source_is_read_by_collect_alone() -> None:
    registry, here = Registry(), threading.current_thread()
    threads: list[threading.Thread] = []

    def source() -> float:
        threads.append(threading.current_thread())
        return 1.5

    registry.gauge("f5_wait_seconds", "Wait.", source=source)
    registry.collect()
    writer = threading.Thread(target=registry.write)
    writer.start()
    writer.join()
    assert threads == [here]
    assert samples(registry) == {"f5_wait_seconds": 1.5}


def test_values_that_another_part_counts() -> None:
    registry = Registry()
    registry.add_source(lambda: {"f5_x_total": 1, "f5_y": 2}, {"f5_y": "Why."})
    assert samples(registry) == {"f5_x_total": 1, "f5_y": 2}
    text = registry.write()
    assert "# TYPE f5_x_total counter" in text
    assert "# HELP f5_y Why.\n# TYPE f5_y gauge" in text


def test_number_mean_and_quantiles_of_a_histogram() -> None:
    seconds = Registry().histogram("f5_s", "Seconds.", [0.1, 1, 10])
    assert (count(seconds), mean(seconds), quantile(seconds, 0.5)) == (0, 0, 0)
    for value in (0.1, 0.5, 0.6, 20.0):
        seconds.observe(value)
    assert (count(seconds), mean(seconds)) == (4, pytest.approx(5.3))
    assert [quantile(seconds, q) for q in (0.25, 0.5, 1.0)] == [0.1, 1.0, math.inf]


@given(st.lists(st.floats(0, 100), max_size=40), st.floats(0.01, 1))
def test_a_quantile_is_a_bound_above_its_share(values: list[float], share: float) -> None:
    seconds = Registry().histogram("f5_s", "Seconds.", [1, 10, 50, 100])
    for value in values:
        seconds.observe(value)
    bound = quantile(seconds, share)
    assert sum(value <= bound for value in values) >= share * len(values)


@given(st.text(), st.floats(allow_nan=False))
def test_any_text_and_number_is_read_back(text: str, value: float) -> None:
    registry = Registry()
    registry.gauge("f5_x", text, ["said"]).labels(text).set(value)
    (family,) = text_string_to_metric_families(registry.write())
    assert [(s.labels["said"], s.value) for s in family.samples] == [(text, value)]


def test_a_name_is_taken_once_and_nothing_else_is_exported() -> None:
    registry = Registry()
    registry.counter("f5_x_total", "X.").inc()
    with pytest.raises(ValueError, match="Duplicated"):
        registry.counter("f5_x_total", "X.")
    assert samples(registry) == {"f5_x_total": 1}  # no time of making beside it
