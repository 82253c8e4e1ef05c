"""Records that nobody wrote properly: one good JSON record flows in, many ill ones flow out.

    for ill in sample([state, done], cases(500), seed=1):
        put(folder, key, ill)      # past the store, whose keys and writes are always proper

Every field of a record, however deep, is left out once and takes every value of WRONG once
(`every`); some records are ill in two places, or are no JSON object at all. What a record means is
not known here, so job records, voice records, manifests and indexes all use it.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASES = "F5_TEST_MUTATIONS"
"""Environment variable: how many ill records a fuzzer tries; 20,000 is a long run."""

_LARGE = 1_000_000


@dataclass(frozen=True, slots=True)
class Text:
    """JSON that Python's writer does not write, taken as it is."""

    json: str


@dataclass(frozen=True, slots=True)
class Ill:
    """One ill record: what was done to the good one, and the bytes that lie in the store.

    Attributes:
        link: what lies there in place of a file, one of LINKS; "" for a file of `data`.
    """

    what: str
    data: bytes = b""
    link: str = ""


Path_ = tuple[str | int, ...]

WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "minus one": -1,
    "half": 0.5,
    "2^63": 2**63,
    "400 digits": 10**400,
    "5000 digits": Text("1" + "0" * 5_000),
    "1e308": 1e308,
    "-1e308": -1e308,
    "1e400": Text("1e400"),
    "-1e400": Text("-1e400"),
    "NaN": Text("NaN"),
    "Infinity": Text("Infinity"),
    "empty text": "",
    "text": "x",
    "digits": "17",
    "half a pair": Text('"\\ud800"'),
    "other half": Text('"\\udfff x"'),
    "raw half": Text('"\ud800"'),
    "null character": "a\0b",
    "line break": "audio/wav\r\nX-Evil: 1",
    "path": "../../etc/passwd",
    "direction": "\u202e\ufeff\u2028",
    "not latin": "日本語 😀",
    "1 MB": "x" * _LARGE,
    "empty list": [],
    "list": [1, "x", None],
    "list of lists": [[], [[]]],
    "list of objects": [{}, {"key": 1}],
    "empty object": {},
    "object": {"x": {"y": [1]}},
    "odd name": Text('{"\\ud800": 1, "": {}}'),
    "deep": Text("[" * 900 + "]" * 900),
    "deeper": Text('{"a":' * 60_000 + "1" + "}" * 60_000),
    "long list": Text("[" + ",".join("1" * 200_000) + "]"),
}
"""A value of every wrong type and size, by what it is called."""

SCHEMAS: dict[str, Any] = {
    "future schema": 2,
    "far future schema": 10**30,
    "schema as text": "1",
    "schema as float": 1.0,
    "schema zero": 0,
    "schema true": True,
}

WHOLE: dict[str, bytes] = {
    "file: nothing": b"",
    "file: space": b" \n",
    "file: null": b"null",
    "file: number": b"1",
    "file: text": b'"state"',
    "file: list": b"[]",
    "file: empty object": b"{}",
    "file: schema alone": b'{"schema":1}',
    "file: half": b'{"schema":1,"job_id":"a',
    "file: two": b'{"schema":1}{"schema":1}',
    "file: byte order mark": b'\xef\xbb\xbf{"schema":1}',
    "file: utf-16": '{"schema":1}'.encode("utf-16"),
    "file: no utf-8": b'{"schema":1,"a":"\xff\xfe"}',
    "file: zeros": bytes(4096),
    "file: binary": bytes(range(256)) * 16,
    "file: twice a name": b'{"schema":1,"schema":2,"job_id":1,"job_id":"a"}',
    "file: deep list": b"[" * 100_000,
    "file: 1 MB": b'{"schema":1,"a":"' + b"x" * _LARGE + b'"}',
    "file: 100,000 fields": b"{"
    + b",".join(b'"f%d":1' % n for n in range(100_000))
    + b',"schema":1}',
}
"""Files that are no record at all, or only just."""

LINKS = ("link out", "link to itself", "dangling link", "link to folder", "folder", "pipe")
"""What may lie in a store's folder where a file belongs."""


def cases(few: int) -> int:
    """How many ill records to try: `few`, unless the environment says otherwise."""
    return int(os.environ.get(CASES) or few)


def every(record: Mapping[str, Any]) -> Iterator[Ill]:
    """All records that are ill in one place, in the same order each time."""
    for what, data in WHOLE.items():
        yield Ill(what, data)
    for what, value in SCHEMAS.items():
        yield Ill(what, _dump(_changed(record, ("schema",), value)))
    for path in paths(record):
        yield Ill(f"{_name(path)} left out", _dump(_without(record, path)))
        for what, value in WRONG.items():
            yield Ill(f"{_name(path)}: {what}", _dump(_changed(record, path, value)))
    for what, value in WRONG.items():
        yield Ill(f"one more field: {what}", _dump({**record, "unheard_of": value}))


