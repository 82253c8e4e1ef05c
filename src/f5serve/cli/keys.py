"""`f5serve keys`: keys for callers of the server, their digests, and tokens that name a tenant.

Nothing is kept: a key is printed once, and the operator puts its digest into the setting.
"""

from __future__ import annotations

import argparse
import getpass
import json
import re
import sys
import time

from f5serve.errors import InvalidRequest
from f5serve.secrets import (
    MIN_CHARS,
    ApiKey,
    digest,
    is_name,
    is_tenant,
    new_key,
    parse_day,
    parse_keys,
    sign_tenant,
)
from f5serve.settings import Settings

_LIFETIME = re.compile(r"([1-9]\d{0,5})([smhd])", re.ASCII)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def run_new(args: argparse.Namespace, settings: Settings) -> int:
    """Print a fresh key and the line for F5_API_KEYS.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    key = new_key()
    line = _line(args, key)
    if args.json:
        print(json.dumps({"name": args.name, "key": key, "api_keys": line}))
        return 0
    print(f"key, for the caller: {key}")
    print(f"F5_API_KEYS={line}")
    return 0


def run_hash(args: argparse.Namespace, settings: Settings) -> int:
    """Print the line for F5_API_KEYS of an existing key.

    Raises:
        InvalidRequest: BAD_OPTION, WEAK_KEY.
    """
    is_watched = sys.stdin.isatty()
    given = (getpass.getpass("key: ") if is_watched else sys.stdin.readline()).strip()
    try:
        keys = parse_keys(given)
    except ValueError:
        keys = ()
    if len(keys) != 1 or not keys[0].was_clear:
        raise InvalidRequest(
            "That cannot be a key.",
            code="WEAK_KEY",
            hint=f"It takes at least {MIN_CHARS} printable ASCII characters, without spaces and "
            "commas, on one line; `f5serve keys new` makes one.",
        )
    line = _line(args, given)
    print(json.dumps({"name": args.name, "api_keys": line}) if args.json else line)
    return 0


def run_sign(args: argparse.Namespace, settings: Settings) -> int:
    """Print a token with which RunPod jobs name their tenant.

    Raises:
        InvalidRequest: BAD_OPTION, TENANT_SECRET_MISSING.
    """
    if not settings.tenant_secret:
        raise InvalidRequest(
            "F5_TENANT_SECRET is not set, so nothing can be signed.",
            code="TENANT_SECRET_MISSING",
            hint="Set it to the value that the endpoint has.",
        )
    lifetime = _LIFETIME.fullmatch(args.expires)
    if not is_tenant(args.tenant) or lifetime is None:
        raise InvalidRequest(
            f"A token for {args.tenant[:80]!r} that is taken for {args.expires[:80]!r} cannot be "
            "signed.",
            code="BAD_OPTION",
            hint="A tenant has up to 40 small letters, digits, _ and -; --expires takes a number "
            "and s, m, h or d, such as 1h.",
        )
    expires = int(time.time()) + int(lifetime[1]) * _UNITS_S[lifetime[2]]
    token = sign_tenant(settings.tenant_secret, args.tenant, expires)
    signed = {"tenant": args.tenant, "expires": expires, "token": token}
    print(json.dumps(signed) if args.json else token)
    return 0


def _line(args: argparse.Namespace, key: str) -> str:
    if not is_name(args.name):
        raise InvalidRequest(
            f"--name is {args.name[:80]!r}.",
            code="BAD_OPTION",
            hint="It takes up to 64 letters, digits, _ . and -; before them may stand a tenant and "
            "a slash, as acme/laptop: up to 40 small letters, digits, _ and -.",
        )
    try:
        last_day = parse_day(args.expires) if args.expires else None
    except ValueError:
        raise InvalidRequest(
            f"--expires is {args.expires[:80]!r}.",
            code="BAD_OPTION",
            hint="It takes the last day on which the key is valid, such as 2027-06-30.",
        ) from None
    scopes = frozenset(args.scope) or None
    return str(ApiKey(args.name, digest(key.encode()), scopes=scopes, last_day=last_day))
