"""What every store must do. One body, run over each implementation."""

from __future__ import annotations

import contextlib
import itertools
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spec_mcp.engine.calls import Json
from spec_mcp.store.rows import SkipRow, TextRow
from spec_mcp.store.store import Store
from tests.store.rows import DAY_S, FILES, NOW, SHOP, call, comparison, learned, pin, session, skip, speculation

NUMBERS = itertools.count()
NASTY = "\x00a\x00\x000\U0010ffff\U0010ffff0\U0010ffff1\U0010ffff\x00é\u2028'\"%s?\\"


def add(rows: list[Json]) -> Json:
    return {"n": sum(row["n"] for row in rows)}  # type: ignore[index,call-overload,misc]


def test_a_trace_gives_back_what_was_written(store: Store) -> None:
    rows = [session(client_name="agent"), call(1), call(2, is_error=True, result=None), speculation(7), skip()]
    store.write(rows)
    trace = store.trace("s1")
    assert [trace.session, *trace.calls, *trace.speculations, *trace.skips] == rows


def test_a_trace_is_in_the_order_of_time_whatever_order_it_was_written_in(store: Store) -> None:
    store.write([session(), call(2), call(1), speculation(2), speculation(1)])
    trace = store.trace("s1")
    assert [row.number for row in trace.calls] == [1, 2]
    assert [row.number for row in trace.speculations] == [1, 2]


def test_an_unknown_session_has_no_trace(store: Store) -> None:
    store.write([session("s1"), call(1, session="s1")])
    with pytest.raises(KeyError):
        store.trace("s")


def test_a_session_written_again_learns_its_client_and_its_end_and_forgets_nothing(store: Store) -> None:
    store.write([session()])
    store.write([session(client_name="agent", client_version="2")])
    store.write([session(ended_at=NOW + 9)])
    store.write([session()])
    kept = store.trace("s1").session
    assert (kept.client_name, kept.client_version, kept.ended_at) == ("agent", "2", NOW + 9)


def test_writing_a_call_or_a_speculation_again_changes_nothing(store: Store) -> None:
    rows = [session(), call(1), speculation(1)]
    store.write(rows)
    store.write(rows)
    assert (store.totals().all.calls, store.totals().all.speculations) == (1, 1)


def test_skips_of_one_reason_add_up(store: Store) -> None:
    store.write([session(), skip("busy", 2), skip("poll", 1), skip("busy", 3)])
    store.write([skip("busy", 1)])
    assert store.totals().skips == {"busy": 6, "poll": 1}


def test_a_row_that_cannot_be_kept_is_refused_with_all_that_came_with_it(store: Store) -> None:
    with pytest.raises(ValueError, match=r"too large|out of range"):
        store.write([session(), call(1), call(2**70)])
    assert store.sessions() == []
    store.write([session(), call(1)])
    assert store.totals().all.calls == 1


def test_a_text_that_no_encoding_can_take_is_refused_and_not_mangled(store: Store) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        store.write([call(1, tool="\ud800")])


