"""The record in a PostgreSQL database that is slow, cut or gone: rows wait or are given up, and calls never do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import Mode
from spec_mcp.store import opening
from spec_mcp.store.mode import HOLDS_S, SeenSwitch, switched, turn
from spec_mcp.store.opening import open_at
from spec_mcp.store.place import Place, Remote
from spec_mcp.store.postgres.migrations import STEPS
from spec_mcp.store.postgres.store import PostgresStore
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.store import StoreBusy, StoreError
from spec_mcp.store.worker import StoreState
from tests import postgres
from tests.pipes import eventually
from tests.store.rows import FILES, call, learned, pin, session

pytestmark = pytest.mark.postgres

BOUND_S = 30.0

NEXT = len(STEPS) + 1
"""The version of a newer program."""

Make = Callable[..., Recorder]


@pytest.fixture
def url() -> Iterator[str]:
    with postgres.database() as made:
        yield made


@pytest.fixture
def place(url: str, tmp_path: Path) -> Place:
    return Place(tmp_path / "store", Remote(url))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(place: Place, said: list[str]) -> Iterator[Make]:
    made: list[Recorder] = []

    def make_one(at: Place = place) -> Recorder:
        recorder = Recorder(StoreSettings(at, 30.0, True, ()), say=said.append, retry_s=0.0)
        made.append(recorder)
        recorder.start()
        return recorder

    yield make_one
    for recorder in made:
        assert recorder.close(BOUND_S)


def test_what_one_replica_records_another_one_knows(make: Make, place: Place) -> None:
    one, other = make(), make()
    one.record(session())
    one.record(call(1))
    one.record(pin())
    one.record(learned())
    assert one.flush(BOUND_S)
    loaded = other.load(FILES, "local").result(BOUND_S)
    assert (loaded.state, loaded.pins) == (StoreState.READY, {"read": "sha256:1"})
    assert [row.data for row in loaded.learned] == [{"n": 1}]


def test_rows_wait_for_connections_that_were_cut_and_none_is_lost(make: Make, url: str, place: Place) -> None:
    recorder = make()
    recorder.record(session())
    for number in range(40):
        recorder.record(call(number))
        if number % 10 == 5:
            assert recorder.flush(BOUND_S)
            postgres.cut(url)
    assert recorder.flush(BOUND_S)
    store = open_at(place)
    assert [row.number for row in store.trace("s1").calls] == list(range(40))
    store.close()
    assert recorder.dropped == 0


def test_rows_wait_for_a_database_that_lets_nobody_in_for_a_while(
    make: Make, url: str, place: Place, said: list[str]
) -> None:
    recorder = make()
    recorder.record(session())
    assert recorder.flush(BOUND_S)
    postgres.let_in(url, False)
    postgres.cut(url)
    recorder.record(call(1))
    assert not recorder.flush(BOUND_S)
    assert any("calls go on unrecorded meanwhile" in line for line in said)
    postgres.let_in(url, True)
    recorder.record(call(2))
    assert recorder.flush(BOUND_S)
    store = open_at(place)
    assert [row.number for row in store.trace("s1").calls] == [1, 2]
    store.close()


def test_a_database_that_is_not_there_is_said_once_and_costs_the_record_alone(
    make: Make, tmp_path: Path, said: list[str]
) -> None:
    at = Place(tmp_path / "store", Remote(f"postgresql://me:hidden@127.0.0.1:{postgres.free_port()}/db"))
    recorder = make(at)
    for _ in range(3):
        assert recorder.load(FILES, "local").result(BOUND_S).state is StoreState.UNAVAILABLE
    assert recorder.switch.read() is Mode.OFF
    assert len(said) == 1
    assert "hidden" not in said[0]


def test_what_another_one_has_locked_is_waited_for_with_a_bound(url: str, place: Place) -> None:
    store = PostgresStore(Remote(url), lock_timeout_s=0.05)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE spec_mcp.calls")
        with pytest.raises(StoreBusy):
            store.write([session(), call(1)])
    assert store.session_ids() == []
    store.write([session(), call(1)])
    assert store.session_ids() == ["s1"]
    store.close()


def test_two_that_compact_at_once_count_nothing_twice_and_lose_nothing(url: str) -> None:
    stores = [PostgresStore(Remote(url)) for _ in range(4)]
    together = threading.Barrier(len(stores))

    def add(rows: list[Json]) -> Json:
        return {"n": sum(row["n"] for row in rows)}  # type: ignore[index,call-overload,misc]

    def work(store: PostgresStore) -> None:
        together.wait(BOUND_S)
        for _ in range(12):
            store.write([learned()])
            store.compact(FILES, "local", "history/1", add)

    workers = [threading.Thread(target=work, args=[store]) for store in stores]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(BOUND_S)
    rows = stores[0].learned(FILES, "local")
    assert sum(json.loads(row.data)["n"] for row in rows) == 48
    assert len(rows) < 48
    for store in stores:
        store.close()


def test_the_switch_holds_for_all_that_use_the_database(make: Make, place: Place) -> None:
    assert switched(place) is None
    turn(place, Mode.SHADOW)
    recorder = make()
    assert recorder.load(FILES, "local").result(BOUND_S).state is StoreState.READY
    assert recorder.flush(BOUND_S)
    turn(place, Mode.ON)
    assert switched(place) is Mode.ON
    seen = make()
    assert seen.flush(BOUND_S)
    assert seen.flush(BOUND_S)
    assert seen.switch.read() is Mode.ON


def test_a_word_that_the_switch_does_not_know_says_off(url: str, place: Place) -> None:
    turn(place, Mode.ON)
    with psycopg.connect(url) as other:
        other.execute("UPDATE spec_mcp.switch SET mode = 'sideways'")
    assert switched(place) is Mode.OFF


def test_a_switch_that_was_never_seen_or_too_long_ago_says_off() -> None:
    now = [100.0]
    switch = SeenSwitch(lambda: now[0])
    assert switch.read() is Mode.OFF
    switch.saw(None)
    assert switch.read() is None
    switch.saw(Mode.ON)
    now[0] += HOLDS_S
    assert switch.read() is Mode.ON
    now[0] += 0.1
    assert switch.read() is Mode.OFF


def test_without_the_driver_it_is_said_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DRIVER", ("a_driver_that_is_not_there",))
    with pytest.raises(StoreError, match=r"pip install 'spec-mcp\[postgres\]'"):
        open_at(place)


def test_a_program_that_has_become_too_old_stops_and_says_so_once(make: Make, url: str, said: list[str]) -> None:
    recorder = make()
    recorder.record(session())
    assert recorder.flush(BOUND_S)
    with psycopg.connect(url) as newer:
        version = len(STEPS) + 1
        newer.execute(
            "INSERT INTO spec_mcp.steps (version, name, min_version) VALUES (%s, 'x', %s)", [version, version]
        )
    recorder.record(call(1))
    assert not recorder.flush(BOUND_S)
    assert [line for line in said if "plain proxy" in line] == said
    assert len(said) == 1
    assert recorder.load(FILES, "local").result(BOUND_S).state is StoreState.NEWER
    eventually(lambda: recorder.switch.read() is Mode.OFF, "off", BOUND_S)
    with psycopg.connect(url) as newer:
        assert newer.execute("SELECT count(*) FROM spec_mcp.calls").fetchone() == (0,)
