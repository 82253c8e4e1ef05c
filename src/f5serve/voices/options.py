"""What a library of voices is seldom made with anything but the default for."""

from __future__ import annotations

from dataclasses import dataclass, field

from f5serve.download.url import FetchLimits
from f5serve.download.wire import Internet
from f5serve.voices.disk_cache import MAX_BYTES


@dataclass(frozen=True, slots=True)
class LibraryOptions:
    """How a library works; times in seconds.

    Attributes:
        web: limits of the download of a voice that is given as a URL.
        internet: the way out; None is the real one.
        look_again_s: least time between two looks at the hand-dropped files of a voice in use.
        presence_s: how long `has` believes what it found.
        unknown_s: how long it is believed that no files of a name were dropped.
        fresh_s: how long a page of voices is told from what was read before.
        check_s: how long pages believe the index before the records are listed, beside the call;
            infinite for ever.
        voices_in_memory: at most; each takes up to 1.2 MB.
        cache_bytes: of recordings and words on this machine's disk, at most.
    """

    web: FetchLimits = field(default_factory=FetchLimits)
    internet: Internet | None = None
    look_again_s: float = 60.0
    presence_s: float = 10.0
    unknown_s: float = 5.0
    fresh_s: float = 1.0
    check_s: float = 45.0
    voices_in_memory: int = 32
    cache_bytes: int = MAX_BYTES
