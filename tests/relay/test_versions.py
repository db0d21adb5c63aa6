"""A validator that is a tool: asked before the launch and again for the call, under an id of ours."""

from __future__ import annotations

import json

import pytest

from spec_mcp.engine.effects import Effect, ToolPolicy, ToolValidator
from tests.relay.rig import TOOLS, Rig, answer, call, own_id

PAGE = ToolPolicy(
    Effect.READ,
    ("item:{id}",),
    ttl_s=30.0,
    open_world=False,
    fresh=ToolValidator("get", {"id": "arguments.id"}),
)
ONE, TWO = b'{"content":[{"type":"text","text":"v1"}]}', b'{"content":[{"type":"text","text":"v2"}]}'
HELD = b'{"content":[{"type":"text","text":"a page"}]}'


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A page is held whose version was `v1` before it was read."""
    rig = Rig(monkeypatch, tools={**TOOLS, "page": PAGE})
    rig.client(call(900, "unheard-of")).server(answer(900))
    _ = rig.to_server, rig.to_client
    rig.predicts("page", id=1)
    (version,) = rig.to_server
    assert json.loads(version)["params"] == {"name": "get", "arguments": {"id": 1}}
    rig.server(answer(own_id(version), ONE))
    (launch,) = rig.to_server
    assert json.loads(launch)["params"]["name"] == "page"
    rig.server(answer(own_id(launch), HELD))
    assert rig.to_client == []
    return rig


def test_the_call_is_answered_where_the_version_is_the_same(rig: Rig) -> None:
    (version,) = rig.client(call(1, "page")).to_server
    assert rig.to_client == []
    rig.server(answer(own_id(version), ONE))
    assert rig.to_client == [answer(1, HELD)]
    assert rig.to_server == []


@pytest.mark.parametrize("told", [TWO, b'{"content":[],"isError":true}'])
def test_the_call_is_made_where_the_version_is_another_or_none(rig: Rig, told: bytes) -> None:
    (version,) = rig.client(call(1, "page")).to_server
    rig.server(answer(own_id(version), told))
    assert rig.to_server == [call(1, "page")]
    assert rig.server(answer(1)).to_client == [answer(1)]


def test_the_call_is_made_when_the_version_does_not_come(rig: Rig) -> None:
    (version,) = rig.client(call(1, "page")).to_server
    assert rig.waits(1.0).to_server == [call(1, "page")]
    rig.server(answer(own_id(version), ONE))
    assert rig.server(answer(1)).to_client == [answer(1)]
