"""Learns from recorded sessions what a predictor would have learned by living them."""

from __future__ import annotations

from collections.abc import Sequence

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.predict.default import make_predictor
from spec_mcp.records import Session
from spec_mcp.replay.evaluate import learn
from spec_mcp.replay.script import Timings, set_stage, write_script


def teach(server: str, sessions: Sequence[Session], policy: ServerPolicy | None) -> Json:
    """What a predictor dumps after these sessions of a server that goes by this name."""
    stage = set_stage(sessions, (), policy)
    predictor = make_predictor({server: stage.policy}, 0)
    for session in sessions:
        learn(predictor, write_script(session, stage, Timings()), server=server)
    return predictor.dump()
