"""Client of the endpoint's own queue: posts a job for later, which any worker may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from f5serve.errors import F5Error

TIMEOUT_S = 20.0


class RunPodQueue:
    """The queue of one endpoint.

    Args:
        api: RunPod's job API, e.g. https://api.runpod.ai/v2.
        endpoint: id of the endpoint.
        key: what authorises the post.
    """

    def __init__(self, api: str, endpoint: str, key: str) -> None:
        self._url = f"{api.rstrip('/')}/{endpoint}/run"
        self._key = key
        self._complete = bool(endpoint and key)

    async def __call__(self, payload: Mapping[str, Any]) -> str:
        """Queue `payload` as the input of a new job; returns its id.

        Raises:
            F5Error: NO_QUEUE off RunPod, QUEUE_FAILED when RunPod does not take it.
        """
        if not self._complete:
            raise F5Error(
                "This worker does not know the queue of its endpoint.",
                code="NO_QUEUE",
                hint="Leave mode async out, or set RUNPOD_ENDPOINT_ID and RUNPOD_AI_API_KEY.",
            )
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"}
        timeout = aiohttp.ClientTimeout(TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                session.post(
                    self._url, json={"input": dict(payload)}, allow_redirects=False
                ) as response,
            ):
                answer = await response.json() if response.status == 200 else None
                status = response.status
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise _failed(type(error).__name__, retryable=True) from None
        job_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(job_id, str) or not job_id:
            raise _failed(f"status {status}", retryable=status == 429 or status >= 500)
        return job_id


def _failed(why: str, *, retryable: bool) -> F5Error:
    again = "Try again, or leave" if retryable else "Leave"
    return F5Error(
        f"RunPod's queue did not take the job ({why}).",
        code="QUEUE_FAILED",
        hint=f"{again} mode async out and use /run, which queues by itself.",
        retryable=retryable,
    )
