"""Equal requests under way in this process: one makes the speech, the others wait for its story.

What decides a result flows in as a key, the story of the one who made it flows out. Each who waits
has a deadline and an end of his own; where the one who makes it fails or is stopped, the next one
makes it. What a story says, and where it is kept, is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from f5serve.service.flights import Flight

REMEMBERED_S = 5.0
"""How long a story is known after its end: who asks now may have looked into the store before."""

Story = Mapping[str, Any]


class Making:
    """What is being made, by what decides it; used in the event loop only."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Story | None]] = {}

    async def begin(self, key: str, flight: Flight) -> Story | None:
        """Wait for the one who makes it; None where this flight is the one: `end` it then.

        Raises:
            F5Error: why the flight was stopped meanwhile.
        """
        while (found := self._under_way.get(key)) is not None:
            if not found.done() and flight.place is not None:
                flight.place.leave()  # it needs the device no more
                flight.place = None
            story = await flight.unless_stopped(asyncio.shield(found))
            if story is not None:
                return story
        self._under_way[key] = asyncio.get_running_loop().create_future()
        return None

    def end(self, key: str, story: Story | None) -> None:
        """Tell those who wait what was made; None lets the next one make it."""
        found = self._under_way[key]
        found.set_result(story)
        if story is None:
            del self._under_way[key]
        else:
            asyncio.get_running_loop().call_later(REMEMBERED_S, self._forget, key, found)

    def _forget(self, key: str, found: asyncio.Future[Story | None]) -> None:
        if self._under_way.get(key) is found:
            del self._under_way[key]