@given(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@example(NASTY, {"b": 1.0, "a": 1, "big": 2**200, "minus": -0.0, "lone": "\ud800", "nul": NASTY})
@example("x" * 2**20, ["y" * 2**21])
def test_whatever_texts_and_values_hold_comes_back_to_the_letter(store: Store, text: str, value: Json) -> None:
    kept = json.dumps(value).encode()
    name = f"{next(NUMBERS)}{text[:200]}"
    rows = [
        session(name, client_name=text),
        call(1, session=name, tool=name, arguments=kept, result=kept),
        speculation(1, session=name, tool=name, arguments=kept),
        SkipRow(name, "files", name, name, 2**40),
    ]
    store.write([*rows, TextRow(name, 1, "user", text, NOW), pin(name, text), learned(kept, kind=name)])
    store.write([comparison(name, session=name, early=kept, real=kept)])
    trace = store.trace(name)
    assert [trace.session, *trace.calls, *trace.speculations, *trace.skips] == rows
    assert [said.text for said in trace.texts] == [text] * bool(text)
    assert name in store.session_ids()
    assert store.pins(FILES)[name] == text
    assert store.learned(FILES, "local")[-1].data == kept
    assert [(one.tool, one.early, one.real) for one in store.divergences(1)] == [(name, kept, kept)]


def test_a_row_with_a_name_beyond_all_bounds_is_kept_or_refused_but_not_tried_again(store: Store) -> None:
    with contextlib.suppress(ValueError):
        store.write([pin("".join(map(chr, range(33, 12_000))))])
    assert len(store.pins(FILES)) <= 1


def test_totals_count_hits_joins_misses_waste_and_seconds_by_tool(store: Store) -> None:
    store.write(
        [
            session(),
            call(1, how="hit", saved_s=1.5),
            call(2, how="join", saved_s=0.25, tool="list"),
            call(3, how="miss"),
            speculation(1, state="adopted"),
            speculation(2, state="discarded", reason="expired"),
            speculation(3, state="discarded", reason="late", launched_at=None),
            speculation(4, state="compared"),
        ]
    )
    totals = store.totals()
    assert totals.sessions == 1
    assert (totals.all.calls, totals.all.hits, totals.all.joins, totals.all.misses) == (3, 1, 1, 1)
    assert (totals.all.speculations, totals.all.wasted) == (3, 1)
    assert totals.all.saved_s == pytest.approx(1.75)
    assert totals.tools["files", "list"].joins == 1
    assert totals.tools["files", "read"].calls == 2


def test_a_tool_that_was_only_speculated_is_among_the_totals(store: Store) -> None:
    store.write([session(), speculation(1, tool="peek", state="discarded")])
    assert store.totals().tools["files", "peek"].wasted == 1


def test_an_empty_store_has_empty_answers(store: Store) -> None:
    totals = store.totals()
    assert (totals.sessions, totals.all.calls, totals.all.saved_s) == (0, 0, 0.0)
    assert store.sessions() == []
    assert store.session_ids() == []
    assert list(store.traces()) == []
    assert store.pins(FILES) == {}
    assert store.learned(FILES, "local") == []


def test_sessions_come_newest_first_with_their_own_totals(store: Store) -> None:
    store.write(
        [session("old"), call(1, session="old"), session("new", started_at=NOW + 5), session("mid", started_at=NOW + 1)]
    )
    listed = store.sessions(2)
    assert [summary.session.session for summary in listed] == ["new", "mid"]
    assert [summary.totals.calls for summary in store.sessions()] == [0, 0, 1]


def test_a_prefix_finds_sessions_and_has_no_wildcards(store: Store) -> None:
    store.write([session("ab1"), session("ab2"), session("a%2"), session("AB3")])
    assert store.session_ids("ab") == ["ab1", "ab2"]
    assert store.session_ids("a%") == ["a%2"]
    assert store.session_ids("_b") == []


def test_traces_give_every_session_oldest_first(store: Store) -> None:
    store.write([session("b", started_at=NOW + 1), session("a"), call(1, session="a")])
    assert [(trace.session.session, len(trace.calls)) for trace in store.traces()] == [("a", 1), ("b", 0)]


def test_the_first_sight_of_a_tool_stays(store: Store) -> None:
    store.write([pin("read", "first"), pin("list", "other")])
    store.write([pin("read", "second")])
    assert store.pins(FILES) == {"read": "first", "list": "other"}


def test_scopes_share_neither_pins_nor_learning(store: Store) -> None:
    store.write([pin(), learned()])
    assert store.pins(SHOP) == {}
    assert store.learned(SHOP, "local") == []


def test_principals_do_not_share_what_was_learned(store: Store) -> None:
    store.write([learned(principal="one"), learned(b'{"n":2}', principal="two")])
    assert [row.data for row in store.learned(FILES, "one")] == [b'{"n":1}']


def test_learned_rows_come_back_in_order_and_are_never_replaced(store: Store) -> None:
    store.write([learned(b'{"n":1}')])
    store.write([learned(b'{"n":1}'), learned(b'{"n":3}', kind="timing/1")])
    assert [(row.kind, row.data) for row in store.learned(FILES, "local")] == [
        ("history/1", b'{"n":1}'),
        ("history/1", b'{"n":1}'),
        ("timing/1", b'{"n":3}'),
    ]


def test_compaction_makes_rows_of_one_kind_one_row_of_their_sum(store: Store) -> None:
    store.write([learned(b'{"n":1}', at=NOW), learned(b'{"n":2}', at=NOW + 5), learned(b'{"n":7}', kind="timing/1")])
    assert store.compact(FILES, "local", "history/1", add)
    rows = {row.kind: row for row in store.learned(FILES, "local")}
    assert json.loads(rows["history/1"].data) == {"n": 3}
    assert rows["history/1"].added_at == NOW + 5
    assert json.loads(rows["timing/1"].data) == {"n": 7}


def test_what_cannot_be_merged_stays_as_it_was(store: Store) -> None:
    def refuse(_rows: list[Json]) -> Json:
        raise ValueError("another shape")

    store.write([learned(), learned()])
    assert not store.compact(FILES, "local", "history/1", refuse)
    assert len(store.learned(FILES, "local")) == 2


def test_upkeep_deletes_what_is_older_than_the_retention_and_keeps_the_rest(store: Store) -> None:
    old = NOW - 40 * DAY_S
    store.write(
        [
            session("old", started_at=old, ended_at=old),
            call(1, session="old", t_start=old, t_end=old),
            speculation(1, session="old", ended_at=old),
            skip(session="old"),
            learned(at=old),
            pin(),
            session("new"),
            call(1, session="new"),
            skip(session="new"),
        ]
    )
    assert store.upkeep(NOW, 30)
    assert store.session_ids() == ["new"]
    assert (store.totals().all.calls, store.totals().all.speculations) == (1, 0)
    assert store.totals().skips == {"busy": 1}
    assert store.learned(FILES, "local") == []
    assert store.pins(FILES) == {"read": "sha256:1"}


def test_upkeep_keeps_all_that_an_owner_learned_while_it_goes_on_learning(store: Store) -> None:
    old = NOW - 40 * DAY_S
    store.write([learned(at=old, kind="lessons/1"), learned(at=NOW), learned(at=old, scope=SHOP)])
    store.upkeep(NOW, 30)
    assert [row.kind for row in store.learned(FILES, "local")] == ["lessons/1", "history/1"]
    assert store.learned(SHOP, "local") == []


def test_a_session_that_still_goes_on_keeps_its_row_when_its_oldest_calls_go(store: Store) -> None:
    store.write(
        [
            session("long", started_at=NOW - 40 * DAY_S),
            call(1, session="long", t_start=NOW - 40 * DAY_S, t_end=NOW - 40 * DAY_S),
            call(2, session="long"),
        ]
    )
    store.upkeep(NOW, 30)
    assert [row.number for row in store.trace("long").calls] == [2]


def test_upkeep_is_done_once_a_day(store: Store) -> None:
    assert store.upkeep(NOW, 30)
    assert not store.upkeep(NOW + DAY_S / 2, 30)
    assert store.upkeep(NOW + DAY_S, 30)


def test_a_clock_that_was_set_back_does_not_stop_upkeep(store: Store) -> None:
    assert store.upkeep(NOW, 30)
    assert store.upkeep(NOW - 400 * DAY_S, 30)


def test_upkeep_deletes_more_rows_than_one_step_takes(store: Store) -> None:
    old = NOW - 40 * DAY_S
    store.write([session("old", started_at=old, ended_at=old)])
    store.write([call(number, session="old", t_start=old, t_end=old) for number in range(1_201)])
    store.upkeep(NOW, 30)
    assert store.totals().all.calls == 0
    assert store.session_ids() == []


def test_forgetting_a_server_leaves_the_others(store: Store) -> None:
    store.write([session("f"), call(1, session="f"), speculation(1, session="f"), skip(session="f"), pin(), learned()])
    store.write([session("s", SHOP), call(1, session="s", server="shop"), pin(scope=SHOP), learned(scope=SHOP)])
    assert store.servers() == ["files", "shop"]
    assert store.forget("files") == 1
    assert store.servers() == ["shop"]
    assert store.session_ids() == ["s"]
    assert (store.pins(FILES), store.learned(FILES, "local")) == ({}, [])
    assert len(store.pins(SHOP)) == len(store.learned(SHOP, "local")) == 1
    assert list(store.totals().tools) == [("shop", "read")]
    assert store.totals().skips == {}


def test_forgetting_everything_leaves_nothing(store: Store) -> None:
    store.write([session(), call(), speculation(), skip(), pin(), learned()])
    assert store.forget(None) == 1
    totals = store.totals()
    assert (totals.sessions, totals.all.calls, totals.all.speculations, totals.skips) == (0, 0, 0, {})
    assert (store.pins(FILES), store.learned(FILES, "local")) == ({}, [])
