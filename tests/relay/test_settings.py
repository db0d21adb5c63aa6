"""What a user sets reaches what `wrap` serves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from spec_mcp.config import load_config
from spec_mcp.engine.commands import SpeculationEnded
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy, Undo
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import Reason, State
from spec_mcp.predict.default import DefaultPredictor
from spec_mcp.predict.keeper import KIND, latest
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.making import not_kept, predictor_of, settings_of
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.sharing import Sharing
from spec_mcp.relay.vouching import unproven
from spec_mcp.store.place import Place, Remote
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.rows import Scope, SessionRow
from spec_mcp.store.settings import StoreSettings


def configuration(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_history_is_what_predicts_unless_the_user_switched_it_off(tmp_path: Path):
    assert isinstance(predictor_of(None, {}, load_config(None)), DefaultPredictor)
    silent = predictor_of(None, {}, load_config(configuration(tmp_path, "[predictors]\nhistory = false\n")))
    assert isinstance(silent, Silent)
    assert silent.predict("session", [], 16, 0.0) == []


def test_tools_whose_undo_nobody_has_proved_are_named_for_who_switched_early_writes_on():
    undo = Undo("del", {})
    tools = {
        "add": ToolPolicy(Effect.REVERSIBLE, undo=undo),
        "put": ToolPolicy(Effect.REVERSIBLE, undo=undo),
        "set": ToolPolicy(Effect.REVERSIBLE, undo=undo, proved=True),
        "get": ToolPolicy(Effect.READ),
    }
    settings = Settings(reversible=True, accept_unproven=frozenset({"graph.put"}))
    assert unproven(ServerPolicy("graph", tools), "graph", settings) == ["add"]


def test_what_is_set_and_not_acted_on_is_named_for_its_user(tmp_path: Path):
    text = (
        '[servers.shop]\ncommand = "shop"\nrate_per_minute = 3\nisolation = "pool"\ndeny = ["drop*"]\n'
        '[servers.other]\ncommand = "other"\ndeny = ["*"]\n'
        "[speculation]\nprice_per_hour_saved = 1.0\nreversible = true\nbreadth = 2\n"
        '[predictors.local]\nkind = "openai"\nmodel = "qwen3:4b"\n'
    )
    here = Place(tmp_path / "store")
    assert not_kept(load_config(configuration(tmp_path, text)), here, "shop") == [
        "[servers.shop] deny",
        "[servers.shop] isolation",
    ]
    assert not_kept(load_config(None), here, "shop") == []


def test_nothing_reversible_is_tried_early_where_other_machines_share_the_store(tmp_path: Path):
    config = load_config(configuration(tmp_path, "[speculation]\nreversible = true\n"))
    shared = Place(tmp_path / "store", Remote("postgresql://host/db"))
    assert settings_of(config).reversible
    assert not settings_of(config, board=True).reversible
    assert not_kept(config, shared) == ["[speculation] reversible, with a PostgreSQL store"]


def test_the_share_of_used_speculations_is_counted_over_those_that_were_launched(tmp_path: Path):
    recorder = Recorder(StoreSettings(Place(tmp_path / "store"), 30.0, True, ()))
    recording = Recording(
        recorder, Scope("s", "x"), SessionRow("session", Scope("s", "x"), "local", 0.0, 1), lambda: 0.0, lambda: 0.0
    )
    used: list[bool] = []
    recording.on_speculation = used.append
    for state, reason, launched_at in (
        (State.ADOPTED, "adopted", 1.0),
        (State.DISCARDED, Reason.EXPIRED, 1.0),
        (State.DISCARDED, Reason.UNVALIDATED, None),
    ):
        recording.ended(
            SpeculationEnded(
                1, "session", "s", "s", "get", {}, state, reason, 0.5, "test", launched_at, None, 2.0, None
            )
        )
    assert used == [True, False]


def test_what_was_learned_for_the_share_of_used_speculations_outlives_the_process(tmp_path: Path):
    chosen = load_config(configuration(tmp_path, "[speculation]\nused_share = 0.9\n")).speculation
    scope, costs_s = Scope("s", "x"), list[float]()
    for run in ("first", "second"):
        recorder = Recorder(StoreSettings(Place(tmp_path / "store"), 30.0, True, (), {KIND: latest}))
        recorder.start()
        engine = Engine(Settings(), {})
        session = SessionRow(run, scope, "local", time.time(), 1)
        recording = Recording(recorder, scope, session, time.time, time.monotonic)
        sharing = Sharing(chosen, engine)
        sharing.listen(recording)
        for row in recorder.load(scope, "local").result(10).learned:
            sharing.load(row.data)
        costs_s.append(engine.world.settings.wasted_call_s)
        for _ in range(10):
            recording.on_speculation(False)
        costs_s.append(engine.world.settings.wasted_call_s)
        recording.learned(KIND, sharing.dump())
        recorder.close(10.0)
    assert costs_s[0] < costs_s[1] == pytest.approx(costs_s[2], abs=1e-6)
    assert costs_s[2] < costs_s[3]