def sample(
    records: Sequence[Mapping[str, Any]], count: int, seed: int, links: bool = False
) -> Iterator[tuple[int, Ill]]:
    """`count` ill records, each with the place of the good one in `records`.

    The first go through all kinds of illness, so that also a short run meets each; the others are
    drawn from all that there are, one in four with two places wrong at once.

    Args:
        links: whether links, pipes and folders are among them, for stores in a folder.
    """
    draw = random.Random(seed)
    kinds = [*WHOLE, *SCHEMAS, *WRONG, "left out", *(LINKS if links else ())]
    draw.shuffle(kinds)
    for number, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        at = draw.randrange(len(records))
        if number < 3 * len(kinds):
            yield at, _of_kind(records[at], kind, draw)
        else:
            yield at, _drawn(records[at], draw, links)


def put(folder: Path, key: str, ill: Ill) -> None:
    """Lay the ill record into a store's folder, in place of what is there."""
    place = folder / key
    place.parent.mkdir(parents=True, exist_ok=True)
    remove(folder, key)
    if not ill.link:
        place.write_bytes(ill.data)
    elif ill.link == "folder":
        place.mkdir()
    elif ill.link == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(_target(folder, place, ill.link))


def remove(folder: Path, key: str) -> None:
    """Take away whatever lies there."""
    place = folder / key
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def paths(value: Any, so_far: Path_ = ()) -> Iterator[Path_]:
    """The way to every field and item in a record."""
    items: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value[:2]))
    for name, inner in items:
        yield (*so_far, name)
        yield from paths(inner, (*so_far, name))


def _of_kind(record: Mapping[str, Any], kind: str, draw: random.Random) -> Ill:
    if kind in LINKS:
        return Ill(kind, link=kind)
    if kind in SCHEMAS:
        return Ill(kind, _dump(_changed(record, ("schema",), SCHEMAS[kind])))
    if kind in WHOLE:
        return Ill(kind, WHOLE[kind])
    path = draw.choice(list(paths(record)))
    if kind in WRONG:
        return Ill(f"{_name(path)}: {kind}", _dump(_changed(record, path, WRONG[kind])))
    return Ill(f"{_name(path)} left out", _dump(_without(record, path)))


def _drawn(record: Mapping[str, Any], draw: random.Random, links: bool) -> Ill:
    dice = draw.random()
    if links and dice < 0.02:
        return _of_kind(record, draw.choice(LINKS), draw)
    if dice < 0.05:
        what = draw.choice(list(WHOLE))
        return Ill(what, WHOLE[what])
    if dice < 0.08:  # cut, or one byte turned, as disks and people do
        data = bytearray(_dump(record))
        at = draw.randrange(len(data))
        if draw.random() < 0.5:
            return Ill(f"cut at {at}", bytes(data[:at]))
        data[at] ^= 1 << draw.randrange(8)
        return Ill(f"byte {at} turned", bytes(data))
    done, changed = [], dict(record)
    for _ in range(2 if dice > 0.75 else 1):
        path = draw.choice(list(paths(changed)) or [("schema",)])
        if draw.random() < 0.1:
            changed = _without(changed, path)
            done.append(f"{_name(path)} left out")
        else:
            what = draw.choice(list(WRONG))
            changed = _changed(changed, path, WRONG[what])
            done.append(f"{_name(path)}: {what}")
    return Ill(", ".join(done), _dump(changed))


def _target(folder: Path, place: Path, link: str) -> Path:
    if link == "link to itself":
        return place
    if link == "link to folder":
        return folder
    if link == "dangling link":
        return folder / "nowhere.json"
    outside = folder.parent / "outside.json"
    outside.write_bytes(b'{"schema":1,"secret":"outside"}')
    return outside


def _changed(record: Mapping[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    changed = _copy(record)
    _inside(changed, path[:-1])[path[-1]] = value
    return dict(changed)


def _without(record: Mapping[str, Any], path: Path_) -> dict[str, Any]:
    changed = _copy(record)
    del _inside(changed, path[:-1])[path[-1]]
    return dict(changed)


def _inside(value: Any, path: Path_) -> Any:
    for name in path:
        value = value[name]
    return value


def _copy(value: Any) -> Any:
    """As copy.deepcopy; what is wrong already is shared, as it may be deep."""
    if isinstance(value, Mapping):
        return {name: _copy(inner) for name, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _dump(value: Any) -> bytes:
    """JSON; half a pair that is written raw becomes three bytes that are no UTF-8."""
    return _text(value).encode(errors="surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, Text):
        return value.json
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(k)}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value)


def _name(path: Path_) -> str:
    return ".".join(map(str, path))
