"""Signed names of tenants, for RunPod jobs: an operator's backend says whose a job is.

    acme.1790000000.<hex HMAC-SHA256 of "acme.1790000000">          for jobs until that time
    acme.queued.<hex HMAC-SHA256 of "queued.acme.<id of the job>">  of a job that waits in a queue

The first text has one dot and the second two or more, as the name of a tenant has none: no
signature of the one kind is one of the other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from f5serve.errors import InvalidRequest
from f5serve.secrets import is_tenant

MAX_TOKEN_CHARS: Final = 160
_TOKEN = re.compile(r"([a-z0-9_-]{1,40})\.(\d{1,12}|queued)\.([0-9a-f]{64})", re.ASCII)
_QUEUED = "queued"
_HOW = (
    "`f5serve keys sign TENANT` prints a token; docs/guides/tenants.md shows how a backend signs."
)


def sign(secret: str, tenant: str, expires: int) -> str:
    """A token of a tenant.

    Args:
        expires: seconds since 1970, from which on it is refused.
    """
    if not is_tenant(tenant):
        raise ValueError(tenant)
    return f"{tenant}.{expires}.{_signature(secret, f'{tenant}.{expires}')}"


def sign_queued(secret: str, tenant: str, job_id: str) -> str:
    """A token for one job, which was accepted and waits in a queue; it does not expire."""
    return f"{tenant}.{_QUEUED}.{_signature(secret, f'{_QUEUED}.{tenant}.{job_id}')}"


def verify(secret: str, token: object, now: float, queued_as: str = "") -> str:
    """The tenant that a token names.

    Args:
        token: as a caller has sent it.
        now: seconds since 1970.
        queued_as: the id under which a queue hands a job back; "" for a new job.

    Raises:
        InvalidRequest: TENANT_SIGNATURE, TENANT_EXPIRED.
    """
    found = None
    if isinstance(token, str) and len(token) <= MAX_TOKEN_CHARS:
        found = _TOKEN.fullmatch(token)
    if found is None or not is_tenant(found[1]):
        raise _wrong("it is not a name, an expiry and a signature, joined by dots")
    tenant, until, signature = found.groups()
    is_queued = until == _QUEUED
    text = f"{_QUEUED}.{tenant}.{queued_as}" if is_queued else f"{tenant}.{until}"
    is_signed = hmac.compare_digest(signature, _signature(secret, text))
    if not is_signed or (is_queued and not queued_as):
        raise _wrong("its signature does not belong to it")
    if not is_queued and int(until) <= now:
        raise InvalidRequest(
            f"The field tenant names {tenant}, and its token has expired.",
            code="TENANT_EXPIRED",
            hint=f"Sign a new one. {_HOW}",
        )
    return tenant


def _signature(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _wrong(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The field tenant cannot be used: {why}.", code="TENANT_SIGNATURE", hint=_HOW
    )
