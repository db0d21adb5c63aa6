"""The scripted agent and its customers."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from spec_mcp.cli.demo.agent import MAX_THINK_S, MIN_THINK_S, Answer, Call, Listen, Think, work
from spec_mcp.cli.demo.cases import STATUS_NEEDED, Want, draw_cases
from wrapped_servers.retail.catalogue import TOOLS, Effect
from wrapped_servers.retail.database import MEMORY, Database
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.server import Shop

MANY = 250
"""Enough that the rarest wish comes up."""
MAX_STEPS = 200


def walk(case, answer_of):
    """All steps of a case, with what `answer_of` a call says."""
    agent = work(case)
    steps = []
    answer = None
    while len(steps) < MAX_STEPS:
        try:
            steps.append(agent.send(answer))
        except StopIteration:
            return steps
        answer = answer_of(steps[-1]) if isinstance(steps[-1], Call) else None
    raise AssertionError("the agent does not come to an end")


class Conversation:
    """Many cases on one real shop."""

    def __init__(self, seed, count):
        tables = generate(seed)
        self.cases = draw_cases(tables, seed, count)
        self.database = Database(MEMORY, lambda: tables)
        self.failed = []
        self.errors = set()
        self.steps = [walk(case, self.answer_of) for case in self.cases]
        self.database.close()

    def answer_of(self, call):
        answer = Shop(self.database).call(TOOLS[call.tool], call.arguments, 0.0)
        if answer.is_error:
            self.failed.append(call)
            self.errors.add(answer.text)
        return Answer(answer.text, answer.is_error)


@pytest.fixture(scope="module")
def conversation():
    return Conversation(seed=5, count=MANY)


def calls_of(steps):
    return [step for step in steps if isinstance(step, Call)]


def test_the_same_answers_lead_to_the_same_steps():
    assert Conversation(seed=3, count=6).steps == Conversation(seed=3, count=6).steps


def test_another_seed_brings_other_customers():
    assert Conversation(seed=3, count=6).steps != Conversation(seed=4, count=6).steps


def test_more_cases_of_a_seed_begin_with_the_same_ones():
    tables = generate(1)
    assert draw_cases(tables, 1, 9)[:4] == draw_cases(tables, 1, 4)


def test_the_agent_thinks_before_each_call_and_never_longer_than_two_seconds(conversation):
    for steps in conversation.steps:
        alone = [type(step) for step in steps if not isinstance(step, Listen)]
        assert alone == [Think, Call] * (len(alone) // 2)
        assert all(MIN_THINK_S <= step.duration_s <= MAX_THINK_S for step in steps if isinstance(step, Think))


def test_cases_differ_in_tools_order_and_number(conversation):
    shapes = Counter(tuple(call.tool for call in calls_of(steps)) for steps in conversation.steps)
    assert len(shapes) > MANY / 2
    assert len({len(shape) for shape in shapes}) >= 6


def test_over_many_cases_every_tool_but_thinking_aloud_is_called(conversation):
    used = {call.tool for steps in conversation.steps for call in calls_of(steps)}
    assert used == set(TOOLS) - {"think"}


def test_every_want_comes_up(conversation):
    assert {wish.want for case in conversation.cases for wish in case.wishes} == set(Want)


def test_the_agent_never_writes_before_it_has_looked_at_the_order(conversation):
    for steps in conversation.steps:
        seen = set()
        for call in calls_of(steps):
            if TOOLS[call.tool].effect is Effect.WRITE and "order_id" in call.arguments:
                assert call.arguments["order_id"] in seen
            if call.tool == "get_order_details":
                seen.add(call.arguments["order_id"])


def test_nothing_is_looked_up_twice_unless_it_was_written_in_between(conversation):
    for steps in conversation.steps:
        fresh = set()
        for call in calls_of(steps):
            if TOOLS[call.tool].effect is Effect.WRITE:
                fresh.clear()
            elif call.tool.startswith("get_") and call not in conversation.failed:
                key = (call.tool, json.dumps(call.arguments))
                assert key not in fresh
                fresh.add(key)


def test_some_calls_fail_as_they_do_in_life(conversation):
    assert {"Error: user not found", "Error: order not found"} <= conversation.errors


def test_a_wish_fits_its_order_but_for_mistaken_customers():
    tables = generate(2)
    wishes = [wish for case in draw_cases(tables, 2, 300) for wish in case.wishes]
    known = [(wish.want, tables["orders"][wish.order_id]["status"]) for wish in wishes if wish.order_id is not None]
    fitting = [want for want, status in known if STATUS_NEEDED.get(want, status) == status]
    assert 0.85 * len(known) < len(fitting) < len(known)


def test_an_agent_that_cannot_find_the_customer_hands_over():
    case = draw_cases(generate(0), 0, 1)[0]
    steps = walk(case, lambda call: Answer("Error: user not found", is_error=call.tool.startswith("find_")))
    assert calls_of(steps)[-1].tool == "transfer_to_human_agents"


def test_a_call_must_be_answered():
    agent = work(draw_cases(generate(0), 0, 1)[0])
    while not isinstance(next(agent), Call):
        pass
    with pytest.raises(ValueError, match="needs an answer"):
        agent.send(None)
