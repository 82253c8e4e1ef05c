"""What this copy of f5serve is, and whether its files are still those that were built.

    git or GIT_SHA -> hatch_build.py -> _stamp.json in the wheel -> `python -m f5serve.build` in
    the image adds the libraries -> stamp() reads it, verify_files() compares it with the disk

A copy without `_stamp.json` (a checkout, an editable install) has the commit that git has checked
out, and whether anything was changed since is unknown: only git itself knows.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from f5serve import __version__
from f5serve.errors import F5Error

PACKAGE = Path(__file__).resolve().parent
"""Folder of the running copy."""

STAMP_NAME = "_stamp.json"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What was built.

    Attributes:
        commit: of git, or "unknown".
        dirty: whether there were changes beside that commit; None when it is not known.
        date: when the wheel was built, ISO 8601 in UTC, or empty.
        files: path in the package, with slashes -> sha256; empty for an unstamped copy.
        libraries: name -> version of all that an image was sealed with; else empty.
    """

    version: str
    commit: str
    dirty: bool | None = None
    date: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"f5serve {self.version} ({self.commit[:12]}{', dirty' if self.dirty else ''})"

    @property
    def origin(self) -> Literal["image", "wheel", "unstamped"]:
        """Where the stamp was written last; a checkout has none."""
        return "image" if self.libraries else "wheel" if self.files else "unstamped"

    @property
    def digest(self) -> str:
        """16 hex digits that change when any shipped file does; empty for an unstamped copy."""
        if not self.files:
            return ""
        lines = "".join(f"{path} {sha}\n" for path, sha in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @property
    def dirty_text(self) -> str:
        """yes, no or unknown."""
        return {True: "yes", False: "no", None: UNKNOWN}[self.dirty]

    @property
    def program(self) -> dict[str, str]:
        """What records and health report: version, commit, dirty, build."""
        return {
            "version": self.version,
            "commit": self.commit,
            "dirty": self.dirty_text,
            "build": self.digest or self.origin,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the disk is not what was built; `path` is relative to the package."""

    kind: Literal["changed", "missing", "extra"]
    path: str

    def __str__(self) -> str:
        return f"{self.kind}: f5serve/{self.path}"


def stamp(package: Path = PACKAGE) -> Stamp:
    """The stamp of the copy in `package`: what it carries, else what git has checked out.

    Raises:
        F5Error: STAMP_UNREADABLE.
    """
    packaged = package / STAMP_NAME
    if packaged.is_file():
        return _parse(packaged)
    commit = None
    if package.parent.name == "src":
        commit = read_git_commit(package.parents[1])
    return Stamp(__version__, commit or UNKNOWN)


def verify_files(stamped: Stamp | None = None, package: Path = PACKAGE) -> list[Difference]:
    """What is changed, missing or extra in `package`, by path; empty when there is no stamp.

    Bytecode is not looked at: Python takes it only while it belongs to the source beside it.
    """
    stamped = stamped or stamp(package)
    if not stamped.files:
        return []
    there = {file.relative_to(package).as_posix(): file for file in shipped_files(package)}
    found = [
        *(Difference("missing", path) for path in stamped.files.keys() - there.keys()),
        *(Difference("extra", path) for path in there.keys() - stamped.files.keys()),
        *(
            Difference("changed", path)
            for path in stamped.files.keys() & there.keys()
            if _sha256(there[path]) != stamped.files[path]
        ),
    ]
    return sorted(found, key=lambda difference: difference.path)


def verify_libraries(stamped: Stamp) -> list[str]:
    """One phrase for each library that is not the version an image was sealed with."""
    if not stamped.libraries:
        return []
    here = installed_libraries()
    return [
        f"{name} is {here.get(name, 'gone')}, was {stamped.libraries.get(name, 'not there')}"
        for name in sorted(here.keys() | stamped.libraries.keys())
        if here.get(name) != stamped.libraries.get(name)
    ]


def installed_libraries() -> dict[str, str]:
    """Name -> version of every distribution that this Python can import."""
    from importlib import metadata  # 20 ms that a start does not need

    found = {dist.name.lower(): dist.version for dist in metadata.distributions()}
    return dict(sorted(found.items()))


def shipped_files(package: Path) -> Iterator[Path]:
    """Files of a package folder that a wheel carries: neither bytecode nor the stamp."""
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.name != STAMP_NAME:
            yield path


def write(stamped: Stamp, to: Path) -> None:
    """Write a stamp, readable and no more."""
    to.unlink(missing_ok=True)
    to.write_text(json.dumps(asdict(stamped), indent=0) + "\n")
    to.chmod(0o444)


def seal(package: Path = PACKAGE) -> Stamp:
    """Add the installed libraries to the stamp of a copy whose files are as built; return it.

    Raises:
        F5Error: STAMP_MISSING, or STAMP_DIFFERS naming the files.
    """
    stamped = stamp(package)
    if not stamped.files:
        raise F5Error(
            f"{package} has no build stamp.",
            code="STAMP_MISSING",
            hint="Only a wheel that was built by `pip wheel` can be sealed, not a checkout.",
        )
    differences = verify_files(stamped, package)
    if differences:
        raise F5Error(
            f"{package} is not what was built: {', '.join(map(str, differences[:5]))}.",
            code="STAMP_DIFFERS",
            hint="Install the wheel into an empty environment.",
        )
    sealed = replace(stamped, libraries=installed_libraries())
    write(sealed, package / STAMP_NAME)
    return sealed


def read_git_commit(checkout: Path) -> str | None:
    """Commit that `checkout` has checked out, or None when it is no git checkout.

    Reads git's files rather than running git, which a worker's image does not have.
    """
    git = checkout / ".git"
    try:
        if git.is_file():  # a linked work tree: "gitdir: PATH"
            git = (checkout / git.read_text().split(":", 1)[1].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        ref = head.split(":", 1)[1].strip()
        common = git / "commondir"
        root = (git / common.read_text().strip()).resolve() if common.is_file() else git
        if (root / ref).is_file():
            return (root / ref).read_text().strip()
        packed = (root / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(" " + ref)), None)
    except (OSError, IndexError):
        return None


def _parse(file: Path) -> Stamp:
    try:
        fields: dict[str, Any] = json.loads(file.read_text())
        return Stamp(**fields)
    except (OSError, ValueError, TypeError) as error:
        raise F5Error(
            f"The stamp {file} cannot be read: {error}.",
            code="STAMP_UNREADABLE",
            hint="Install f5serve again.",
        ) from None


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        seal()
    except F5Error as failure:
        sys.exit(f"{failure.code}: {failure.message} {failure.hint}")
