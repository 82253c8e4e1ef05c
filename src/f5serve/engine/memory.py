"""How much memory a GPU has left for this process, and which errors mean that it has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

CAPTURE_BYTES = 512 * 2**20
"""Bytes that are free where steps are recorded: the largest recording takes 400 MB."""
_WORDS = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
"""What CUDA, cuBLAS and cuDNN say of it; torch gives that no type of its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory is short, of which the device does not break."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


def free_bytes(device: torch.device) -> int:
    """What this process may still take: what is free, and what its allocator keeps in reserve.

    Other processes, and the CUDA context, have taken their part of the card before.
    """
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def check_free_memory(work: Callable[[], T], free: Callable[[], int]) -> T:
    """What `work`, a recording, returns.

    A recording that runs out of memory cannot give any back meanwhile, and fails with words about
    something else; so what it needs is looked at before, and again where it failed.

    Args:
        free: bytes that may still be taken.

    Raises:
        torch.OutOfMemoryError: there was no room.
    """
    if free() < CAPTURE_BYTES:
        raise torch.OutOfMemoryError("too little memory is free to record a step")
    try:
        return work()
    except RuntimeError as error:
        if not is_out_of_memory(error) and free() < CAPTURE_BYTES:
            raise torch.OutOfMemoryError(f"memory ran out in a recording: {error}") from error
        raise
