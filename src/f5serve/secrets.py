"""API keys of the HTTP server's callers, and masking of the secrets in variables that are shown.

A key itself is never kept, only its digest. A password may hold any character, so nothing here goes
by where a URL's parts should end.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from secrets import token_urlsafe
from urllib.parse import unquote

PREFIX = "f5-"
MIN_CHARS = 16
"""Shortest key that is taken in clear text; a key that can be guessed protects nothing."""

SPEAK = "speak"
VOICES = "voices"
ADMIN = "admin"
SCOPES = (SPEAK, VOICES, ADMIN)
"""What a key may be used for: speech, transcripts, jobs and all that is read for them; adding,
changing and deleting voices and lexicons; what concerns the whole server."""

TENANT_SCOPES = frozenset({SPEAK, VOICES})
"""Of a key of a tenant, unless it says otherwise; a key without a tenant has all."""

EXPIRES_SOON_S = 14 * 24 * 3600.0
"""Seconds before the end of a key from which on the start and the doctor warn of it."""

PUBLIC = "public"
"""The tenant whose voices everybody may use, and only its own keys may change."""

MIN_SECRET_CHARS = 32
"""Shortest secret that signs names of tenants."""

_ONE_NAME = r"[A-Za-z0-9_.-]{1,64}"
# In lower case, because a file system may take A and a for the same folder.
_ONE_TENANT = r"[a-z0-9][a-z0-9_-]{0,39}"
_HASHED = re.compile(
    rf"(?:({_ONE_TENANT})/)?({_ONE_NAME}):([0-9a-fA-F]{{64}})"
    r"(?::([a-z]+(?:\+[a-z]+)*)?(?::(\d{4}-\d{2}-\d{2})?)?)?",
    re.ASCII,
)
_NEARLY = re.compile(r"[^:]{1,110}:[0-9a-fA-F]{20,}(?::.*)?")
_NAME = re.compile(rf"(?:{_ONE_TENANT}/)?{_ONE_NAME}")
_TENANT = re.compile(_ONE_TENANT)
_TAKES = (
    "what `f5serve keys new` prints, [tenant/]name:sha256[:scopes[:last day]] with 64 hexadecimal "
    f"digits, scopes of {', '.join(SCOPES)} joined by +, and a day such as 2027-06-30; or keys of "
    f"at least {MIN_CHARS} printable ASCII characters; separated by commas, each name and key once"
)

MASK = "***"

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSW|PWD|CREDENTIAL", re.IGNORECASE)
_NO_SECRETS = frozenset({"PWD", "OLDPWD", "TOKENIZERS_PARALLELISM"})
"""Names that a shell or a library gives to something else."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}+:/+")
_QUERY = re.compile(r"([?#]).*", re.DOTALL)
_NO_PORT = re.compile(r"(?<=[\w.-]):(?!\d+(?:[/?#\s,]|$))(?!//)[^\s,/]+")
_SEPARATORS = re.compile(r"[/@:?#&=%\s]+")
_COMMON = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that callers may use.

    Attributes:
        name: whose it is, with its tenant as `tenant/name`; names its limits and its jobs, and is
            logged.
        sha256: digest of the key.
        was_clear: whether the setting held the key itself.
        scopes: what it may be used for, of SCOPES; None for the default.
        last_day: on which it is valid, to the end of that day in UTC; None for ever.
    """

    name: str
    sha256: bytes = field(repr=False)
    was_clear: bool = False
    scopes: frozenset[str] | None = None
    last_day: date | None = None

    @property
    def tenant(self) -> str:
        """The tenant that it belongs to; "" for none."""
        return self.name.rpartition("/")[0]

    @property
    def owner(self) -> str:
        """A stable id of who holds the key, for what is written for him: its name. A key in clear
        text has none but its place in the setting, so a digest of its digest stands for it."""
        if not self.was_clear:
            return self.name
        return f"clear-{hashlib.sha256(self.sha256).hexdigest()[:24]}"

    def may(self, scope: str) -> bool:
        """Whether the key has a scope."""
        if self.scopes is None:
            return not self.tenant or scope in TENANT_SCOPES
        return scope in self.scopes

    def seconds_left(self, now: float) -> float:
        """From `now`, in seconds since 1970, to its end; 0 and less once it has expired."""
        if self.last_day is None:
            return float("inf")
        end = datetime.combine(self.last_day, time(), UTC) + timedelta(days=1)
        return end.timestamp() - now

    def __str__(self) -> str:
        scopes = "+".join(scope for scope in SCOPES if scope in (self.scopes or ()))
        parts = (self.name, self.sha256.hex(), scopes, str(self.last_day or ""))
        return ":".join(parts).rstrip(":")


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of F5_API_KEYS; those in clear text are named key-1, key-2 ... by their place.

    Raises:
        ValueError: what it takes; the text is not repeated.
    """
    items = [item.strip() for item in text.split(",")]
    keys = tuple(_parse(item, place) for place, item in enumerate(items, 1) if item)
    if len({key.name for key in keys}) < len(keys) or len({key.sha256 for key in keys}) < len(keys):
        raise ValueError(_TAKES)
    return keys


def _parse(item: str, place: int) -> ApiKey:
    hashed = _HASHED.fullmatch(item)
    if hashed:
        tenant, name, sha256, scopes, last_day = hashed.groups()
        return ApiKey(
            f"{tenant}/{name}" if tenant else name,
            bytes.fromhex(sha256),
            scopes=parse_scopes(scopes.split("+")) if scopes else None,
            last_day=parse_day(last_day) if last_day else None,
        )
    printable = item.isascii() and item.isprintable() and " " not in item
    if len(item) < MIN_CHARS or not printable or _NEARLY.fullmatch(item):
        raise ValueError(_TAKES)
    return ApiKey(f"key-{place}", digest(item.encode()), was_clear=True)


def parse_scopes(names: Sequence[str]) -> frozenset[str]:
    """The scopes of these names.

    Raises:
        ValueError: what it takes.
    """
    if not set(names) <= set(SCOPES):
        raise ValueError(_TAKES)
    return frozenset(names)


def parse_day(text: str) -> date:
    """A day as 2027-06-30.

    Raises:
        ValueError: what it takes.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError(_TAKES) from None


def new_key() -> str:
    """A key of 256 random bits."""
    return PREFIX + token_urlsafe(32)


def is_name(text: str) -> bool:
    """Whether a key may be called so: a name, or tenant/name."""
    return _NAME.fullmatch(text) is not None


def is_tenant(text: str) -> bool:
    """Whether a tenant may be called so."""
    return _TENANT.fullmatch(text) is not None


def digest(key: bytes) -> bytes:
    """What is kept of a key. It is long and random, so one round without salt is enough."""
    return hashlib.sha256(key).digest()


def find_key(keys: Sequence[ApiKey], sent: bytes) -> ApiKey | None:
    """The key that was sent, or None; takes equally long for every key."""
    given = digest(sent)
    found = None
    for key in keys:
        if hmac.compare_digest(given, key.sha256):
            found = key
    return found


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
