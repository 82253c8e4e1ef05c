"""The URL parser: one reading of every URL, or an error."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from f5serve.download.safe_url import SafeUrl, parse_url, resolve_redirect
from f5serve.errors import InvalidRequest

HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]+(\.[a-z0-9_-]+)+|[0-9a-f:]+(\.[0-9.]+)?")
PIECES = ["http://", "https://", "files.example", "127.0.0.1", "[::1]", "@", ":", "80", "/", "\\",
"?",
          "#", "%2e", "%", ".", "..", "é", "。", " ", "\t", "\n", "\x00", "a", "x.wav", "//",
          "0x7f", "[", "]",
          ";", "&", "=", ",", "'", '"', "<", "{", "|", "^", "`", "~", "+", "-", "_"]  # fmt: skip


def parse(text: str) -> SafeUrl:
    return parse_url(text, "voice", allow_http=True)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://files.example/a.wav", SafeUrl("https", "files.example", 443, "/a.wav")),
        ("http://files.example", SafeUrl("http", "files.example", 80, "/")),
        ("HTTPS://FILES.Example:443/A", SafeUrl("https", "files.example", 443, "/A")),
        ("https://files.example:80/", SafeUrl("https", "files.example", 80, "/")),
        ("https://a.b?x=1&y=/../@:%41", SafeUrl("https", "a.b", 443, "/?x=1&y=/../@:%41")),
        ("https://a.b/x#y@z/", SafeUrl("https", "a.b", 443, "/x")),
        ("https://a.b#@127.0.0.1/", SafeUrl("https", "a.b", 443, "/")),
        ("https://a.b/@127.0.0.1:80/", SafeUrl("https", "a.b", 443, "/@127.0.0.1:80/")),
        ("https://a.b/ö/\"<>^`{|}'()", SafeUrl("https", "a.b", 443,
        "/%C3%B6/%22%3C%3E%5E%60%7B%7C%7D'()")),
        ("https://xn--mnchen-3ya.example/", SafeUrl("https", "xn--mnchen-3ya.example", 443, "/")),
        ("https://my_bucket.s3.example/", SafeUrl("https", "my_bucket.s3.example", 443, "/")),
        ("https://1.1.1.1/", SafeUrl("https", "1.1.1.1", 443, "/")),
        ("https://[2606:4700:0::1111]:80/", SafeUrl("https", "2606:4700::1111", 80, "/")),
        ("https://1.1.1.1.example/", SafeUrl("https", "1.1.1.1.example", 443, "/")),
    ],
)  # fmt: skip
def test_read(text: str, target: SafeUrl) -> None:
    assert parse(text) == target
    assert parse(target.url) == target


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file:///etc/passwd", "file:// is not a way to fetch files here"),
        ("files.example/a.wav", "it does not begin with https:// and a host"),
        ("https:///a.wav", "its host cannot be read"),
        ("https://files.example\\@a.b/", "it holds a backslash"),
        ("https://files.example/a b.wav", "it holds a space or an invisible character"),
        ("https://files.example/" + "a" * 9000, "it has more than 8,192 characters"),
        ("https://user:pass@files.example/", "it holds a user name or password"),
        ("https://files%2eexample/", "its host is percent-encoded"),
        ("https://[2606:4700::1%25eth0]/", "its host is percent-encoded"),
        ("https://ｆiles.example/", "its host holds characters that are not ASCII"),
        ("https://files.example:65536/", "its port is no number from 1 to 65535"),
        ("https://[::x]/", "the address in brackets is no IPv6 address"),
        ("https://127.1/", "its host is an address that is not written as four decimal numbers"),
        ("https://8.8.8.8./", "its host is no valid domain name"),
        ("https://files..example/", "its host is no valid domain name"),
        ("https://printer/", "its host is a name of a private network"),
        ("https://nas.local/", "its host is a name of a private network"),
    ],
)
def test_the_reason_is_named(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    sentence = f"Failed to download voice: the URL is not allowed: {why}."
    assert (caught.value.message, caught.value.code) == (sentence, "URL_NOT_ALLOWED")
    assert caught.value.hint


def test_host_header_and_kind() -> None:
    assert parse("https://[2606:4700::1]:80/").host_header == "[2606:4700::1]:80"
    assert parse("https://a.b:443/").host_header == "a.b"
    assert parse("https://[2606:4700::1]/").is_address
    assert parse("https://1.1.1.1/").is_address
    assert not parse("https://1.1.1.1.example/").is_address


def test_http_only_when_allowed() -> None:
    with pytest.raises(InvalidRequest, match="http is off, https is needed") as caught:
        parse_url("http://files.example/", "voice")
    assert caught.value.code == "URL_NOT_ALLOWED"
    assert parse_url("https://files.example/", "voice").scheme == "https"


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("http://files.example:80")
def test_any_text_is_read_in_one_way_or_refused(text: str) -> None:
    try:
        target = parse(text)
    except InvalidRequest:
        return
    assert HOST.fullmatch(target.host), target
    assert re.fullmatch(r"/[!-~]*", target.path), target
    split = urlsplit(text)  # another parser sees the same host and port
    assert (split.hostname or "").strip("[]") == target.host or target.is_address
    assert (split.port or {"http": 80, "https": 443}[target.scheme]) == target.port
    assert split.scheme == target.scheme
    assert split.username is None


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b", "https://files.example:80/b"),
        ("b?c", "https://files.example:80/x/b?c"),
        ("?c", "https://files.example:80/x/a?c"),
        ("../b", "https://files.example:80/b"),
        ("//other.example/b", "https://other.example/b"),
        ("http://other.example", "http://other.example/"),
        ("/\xc3\xa9", "https://files.example:80/%C3%A9"),
        ("#part", "https://files.example:80/x/a"),
        ("", "https://files.example:80/x/a"),
    ],
)
def test_follow(location: str, url: str) -> None:
    base = parse("https://files.example:80/x/a")
    assert resolve_redirect(base, location, "voice", allow_http=True).url == url


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "//@", "/x\ty", "https://a.b/\n", "\\\\x.example", "/\\x.example",
     "ht\ttp://a.b/", "//u@a.b/",
     "http://a.b"],
)  # fmt: skip
def test_follow_refuses(location: str) -> None:
    with pytest.raises(InvalidRequest):
        resolve_redirect(parse("https://files.example/x/a"), location, "voice", allow_http=False)
