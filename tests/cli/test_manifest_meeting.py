"""Meeting a server: either era, a server that is slow to know which, and those that never answer."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from spec_mcp.manifest import fingerprint
from spec_mcp.relay import meeting
from spec_mcp.relay.meeting import CannotMeet, meet, visit
from tests.cli.manifests import HOSTILE, greeter
from tests.manifest.writing import tool

SCRIPT = """
import json, sys
def say(**members): print(json.dumps({"jsonrpc": "2.0", **members}), flush=True)
def hear(): return json.loads(sys.stdin.readline())
%s
sys.stdin.read()
"""
"""A server that does what a test says, line by line."""

LATE = """
probe, greeting = hear(), hear()
assert (probe["method"], greeting["method"]) == ("server/discover", "initialize")
"""


def scripted(lines: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT % lines]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for an answer to the probe before greeting."""
    monkeypatch.setattr(meeting, "PROBE_S", 0.0)


@pytest.mark.parametrize(("options", "protocol"), [([], "2026-07-28"), (["--legacy-only"], "2025-11-25")])
def test_a_server_is_met_in_its_own_era_with_all_pages_of_its_list(options: list[str], protocol: str) -> None:
    found = meet([*HOSTILE, *options])
    assert (found.name, found.version, found.protocol) == ("hostile", "1.0", protocol)
    names = [tool["name"] for tool in found.tools]
    assert len(names) == len(set(names)) > 20
    assert found.tools[0]["annotations"]["x-hint"] == "kept"


def test_what_a_server_prints_beside_the_protocol_is_counted_and_harmless() -> None:
    assert meet([*HOSTILE, "--banner"]).strays >= 1
    assert meet(HOSTILE).strays == 0


def test_a_fingerprint_is_taken_of_the_definition_as_it_was_sent() -> None:
    definition = tool("get", "id", annotations={"readOnlyHint": True, "vendor": {"x": 1.0}})
    [seen] = meet(greeter(definition)).tools
    assert fingerprint(seen) == fingerprint(definition)


def test_a_server_that_ignores_the_probe_is_greeted_after_it(hasty: None) -> None:
    found = meet(
        scripted(
            LATE + 'say(id=greeting["id"], result={"protocolVersion": "2025-03-26", "serverInfo": {"name": "old"}})'
        )
    )
    assert (found.name, found.protocol, found.tools) == ("old", "2025-03-26", ())


def test_a_probe_that_is_answered_late_settles_the_era(hasty: None) -> None:
    found = meet(
        scripted(
            LATE
            + """
say(id=probe["id"], result={"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new"}}})
say(id=greeting["id"], error={"code": -32022, "message": "too late"})
asked = hear()
assert asked["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
say(id=asked["id"], result={"tools": [{"name": "x"}]})
"""
        )
    )
    assert (found.name, found.protocol, [tool["name"] for tool in found.tools]) == ("new", "2026-07-28", ["x"])


def test_a_probe_that_is_refused_late_leaves_the_greeting_to_count(hasty: None) -> None:
    found = meet(
        scripted(
            LATE
            + """
say(id=probe["id"], error={"code": -32601, "message": "?"})
say(id=greeting["id"], result={"protocolVersion": "2024-11-05", "serverInfo": {"name": "old"}})
"""
        )
    )
    assert found.name == "old"


def test_questions_of_the_server_are_answered_meanwhile() -> None:
    found = meet(
        scripted(
            """
probe = hear()
say(id="q", method="roots/list")
assert hear() == {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}
say(id=7, method="sampling/createMessage", params={})
assert hear()["error"]["code"] == -32601
say(method="notifications/message", params={})
say(id=probe["id"], result={"supportedVersions": ["2026-07-28"], "serverInfo": {"name": "curious"}})
"""
        )
    )
    assert found.name == "curious"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "does not answer initialize within 2 s"),
        ('say(id=hear()["id"], error={}); sys.exit(3)', "ended with status 3 before it answered initialize"),
        (
            'say(id=hear()["id"], error={}); say(id=hear()["id"], error={"code": 1, "message": "no key"})',
            "answers initialize with an error: no key",
        ),
    ],
)
def test_a_server_that_cannot_be_met_is_said_to_in_what_it_fails(lines: str, said: str, hasty: None) -> None:
    with pytest.raises(CannotMeet, match=said):
        meet(scripted(lines), bound_s=2.0)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({}, "without a list of tools"),
        ({"tools": [{"name": "\ud800"}]}, "holds broken text"),
        ({"tools": [], "nextCursor": "again"}, "does not end within 3 pages"),
    ],
)
def test_a_tool_list_that_cannot_be_used_is_said_to_be_so(
    result: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "PAGES_MAX", 3)
    lines = f"""
say(id=hear()["id"], result={{"supportedVersions": ["2026-07-28"], "capabilities": {{"tools": {{}}}}}})
for number in range(3): say(id=hear()["id"], result={result!r})
"""
    with pytest.raises(CannotMeet, match=said):
        meet(scripted(lines))


CALLED = """
probe = hear()
say(id=probe["id"], result={"supportedVersions": ["2026-07-28"], "serverInfo": {"name": "shop"}})
asked = hear()
assert asked["method"] == "tools/call"
assert asked["params"]["name"] == "get"
"""


def test_a_server_that_was_met_can_be_called_in_its_own_era() -> None:
    told = CALLED + (
        'assert "io.modelcontextprotocol/protocolVersion" in asked["params"]["_meta"]\n'
        'say(id=asked["id"], result={"content": [], "structuredContent": asked["params"]["arguments"]})\n'
        'say(id=hear()["id"], error={"code": -32602, "message": "no such tool"})'
    )
    with visit(scripted(told)) as visited:
        assert visited.call("get", {"id": 1}, 10.0) == (True, {"content": [], "structuredContent": {"id": 1}})
        answered, error = visited.call("got", {}, 10.0)
    assert (answered, error) == (False, {"code": -32602, "message": "no such tool"})


@pytest.mark.parametrize(
    ("line", "said"),
    [("", "does not answer a call of get within 0 s"), ("sys.exit(4)", "ended with status 4 before it answered tools")],
)
def test_a_call_that_is_never_answered_ends_with_the_reason(line: str, said: str) -> None:
    with visit(scripted(CALLED + line)) as visited, pytest.raises(CannotMeet, match=said):
        visited.call("get", {}, 0.3 if not line else 10.0)
