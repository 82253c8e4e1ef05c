"""Log lines that strangers cause are few, and those that were left out are counted."""

from __future__ import annotations

import logging

import pytest

from f5serve.http.middleware.access_log import LogLimit, limited_logger
from f5serve.metrics import Registry


class Clock:
    """A clock that is set."""

    now = 100.0

    def __call__(self) -> float:
        """Its time."""
        return self.now


def test_some_lines_in_a_minute_and_the_number_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, clock = Registry(), Clock()
    logger = limited_logger("f5serve.of_strangers", LogLimit(registry, 3, clock))
    with caplog.at_level(logging.INFO, "f5serve"):
        for number in range(10):
            logger.warning("bad request %d", number)
        logger.error("a fault of ours")
        clock.now += 20
        logger.warning("one more")
        clock.now += 600
        for _ in range(5):
            logger.warning("again")
    assert [record.getMessage() for record in caplog.records] == [
        *("bad request 0", "bad request 1", "bad request 2", "a fault of ours"),
        "one more; 7 such lines before were left out",
        *["again"] * 3,
    ]
    assert "f5_log_lines_left_out_total 9" in registry.render()
    assert caplog.records[0].name == "f5serve.of_strangers"


def test_who_logs_there_otherwise_has_no_limit(caplog: pytest.LogCaptureFixture) -> None:
    limited_logger("f5serve.shared", LogLimit(None, 1))
    for _ in range(5):
        logging.getLogger("f5serve.shared").warning("mine")
    assert len(caplog.records) == 5
