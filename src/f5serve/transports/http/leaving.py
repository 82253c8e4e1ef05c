"""A caller that goes away ends what is done for him.

The messages of a connection and work flow in; the work ends by itself, or is cancelled as soon as
nobody listens any more. What the work is, is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive


async def while_listening(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, to its end or until the caller is gone; what it raises comes out.

    Args:
        receive: of a request whose body has been read.
    """
    doing = asyncio.create_task(work)
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        doing.cancel()  # harmless where it has ended
        await asyncio.wait({doing, gone})
    if not doing.cancelled():
        doing.result()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
