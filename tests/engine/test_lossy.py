"""Tools of which the last write wins: made early where both say so, and never called lossless."""

from __future__ import annotations

import pytest

from spec_mcp.engine.admission import SURE
from spec_mcp.engine.commands import Fail, How
from spec_mcp.engine.effects import Effect, ToolPolicy
from spec_mcp.engine.events import Disconnected
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import Reason
from tests.engine.playbook import ERROR, Playbook, Wanted, ended, guess, invoke, launch, reading, reply, skipped

TOOLS = {
    "get": reading(),
    "knob": ToolPolicy(Effect.REVERSIBLE, ("item:{id}",), open_world=False, lossy=True),
}


def play(*, lossy: bool = True) -> Playbook:
    return Playbook(TOOLS, settings=Settings(0.01, lossy=lossy)).begun()


def test_a_knob_is_set_early_only_where_the_user_says_so_too():
    book = play(lossy=False)
    with book << book.predicted(guess("knob", id=1)) >> skipped(Reason.UNSAFE):
        pass


def test_the_call_takes_the_answer_and_is_counted_apart():
    book = play().holds("knob", id=1)
    with book << book.call(5, "knob", id=1) >> reply(5, How.LOSSY):
        pass


def test_a_call_that_comes_early_joins_it():
    book = play().launches("knob", id=1)
    _ = book << book.call(5, "knob", id=1)
    with book << book.returned() >> reply(5, How.LOSSY):
        pass


def test_a_wrong_one_is_simply_overwritten():
    book = play().holds("knob", id=1, to=3)
    with book << book.call(5, "knob", id=1, to=4) >> ended("spoiled") >> invoke(5):
        pass


def test_what_overwrites_a_guess_waits_until_that_is_answered_so_that_it_comes_last():
    book = play().launches("knob", id=1, to=3)
    _ = book << book.call(5, "knob", id=1, to=4) >> ended("spoiled")
    with book << book.returned() >> invoke(5):
        pass


def test_a_guess_that_is_never_answered_fails_what_would_overwrite_it():
    book = play().launches("knob", id=1, to=3)
    _ = book << book.call(5, "knob", id=1, to=4)
    wait_s = TOOLS["knob"].undo_wait_s
    with book.wait(wait_s) >> Wanted(Fail, {"call": 5}):
        pass


def test_a_guess_whose_server_is_gone_holds_nobody_up():
    book = play().launches("knob", id=1, to=3)
    _ = book << book.call(5, "knob", id=1, to=4)
    with book << Disconnected("s") >> invoke(5):
        pass


def test_a_read_does_not_wait_for_a_guess():
    book = play().launches("knob", id=1, to=3)
    with book << book.call(5, "get", id=1) >> invoke(5):
        pass


def test_it_spoils_what_was_read_before_it():
    book = play().holds("get", id=1)
    with book << book.predicted(guess("knob", id=1)) >> ended("spoiled") >> launch("knob"):
        pass


def test_nothing_there_is_read_early_while_it_runs():
    book = play().launches("knob", id=1)
    with book << book.predicted(guess("get", id=1)) >> skipped(Reason.CONFLICT):
        pass


@pytest.mark.parametrize("seconds", [30.0])
def test_one_that_nobody_wants_is_let_go_of(seconds):
    with play().holds("knob", id=1).wait(seconds) >> ended("expired"):
        pass


def test_a_failing_one_answers_nothing():
    book = play().launches("knob", id=1)
    _ = book << book.returned(ERROR)
    with book << book.call(5, "knob", id=1) >> invoke(5):
        pass


def test_an_unsure_guess_is_made_too_since_nobody_waits_for_its_undoing():
    book = play()
    with book << book.predicted(guess("knob", SURE / 2, id=1)) >> launch("knob"):
        pass
