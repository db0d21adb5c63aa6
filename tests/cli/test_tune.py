"""`spec-mcp tune` as a user meets it: the advice is right, can be acted on, and is not given where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spec_mcp.__main__ import run
from spec_mcp.cli.columns import Column, fitting
from spec_mcp.cli.unaided import unaided
from spec_mcp.records import CallEvent, Tool, write_sessions, write_tools
from spec_mcp.replay.tuning import Curve, Point
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import CallRow, Row, Scope
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import SessionTrace
from tests.replay.recorded import read
from tests.replay.recorded import session as recorded
from tests.store.rows import FILES, NOW, SHOP, call, session

TAKES_S = 2.0
THINKS_S = 3.0


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def lived(number: int, scope: Scope, kind: str = "read", steps: int = 10) -> list[Row]:
    """A session that looks things up, each by what the one before it answered."""
    name = f"{scope.server}-{number}"
    rows: list[Row] = [session(name, scope, started_at=NOW + 1_000 * number)]
    for step in range(steps):
        began = NOW + 1_000 * number + step * (TAKES_S + THINKS_S)
        asked, answered = f"id-{number}-{step}", json.dumps({"next": f"id-{number}-{step + 1}"})
        rows.append(
            call(
                step,
                session=name,
                server=scope.server,
                tool="look",
                arguments=json.dumps({"id": asked}).encode(),
                result=json.dumps(answered).encode(),
                kind=kind,
                batch=step,
                t_start=began,
                t_end=began + TAKES_S,
                wait_s=TAKES_S,
            )
        )
    return rows


def keep(home: Path, *rows: Row) -> None:
    store = SqliteStore(home / STORE_NAME)
    store.write(rows)
    store.close()


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> str:
    assert run(["tune", *map(str, arguments)]) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == (status != 0)
    return captured.out + captured.err


@pytest.fixture
def home(spec_mcp_home: Path) -> Path:
    """A history of ten sessions of one server."""
    keep(spec_mcp_home, *(row for number in range(10) for row in lived(number, FILES)))
    return spec_mcp_home


def test_the_advice_names_file_key_value_and_what_it_changes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = home / "config.toml"
    config.write_text("[speculation]\nwasted_call_s = 30.0\n")
    said = " ".join(told(capsys).split())
    chosen = json.loads(told(capsys, "--json"))["wasted_call_s"]
    assert f"Set wasted_call_s = {chosen:g} under [speculation] in {config} (now 30)." in said
    assert "of the wait instead of " in said
    assert "wasted calls per ten instead of" in said


def test_following_the_advice_ends_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = json.loads(told(capsys, "--json"))["wasted_call_s"]
    (home / "config.toml").write_text(f"[speculation]\nwasted_call_s = {chosen}\n")
    assert f"Keep wasted_call_s = {chosen:g}: no other setting does better" in told(capsys)


def test_without_a_configuration_a_new_file_is_named(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "client.json"
    config.write_text('{"speculation": {"wasted_call_s": 30, "used_share": 0.6}}')
    assert f'under "speculation" in {config} (now 30).' in " ".join(told(capsys, "--config", config).split())
    assert "You have used_share = 0.6, which finds wasted_call_s by itself" in told(capsys, "--config", config)
    said = " ".join(told(capsys, "--used-share", "1").split())
    assert f"a new file {home / 'config.toml'}" in said or "Keep wasted_call_s = 0.2" in said


def test_too_little_history_is_said_and_how_much_is_needed(
    spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(spec_mcp_home, *lived(1, FILES))
    said = " ".join(told(capsys).split())
    assert "Too little to choose by: 10 calls in 1 session are recorded, and 100 calls in 5 sessions are needed" in said
    figures = json.loads(told(capsys, "--json"))
    assert (figures["enough"], figures["wasted_call_s"], figures["calls"]) == (False, None, 10)


def test_where_no_tool_reads_a_manifest_is_what_is_missing(
    spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(spec_mcp_home, *(row for number in range(10) for row in lived(number, FILES, "write")))
    assert "`spec-mcp manifest draft -- COMMAND` begins one" in told(capsys)


def test_without_history_it_says_how_to_begin(spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "`spec-mcp wrap -- COMMAND`" in told(capsys, status=1)
    keep(spec_mcp_home, session("empty"))
    assert "there is no recorded call to tune by" in told(capsys, status=1)


def test_each_server_is_played_by_itself_and_one_can_be_chosen(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(home, *(row for number in range(10) for row in lived(number, SHOP, "write")))
    both, one = json.loads(told(capsys, "--json")), json.loads(told(capsys, "--json", "--server", "files"))
    assert (both["calls"], one["calls"]) == (200, 100)
    assert both["curve"][0]["hidden_s"] == one["curve"][0]["hidden_s"], "the writes of one spoil nothing of the other"
    assert "nothing is recorded of a server x, only of files, shop" in told(capsys, "--server", "x", status=1)


def test_only_the_newest_calls_of_a_long_history_are_played(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spec_mcp.cli.tune.MAX_CALLS", 80)
    assert "80 calls in 8 sessions" in (said := told(capsys))
    assert "2 older sessions left out" in " ".join(said.split())


def test_recorded_sessions_can_be_named_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    write_sessions(path, [recorded(read("a", {}), read("b", {}), name=f"s{number}") for number in range(3)])
    assert "Too little to choose by: 6 calls in 3 sessions" in told(capsys, path)
    assert "give files or --server, not both" in told(capsys, path, "--server", "x", status=2)
    write_sessions(path, [])
    assert "there is no recorded session in" in told(capsys, path, status=1)


def test_the_catalogue_beside_a_record_says_which_tools_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    write_sessions(path, [recorded(CallEvent("a", {}, "ok"), name=f"s{number}") for number in range(3)])
    assert json.loads(told(capsys, path, "--json"))["reads"] == 0
    write_tools(tmp_path / "x.tools.json", [Tool("a", kind="read")])
    assert json.loads(told(capsys, path, "--json"))["reads"] == 3


@pytest.mark.parametrize("columns", [80, 60])
def test_the_table_fits_the_terminal_and_no_number_is_wrapped(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = told(capsys).splitlines()
    table = lines[: lines.index("", 3)]
    assert max(map(len, table)) <= columns
    assert "…" not in "".join(table)
    assert sum(line.lstrip().startswith(("0.", "1.6", "3.2")) for line in lines) == 8, "a line for each setting"


def test_a_plot_is_refused_before_the_work_for_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "ends in .png, .svg, .pdf" in told(capsys, "--plot", tmp_path / "x.html", status=2)
    assert "make it first" in told(capsys, "--plot", tmp_path / "none" / "x.png", status=2)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_curve_is_drawn(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    path = tmp_path / f"curve{suffix}"
    assert str(path) in " ".join(told(capsys, "--plot", path).split())
    assert path.stat().st_size > 5_000


# --- what a replay of one's own history starts from ------------------------------------------------------------------


def trace(*calls: CallRow) -> SessionTrace:
    return SessionTrace(session(), calls, (), ())


def test_a_call_that_was_answered_ahead_takes_its_time_again_and_moves_what_follows() -> None:
    hit = call(1, t_start=NOW, t_end=NOW, how="hit", wait_s=0.0, saved_s=2.0)
    join = call(2, t_start=NOW + 3, t_end=NOW + 4, how="join", wait_s=1.0, saved_s=0.5)
    miss = call(3, t_start=NOW + 7, t_end=NOW + 9)
    assert [(row.t_start - NOW, (row.t_end or 0) - NOW) for row in unaided(trace(hit, join, miss)).calls] == [
        (0, 2), (5, 6.5), (9.5, 11.5)
    ]  # fmt: skip


def test_calls_of_one_turn_move_what_follows_once() -> None:
    turn = [call(n, batch=1, t_start=NOW, t_end=NOW, how="hit", saved_s=saved) for n, saved in ((1, 2.0), (2, 1.0))]
    after = call(3, batch=3, t_start=NOW + 1, t_end=NOW + 2)
    assert [row.t_start - NOW for row in unaided(trace(*turn, after)).calls] == [0, 0, 3]


def test_columns_are_left_out_by_what_they_matter() -> None:
    columns = (Column("one"), Column("two", 2), Column("three", 1))
    rows = [("1", "22", "333")]
    assert [fitting(columns, rows, width)[1] for width in (20, 15, 10, 6, 2)] == [
        [], [], ["two"], ["two", "three"], ["two", "three"]
    ]  # fmt: skip


def at(cost_s: float, hidden: float, waste: float, used: float = 0.8) -> Point:
    return Point(cost_s, 0.5, used, waste, hidden, 100 * hidden)


def test_of_settings_that_hide_about_as_much_the_one_that_wastes_least_is_chosen() -> None:
    greedy, good, mean = at(0.02, 0.55, 3.4), at(0.05, 0.53, 1.8), at(0.2, 0.16, 0.5)
    curve = Curve((greedy, good, mean))
    assert curve.best(0.5, mean) is good
    assert curve.best(0.5, greedy) is good
    assert curve.best(0.9, mean) is None


def test_a_setting_that_does_about_as_well_is_kept_and_one_that_uses_too_little_is_not() -> None:
    now, least = at(0.1, 0.53, 1.85), at(0.2, 0.52, 1.8)
    assert Curve((now, least)).best(0.5, now) is now
    assert Curve((at(0.1, 0.53, 1.85, used=0.4), least)).best(0.5, at(0.1, 0.53, 1.85, used=0.4)) is least
