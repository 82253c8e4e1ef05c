"""Signed names of tenants: what was signed is taken until its end, and nothing else ever."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.tenant_tokens import sign, sign_queued, verify

SECRET = "a-secret-of-the-tests-0123456789abcdef"
NOW = 1_790_000_000.0
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)


@given(NAMES, st.integers(1, 10**6))
def test_a_token_names_its_tenant_until_it_ends(tenant: str, lifetime_s: int) -> None:
    expires = int(NOW) + lifetime_s
    token = sign(SECRET, tenant, expires)
    assert verify(SECRET, token, NOW) == tenant
    assert verify(SECRET, token, NOW, "job-1") == tenant
    with pytest.raises(InvalidRequest) as refused:
        verify(SECRET, token, expires)
    assert refused.value.code == "TENANT_EXPIRED"


def test_a_backend_signs_in_five_lines() -> None:
    text = f"acme.{int(NOW) + 60}"
    signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert verify(SECRET, f"{text}.{signature}", NOW) == "acme"


@given(st.data())
def test_no_changed_token_is_taken(data: st.DataObject) -> None:
    token = sign(SECRET, "acme", int(NOW) + 60)
    at = data.draw(st.integers(0, len(token)))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(st.text(st.sampled_from("acme.queued0123456789-_\n "), max_size=3))
    changed = token[:at] + put + token[at + cut :]
    assume(changed != token)
    _refused(changed)


@given(st.one_of(st.text(max_size=200), st.integers(), st.none(), st.lists(st.text())))
def test_what_was_never_signed_is_refused(token: object) -> None:
    _refused(token)
    _refused(token, "job-1")


@given(NAMES, st.text(max_size=40), st.text(max_size=40))
def test_a_queued_job_is_no_other_job_and_no_other_tenant(
    tenant: str, job: str, other: str
) -> None:
    assume(job and job != other)
    token = sign_queued(SECRET, tenant, job)
    assert verify(SECRET, token, NOW + 10**9, job) == tenant
    _refused(token, other)
    _refused(token)
    _refused(f"other{token[len(tenant) :]}" if tenant != "other" else f"x{token}", job)
    _refused(sign_queued("another-secret", tenant, job), job)


def test_the_kinds_of_tokens_are_not_taken_for_one_another() -> None:
    """The text that is signed for the one kind is never a text of the other."""
    queued = sign_queued(SECRET, "acme", "1")
    _refused(queued.replace("queued", str(int(NOW) + 60)), "1")
    timed = sign(SECRET, "queued", int(NOW) + 60)
    _refused(timed.replace(str(int(NOW) + 60), "queued"), str(int(NOW) + 60))


def _refused(token: object, queued_as: str = "") -> None:
    with pytest.raises(InvalidRequest) as refused:
        verify(SECRET, token, NOW, queued_as)
    assert refused.value.code == "TENANT_SIGNATURE"
    assert SECRET not in str(refused.value.as_dict())
