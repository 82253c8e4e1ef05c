"""Starts two S3 servers on loopback, rclone and JuiceFS, and makes a self-signed certificate.

rclone serves a folder; JuiceFS's gateway is MinIO's code over a file system. They differ in most
things that S3 leaves open, which is why both are here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from f5serve.store.s3_client import S3Options

BUCKET = "bucket"
ACCESS_KEY = "TESTACCESSKEY"
SECRET_KEY = "canary-secret-0123456789"
LOOPBACK = "127.0.0.1"
_START_S = 30.0


def clean_environment(**more: str) -> dict[str, str]:
    """The environment of this process without what would lead loopback calls astray."""
    led_astray = ("proxy", "aws_", "s3_", "bucket_", "rclone_")
    kept = {n: v for n, v in os.environ.items() if not n.lower().startswith(led_astray)}
    return {n: v for n, v in kept.items() if not n.lower().endswith("_proxy")} | more


def free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def rclone(folder: Path, tls: tuple[Path, Path] | None = None) -> Iterator[S3Options]:
    """rclone's server over `folder`; with TLS when a certificate and its key are given."""
    (folder / "served" / BUCKET).mkdir(parents=True)
    port = free_port()
    command = [program("rclone"), "serve", "s3", str(folder / "served")]
    command += ["--addr", f"{LOOPBACK}:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    command += ["--config", os.devnull, "--cache-dir", str(folder / "cache")]
    if tls is not None:
        command += ["--cert", str(tls[0]), "--key", str(tls[1])]
    with _running(command, port, folder / "log", clean_environment()):
        scheme = "http" if tls is None else "https"
        yield _options(f"{scheme}://{LOOPBACK}:{port}", "" if tls is None else str(tls[0]))


@contextlib.contextmanager
def juicefs(folder: Path) -> Iterator[S3Options]:
    """JuiceFS's gateway over a file system that is kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = f"sqlite3://{folder}/meta.db"
    command = [program("juicefs"), "format", meta, BUCKET, "--storage", "file"]
    command += ["--bucket", f"{folder}/data/", "--trash-days", "0"]
    subprocess.run(command, env=clean_environment(), check=True, capture_output=True, timeout=60)
    port = free_port()
    command = [program("juicefs"), "gateway", meta, f"{LOOPBACK}:{port}", "--no-banner"]
    command += ["--no-usage-report", "--metrics", f"{LOOPBACK}:{free_port()}"]
    command += ["--cache-dir", str(folder / "cache")]
    keys = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY}
    with _running(command, port, folder / "log", clean_environment(HOME=str(folder), **keys)):
        yield _options(f"http://{LOOPBACK}:{port}")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback that signs itself, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName=IP:{LOOPBACK}")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder / "cert.pem", folder / "key.pem"


def program(name: str) -> str:
    """A program that came as a package of this environment."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is missing: pip install -e .[dev]"
    return found


def _options(endpoint: str, ca_bundle: str = "") -> S3Options:
    return S3Options(
        bucket=BUCKET,
        endpoint_url=endpoint,
        region="us-east-1",
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        ca_bundle=ca_bundle,
    )


@contextlib.contextmanager
def _running(
    command: list[str], port: int, log: Path, environment: dict[str, str]
) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        _wait_for(port, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")
