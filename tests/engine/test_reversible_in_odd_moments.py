"""Rules 6 and 10 to 14 where things come together that seldom do: what is made early stays unseen all the same."""

from __future__ import annotations

from typing import Any

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.commands import How
from spec_mcp.engine.effects import Effect, FileValidator, ToolPolicy
from spec_mcp.engine.events import Answer, Moment, Outcome, UndoOutcome
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import Reason, State
from tests.engine.playbook import (
    CLIENT,
    ERROR,
    JOIN,
    RESULT,
    SERVER,
    Playbook,
    Wanted,
    ended,
    guess,
    invoke,
    launch,
    listing,
    reading,
    reply,
    skipped,
    validate,
    writing,
)
from tests.engine.test_reversible import INTEND, NOTE, UNDO, WAKE, changing, claim, newest, read, settle, state

TOOLS = {
    "get": reading(),
    "cat": reading(ttl_s=30.0, fresh=FileValidator("{id}")),
    "put": writing(),
    "set": changing(),
    "late": changing(settle_s=5.0),
    "again": changing(reuse_s=60.0),
    "knob": ToolPolicy(Effect.REVERSIBLE, ("item:{id}",), open_world=False, lossy=True),
}

ASKS = events.ServerAsked(SERVER, 1, "elicitation/create")
TELLS = events.ServerNotified(SERVER, "notifications/resources/list_changed")


def play(**policy: Any) -> Playbook:
    return Playbook(TOOLS, settings=Settings(0.01, reversible=True, lossy=True), **policy).begun()


def launched(book: Playbook, tool: str = "set") -> Playbook:
    _ = book << book.predicted(guess(tool, id=1)) >> read(Moment.BEFORE)
    _ = book << state(book, Moment.BEFORE, "old") >> INTEND
    return book << events.Recorded(newest(book), ok=True) >> launch(tool)


def ready(book: Playbook, tool: str = "set") -> Playbook:
    _ = launched(book, tool) << book.returned() >> read(Moment.LEFT)
    return book << state(book, Moment.LEFT, "new") >> NOTE


# --- nothing of it is seen ------------------------------------------------------------------------------------------


def test_a_read_whose_validator_was_slow_is_not_launched_onto_a_write_made_meanwhile():
    book = play()
    _ = book << book.predicted(guess("cat", id=1)) >> validate()
    _ = ready(book)
    with book << book.validated("v") >> ended(Reason.CONFLICT):
        pass


def test_a_read_that_goes_on_as_a_task_sees_nothing_made_early():
    book = play()
    _ = book << events.CallArrived(5, CLIENT, SERVER, "get", {"id": 1}, None) >> invoke(5)
    _ = book << events.CallReturned(5, Outcome(Answer.TASK, 10, task="t"))
    with book << book.predicted(guess("set", id=1)) >> skipped(Reason.CONFLICT):
        pass
    _ = book << events.TaskEnded(SERVER, "t")
    with book << book.predicted(guess("set", id=1)) >> read(Moment.BEFORE):
        pass


def test_one_who_subscribes_within_a_batch_is_told_of_nothing_made_early():
    book = play()
    _ = book << events.BatchArrived(5, CLIENT, SERVER, (("resources/subscribe", None),)) >> invoke(5)
    _ = book << events.CallReturned(5, RESULT)
    with book << book.predicted(guess("set", id=1)) >> skipped(Reason.SUBSCRIBED):
        pass


def test_what_a_write_made_early_asks_is_refused_though_its_call_has_come():
    book = launched(play())
    _ = book << book.call(5, "set", id=1)
    with book << ASKS >> Wanted(do.Refuse):
        pass


def test_what_it_tells_is_held_though_its_call_has_come():
    book = launched(play())
    _ = book << book.call(5, "set", id=1)
    _ = book << TELLS >> Wanted(do.HoldNotification)
    _ = book << book.returned() >> claim(State.ADOPTED)
    with book << events.Claimed(newest(book), State.ADOPTED, ok=True) >> settle(State.ADOPTED) >> reply(5, JOIN):
        pass


def test_what_it_told_is_delivered_though_its_call_was_cancelled_once_that_was_decided():
    book = ready(play())
    _ = book << TELLS >> Wanted(do.HoldNotification)
    _ = book << book.call(5, "set", id=1) >> claim(State.ADOPTED)
    _ = book << events.CallCancelled(5)
    _ = book << events.Claimed(newest(book), State.ADOPTED, ok=True) >> settle(State.ADOPTED)
    with book >> Wanted(do.Tell):
        pass


def test_a_change_told_while_one_that_was_never_launched_is_forgotten_on_disk_is_passed_on():
    book = play()
    _ = book << book.predicted(guess("set", id=1)) >> read(Moment.BEFORE)
    _ = book << state(book, Moment.BEFORE, "old") >> INTEND
    _ = book << events.ClientNotified(CLIENT, SERVER, "notifications/roots/list_changed") >> settle(State.DISCARDED)
    with book << TELLS:
        pass


# --- taking back ----------------------------------------------------------------------------------------------------


def test_what_takes_effect_late_is_looked_at_once_it_has():
    book = launched(play(), "late")
    _ = book << book.returned()
    _ = book << book.call(7, "get", id=1) >> claim(State.COMPENSATING)
    _ = book << events.Claimed(newest(book), State.COMPENSATING, ok=True)
    _ = book.wait(5.0) >> read(Moment.NOW)
    with book << state(book, Moment.NOW, "new") >> NOTE >> UNDO:
        pass


