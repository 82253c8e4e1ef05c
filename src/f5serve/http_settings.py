"""The settings of the HTTP server; `settings.Settings` holds them beside all others.

Variables flow in, values flow out. The server itself is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

from f5serve.api_keys import ApiKey, parse_keys
from f5serve.setting_values import flag, one_of, pairs, seconds, setting, whole

MOST_CHARS = 1_000_000
"""Longest text of a request, whatever its settings say."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the server listens on, whom it serves, and how much of it."""

    host: str = setting(
        "F5_HOST",
        "",
        str,
        "Address that the server listens on; without it 127.0.0.1, and 0.0.0.0 on RunPod.",
    )
    port: int = setting(
        "PORT", 8000, whole(0, 65_535), "Port of the server; RunPod sets it. 0 takes a free one."
    )
    health_port: int = setting(
        "PORT_HEALTH",
        0,
        whole(0, 65_535),
        "Port on which RunPod asks for /ping, where it is not PORT; 0 is the same.",
    )
    auth: str = setting(
        "F5_AUTH",
        "keys",
        one_of("keys", "none"),
        "`keys` asks every caller for one of F5_API_KEYS, which only a server on 127.0.0.1 may do "
        "without; `none` asks nobody, for servers behind something that does.",
    )
    api_keys: tuple[ApiKey, ...] = setting(
        "F5_API_KEYS",
        (),
        parse_keys,
        "Keys that callers may use, separated by commas, each as `f5serve keys new` prints it: "
        "`name:sha256` of the key; or the key itself, which is hashed when it is read.",
        secret=True,
    )
    rate_per_minute: int = setting(
        "F5_RATE_PER_MINUTE",
        0,
        whole(0, 1_000_000),
        "Requests that one key may send in a minute; 0 is no limit.",
    )
    key_concurrency: int = setting(
        "F5_KEY_CONCURRENCY",
        0,
        whole(0, 100_000),
        "Requests that one key may have under way at a time; 0 is no limit.",
    )
    max_body_mb: int = setting(
        "F5_MAX_BODY_MB",
        30,
        whole(1, 1024),
        "Largest body of a request, in megabytes; RunPod passes 30.",
    )
    max_answer_mb: int = setting(
        "F5_MAX_ANSWER_MB",
        0,
        whole(0, 100_000),
        "Largest answer to a request for speech, in megabytes; 0 is no limit, and 30 on RunPod, "
        "which passes no more.",
    )
    request_timeout_s: float = setting(
        "F5_REQUEST_TIMEOUT_S",
        320.0,
        seconds,
        "Longest time that a request for speech may take; RunPod ends it after 330.",
    )
    store_required: bool = setting(
        "F5_STORE_REQUIRED",
        False,
        flag,
        "Whether /v1/audio/speech fails where the speech was made and cannot be stored. Without it "
        "the caller has his speech, with a warning, and no record of it is kept; one who sends an "
        "Idempotency-Key relies on the record, and gets the error.",
    )
    cors_origins: str = setting(
        "F5_CORS_ORIGINS",
        "",
        str,
        "Origins whose pages may call the server, as https://example.com, separated by commas; "
        "none without it. On 127.0.0.1 without keys it answers to their names as well.",
    )
    openai_max_chars: int = setting(
        "F5_OPENAI_MAX_CHARS",
        4096,
        whole(1, MOST_CHARS),
        "Longest `input` of /v1/audio/speech; OpenAI takes 4096.",
    )
    openai_voices: str = setting(
        "F5_OPENAI_VOICES",
        "*=default",
        pairs,
        "Which voice OpenAI's own names stand for, e.g. `alloy=ana,nova=ben,*=default`; names that "
        "are not there are refused.",
    )
    server_key: str = setting(
        "F5_SERVER_KEY",
        "",
        str,
        "Key that `f5serve say --server` sends, unless --key gives another.",
        secret=True,
    )
