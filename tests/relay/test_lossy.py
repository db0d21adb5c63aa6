"""A tool of which the last write wins, from the guess to the record."""

from __future__ import annotations

import pytest

from spec_mcp.engine.effects import Effect, ToolPolicy
from spec_mcp.engine.policy import Settings
from tests.relay.rig import TOOLS, Rig, answer, call

KNOB = ToolPolicy(Effect.REVERSIBLE, ("item:{id}",), open_world=False, lossy=True)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, tools={**TOOLS, "knob": KNOB}, settings=Settings(0.01, lossy=True))


def test_a_knob_is_set_early_and_the_call_is_answered_and_recorded_apart(rig: Rig) -> None:
    own = rig.launched("knob", id=1)
    rig.server(answer(own, b'{"content":[1]}'))
    assert rig.client(call(1, "knob")).to_client == [answer(1, b'{"content":[1]}')]
    assert rig.to_server == []
    assert [row.how for row in rig.recorder.calls][-1] == "lossy"


def test_another_setting_goes_to_the_server_after_it(rig: Rig) -> None:
    own = rig.launched("knob", id=1)
    rig.server(answer(own))
    other = call(1, "knob", '{"id":1,"to":2}')
    assert rig.client(other).to_server[-1] == other
    assert rig.server(answer(1)).to_client == [answer(1)]
