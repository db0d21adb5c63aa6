"""The table of a speculation's states, written out once more by hand."""

from __future__ import annotations

from itertools import product

import pytest

from spec_mcp.engine.states import ENDS, TRANSITIONS, IllegalStep, Reason, State, Step, after
from tests.engine.playbook import Playbook

LIVES = """
proposed launch launched    proposed discard discarded
launched return ready       launched join joined           launched discard discarded
ready adopt adopted         ready compare compared         ready discard discarded
joined adopt adopted        joined discard discarded
adopted reuse adopted
launched lose unknown       joined lose unknown
launched compensate compensating    joined compensate compensating
ready compensate compensating       unknown compensate compensating
compensating restore compensated    compensating stick stuck
"""


def written() -> dict[tuple[State, Step], State]:
    words = LIVES.split()
    triples = zip(words[::3], words[1::3], words[2::3], strict=True)
    return {(State(state), Step(step)): State(then) for state, step, then in triples}


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)))
def test_each_step_leads_where_the_table_says_or_nowhere(state, step):
    expected = written().get((state, step))
    if expected is None:
        with pytest.raises(IllegalStep):
            after(state, step)
    else:
        assert after(state, step) is expected


def test_nothing_leaves_an_end_but_a_reuse():
    leaving = {(state, step) for state, step in TRANSITIONS if state in ENDS}
    assert leaving == {(State.ADOPTED, Step.REUSE)}


def test_every_state_but_the_first_is_reached():
    assert set(TRANSITIONS.values()) == set(State) - {State.PROPOSED}


def test_an_illegal_step_leaves_the_speculation_as_it_was():
    play = Playbook().begun().holds("get", id=1)
    (held,) = play.engine.world.ledger.live
    with pytest.raises(IllegalStep):
        held.move(Step.JOIN)
    assert held.state is State.READY


def test_reasons_are_words_that_a_person_reads():
    assert all(reason == reason.lower() and "_" not in reason for reason in Reason)
