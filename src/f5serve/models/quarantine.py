"""Files that are not what they were: renamed, never removed, and only in a folder of ours.

A path and the folder that it has to be in flow in, its new name flows out. This module must not
know models.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)

SUFFIX = ".damaged"


def put_aside(path: Path, inside: Path, aside: Path | None = None) -> Path | None:
    """Give a file another name, so that nobody takes it for what it was.

    A link is followed to the file that is meant. One outside `inside`, by its real place, belongs
    to somebody else and stays as it is; then the link is renamed.

    Args:
        inside: a folder whose files are ours to rename.
        aside: the new name, on the same disk; the old one and `SUFFIX` when None. A number is
            added where that is taken.

    Returns:
        The new name; None where everything stays, as all of it is outside or cannot be renamed.
    """
    try:
        ours = inside.resolve(strict=True)
        real = path.resolve(strict=True)
        if not real.is_relative_to(ours):
            real = path.parent.resolve(strict=True) / path.name
        if not real.is_relative_to(ours):
            _log.warning("%s is not what it was; it is outside %s and stays there", real, inside)
            return None
        to = _free_name(aside or real.with_name(real.name + SUFFIX))
        try:
            real.rename(to)
        except OSError:
            to.unlink(missing_ok=True)
            raise
    except OSError as error:  # gone meanwhile, or a disk that only fails
        _log.warning("%s is not what it was and cannot be put aside: %s", path, error)
        return None
    _log.warning("%s is not what it was and is put aside as %s", path, to)
    return to


def kept(models_dir: Path) -> list[Path]:
    """What has been put aside in a models folder."""
    patterns = (f"artifacts/*{SUFFIX}*", f"hub/models--*/**/*{SUFFIX}*", "synced/*/quarantine/*")
    found: list[Path] = []
    with contextlib.suppress(OSError):  # a folder that may not be read
        for pattern in patterns:
            found += models_dir.glob(pattern)
    return found


def _free_name(wanted: Path) -> Path:
    """That name, or the first with a number behind it that is free; it is taken at once."""
    wanted.parent.mkdir(exist_ok=True)
    for number in itertools.count(1):
        name = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
        return name
    raise AssertionError("unreachable")
