"""What is served at / and below /studio, without a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from f5serve.http.routers.studio import NO_MODULES, WEB
from tests.http.house import House, house

MAX_LINES = 250
SCRIPTS = sorted(WEB.glob("*.js"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("files"), openai_max_chars=123, quality="fast") as opened:
        yield opened


def test_page_is_asked_for_again_and_its_files_are_not(home: House) -> None:
    page = home.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    same = home.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    policy = "content-security-policy"  # of what the browser has kept, from now on
    assert same.headers[policy] == page.headers[policy]
    (script,) = re.findall(r'type="module" src="([^"]+)"', page.text)
    answer = home.client.get(f"/{script}")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    older = home.client.get("/studio/0123456789abcdef/main.js")
    assert (older.content, older.headers["cache-control"]) == (answer.content, "no-cache")


def test_page_may_load_only_what_is_its_own(home: House) -> None:
    policy = home.client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_page_knows_limits_and_defaults_of_its_server(home: House) -> None:
    (facts,) = re.findall(r'id="facts" name="f5serve" content="([^"]+)"', home.client.get("/").text)
    told = json.loads(unescape(facts))
    assert told["max_chars"] == 123
    assert told["nfe_step"] == 7
    assert told["cfg_strength"] == 2


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/favicon.svg"])
def test_heads_are_answered(home: House, path: str) -> None:
    answer = home.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("name", ["index.html", "none.js", "..%2Fstudio.py", "%2e%2e"])
def test_only_files_of_the_page_are_below_studio(home: House, name: str) -> None:
    assert home.client.get(f"/studio/0123456789abcdef/{name}").status_code == 404


def test_every_file_that_is_named_is_there(home: House) -> None:
    modules = {path.name for path in SCRIPTS} - set(NO_MODULES)
    linked = re.findall(r'modulepreload" href="studio/\w+/([^"]+)"', home.client.get("/").text)
    assert set(linked) == modules
    named = set(re.findall(r'studio/VERSION/([^"]+)"', (WEB / "index.html").read_text()))
    for script in SCRIPTS:
        named |= set(re.findall(r'(?:from |URL\()"(?:\./)?([\w.-]+\.js)"', script.read_text()))
    assert named == {path.name for path in WEB.iterdir()} - {"index.html", "favicon.svg"}


def test_addresses_are_relative_so_that_a_proxy_may_put_the_page_anywhere() -> None:
    for path in (*SCRIPTS, WEB / "index.html"):
        assert not re.search(r"""(?:href|src)="/|["'`]/(?:v1|health|studio)""", path.read_text())


def test_page_holds_no_script_or_style_of_its_own_and_no_address() -> None:
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", page)
    for path in WEB.iterdir():
        addresses = set(re.findall(r"https?://[^\s\"'<>)]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_short_and_never_parse_html(script: Path) -> None:
    text = script.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert not re.search(r"(?<!\.)\bwindow\.\w+ *=|globalThis", text)
