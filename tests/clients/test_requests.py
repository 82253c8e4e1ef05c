"""Requests of programs that are no packages, as requests.toml has them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.clients.guide import block
from tests.clients.jobs import NewJobs
from tests.hearing import word_error_rate
from tests.http.house import House
from tests.http.sound import heard_s
from tests.voices.material import WORDS, recording

REQUESTS: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("requests.toml").read_text()
)["request"]


def send(home: House, request: dict[str, Any], key: str) -> httpx.Response:
    headers = {name: text.replace("KEY", key) for name, text in request["headers"].items()}
    text = block(request["heading"], home.url, key)
    (base,) = re.findall(rf"\b{request['setting']} ?= ?\"?(http[^\s\"]+)", text)
    path = request["path"]
    url = urljoin(base, path) if path[:1].isalpha() else f"{base}{path}"
    if "form" in request:
        files = {"file": ("talk.wav", recording())}
        return httpx.post(url, headers=headers, data=request["form"], files=files, timeout=60)
    if "json" in request:
        return httpx.post(url, headers=headers, json=request["json"], timeout=60)
    return httpx.get(url, headers=headers, timeout=60)


@pytest.mark.parametrize("request_", REQUESTS, ids=[one["client"] for one in REQUESTS])
def test_it_is_answered(home: House, key: str, request_: dict[str, Any]) -> None:
    jobs = NewJobs(home)
    answer = send(home, request_, key)
    assert answer.status_code == 200, answer.text
    if request_["format"] == "voices":
        assert "nova" in [voice["id"] for voice in answer.json()["voices"]]
    elif request_["format"] == "text":
        assert word_error_rate(WORDS, answer.json()["text"]) < 0.35
    else:
        sent = request_["json"]
        assert heard_s(answer.content, request_["format"]) == pytest.approx(0.72, abs=0.12)
        assert jobs.asked() == [(sent["input"], sent["voice"], request_["format"])]


@pytest.mark.parametrize("request_", REQUESTS, ids=[one["client"] for one in REQUESTS])
def test_its_error_has_our_sentence(home: House, request_: dict[str, Any]) -> None:
    answer = send(home, request_, "another-key")
    assert answer.status_code == 401
    assert "API key" in answer.json()["error"]["message"]  # Open WebUI shows this member
