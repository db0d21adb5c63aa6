"""What the predictor learns from sessions, and what it abstains from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import Effect, FollowRule, ServerPolicy, ToolPolicy
from spec_mcp.predict.default import make_predictor
from spec_mcp.predict.merging import add_up
from spec_mcp.predict.predictor import Supposed
from tests.predict.driving import SERVER, Driven


def taught(sessions: int = 12) -> Driven:
    driven = Driven()
    for number in range(sessions):
        driven.shop(number)
    return driven


def test_nothing_is_predicted_before_anything_was_seen() -> None:
    assert Driven().candidates() == []


def test_an_id_in_a_result_becomes_the_argument_of_the_call_that_follows() -> None:
    driven = taught()
    driven.call("find_customer", {"email": "new@example.com"}, {"text": "customer_77"})
    assert driven.told()["get_customer", "customer_77"] > 0.6


def test_a_list_fans_out_in_its_order() -> None:
    driven = taught()
    driven.customer(50)
    orders = [c.arguments["order_id"] for c in driven.candidates() if c.tool == "get_order"]
    assert set(orders) == {"W500", "W501", "W502"}
    assert all(driven.told()["get_order", f"W50{index}"] > 0.5 for index in range(3))


def test_habits_are_learned_within_the_first_session() -> None:
    driven = Driven()
    driven.customer(1, orders=5)
    driven.call("get_order", {"order_id": "W10"}, {"items": []})
    driven.call("get_order", {"order_id": "W11"}, {"items": []})
    assert ("get_order", "W12") in driven.told()


def test_what_was_read_is_not_read_again_before_a_write() -> None:
    driven = taught()
    driven.customer(50)
    driven.call("get_order", {"order_id": "W500"}, {"items": []})
    assert ("get_order", "W500") not in driven.told()


def test_what_is_never_taken_is_not_told() -> None:
    driven = Driven()
    for number in range(30):
        driven.shop(number, orders=4, looked_at=1)
    driven.customer(90, orders=4)
    told = driven.told()
    assert told["get_order", "W900"] > 0.6
    assert all(told.get(("get_order", f"W90{index}"), 0.0) < 0.2 for index in (1, 2, 3))


def test_free_form_arguments_are_abstained_from() -> None:
    driven = Driven()
    for number in range(20):
        driven.call("list_tables", {}, {"tables": ["users", "orders"]})
        driven.call("query", {"sql": f"select a, b from t{number} where c = {number} and d > 1"}, {"rows": []})
        driven.close()
    driven.call("list_tables", {}, {"tables": ["users", "orders"]})
    assert not [c for c in driven.candidates() if c.tool == "query" and c.q > 0.1]


def test_several_arguments_come_from_one_record() -> None:
    driven = Driven()
    for number in range(12):
        issues: list[Json] = [{"repo": f"r{number}{index}", "number": 100 * number + index + 7} for index in range(3)]
        driven.call("search", {"q": f"q{number}"}, {"items": issues})
        for index in range(3):
            arguments: dict[str, Json] = {"repo": f"r{number}{index}", "number": 100 * number + index + 7}
            driven.call("get_issue", arguments, {"text": f"body {number} {index}"})
        driven.close()
    driven.call("search", {"q": "new"}, {"items": [{"repo": "a", "number": 4001}, {"repo": "b", "number": 4002}]})
    pairs = {(c.arguments["repo"], c.arguments["number"]) for c in driven.candidates() if c.q > 0.3}
    assert pairs == {("a", 4001), ("b", 4002)}


def test_a_path_is_joined_from_a_folder_and_a_name() -> None:
    driven = Driven()
    for number in range(10):
        driven.call("list_directory", {"path": f"/data/d{number}"}, {"text": f"[FILE] n{number}.txt\n[FILE] z.txt"})
        driven.call("read_file", {"path": f"/data/d{number}/n{number}.txt"}, {"text": "…"})
        driven.close()
    driven.call("list_directory", {"path": "/data/new"}, {"text": "[FILE] first.txt\n[FILE] second.txt"})
    assert driven.told().get(("read_file", "/data/new/first.txt"), 0.0) > 0.3


def test_a_task_that_is_repeated_is_remembered_whole() -> None:
    driven = Driven()
    for _ in range(6):
        driven.call("open_report", {"name": "weekly"}, {"text": "ready"})
        driven.call("get_chart", {"kind": "sales", "year": 2031}, {"text": "…"})
        driven.close()
    driven.call("open_report", {"name": "weekly"}, {"text": "ready"})
    assert driven.told().get(("get_chart", "sales 2031"), 0.0) > 0.3


def test_secrets_are_never_remembered() -> None:
    driven = Driven()
    for _ in range(6):
        driven.call("login", {"password": "hunter2"}, {"text": "ok"})
        driven.call("get_inbox", {"access_token": "tok-123"}, {"text": "ok"})
        driven.close()
    dumped = json.dumps(driven.predictor.dump())
    assert "hunter2" not in dumped
    assert "tok-123" not in dumped


def test_a_habit_that_stops_is_dropped_within_a_few_sessions_and_comes_back_by_itself() -> None:
    driven = taught(20)

    def said() -> float:
        driven.customer(999, orders=1)
        q = driven.told().get(("get_order", "W9990"), 0.0)
        driven.call("cancel_order", {"order_id": "W9990"}, {}, writes=True)
        driven.close()
        return q

    before = said()
    for number in range(100, 108):
        driven.shop(number, looked_at=0)
    dropped = said()
    for number in range(200, 220):
        driven.shop(number)
    assert before > 0.6
    assert dropped < before / 2
    assert said() > dropped


def test_a_chain_is_predicted_from_a_result_that_the_client_has_not_seen() -> None:
    driven = taught()
    driven.call("find_customer", {"email": "new@example.com"}, {"text": "customer_77"})
    before = driven.told()
    supposed = Supposed(SERVER, "get_customer", {"customer_id": "customer_77"}, {"orders": ["W770", "W771"]}, False)
    found = driven.predictor.predict(driven.session, (supposed,), 8, 0.0)
    assert {"W770", "W771"} <= {str(c.arguments.get("order_id")) for c in found if c.q > 0.3}
    assert driven.told() == before, "supposing leaves no trace"


def test_a_chain_is_told_alike_whatever_was_asked_before_it() -> None:
    def life() -> Driven:
        driven = Driven()
        for number in range(6):
            driven.shop(number)
        driven.call("find_customer", {"email": "c77@example.com"}, {"text": "customer_77"})
        return driven

    def told(driven: Driven, *steps: Supposed) -> list[tuple[str, str, float]]:
        found = driven.predictor.predict(driven.session, steps, 16, 0.0)
        return [(guess.tool, str(guess.arguments), guess.q) for guess in found]

    orders: Json = ["W770", "W771"]
    customer = Supposed(SERVER, "get_customer", {"customer_id": "customer_77"}, {"orders": orders}, False)
    order = Supposed(SERVER, "get_order", {"order_id": "W770"}, {"order_id": "W770", "items": []}, False)
    asked = life()
    for steps in ((customer,), (customer, order), (customer,), (order,), (customer, order)):
        assert told(asked, *steps) == told(life(), *steps) != []
    unasked = life()
    for driven in (asked, unasked):
        driven.call(customer.tool, customer.arguments, customer.result)
    assert told(asked) == told(unasked)
    assert told(asked, order) == told(unasked, order)
    assert asked.predictor.dump() == unasked.predictor.dump()


def test_a_chain_forgets_what_it_stood_on_when_the_client_goes_on() -> None:
    driven = Driven()
    for number in range(6):
        driven.shop(number)
    driven.call("find_customer", {"email": "c77@example.com"}, {"text": "customer_77"})
    arguments: Arguments = {"customer_id": "customer_77"}
    orders: list[Json] = ["W770"]
    supposed = Supposed(SERVER, "get_customer", arguments, {"orders": orders}, False)
    assert "W770" in str(driven.predictor.predict(driven.session, (supposed,), 16, 0.0))
    driven.call("get_order", {"order_id": "W770"}, {"order_id": "W770", "items": []})
    assert "W770" not in str(driven.predictor.predict(driven.session, (supposed,), 16, 0.0))


def test_asking_teaches_nothing() -> None:
    asked, unasked = Driven(), Driven()
    for number in range(5):
        for driven in (asked, unasked):
            driven.shop(number)
        asked.customer(number + 50)
        unasked.customer(number + 50)
        for _ in range(3):
            asked.candidates()
        asked.close()
        unasked.close()
    assert asked.predictor.dump() == unasked.predictor.dump()


def test_what_is_dumped_teaches_another_process_the_same() -> None:
    driven = taught(20)
    other = Driven()
    other.predictor.load(json.loads(json.dumps(driven.predictor.dump())))
    for each in (driven, other):
        each.session = "later"
        each.customer(70)
    mine, theirs = driven.told(), other.told()
    assert set(mine) == set(theirs)
    assert all(abs(mine[key] - theirs[key]) < 0.15 for key in mine)


def test_dumps_hold_only_what_is_new_and_add_up() -> None:
    driven = taught(6)
    first = driven.predictor.dump()
    assert driven.predictor.dump() != first
    for number in range(20, 26):
        driven.shop(number)
    second = driven.predictor.dump()
    apart, together = Driven(), Driven()
    for dump in (first, second):
        apart.predictor.load(dump)
    together.predictor.load(add_up([first, second]))
    for each in (apart, together):
        each.customer(70)
    assert set(apart.told()) == set(together.told())
    assert all(abs(apart.told()[key] - q) < 0.1 for key, q in together.told().items())


@pytest.mark.parametrize(
    "learned", [None, [], {}, {"version": 99}, {"version": 1, "cells": {"x": 1}}, {"version": 1, "recipes": {"[": [1]}}]
)
def test_data_of_another_shape_is_refused(learned: Json) -> None:
    with pytest.raises(ValueError, match=r"."):
        make_predictor({}, 0).load(learned)


def test_a_manifest_says_what_follows_before_anything_was_learned() -> None:
    rule = FollowRule("get_issue", {"number": "result.items[*].number", "repo": "arguments.repo"}, 0.6)
    policy = ServerPolicy(
        SERVER,
        {"search": ToolPolicy(Effect.READ, followed_by=(rule,)), "get_issue": ToolPolicy(Effect.READ)},
    )
    driven = Driven({SERVER: policy})
    driven.call("search", {"repo": "r"}, {"items": [{"number": 7}, {"number": 8}]})
    assert {(c.arguments["repo"], c.arguments["number"]) for c in driven.candidates()} == {("r", 7), ("r", 8)}
    assert all(c.q > 0.3 for c in driven.candidates())


def test_only_what_the_manifest_calls_a_read_is_told() -> None:
    tools = {"find_customer": ToolPolicy(Effect.READ), "get_customer": ToolPolicy(Effect.UNSAFE)}
    driven = Driven({SERVER: ServerPolicy(SERVER, tools)})
    for number in range(10):
        driven.shop(number)
    driven.call("find_customer", {"email": "new@example.com"}, {"text": "customer_77"})
    assert driven.candidates() == []


def test_resources_decide_what_a_write_ends() -> None:
    tools = {
        "get": ToolPolicy(Effect.READ, touches=("file:{path}",)),
        "ls": ToolPolicy(Effect.READ, touches=("dir:{path}",)),
        "put": ToolPolicy(Effect.UNSAFE, touches=("file:{path}",)),
    }
    driven = Driven({SERVER: ServerPolicy(SERVER, tools)})
    for number in range(15):
        driven.call("ls", {"path": f"d{number}"}, {"files": [f"a{number}", f"b{number}"]})
        driven.call("put", {"path": f"a{number}"}, {}, writes=True)
        driven.call("get", {"path": f"b{number}"}, {"text": "…"})
        driven.close()
    driven.call("ls", {"path": "dnew"}, {"files": ["anew", "bnew"]})
    assert driven.told()["get", "bnew"] > 0.4, "the write of another file does not end it"


def test_numbers_and_texts_are_not_mixed_up() -> None:
    driven = Driven()
    for number in range(10):
        driven.call("search", {"q": f"q{number}"}, {"ids": [1000 + number]})
        driven.call("get", {"id": str(1000 + number)}, {"text": "…"})
        driven.close()
    driven.call("search", {"q": "new"}, {"ids": [7777]})
    assert [c.arguments for c in driven.candidates() if c.tool == "get" and c.q > 0.3] == [{"id": "7777"}]


def test_memory_is_bounded_however_many_tools_and_values_there_are() -> None:
    from spec_mcp.predict import cells, model

    driven = Driven()
    for number in range(600):
        driven.call(f"tool{number % 300}", {"a": f"value{number}"}, {"b": [f"x{number}-{i}" for i in range(5)]})
        driven.call(f"use{number % 300}", {"c": f"x{number}-1"}, {"text": "…"})
        if number % 7 == 0:
            driven.close()
    learned = driven.predictor.dump()
    assert isinstance(learned, dict)
    assert len(str(learned)) < 4_000_000
    assert len(driven.predictor._model.cells.table) <= cells.MAX_CELLS
    assert len(driven.predictor._model._by_text) <= model.MAX_RECIPES


def test_the_shipped_weights_name_no_tool_and_no_value() -> None:
    import spec_mcp.predict

    shipped = json.loads((Path(spec_mcp.predict.__file__).parent / "prior.json").read_text())
    assert set(shipped) == {"used", "next", "correction"}
    assert all(isinstance(value, int | float) for values in shipped.values() for value in values)


def test_learning_says_the_same_again_when_it_is_added_up_many_times() -> None:
    driven = taught(8)
    dump = driven.predictor.dump()
    total = dump
    for _ in range(40):
        total = add_up([total, dump])
    other = Driven()
    other.predictor.load(total)
    other.customer(70)
    assert other.told()["get_order", "W700"] > 0.5


def test_an_id_that_only_the_user_has_said_is_foretold_where_ids_came_from_words_before() -> None:
    driven = Driven()
    for number in range(12):
        first, second = f"W1{number}01", f"W1{number}02"
        driven.said("user", f"please look at {first} and {second}")
        driven.call("get_order", {"order_id": first}, {"items": []})
        driven.call("get_order", {"order_id": second}, {"items": []})
        driven.close()
    driven.said("user", "please look at W901 and W902")
    driven.call("get_order", {"order_id": "W901"}, {"items": []})
    assert driven.told()["get_order", "W902"] > 0.5


def test_what_was_attached_is_not_foretold_again_and_teaches_no_distrust() -> None:
    driven, other = taught(), taught()
    for one in (driven, other):
        one.customer(50)
        one.predictor.dump()
    before = driven.told()["get_order", "W501"]
    for name in ("W500", "W501", "W502"):
        driven.attached("get_order", {"order_id": name}, {"items": [{"item_id": f"I{name}"}]})
    assert not {key for key in driven.told() if key[0] == "get_order"}
    for one in (driven, other):
        one.close()
        one.customer(51)
    assert driven.told()["get_order", "W511"] > other.told()["get_order", "W511"]
    assert driven.told()["get_order", "W511"] > before - 0.1
