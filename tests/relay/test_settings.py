"""What a user sets reaches what `wrap` serves."""

from __future__ import annotations

from pathlib import Path

from spec_mcp.config import load_config
from spec_mcp.engine.commands import SpeculationEnded
from spec_mcp.engine.states import Reason, State
from spec_mcp.predict.default import DefaultPredictor
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.assembly import _predictor, not_kept
from spec_mcp.relay.recording import Recording
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.rows import Scope, SessionRow
from spec_mcp.store.settings import StoreSettings


def configuration(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_history_is_what_predicts_unless_the_user_switched_it_off(tmp_path: Path):
    assert isinstance(_predictor(None, {}, load_config(None)), DefaultPredictor)
    silent = _predictor(None, {}, load_config(configuration(tmp_path, "[predictors]\nhistory = false\n")))
    assert isinstance(silent, Silent)
    assert silent.predict("session", [], 16, 0.0) == []


def test_what_is_set_and_not_acted_on_is_named_for_its_user(tmp_path: Path):
    text = (
        '[servers.shop]\ncommand = "shop"\nrate_per_minute = 3\nisolation = "pool"\ndeny = ["drop*"]\n'
        '[servers.other]\ncommand = "other"\ndeny = ["*"]\n'
        "[speculation]\nreversible = true\nbreadth = 2\n"
        '[predictors.local]\nkind = "openai"\nmodel = "qwen3:4b"\n'
    )
    assert not_kept(load_config(configuration(tmp_path, text)), "shop") == [
        "[predictors.local]",
        "[speculation] reversible",
        "[servers.shop] deny",
        "[servers.shop] isolation",
    ]
    assert not_kept(load_config(None), "shop") == []


def test_the_share_of_used_speculations_is_counted_over_those_that_were_launched(tmp_path: Path):
    recorder = Recorder(StoreSettings(tmp_path / "store", 30.0, True, ()))
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
            SpeculationEnded(1, "session", "s", "get", {}, state, reason, 0.5, "test", launched_at, None, 2.0, None)
        )
    assert used == [True, False]
