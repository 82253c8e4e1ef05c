"""What schemathesis cannot make up itself: files that are recordings, beside those that are not."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st
from schemathesis.transport.serialization import Binary

from tests.voices.material import other_recording, recording

_RECORDINGS = [recording(), other_recording()]

schemathesis.openapi.format(
    "binary", st.one_of(st.sampled_from(_RECORDINGS), st.binary(max_size=2_000)).map(Binary)
)
