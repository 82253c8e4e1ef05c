"""FFmpeg's audio filters, through PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np

from f5serve.types import FloatArray


def pieces(samples: FloatArray, sample_rate: int) -> Iterator[FloatArray]:
    """The samples in stretches of a second at most."""
    for start in range(0, len(samples), sample_rate):
        yield np.ascontiguousarray(samples[start : start + sample_rate], np.float32)


class FilterChain:
    """FFmpeg's audio filters one behind the other, on mono float32.

    Args:
        filters: names and arguments.
        sample_rate: of what is added, Hz.
    """

    def __init__(self, filters: Iterable[tuple[str, str]], sample_rate: int) -> None:
        import av

        self._sample_rate = sample_rate
        self._samples = 0
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(
            sample_rate=sample_rate,
            format="flt",
            layout="mono",
            time_base=Fraction(1, sample_rate),
        )
        nodes = [source, *(self._graph.add(name, arguments) for name, arguments in filters)]
        nodes += [
            self._graph.add("aformat", "sample_fmts=flt:channel_layouts=mono"),
            self._graph.add("abuffersink"),
        ]
        for node, following in pairwise(nodes):
            node.link_to(following)
        self._graph.configure()

    def add(self, samples: FloatArray) -> FloatArray:
        """The next samples [nw]; returns those that are ready."""
        if not len(samples):
            return samples
        import av

        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = self._sample_rate
        frame.time_base = Fraction(1, self._sample_rate)
        frame.pts = self._samples
        self._samples += len(samples)
        self._graph.push(frame)
        return self._ready()

    def end(self) -> FloatArray:
        """The rest."""
        self._graph.push(None)
        return self._ready()

    def _ready(self) -> FloatArray:
        found = [np.zeros(0, np.float32)]
        while True:
            try:
                found.append(self._graph.pull().to_ndarray()[0].copy())
            except (BlockingIOError, EOFError):
                return np.concatenate(found)
