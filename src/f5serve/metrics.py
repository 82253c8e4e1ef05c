"""Counts and times of one process, and the text in which Prometheus reads them.

Numbers flow in from any thread, text exposition (format 0.0.4) flows out. A `Registry` is made at
boot and handed to whoever counts; nothing here is global, and what is counted is not known here.
"""

from __future__ import annotations

import bisect
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of `Registry.render`."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")

Labels = tuple[str, ...]
F = TypeVar("F", "Counter", "Gauge", "Histogram")


class Counter:
    """A total that only grows, one for each combination of label values."""

    kind = "counter"

    def __init__(self, name: str, doc: str, labels: Sequence[str]) -> None:
        if not all(map(_NAME.fullmatch, (name, *labels))):
            raise ValueError(f"{name} {labels}: names are lower-case letters, digits and _")
        self.name, self.doc, self.labels = name, doc, tuple(labels)
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {}

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Count; every label of the counter is given."""
        key = _key_of(self.name, self.labels, labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def value(self, **labels: str) -> float:
        """The total of these label values; of all that there are, without labels."""
        with self._lock:
            values = dict(self._values)
        if not labels:
            return sum(values.values())
        return values.get(_key_of(self.name, self.labels, labels), 0.0)

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """Suffix of the name, labels as they are written, value."""
        with self._lock:
            values = sorted(self._values.items())
        if not self.labels and not values:
            values = [((), 0.0)]
        for key, value in values:
            yield "", _written(zip(self.labels, key, strict=True)), value


class Gauge(Counter):
    """What is so right now: set, or read from `source` by whoever collects."""

    kind = "gauge"

    def __init__(
        self, name: str, doc: str, labels: Sequence[str], source: Callable[[], float] | None = None
    ) -> None:
        super().__init__(name, doc, labels)
        self._source = source

    def set(self, value: float, **labels: str) -> None:
        """It is `value` from now on."""
        key = _key_of(self.name, self.labels, labels)
        with self._lock:
            self._values[key] = value

    def collect(self) -> None:
        """Read the source, if there is one."""
        if self._source is not None:
            self.set(self._source())


class Histogram:
    """How often values were at most as large as each of `buckets`, their number and their sum.

    One for each combination of label values; `count`, `mean` and `quantile` are of all together.
    """

    kind = "histogram"

    def __init__(
        self, name: str, doc: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        if not buckets or list(buckets) != sorted(set(buckets)):
            raise ValueError(f"{name}: buckets are bounds in growing order, not {buckets}")
        if not all(map(_NAME.fullmatch, (name, *labels))):
            raise ValueError(f"{name} {labels}: names are lower-case letters, digits and _")
        self.name, self.doc, self.labels = name, doc, tuple(labels)
        self._bounds = [*map(float, buckets), math.inf]
        self._lock = threading.Lock()
        self._series: dict[Labels, _Series] = {}
        if not labels:
            self._series[()] = _Series([0] * len(self._bounds))

    def observe(self, value: float, **labels: str) -> None:
        """Count one value; what is no number is left out."""
        key = _key_of(self.name, self.labels, labels)
        if math.isnan(value):
            return
        at = bisect.bisect_left(self._bounds, value)
        with self._lock:
            if key not in self._series:
                self._series[key] = _Series([0] * len(self._bounds))
            series = self._series[key]
            series.counts[at] += 1
            series.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._together().counts)

    @property
    def mean(self) -> float:
        """Mean of all values, 0 for none."""
        series = self._together()
        return series.sum / max(1, sum(series.counts))

    def quantile(self, share: float) -> float:
        """The smallest bound that at least `share` of all values keep; 0 for none."""
        counts = self._together().counts
        wanted, seen = share * sum(counts), 0
        if not wanted:
            return 0.0
        for bound, count in zip(self._bounds, counts, strict=True):
            seen += count
            if seen >= wanted:
                return bound
        return math.inf

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """Suffix of the name, labels as they are written, value."""
        with self._lock:
            found = sorted((key, list(one.counts), one.sum) for key, one in self._series.items())
        for key, counts, total in found:
            named = list(zip(self.labels, key, strict=True))
            seen = 0
            for bound, count in zip(self._bounds, counts, strict=True):
                seen += count
                yield "_bucket", _written([*named, ("le", _number(bound))]), seen
            yield "_sum", _written(named), total
            yield "_count", _written(named), seen

    def _together(self) -> _Series:
        with self._lock:
            all_of_them = list(self._series.values())
            counts = [sum(c) for c in zip(*(one.counts for one in all_of_them), strict=True)]
            return _Series(counts, sum(one.sum for one in all_of_them))


@dataclass(slots=True)
class _Series:
    """How many values fell below each bound and not below the one before."""

    counts: list[int]
    sum: float = 0.0


class Registry:
    """All that one process counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._families: dict[str, Counter | Histogram] = {}
        self._sources: list[tuple[Callable[[], Mapping[str, float]], Mapping[str, str]]] = []

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """A new counter; by custom its name ends in `_total`."""
        return self._add(Counter(name, doc, labels))

    def gauge(
        self,
        name: str,
        doc: str,
        labels: Sequence[str] = (),
        source: Callable[[], float] | None = None,
    ) -> Gauge:
        """A new gauge; one with a `source`, read by `collect`, has no labels."""
        return self._add(Gauge(name, doc, labels, source))

    def histogram(
        self, name: str, doc: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        """A new histogram over fixed bounds."""
        return self._add(Histogram(name, doc, buckets, labels))

    def add_source(
        self, read: Callable[[], Mapping[str, float]], docs: Mapping[str, str] | None = None
    ) -> None:
        """Export what `read` returns by full name: a counter where it ends in `_total`.

        Args:
            read: called by `write`, so in any thread.
        """
        with self._lock:
            self._sources.append((read, docs or {}))

    def collect(self) -> None:
        """Read the gauges that have a source: where what they read is changed, as in a loop."""
        with self._lock:
            families = list(self._families.values())
        for family in families:
            if isinstance(family, Gauge):
                family.collect()

    def render(self) -> str:
        """Everything as it is now; for whoever may read all of it in one thread."""
        self.collect()
        return self.write()

    def write(self) -> str:
        """Everything, as Prometheus reads it; gauges as they were collected. It may block."""
        with self._lock:
            families, sources = list(self._families.values()), list(self._sources)
        lines: list[str] = []
        for family in families:
            lines += _head(family.name, family.kind, family.doc)
            lines += [f"{family.name}{s}{labels} {_number(v)}" for s, labels, v in family.samples()]
        for read, docs in sources:
            for name, value in read().items():
                kind = "counter" if name.endswith("_total") else "gauge"
                lines += [*_head(name, kind, docs.get(name, "")), f"{name} {_number(value)}"]
        return "\n".join(lines) + "\n"

    def _add(self, family: F) -> F:
        with self._lock:
            if family.name in self._families:
                raise ValueError(f"{family.name} is counted already")
            self._families[family.name] = family
        return family


def _key_of(name: str, wanted: Labels, labels: Mapping[str, str]) -> Labels:
    if len(labels) != len(wanted) or not all(label in labels for label in wanted):
        raise ValueError(f"{name} has the labels {wanted}, not {tuple(labels)}")
    return tuple(str(labels[label]) for label in wanted)


def _head(name: str, kind: str, doc: str) -> list[str]:
    told = doc.replace("\\", r"\\").replace("\n", r"\n")
    return [*([f"# HELP {name} {told}"] if told else []), f"# TYPE {name} {kind}"]


def _written(labels: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    escape = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    told = ",".join(f'{name}="{value.translate(escape)}"' for name, value in labels)
    return f"{{{told}}}" if told else ""


def _number(value: float) -> str:
    value = float(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() else repr(value)
