"""Masking of secrets in variables: passwords in URLs, keys, tokens, queries.

A password may hold any character, so nothing here goes by where a URL's parts should end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

MASK = "***"

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSW|PWD|CREDENTIAL", re.IGNORECASE)
_NO_SECRETS = frozenset({"PWD", "OLDPWD", "TOKENIZERS_PARALLELISM"})
"""Names that a shell or a library gives to something else."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}+:/+")
_QUERY = re.compile(r"([?#]).*", re.DOTALL)
_NO_PORT = re.compile(r"(?<=[\w.-]):(?!\d+(?:[/?#\s,]|$))(?!//)[^\s,/]+")
_SEPARATORS = re.compile(r"[/@:?#&=%\s]+")
_COMMON = frozenset({"http", "https"})


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds nothing but a secret."""
    return name.upper() not in _NO_SECRETS and bool(_SECRET_NAME.search(name))


def bare_url(text: str) -> str:
    """A URL, or several, as they may be shown: without user, password, query and fragment.

    What stands before the last @ may all be password. Where it is not clear that the rest is no
    secret either, that is left out as well.
    """
    scheme = _SCHEME.match(text)
    start = scheme[0] if scheme else ""
    before, at, after = text[len(start) :].rpartition("@")
    if at and re.search(r"[?#]", before):  # part of a password, or what follows is of a query
        return f"{start}{MASK}"
    shown = _QUERY.sub(rf"\1{MASK}", after)
    if at:
        return f"{start}{MASK}@{shown}"
    return start + _NO_PORT.sub(f":{MASK}", shown) if start.endswith("//") else start + shown


def secrets_in(environ: Mapping[str, str], shortest: int) -> tuple[str, ...]:
    """Every secret of these variables, whole and in parts of at least `shortest` characters.

    Longest first, so that replacing one after the other leaves nothing of any.
    """
    found = {
        secret
        for name, value in environ.items()
        for secret in (*_whole(name, value), *_of_url(value))
        if len(secret) >= shortest and secret.lower() not in _COMMON
    }
    return tuple(sorted(found, key=lambda secret: (-len(secret), secret)))


def _whole(name: str, value: str) -> Iterator[str]:
    if is_secret(name):
        yield value
        yield from (part.strip() for part in value.split(","))


def _of_url(value: str) -> Iterator[str]:
    """What stands before the @ of a URL, its password, and the parts others would cut it into."""
    scheme = _SCHEME.search(value)
    rest = value[scheme.end() :] if scheme else value.removeprefix("//")
    user, _, password = rest.rpartition("@")[0].partition(":")
    if not password or (not scheme and rest.startswith("/")):  # a list of folders: it holds both
        return
    for text in (f"{user}:{password}", password, unquote(password)):
        yield text
        yield from _SEPARATORS.split(text.removeprefix(f"{user}:"))
