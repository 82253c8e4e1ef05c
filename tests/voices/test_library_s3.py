"""The life of a voice in two real S3 servers, where listings and times are what they are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest
from f5serve.store.base import ObjectStore
from f5serve.store.s3 import S3Store
from f5serve.voices import names
from f5serve.voices.index import INDEX
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from tests.store import servers
from tests.voices.material import (
    OTHER_WORDS,
    WORDS,
    CountingStore,
    other_recording,
    recording,
)


@pytest.fixture(params=["rclone", "juicefs"])
def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    for name in os.environ.keys() - servers.clean_environment().keys():
        monkeypatch.delenv(name)
    start = {"rclone": servers.rclone, "juicefs": servers.juicefs}[request.param]
    with start(tmp_path / "server") as options:
        yield S3Store(options)


def test_the_life_of_a_voice(bucket: ObjectStore, tmp_path: Path) -> None:
    often = LibraryOptions(external_refresh_s=0.0)
    here = VoiceLibrary(bucket, tmp_path / "here", options=often)
    counting = CountingStore(bucket)
    there = VoiceLibrary(counting, tmp_path / "there")

    record = here.put("Ana.wav", recording(), WORDS, "en")
    with ThreadPoolExecutor(20) as pool:
        voices = list(pool.map(there.get, ["ana"] * 20))
    assert {voice.revision for voice in voices} == {record.revision}
    assert counting.total("get", names.audio_key("ana", record.audio.sha256)) == 1
    assert counting.total("list") == 0

    bucket.put("voices/Kim.wav", other_recording())
    bucket.put("voices/Kim.txt", OTHER_WORDS.encode())
    assert [r.name for r in here.list()] == ["Ana", "Kim"]
    assert here.get("kim").ref_text == OTHER_WORDS
    assert there.get("Kim.wav").ref_text == OTHER_WORDS
    bucket.put("voices/Kim.txt", (OTHER_WORDS + " Yes.").encode())
    assert here.get("kim").ref_text == OTHER_WORDS + " Yes."

    for style in ("sad", "happy"):
        here.put("ana", other_recording(), f"{OTHER_WORDS} {style}.", style=style)
    assert there.styles("ana") == ("happy", "sad")
    assert there.get("ana", "sad").ref_text == f"{OTHER_WORDS} sad."
    here.delete("ana", "happy")
    assert here.all_styles() == {"ana": ("sad",)}

    for name in ("ana", "kim"):
        here.delete(name)
        with pytest.raises(InvalidRequest, match="There is no voice"):
            there.get(name)
    assert [e for e in bucket.list("voices/") if not e.key.startswith(INDEX)] == []
