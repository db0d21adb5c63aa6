"""Learning from recorded sessions hears what was said only where the user asks for it."""

from __future__ import annotations

import json

from spec_mcp.predict.default import make_predictor
from spec_mcp.records import CallEvent, Session, TextEvent
from spec_mcp.replay.warm import teach


def visit(number: int) -> Session:
    """Somebody names an order, and it is looked up."""
    order = f"W{number}"
    call = CallEvent("get_order", {"order_id": order}, "{}", kind="read")
    return Session(order, "shop", (TextEvent("user", f"Please look at {order}."), call))


def foretold(words: bool) -> bool:
    """Is the order that is named next foretold after this learning?"""
    learned = teach("shop", [visit(number) for number in range(1000, 1040)], None, words=words)
    predictor = make_predictor({}, 0)
    predictor.load(json.loads(json.dumps(learned)))
    predictor.said("s", "user", "Please look at W2000.")
    found = predictor.predict("s", [], 4, 0.0)
    return any(candidate.arguments == {"order_id": "W2000"} for candidate in found)


def test_what_is_named_in_words_is_foretold_by_who_has_learned_from_words() -> None:
    assert foretold(words=True)
    assert not foretold(words=False)
