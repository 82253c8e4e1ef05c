"""What is shown of a URL, and which texts are secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.secrets import bare_url, is_secret, secrets_in

PASSWORDS = st.text(st.sampled_from("/@:?#%&=. aZ9~-"), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://user:secret@proxy:3128", "http://***@proxy:3128"),
        ("http://user:se/cr@et@proxy:3128/x", "http://***@proxy:3128/x"),
        ("http://user:se?cr#et@proxy:3128", "http://***"),
        ("user:secret@proxy:3128", "***@proxy:3128"),
        ("socks5h://user:secret@[::1]:1080", "socks5h://***@[::1]:1080"),
        ("https://host/p?sig=secret@x", "https://***"),
        ("https://host/p?sig=secret#frag", "https://host/p?***"),
        ("https://host/p#secret", "https://host/p#***"),
        ("http://user:secret", "http://user:***"),
        ("http://[::1]:80/p", "http://[::1]:80/p"),
        ("https:/user:se/cret@host", "https:/***@host"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("expandable_segments:True", "expandable_segments:True"),
        ("/usr/lib:/opt/lib", "/usr/lib:/opt/lib"),
        ("https://a.example,https://u:se@cret@b.example", "https://***@b.example"),
        ("", ""),
    ],
)
def test_what_is_shown(value: str, shown: str) -> None:
    assert bare_url(value) == shown


@given(st.sampled_from(["http://", "https://", "socks5://", ""]), PASSWORDS)
def test_nothing_of_a_password_is_shown(scheme: str, filler: str) -> None:
    """A canary at both ends and in the middle, whatever is between."""
    password = f"canary{filler}canary{filler}canary"
    for rest in ("proxy:3128", "proxy/x?y=canary", "[::1]:80"):
        assert "canary" not in bare_url(f"{scheme}user:{password}@{rest}")


def test_secrets_are_found_whole_and_in_parts() -> None:
    environ = {
        "AWS_SECRET_ACCESS_KEY": "long-secret",
        "F5_API_KEYS": "first-key, second-key",
        "HTTPS_PROXY": "http://user:left/right%40end@proxy:1",
        "NO_SECRET_NAME_": "",
        "HOME": "/home/somebody",
        "PLAIN": "mail@example.org",
        "PATH": "/usr/bin:/opt/python@3.11/bin:/bin",
        "HTTP_PROXY": "me:without-scheme@proxy",
    }
    found = secrets_in(environ, 4)
    assert {"long-secret", "first-key", "second-key"} <= set(found)
    assert {"left/right%40end", "left/right@end", "left", "right"} <= set(found)
    assert not any("proxy" in secret or "home" in secret for secret in found)
    assert not any("mail" in secret or "python" in secret for secret in found)
    assert "without-scheme" in found
    lengths = [len(secret) for secret in found]
    assert lengths == sorted(lengths, reverse=True)
    assert set(secrets_in(environ, 8)) == {s for s in found if len(s) >= 8}


def test_names_of_secrets() -> None:
    assert all(map(is_secret, ("HF_TOKEN", "aws_secret_access_key", "DB_PWD", "F5_API_KEYS")))
    assert not any(map(is_secret, ("HTTPS_PROXY", "F5_STORE", "PATH", "PWD", "OLDPWD")))
