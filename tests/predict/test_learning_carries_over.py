"""What was learned in one session holds in the next, through memory or through what is written down."""

from __future__ import annotations

import json

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.default import DefaultPredictor, make_predictor
from spec_mcp.predict.predictor import CallBegan, CallEnded


class Agent:
    """Makes calls in sessions of their own."""

    def __init__(self) -> None:
        self.predictor: DefaultPredictor = make_predictor({}, 0)
        self._calls = 0

    def call(self, session: str, tool: str, arguments: Arguments, result: Json) -> None:
        self._calls += 1
        at_s = float(self._calls)
        self.predictor.began(CallBegan(session, self._calls, "shop", tool, arguments, at_s, False))
        self.predictor.ended(CallEnded(session, self._calls, result, False, at_s + 0.1))

    def guesses(self, session: str) -> list[Candidate]:
        return self.predictor.predict(session, [], 16, float(self._calls))


def customer(agent: Agent, number: int) -> list[tuple[str, float]]:
    """One short case; what was guessed after its first call."""
    session = f"case {number}"
    agent.call(session, "find_user", {"zip": f"{number}0000"}, {"user_id": f"user_{number}"})
    guessed = [(guess.tool, round(guess.q, 6)) for guess in agent.guesses(session)]
    agent.call(session, "get_user", {"user_id": f"user_{number}"}, {"orders": [f"#W{number}1", f"#W{number}2"]})
    agent.call(session, "get_order", {"order_id": f"#W{number}1"}, {"items": [{"product_id": f"p{number}"}]})
    agent.predictor.closed(session)
    return guessed


def test_a_way_to_make_a_call_found_in_one_session_is_tried_in_the_next_one_of_another_process() -> None:
    in_memory, written_down = Agent(), Agent()
    rows: list[str] = []
    reloaded: list[tuple[str, float]] = []
    for number in range(5):
        remembered = customer(in_memory, number)
        reloaded = customer(written_down, number)
        assert [tool for tool, _ in reloaded] == [tool for tool, _ in remembered]
        rows.append(json.dumps(written_down.predictor.dump()))
        written_down.predictor = make_predictor({}, 0)
        for row in rows:
            written_down.predictor.load(json.loads(row))
    assert reloaded[0][0] == "get_user"
    assert reloaded[0][1] > 0.7


def test_a_long_list_that_is_walked_in_order_is_foretold_to_its_end() -> None:
    agent = Agent()
    products: list[Json] = [f"product-{number:03}" for number in range(60)]
    agent.call("walk", "list_products", {}, {"products": products})
    foretold = 0
    for product in products:
        foretold += any(guess.arguments == {"product_id": product} for guess in agent.guesses("walk"))
        agent.call("walk", "get_product", {"product_id": product}, {"name": f"a {product} of ours"})
    assert foretold >= len(products) - 12
