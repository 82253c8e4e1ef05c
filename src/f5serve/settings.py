"""Settings: every environment variable that f5serve reads, with its default and what it takes.

Each is a field of `Settings` whose metadata holds its variable, so the documentation
(docs/reference/settings.md) and the check for unknown names come from the same list. No other
module reads the environment of the process.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from f5serve.errors import InvalidRequest
from f5serve.number_formats import FORMATS
from f5serve.secrets import (
    MIN_SECRET_CHARS,
    ApiKey,
    bare_url,
    is_tenant,
    parse_keys,
    secrets_in,
)
from f5serve.text_kinds import VALUES, parse_normalize

MAX_CHARS = 1_000_000
"""Longest text of a request, whatever its settings say."""

T = TypeVar("T")


def setting(
    env: str, default: T, parse: Callable[[str], T], doc: str, *, secret: bool = False
) -> T:
    """A field of settings that is read from the variable `env`; secrets are not in its repr."""
    metadata = {"env": env, "parse": parse, "doc": doc}
    value: T = field(default=default, metadata=metadata, repr=not secret)
    return value


def one_of(*choices: str) -> Callable[[str], str]:
    """One of `choices`, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text.lower()

    return parse


def flag(text: str) -> bool:
    """1 or 0, or a word for them."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("1 or 0")


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within these bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def seconds(text: str) -> float:
    """Seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("a number of seconds above 0")
    return value


def amount(text: str) -> float:
    """A number, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError("a number, 0 or more")
    return value


def share(text: str) -> float:
    """A part of the whole, 0..1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return value


def tenant_name(text: str) -> str:
    """The name of a tenant."""
    if not is_tenant(text):
        raise ValueError("up to 40 small letters, digits, _ and -, such as acme")
    return text


def secret_of_tenants(text: str) -> str:
    """A secret that signs; one that can be guessed would let everybody be every tenant."""
    if len(text) < MIN_SECRET_CHARS:
        raise ValueError(f"at least {MIN_SECRET_CHARS} characters; `f5serve keys new` makes a key")
    return text