def test_what_goes_on_as_a_task_is_not_taken_for_undone():
    book = launched(play())
    _ = book << book.returned(Outcome(Answer.TASK, 10, task="t")) >> claim(State.COMPENSATING)
    _ = book << events.Claimed(newest(book), State.COMPENSATING, ok=True) >> read(Moment.NOW)
    with book << state(book, Moment.NOW, "old") >> settle(State.STUCK, reason="outcome-unknown"):
        pass


def test_what_takes_effect_late_and_is_wanted_is_adopted_at_once():
    book = launched(play(), "late")
    _ = book << book.returned()
    with book << book.call(5, "late", id=1) >> claim(State.ADOPTED):
        pass


def test_a_server_that_dies_again_before_it_is_asked_is_waited_for_again():
    book = ready(play())
    _ = book << events.Disconnected(SERVER) >> claim(State.COMPENSATING)
    _ = book << events.Claimed(newest(book), State.COMPENSATING, ok=True) >> WAKE
    _ = book << events.Connected(SERVER, 2)
    _ = book << events.Disconnected(SERVER)
    _ = book.wait(1.0) >> WAKE
    _ = book << events.Connected(SERVER, 3)
    with book << listing({**TOOLS}) >> read(Moment.NOW):
        pass


def test_a_write_is_adopted_once_whatever_the_manifest_says_of_reuse():
    book = ready(play(), "again")
    made = newest(book)
    _ = book << book.call(5, "again", id=1) >> claim(State.ADOPTED)
    _ = book << events.Claimed(made, State.ADOPTED, ok=True) >> settle(State.ADOPTED) >> reply(5, How.HIT)
    assert not book.held


def test_a_clock_that_is_set_back_keeps_nobody_waiting_longer():
    book = ready(play())
    _ = book << book.call(7, "get", id=1) >> claim(State.COMPENSATING)
    book.now_s -= 50.0
    _ = book << events.Ticked()
    with book.wait(10.0) >> Wanted(do.Fail, {"call": 7}):
        pass


def test_a_client_that_asks_whether_anybody_is_there_need_not_wait_for_an_undo():
    book = ready(play())
    _ = book << book.call(7, "get", id=1) >> claim(State.COMPENSATING)
    with book << events.RequestArrived(8, CLIENT, SERVER, "ping") >> invoke(8):
        pass


# --- tools of which the last write wins -----------------------------------------------------------------------------


def test_a_knob_is_not_set_on_top_of_what_may_be_taken_back():
    book = ready(play())
    with book << book.predicted(guess("knob", id=1), lineage=(newest(book),)) >> skipped(Reason.CONFLICT):
        pass


def test_a_knob_that_is_set_for_real_after_all_lets_nothing_be_read_meanwhile():
    book = play().launches("knob", id=1)
    _ = book << book.call(5, "knob", id=1)
    _ = book << book.returned(ERROR) >> invoke(5)
    with book << book.predicted(guess("get", id=1)) >> skipped(Reason.CONFLICT):
        pass
    _ = book << events.CallReturned(5, RESULT)
    with book << book.predicted(guess("get", id=1)) >> launch("get"):
        pass


def test_after_a_knob_was_adopted_what_it_set_is_read_early_again():
    book = play().launches("knob", id=1)
    _ = book << book.call(5, "knob", id=1)
    _ = book << book.returned() >> reply(5, How.LOSSY)
    with book << book.predicted(guess("get", id=1)) >> launch("get"):
        pass


def test_a_knob_that_goes_on_as_a_task_is_being_set_until_that_ends():
    book = play().launches("knob", id=1)
    _ = book << book.returned(Outcome(Answer.TASK, 10, task="t"))
    with book << book.predicted(guess("get", id=1)) >> skipped(Reason.CONFLICT):
        pass
    _ = book << events.TaskEnded(SERVER, "t")
    with book << book.predicted(guess("get", id=1)) >> launch("get"):
        pass


def test_what_a_knob_set_early_asks_is_refused():
    book = play().launches("knob", id=1)
    with book << ASKS >> Wanted(do.Refuse):
        pass


def test_a_knob_is_never_cancelled_so_that_its_end_is_known():
    book = play(cancel=True).launches("knob", id=1)
    with book.wait(30.0) >> ended("late"):
        pass


def test_a_knob_counts_for_the_rate():
    book = play(rate_per_minute=1.0).holds("knob", id=1)
    with book << book.predicted(guess("knob", id=2)) >> skipped(Reason.RATE):
        pass


def test_an_undo_of_which_the_probe_is_not_asked_is_made_once():
    book = ready(play())
    _ = book << book.call(7, "get", id=1) >> claim(State.COMPENSATING)
    _ = book << events.Claimed(newest(book), State.COMPENSATING, ok=True) >> read(Moment.NOW)
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    _ = book << events.Connected(SERVER, 2)  # begun anew by the client, in the same process
    _ = book << events.Undone(newest(book), UndoOutcome.DONE) >> read(Moment.RESTORED)
    _ = book << state(book, Moment.RESTORED, "old") >> settle(State.COMPENSATED)
    with book << events.Settled(newest(book), ok=True) >> invoke(7):
        pass
