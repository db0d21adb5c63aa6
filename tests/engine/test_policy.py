"""What is worth a call, and what may be told to the outside world."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.events import Candidate
from spec_mcp.engine.policy import may_reach_outside, worth_s
from tests.engine.playbook import reading

POLICY = reading(None, ttl_s=1.0, open_world=True, hosts=("ok.com", "*.Wiki.org", "127.0.0.1"))


def may(value: object, **changed: object) -> bool:
    candidate = Candidate("s", "t", {"a": value}, 0.9, "test", copied_whole=bool(changed.pop("whole", True)))  # type: ignore[dict-item]
    return may_reach_outside(candidate, POLICY)


@pytest.mark.parametrize(
    "value",
    [
        "https://ok.com",
        "https://ok.com/a?b=c#d",
        "https://ok.com/search?q=a%20b&page=2&version=1.2",
        "https://ok.com/v1.2/index.html#top",
        "HTTPS://OK.com/a",
        "http://ok.com:8080/a",
        "https://en.wiki.org/a",
        "http://127.0.0.1/a",
        "ok.com/a",
        "//ok.com/a",
        "plain words",
        "how to cancel a subscription",
        "owner/name",
        7,
        None,
        True,
        ["https://ok.com/1", {"x": "https://ok.com/2"}],
    ],
)
def test_what_is_no_link_or_leads_to_an_allowed_host_may_be_told(value):
    assert may(value)


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.com",
        "https://wiki.org",
        "https://evilwiki.org",
        "https://ok.com.evil.com",
        "https://ok.com@evil.com",
        "https://evil.com\\@ok.com",
        "https://evil.com#@ok.com",
        "https:\\\\evil.com",
        "https:/evil.com",
        "https:evil.com",
        "https:///evil.com",
        "//evil.com/a",
        "\\\\evil.com\\a",
        "evil.com",
        "evil.com/a",
        "evil.com:80/a",
        " https://evil.com",
        "see https://evil.com",
        "https://ok.com https://evil.com",
        "https://ok.com,https://evil.com",
        "https://ok.com\n.evil.com",
        "https://[::1",
        "ftp://evil.com",
        "javascript:alert(1)",
        ["https://ok.com", "https://evil.com"],
        {"x": {"y": ["https://evil.com"]}},
        {"https://evil.com": 1},
    ],
)
def test_a_link_to_any_other_host_is_not_followed(value):
    assert not may(value)


@pytest.mark.parametrize(
    "rest",
    [
        "?to=https://evil.com",
        "?to=https%3A%2F%2Fevil.com",
        "?to=https%253A%252F%252Fevil.com",
        "?to=//evil.com",
        "?to=evil.com",
        "?to=evil.com/path",
        "?to=%65vil.com",
        "?to=https:evil.com",
        "?to=10.0.0.1",
        "#evil.com/?a=evil.com",
        "/https://evil.com",
        "/https:/evil.com",
        "/%5c%5cevil.com",
        "//evil.com",
    ],
)
def test_a_link_that_leads_on_to_another_host_is_not_followed(rest):
    assert not may(f"https://ok.com/go{rest}")
    assert not may(f"ok.com/go{rest}")


@pytest.mark.parametrize(
    "word",
    ["confirm", "unsubscribe", "reset", "Delete", "%63onfirm", "%2563onfirm", "?token=x", "optout", "redirect?to=7"],
)
def test_a_link_that_may_act_is_not_followed(word):
    assert not may(f"https://ok.com/{word}")
    assert not may(f"/path/{word}")
    assert not may(f"ok.com/{word}")


@pytest.mark.parametrize("name", ["url", "URLs", "page_url", "link", "host", "target-uri"])
@pytest.mark.parametrize("value", ["CU-77120", "plain words", "/wiki/Page", ["https://ok.com", "CU-77120"]])
def test_what_is_no_link_is_not_told_where_one_is_meant(name, value):
    candidate = Candidate("s", "t", {name: value}, 0.9, "test", copied_whole=True)
    assert not may_reach_outside(candidate, POLICY)


@pytest.mark.parametrize(("name", "value"), [("url", "https://ok.com/a"), ("host", "ok.com"), ("curl", "plain words")])
def test_an_allowed_link_is_told_where_one_is_meant(name, value):
    assert may_reach_outside(Candidate("s", "t", {name: value}, 0.9, "test", copied_whole=True), POLICY)


def test_a_value_that_was_not_copied_whole_is_not_told():
    assert not may("https://ok.com", whole=False)


def test_without_allowed_hosts_nothing_is_told():
    candidate = Candidate("s", "t", {"a": "words"}, 0.9, "test", copied_whole=True)
    assert not may_reach_outside(candidate, reading(None, ttl_s=1.0, open_world=True))


PARTS = st.floats(0.0, 1.0)
SECONDS = st.floats(0.0, 1e4)


@given(PARTS, PARTS, SECONDS, SECONDS)
def test_worth_grows_with_the_probability(low, high, saved_s, cost_s):
    low, high = sorted((low, high))
    assert worth_s(low, saved_s, cost_s) <= worth_s(high, saved_s, cost_s) + 1e-9


@given(SECONDS, SECONDS)
def test_certainty_is_worth_what_it_saves_and_impossibility_costs(saved_s, cost_s):
    assert worth_s(1.0, saved_s, cost_s) == saved_s
    assert worth_s(0.0, saved_s, cost_s) == -cost_s