def path(text: str) -> Path:
    """A path, `~` being the home folder."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # the home folder of an unknown user
        raise ValueError("a path; ~ stands for the home folder") from None


def normalization(text: str) -> str:
    """auto, on or off, or kinds of text with commas between."""
    try:
        return parse_normalize(text) or "auto"
    except ValueError:
        raise ValueError(VALUES) from None


def pairs(text: str) -> str:
    """`name=value` pairs with commas between, each name once; see `read_pairs`."""
    read_pairs(text)
    return text


def read_pairs(text: str) -> dict[str, str]:
    """What each name of `name=value,name=value` stands for."""
    read: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in read:
            raise ValueError("pairs such as alloy=ana,*=default, each name once")
        read[name] = value
    return read


def service_name(text: str) -> str:
    """A name to be announced by zeroconf; 1 is `f5serve`, 0 none."""
    if text in ("", "0", "1"):
        return "f5serve" if text == "1" else ""
    if not text.strip() or "." in text or not text.isprintable() or len(text.encode()) > 63:
        raise ValueError("1, or a name of at most 63 bytes without dots")
    return text


def address(text: str) -> str:
    """`host:port`, or nothing; see `read_address`."""
    if text:
        read_address(text)
    return text


def read_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`; a host with colons stands in brackets."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not (colon and host and port.isascii() and port.isdigit() and int(port[:6]) <= 65_535):
        raise ValueError("host:port, such as 127.0.0.1:10200")
    return host, int(port)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; `Settings()` holds the defaults."""

    # The HTTP server: what it listens on, whom it serves, and how much of it.

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
    wyoming: str = setting(
        "F5_WYOMING",
        "",
        address,
        "Address, as `127.0.0.1:10200`, on which `f5serve serve` answers Home Assistant as well; "
        "nothing without it. Wyoming has no keys: all who reach the address may use every voice.",
    )
    zeroconf: str = setting(
        "F5_ZEROCONF",
        "",
        service_name,
        "Name under which the server for Home Assistant is announced in the local network, so that "
        "it is found there; 1 is `f5serve`. It needs the extra `zeroconf`. Not announced without.",
    )
    auth: str = setting(
        "F5_AUTH",
        "keys",
        one_of("keys", "none"),
        "`keys` asks every caller for one of F5_API_KEYS, which only a server on 127.0.0.1 may do "
        "without; `none` requires no key, for servers behind a proxy that checks callers.",
    )
    api_keys: tuple[ApiKey, ...] = setting(
        "F5_API_KEYS",
        (),
        parse_keys,
        "Keys that callers may use, separated by commas, each as `f5serve keys new` prints it: "
        "`name:sha256` of the key, or `tenant/name:sha256:speak+voices:2027-06-30` with its "
        "tenant, scopes and last day; or the key itself, which is hashed when it is read.",
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
    tenant: str = setting(
        "F5_TENANT",
        "",
        tenant_name,
        "Tenant to whom all belongs that comes without one: keys and RunPod jobs without a tenant, "
        "Wyoming, and the command line; nothing is no tenant, the root of the store.",
    )
    tenant_secret: str = setting(
        "F5_TENANT_SECRET",
        "",
        secret_of_tenants,
        "Secret of at least 32 characters that signs the field `tenant` of RunPod jobs; with it a "
        "job without that field is refused, unless F5_TENANT is set.",
        secret=True,
    )
    tenant_rate_per_minute: int = setting(
        "F5_TENANT_RATE_PER_MINUTE",
        0,
        whole(0, 1_000_000),
        "Requests that all keys of one tenant may send in a minute, together; 0 is no limit.",
    )
    tenant_concurrency: int = setting(
        "F5_TENANT_CONCURRENCY",
        0,
        whole(0, 100_000),
        "Requests that all keys of one tenant may have under way at a time, together; 0 is no "
        "limit.",
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
        whole(1, MAX_CHARS),
        "Longest `input` of /v1/audio/speech; OpenAI takes 4096.",
    )
    openai_voices: str = setting(
        "F5_OPENAI_VOICES",
        "",
        pairs,
        "Which voice OpenAI's own names stand for, e.g. `alloy=ana,nova=ben,*=default`; names that "
        "are not there are refused. Without it the stand-in speaker has a voice for each of them, "
        "and F5-TTS speaks in the default one.",
    )
    elevenlabs_voices: str = setting(
        "F5_ELEVENLABS_VOICES",
        "",
        pairs,
        "Which voice ElevenLabs' own voices stand for, by id or name, e.g. `Rachel=ana,*=default`; "
        "without it, that of a name of OpenAI's: see F5_OPENAI_VOICES.",
    )
    server_key: str = setting(
        "F5_SERVER_KEY",
        "",
        str,
        "Key that `f5serve say` and `mcp` send with --server, unless --key gives another.",
        secret=True,
    )

    # The bucket that is the store; names as other programs have them. What they mean together is
    # decided in `store.config`.

    s3_bucket: str = setting("S3_BUCKET", "", str, "Bucket that is the store.")
    s3_endpoint_url: str = setting(
        "AWS_ENDPOINT_URL",
        "",
        str,
        "Where the bucket is served, e.g. `https://s3.us-west-001.backblazeb2.com`; empty for "
        "Amazon.",
    )
    s3_public_url: str = setting(
        "F5_S3_PUBLIC_URL",
        "",
        str,
        "Where callers reach the bucket's server, if not at AWS_ENDPOINT_URL, e.g. "
        "`https://files.example.com`: signed URLs in answers lead there.",
    )
    s3_region: str = setting(
        "AWS_REGION", "", str, "Region of the bucket; read from known endpoints when empty."
    )
    s3_access_key: str = setting(
        "AWS_ACCESS_KEY_ID", "", str, "Access key of the bucket.", secret=True
    )
    s3_secret_key: str = setting(
        "AWS_SECRET_ACCESS_KEY", "", str, "Secret of that key.", secret=True
    )
    s3_session_token: str = setting(
        "AWS_SESSION_TOKEN", "", str, "Token that temporary keys come with.", secret=True
    )
    s3_addressing: str = setting(
        "S3_ADDRESSING",
        "path",
        one_of("path", "virtual", "auto"),
        "Whether the bucket's name is in the path or in the host of URLs.",
    )
    s3_ca_bundle: str = setting(
        "AWS_CA_BUNDLE", "", str, "PEM file of certificates to trust, for a server of your own."
    )
    bucket_endpoint_url: str = setting(
        "BUCKET_ENDPOINT_URL",
        "",
        str,
        "RunPod's name for endpoint and bucket in one: `https://host/bucket` or "
        "`https://bucket.host`.",
    )
    bucket_access_key_id: str = setting(
        "BUCKET_ACCESS_KEY_ID", "", str, "Access key for BUCKET_ENDPOINT_URL.", secret=True
    )
    bucket_secret_access_key: str = setting(
        "BUCKET_SECRET_ACCESS_KEY", "", str, "Secret of that key.", secret=True
    )

    # Engine, models, limits and the worker.

    engine: str = setting(
        "F5_ENGINE",
        "auto",
        one_of("auto", "f5", "standin"),
        "`f5` is F5-TTS, `standin` the built-in speaker that clones no voice; "
        "`auto` takes F5-TTS whenever its weights are on this machine.",
    )
    model: str = setting(
        "F5_MODEL", "F5TTS_v1_Base", str, "Model id; `f5serve models list` shows them."
    )
    models: str = setting(
        "F5_MODELS",
        "",
        str,
        "More models that requests may name or that are chosen by their language, with commas "
        "between: ids, or `all` for those on this machine. A model is loaded when it is first "
        "asked for, or at the start with `:preload` behind its id.",
    )
    model_memory_gb: float = setting(
        "F5_MODEL_MEMORY",
        0.0,
        amount,
        "GB that loaded models may take together; the ones that were not used for the longest time "
        "are let go. 0: 80 % of a GPU, 60 % of the machine's memory on a CPU.",
    )
    ckpt: Path | None = setting(
        "F5_CKPT", None, path, "Checkpoint file of your own; needs F5_VOCAB and F5_ARCH."
    )
    vocab: Path | None = setting("F5_VOCAB", None, path, "Vocabulary of that checkpoint.")
    arch: str = setting("F5_ARCH", "", str, "Architecture of that checkpoint, e.g. F5TTS_v1_Base.")
    vocoder: Path | None = setting(
        "F5_VOCODER", None, path, "Vocos weights of your own; the pulled ones without it."
    )
    models_dir: Path = setting(
        "F5_MODELS_DIR", Path("~/.cache/f5serve/models").expanduser(), path, "Folder for weights."
    )
    cache_dir: Path | None = setting(
        "F5_CACHE_DIR",
        None,
        path,
        "First folder that a worker fetches weights into; then come /tmp, the container's disk "
        "and /runpod-volume, each if it has room.",
    )
    fetch_models: str = setting(
        "F5_FETCH_MODELS",
        "auto",
        one_of("auto", "always", "never"),
        "Whether a worker fetches missing weights at its start, from the store, then from the hub; "
        "`auto` does so on RunPod, and elsewhere where F5_ENGINE is f5. `f5serve say` never does.",
    )
    publish_models: bool = setting(
        "F5_PUBLISH_MODELS",
        False,
        flag,
        "1 lets a worker that had to use the hub put the model into the store, once it is ready.",
    )
    require_commercial_license: bool = setting(
        "F5_REQUIRE_COMMERCIAL_LICENSE",
        False,
        flag,
        "1 refuses weights whose licence forbids commercial use.",
    )
    device: str = setting(
        "F5_DEVICE", "auto", one_of("auto", "cpu", "cuda"), "`auto` takes the GPU if there is one."
    )
    dtype: str = setting(
        "F5_DTYPE",
        "auto",
        one_of(*FORMATS),
        "`auto` is fp16 on GPUs and fp32 on CPUs. Faster and less exact on CPUs: `int8`, and "
        "`bf16` where there is AVX512_BF16 or AMX. On GPUs: `bf16` from compute capability 8.0 on "
        "(the range of fp32, 8 times the error of fp16), `fp8` from 8.9 on.",
    )
    gpu_price: float = setting(
        "F5_GPU_PRICE",
        0.0,
        amount,
        "What an hour of the device costs, in USD; the plan of a book then tells its cost.",
    )
    threads: int = setting(
        "F5_THREADS", 0, whole(0, 1024), "CPU threads; 0 takes what the container may use."
    )
    quality: str = setting(
        "F5_QUALITY",
        "balanced",
        one_of("fast", "balanced", "quality"),
        "Default ODE steps: fast 7, balanced 16, quality 32.",
    )
    max_text_chars: int = setting(
        "F5_MAX_TEXT_CHARS", 5000, whole(1, MAX_CHARS), "Longest text of one request."
    )
    normalize: str = setting(
        "F5_NORMALIZE",
        "auto",
        normalization,
        "Whether numbers, dates, signs and abbreviations are read as words: auto, on, off, or the "
        "kinds to leave alone, such as date,money. Requests and voices can say otherwise.",
    )
    allow_http_urls: bool = setting(
        "F5_ALLOW_HTTP_URLS",
        False,
        flag,
        "1 lets http URLs be downloaded beside https ones; both only from the public internet.",
    )
    require_consent: bool = setting(
        "F5_REQUIRE_CONSENT",
        False,
        flag,
        "1 refuses new voices without the consent of the person who is heard.",
    )
    aligner: str = setting(
        "F5_ALIGNER",
        "auto",
        str,
        "What finds out when each word is heard: `auto` is whatever is installed, `off` nothing, "
        "`pocketsphinx` English alone; else the folder of a wav2vec2 CTC model, or the name of "
        "one in `F5_MODELS_DIR/aligners`.",
    )
    recogniser: str = setting(
        "F5_RECOGNISER",
        "auto",
        str,
        "What hears speech: `auto` is the best model in `F5_MODELS_DIR/recognisers`, else the one "
        "of the extra `asr`; a name such as `large-v3-turbo`; a folder; or `off`.",
    )
    transcript_wer: float = setting(
        "F5_TRANSCRIPT_WER",
        0.5,
        share,
        "Word error rate above which a transcript does not belong to its recording; 0 lets all "
        "pass.",
    )
    verify: bool = setting(
        "F5_VERIFY",
        False,
        flag,
        "1 has the recogniser hear what was spoken, and what it does not understand spoken again.",
    )
    verify_wer: float = setting(
        "F5_VERIFY_WER",
        0.3,
        share,
        "Word error rate above which an utterance is generated again, with another seed.",
    )
    verify_tries: int = setting(
        "F5_VERIFY_TRIES",
        2,
        whole(0, 8),
        "How often an utterance is generated again at most; the best attempt is used.",
    )
    hub_endpoint: str = setting(
        "HF_ENDPOINT", "https://huggingface.co", str, "Hub that weights are downloaded from."
    )
    hub_token: str = setting(
        "HF_TOKEN", "", str, "Token for private repositories of the hub.", secret=True
    )
    hub_timeout_s: float = setting(
        "F5_HUB_TIMEOUT_S", 20.0, seconds, "Longest silence of the hub before a download fails."
    )
    data_dir: Path = setting(
        "F5_DATA_DIR",
        Path("~/.local/share/f5serve").expanduser(),
        path,
        "Where voices, results and records are kept when no bucket is set, in `store/`.",
    )
    store: str = setting(
        "F5_STORE",
        "",
        str,
        "The store outright: `file:///folder`, `s3://bucket/prefix` or `memory:`; else it is the "
        "bucket of S3_BUCKET or BUCKET_ENDPOINT_URL, else a folder.",
    )
    mode: str = setting(
        "F5_MODE",
        "worker",
        one_of("worker", "serve"),
        "What the image starts: `worker` for RunPod's queue, `serve` for the HTTP server.",
    )
    stream: bool = setting(
        "F5_STREAM",
        False,
        flag,
        "1 makes the RunPod worker a generator: answers come in pieces, through /stream.",
    )
    batch_frames: int = setting(
        "F5_BATCH_FRAMES",
        0,
        whole(0, 1_000_000),
        "Most mel frames that the engine works on at once; 0 goes by the device's memory, and on "
        "GPUs by what steps cost.",
    )
    cuda_graphs: str = setting(
        "F5_CUDA_GRAPHS",
        "auto",
        one_of("auto", "off"),
        "`auto` records steps on a GPU and replays them, which is faster; each "
        "recording proves itself first. `off` never does.",
    )
    fused_kernels: str = setting(
        "F5_FUSED_KERNELS",
        "auto",
        one_of("auto", "off"),
        "`auto` computes steps on a GPU with kernels of f5serve's own, where they can be had and a "
        "trial agrees; `off` with torch's alone.",
    )
    max_queue_s: float = setting(
        "F5_MAX_QUEUE_S",
        300.0,
        seconds,
        "Longest estimated wait for the device, in seconds; beyond it a request is refused (BUSY).",
    )
    concurrency: int = setting(
        "F5_CONCURRENCY",
        8,
        whole(1, 256),
        "RunPod jobs that one worker holds at a time, or jobs for later that a server works on.",
    )
    shutdown_s: float = setting(
        "F5_SHUTDOWN_S",
        25.0,
        seconds,
        "Seconds that running jobs have to end after a stop signal.",
    )
    runpod_api: str = setting(
        "F5_RUNPOD_API",
        "https://api.runpod.ai/v2",
        str,
        "Where a RunPod worker queues jobs of `mode: async`.",
    )
    runpod_endpoint: str = setting(
        "RUNPOD_ENDPOINT_ID", "", str, "Endpoint that the worker belongs to; set by RunPod."
    )
    runpod_key: str = setting(
        "RUNPOD_AI_API_KEY", "", str, "Key for that endpoint; set by RunPod.", secret=True
    )
    result_cache: bool = setting(
        "F5_RESULT_CACHE",
        True,
        flag,
        "1 answers a request that is equal to an earlier one with the stored audio; 0 never does.",
    )
    url_expires_s: int = setting(
        "F5_URL_EXPIRES_S",
        3600,
        whole(60, 604_800),
        "Lifetime of the signed URLs in answers, in seconds; `result` gives new ones.",
    )
    retention_days: int = setting(
        "F5_RETENTION_DAYS",
        30,
        whole(0, 36_500),
        "Days after which `f5serve jobs gc` removes results and job records; 0 keeps them.",
    )
    log_level: str = setting(
        "F5_LOG_LEVEL",
        "warning",
        one_of("debug", "info", "warning", "error"),
        "Least severe message that is logged.",
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read settings from `environ` (default: the process environment).

        Raises:
            InvalidRequest: code BAD_SETTING, naming the variable, its value and what it takes.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for item in fields(cls):
            name = str(item.metadata["env"])
            text = environ.get(name, "").strip()
            if text:
                values[item.name] = _parse(item, name, text)
        return cls(**values)


def read_leniently(environ: Mapping[str, str]) -> tuple[Settings, list[tuple[str, InvalidRequest]]]:
    """Settings with the default in place of each value that cannot be read, and all refusals.

    For reports about an environment; nothing runs on such settings.
    """
    kept, refused = dict(environ), []
    for item in fields(Settings):
        name = str(item.metadata["env"])
        try:
            Settings.from_environ({name: environ.get(name, "")})
        except InvalidRequest as refusal:
            refused.append((name, refusal))
            del kept[name]
    return Settings.from_environ(kept), refused


def variables_of(names: Collection[str]) -> set[str]:
    """The variables of these fields of `Settings`."""
    return {str(item.metadata["env"]) for item in fields(Settings) if item.name in names}


def process_environ() -> dict[str, str]:
    """A copy of the environment of this process, for reports about all of it."""
    return dict(os.environ)


def _parse(item: Field[Any], name: str, text: str) -> Any:
    try:
        return item.metadata["parse"](text)
    except ValueError as error:
        shown = (
            repr(bare_url(text)) if item.repr else "set, but cannot be read"
        )  # a secret is not shown
        raise InvalidRequest(
            f"{name} is {shown}.", code="BAD_SETTING", hint=f"It takes {error}."
        ) from None


def unknown_names(environ: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each F5_ variable that no setting reads, with the nearest name that is."""
    environ = os.environ if environ is None else environ
    known = [str(item.metadata["env"]) for item in fields(Settings)]
    sentences = []
    for name in sorted(environ):
        if name.startswith("F5_") and name not in known and environ[name].strip():
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            meant = f"; did you mean {near[0]}?" if near else ""
            sentences.append(f"{name} is set but no setting has that name{meant}")
    return sentences


def disable_onnxruntime_telemetry() -> None:
    """Switch off what onnxruntime's builds report over the network; call before importing it.

    They read the variable when they are imported, and write an id into the home folder otherwise.
    A value that is already set stays.
    """
    _set_default("ORT_DISABLE_TELEMETRY", "1")


def disable_hub_telemetry() -> None:
    """Switch off what huggingface_hub asks its hub about this process; call before importing it.

    It fetches a list of programs that start others, without any limit of time, and then looks for
    their variables in the environment. A value that is already set stays.
    """
    _set_default("HF_HUB_DISABLE_TELEMETRY", "1")


def limit_onednn_cache() -> None:
    """Bound what torch's CPU library remembers of each shape it has met; call before computing.

    oneDNN and the layer above it keep the last 1,024 each, and rows that are packed hardly ever
    have the same length twice: a worker would grow for hours. Values that are already set
    stay.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        _set_default(name, "16")


def worker_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of a worker: as `Settings.from_environ`, but it logs at level info by default."""
    environ = os.environ if environ is None else environ
    level = environ.get("F5_LOG_LEVEL", "").strip() or "info"
    return Settings.from_environ({**environ, "F5_LOG_LEVEL": level})


def silence_runpod_sdk() -> None:
    """Keep RunPod's SDK from printing every answer; call before importing it.

    Its own default is DEBUG, which prints results with their signed URLs.
    """
    _set_default("RUNPOD_LOG_LEVEL", "INFO")


def on_runpod(environ: Mapping[str, str] | None = None) -> bool:
    """Whether RunPod started this process as a worker of an endpoint, of whichever kind.

    Pods have an id as well, and people name an endpoint to call it; only a worker has both.
    """
    environ = os.environ if environ is None else environ
    return takes_jobs(environ) or bool(
        environ.get("RUNPOD_ENDPOINT_ID") and environ.get("RUNPOD_POD_ID")
    )


def takes_jobs(environ: Mapping[str, str] | None = None) -> bool:
    """Whether that endpoint has a queue; requests come to the others over HTTP."""
    environ = os.environ if environ is None else environ
    return bool(environ.get("RUNPOD_WEBHOOK_GET_JOB"))


def _set_default(name: str, value: str) -> None:
    """Set a variable of this process unless it is set; an empty one counts as unset."""
    if not os.environ.get(name):
        os.environ[name] = value


def secret_values(environ: Mapping[str, str] | None = None, shortest: int = 8) -> tuple[str, ...]:
    """Values that must never be logged: keys, tokens and passwords, those in URLs included.

    Args:
        shortest: of a value; shorter ones are flags and numbers, and hiding those would eat into
            ordinary words.
    """
    return secrets_in(os.environ if environ is None else environ, shortest)
