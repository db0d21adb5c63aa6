"""One session that holds many conversations does about as well as a session for each."""

from __future__ import annotations

from spec_mcp.engine.calls import Json
from spec_mcp.engine.policy import Settings
from spec_mcp.records import Session
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.script import Timings
from spec_mcp.replay.tally import Tally
from tests.predict.driving import Driven
from tests.replay.recorded import read, session, write

ORDERS = 4


def taught(conversations: int = 12, *, apart: bool = True) -> Driven:
    """A predictor that has lived conversations about one order each, in sessions of their own or in a single one."""
    driven = Driven()
    for number in range(conversations):
        conversation(driven, 100 + number)
        if apart:
            driven.close()
    return driven


def conversation(driven: Driven, number: int) -> None:
    driven.customer(number, ORDERS)
    order = f"W{number}{number % ORDERS}"
    driven.call("get_order", {"order_id": order}, {"order_id": order, "tracking": f"track-{number}"})
    driven.call("track", {"tracking_id": f"track-{number}"}, {"place": f"depot {number}"})


def orders_told(driven: Driven) -> set[str]:
    return {order for tool, order in driven.told() if tool == "get_order"}


def test_what_a_conversation_has_left_is_not_told_in_the_next_one() -> None:
    for apart in (True, False):
        driven = taught(apart=apart)
        conversation(driven, 50)
        driven.customer(51, ORDERS)
        assert orders_told(driven) == {f"W51{index}" for index in range(ORDERS)}


def test_what_was_taken_to_be_left_is_told_again_once_it_is_taken_up() -> None:
    driven = Driven()
    for number in range(12):
        driven.shop(100 + number, orders=ORDERS, looked_at=ORDERS, writes=False)
    driven.customer(50, ORDERS)
    driven.call("get_order", {"order_id": "W500"}, {"order_id": "W500"})
    assert orders_told(driven) == {"W501", "W502", "W503"}
    driven.call("find_customer", {"email": "c51@example.com"}, {"text": "customer_51"})
    assert orders_told(driven) == set()
    driven.call("get_order", {"order_id": "W501"}, {"order_id": "W501"})
    assert orders_told(driven) == {"W502", "W503"}


def test_a_call_with_values_of_its_own_does_not_end_a_conversation_that_goes_on_after_it() -> None:
    driven = Driven()
    for number in range(15):
        driven.customer(100 + number, ORDERS)
        for index in range(ORDERS):
            driven.call("note", {"text": f"a thought {number} {index}"}, {"saved": True})
            driven.call("get_order", {"order_id": f"W{100 + number}{index}"}, {"order_id": f"W{100 + number}{index}"})
        driven.close()
    driven.customer(50, ORDERS)
    driven.call("get_order", {"order_id": "W500"}, {"order_id": "W500"})
    driven.call("note", {"text": "another thought"}, {"saved": True})
    assert orders_told(driven) == {"W501", "W502", "W503"}


def recorded(number: int) -> Session:
    """A customer who asks for two of his orders; every other one has one of them cancelled."""
    orders: list[Json] = [f"W{number}{index}" for index in range(ORDERS)]
    looked_at = [f"W{number}{number % 2}", f"W{number}{2 + number % 2}"]
    events = [
        read("find_customer", {"email": f"c{number}@example.com"}, {"text": f"customer_{number}"}),
        read("get_customer", {"customer_id": f"customer_{number}"}, {"orders": orders}),
        *(read("get_order", {"order_id": order}, {"order_id": order}) for order in looked_at),
    ]
    if number % 2:
        events.append(write("cancel_order", {"order_id": looked_at[0]}))
    return session(*events, name=f"s{number}")


def played(pause_s: float | None) -> Tally:
    evaluation = Evaluation(Options(Settings(wasted_call_s=0.5), Timings(1.0, 3.0), pause_s=pause_s))
    return evaluation.play([recorded(number) for number in range(100, 140)], ())


def test_a_client_that_keeps_its_connection_is_served_about_as_well() -> None:
    apart = played(None)
    for pause_s in (3.0, 600.0):
        joined = played(pause_s)
        assert (joined.sessions, joined.calls) == (1, apart.calls)
        assert joined.answered_share > apart.answered_share - 0.05
        assert joined.used_share > apart.used_share - 0.05
