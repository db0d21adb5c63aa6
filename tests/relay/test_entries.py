"""What is written of a reversible speculation is what is read, and states are equal only where they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.effects import Before, Effect, Probe, ToolPolicy, Undo
from spec_mcp.relay.entries import (
    STATE_MAX_BYTES,
    BadEntry,
    Reversible,
    inheritance_of,
    reversal_of,
    reversible_of,
    state_of,
)
from spec_mcp.relay.variables import telling
from spec_mcp.store.journal import Entry

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
expressions = st.dictionaries(texts, texts, max_size=3)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
policies = st.builds(
    ToolPolicy,
    effect=st.just(Effect.REVERSIBLE),
    exclusive=st.just(True),
    open_world=st.just(False),
    touches=st.none() | st.lists(texts, max_size=3).map(tuple),
    equal=st.dictionaries(texts, st.lists(st.sampled_from(Equivalence), max_size=2).map(tuple), max_size=2),
    settle_s=st.floats(0, 100),
    undo_wait_s=st.floats(0, 100),
    before=st.builds(Before, texts, expressions),
    undo=st.builds(Undo, texts, expressions, st.booleans()),
    probe=st.none() | st.builds(Probe, texts, expressions, texts),
)


def entry_of(held: Reversible, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "id": held.entry,
        "owner": "o",
        "instance": "i",
        "server": "s",
        "launch": b"{}",
        "principal": "me",
        "session": held.session,
        "tool": held.tool,
        "arguments": json.dumps(held.arguments).encode(),
        "reversal": reversal_of(held),
        "made_at": 1.0,
        "changed_at": 1.0,
        "before": json.dumps(held.before).encode(),
    }
    return Entry(**{**values, **changes})


@given(
    policies,
    st.dictionaries(texts, json_values, max_size=3),
    json_values,
    st.dictionaries(texts, texts, max_size=3),
)
def test_what_is_written_is_read_again(policy: ToolPolicy, arguments: Any, before: Any, prints: dict[str, str]) -> None:
    held = Reversible(-1, "session", "tool", arguments, policy, "o-1", before, "digest", b"", prints)
    assert reversible_of(entry_of(held), -1) == held


def held_one() -> Reversible:
    policy = ToolPolicy(Effect.REVERSIBLE, before=Before("look", {}), undo=Undo("back", {}))
    return Reversible(-1, "session", "tool", {}, policy, "o-1")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"undo":{"tool":1}}'])
def test_what_cannot_be_read_is_said_and_not_guessed(text: bytes) -> None:
    with pytest.raises(BadEntry):
        reversible_of(entry_of(held_one(), reversal=text), -1)


@pytest.mark.parametrize(
    ("state", "stuck", "claimed"),
    [("intended", "", False), ("compensating", "", True), ("stuck", "", True), ("stuck", "residue", False)],
)
def test_the_engine_is_told_how_far_it_had_come(state: str, stuck: str, claimed: bool) -> None:
    entry = entry_of(held_one(), state=state, left="digest", undo_sent=2)
    told = inheritance_of(entry, reversible_of(entry, -1), stuck)
    assert (told.claimed, told.undo_sent, told.left, told.stuck) == (claimed, True, "digest", stuck)


def result(value: Any) -> bytes:
    return json.dumps({"content": [], "structuredContent": value}).encode()


@given(st.dictionaries(texts, json_values, max_size=4))
def test_the_order_of_keys_is_no_change_of_the_state(state: dict[str, Any]) -> None:
    turned = dict(reversed(state.items()))
    assert state_of(result(state)) == state_of(result(turned))


@given(json_values, json_values)
def test_two_states_have_one_digest_only_where_they_are_the_same_json(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    found, found_other = state_of(result({"at": one})), state_of(result({"at": other}))
    if found is not None and found_other is not None:
        assert (found[0] == found_other[0]) == same


@pytest.mark.parametrize(
    "text",
    [b"", b"[", b'{"structuredContent":{"a":1,"a":2}}', b'{"structuredContent":{"a":1e400}}'],
)
def test_what_cannot_be_compared_is_no_state(text: bytes) -> None:
    assert state_of(text) is None


def test_a_huge_state_is_not_read() -> None:
    assert state_of(result("x" * STATE_MAX_BYTES)) is None


def test_variables_of_a_session_tell_no_store_from_another() -> None:
    session = dict.fromkeys(
        (
            "PATH",
            "TERM",
            "TERM_PROGRAM",
            "SSH_AUTH_SOCK",
            "CLAUDECODE",
            "CLAUDE_CODE_SSE_PORT",
            "PWD",
            "_PYENV_INSTALL_PREFIX",
        ),
        "",
    )
    telling_ones = dict.fromkeys(("MEMORY_FILE_PATH", "DATABASE_URL", "HOME", "GITHUB_TOKEN", "AWS_PROFILE"), "")
    assert telling({**session, **telling_ones}) == tuple(sorted(telling_ones))
