"""Metrics of one process, by prometheus_client, in a registry that is passed to its users.

A gauge may be read from a function in `Registry.collect`, which is called in the event loop that
changes what the function reads; `Registry.write` may then block in a thread.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# One more series for each counter and histogram, which is never read.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of `Registry.render`."""


class Registry:
    """All metrics of one process."""

    def __init__(self) -> None:
        self._families = CollectorRegistry()
        self._lock = threading.Lock()
        self._read: list[tuple[Gauge, Callable[[], float]]] = []

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """A new counter; by custom its name ends in `_total`."""
        return Counter(name, doc, labels, registry=self._families)

    def gauge(
        self,
        name: str,
        doc: str,
        labels: Sequence[str] = (),
        source: Callable[[], float] | None = None,
    ) -> Gauge:
        """A new gauge; one with a `source`, read by `collect`, has no labels."""
        gauge = Gauge(name, doc, labels, registry=self._families)
        if source is not None:
            with self._lock:
                self._read.append((gauge, source))
        return gauge

    def histogram(
        self, name: str, doc: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        """A new histogram over fixed bounds, in growing order."""
        return Histogram(name, doc, labels, registry=self._families, buckets=buckets)

    def add_source(
        self, read: Callable[[], Mapping[str, float]], docs: Mapping[str, str] | None = None
    ) -> None:
        """Export what `read` returns by full name: a counter where it ends in `_total`.

        Args:
            read: called by `write`, so in any thread.
            docs: help texts by full name.
        """
        self._families.register(_Source(read, docs or {}))

    def collect(self) -> None:
        """Read the gauges that have a source."""
        with self._lock:
            read = list(self._read)
        for gauge, source in read:
            gauge.set(source())

    def write(self) -> str:
        """Text exposition, version 0.0.4; gauges as they were collected. It may block."""
        return generate_latest(self._families).decode()

    def render(self) -> str:
        """`collect` and `write`, for a caller that may do both in one thread."""
        self.collect()
        return self.write()

    def value(self, name: str, **labels: str) -> float:
        """Value of one sample by its full name; without labels the sum of all that have it."""
        if labels:
            return self._families.get_sample_value(name, labels) or 0.0
        samples = (s for family in self._families.collect() for s in family.samples)
        return sum(sample.value for sample in samples if sample.name == name)


class _Source(Collector):
    """Values that another part of the program counts."""

    def __init__(self, read: Callable[[], Mapping[str, float]], docs: Mapping[str, str]) -> None:
        self._read, self._docs = read, docs

    def collect(self) -> Iterator[Metric]:
        """One family for each value."""
        for name, value in self._read().items():
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield family(name, self._docs.get(name, ""), value=value)

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are known when they are read, and reading may block."""
        return iter(())


def count(histogram: Histogram) -> int:
    """How many values a histogram without labels has seen."""
    return int(_samples(histogram)["_count"])


def mean(histogram: Histogram) -> float:
    """Mean of all values of a histogram without labels, 0 for none."""
    samples = _samples(histogram)
    return samples["_sum"] / max(1.0, samples["_count"])


def quantile(histogram: Histogram, share: float) -> float:
    """The smallest bound that at least `share` of all values keep; 0 for none, maybe infinite."""
    samples = _samples(histogram)
    wanted = share * samples["_count"]
    if not wanted:
        return 0.0
    bounds = (name for name in samples if name not in ("_count", "_sum"))
    return next((float(b) for b in bounds if samples[b] >= wanted), math.inf)


def _samples(histogram: Histogram) -> dict[str, float]:
    """Number of values by upper bound, in growing order, then `_count` and `_sum`."""
    (family,) = histogram.collect()
    return {s.labels.get("le", s.name.removeprefix(family.name)): s.value for s in family.samples}
