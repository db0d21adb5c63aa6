"""Rules 12 to 14, as transcripts: made early, isolated, recorded, adopted by one decision, or taken back."""

from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.effects import Before, Effect, Probe, ToolPolicy, Undo
from spec_mcp.engine.events import Inheritance, Mode, Moment, UndoOutcome
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import Reason, State
from tests.engine.playbook import (
    CLIENT,
    ERROR,
    HIT,
    JOIN,
    LOST,
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
    writing,
)


def changing(**more: Any) -> ToolPolicy:
    """A tool whose effect another tool takes back."""
    members: dict[str, Any] = {
        "exclusive": True,
        "open_world": False,
        "proved": True,
        "before": Before("get", {"id": "arguments.id"}),
        "undo": Undo("set", {"id": "arguments.id", "value": "before.value"}),
    }
    return ToolPolicy(Effect.REVERSIBLE, ("item:{id}",), **members | more)


TOOLS = {
    "get": reading(),
    "put": writing(),
    "survey": reading(None),
    "set": changing(),
    "add": changing(undo=Undo("set", {}, idempotent=True), probe=Probe("get", {}, "true")),
    "bold": changing(proved=False),
    "blind": changing(before=None),
    "shared": changing(exclusive=False),
}


def play(**settings: Any) -> Playbook:
    given: dict[str, Any] = {"wasted_call_s": 0.01, "reversible": True} | settings
    return Playbook(TOOLS, settings=Settings(**given)).begun()


def read(moment: Moment) -> Wanted:
    return Wanted(do.ReadState, {"moment": moment})


INTEND, NOTE, UNDO, PROBE = Wanted(do.Intend), Wanted(do.NoteOutcome), Wanted(do.Undo), Wanted(do.Probe)
WAKE = Wanted(do.Wake)


def claim(into: State) -> Wanted:
    return Wanted(do.Claim, {"into": into})


def settle(state: State, **members: Any) -> Wanted:
    return Wanted(do.Settle, {"state": state, **members})


def state(book: Playbook, moment: Moment, digest: str | None, **more: Any) -> events.StateRead:
    (held, *_) = [held for held in book.engine.world.ledger.unadopted if held.reversal is not None][-1:]
    return events.StateRead(held.id, moment, digest, **more)


def newest(book: Playbook) -> int:
    return [*book.engine.world.ledger.unadopted][-1].id


def proposed(book: Playbook, tool: str = "set", **arguments: Any) -> Playbook:
    return book << book.predicted(guess(tool, **(arguments or {"id": 1}))) >> read(Moment.BEFORE)


def launched(book: Playbook, tool: str = "set", **arguments: Any) -> Playbook:
    _ = proposed(book, tool, **arguments) << state(book, Moment.BEFORE, "old") >> INTEND
    return book << events.Recorded(newest(book), ok=True) >> launch(tool)


def ready(book: Playbook, tool: str = "set", **arguments: Any) -> Playbook:
    _ = launched(book, tool, **arguments) << book.returned() >> read(Moment.LEFT)
    return book << state(book, Moment.LEFT, "new") >> NOTE


def doomed(book: Playbook) -> Playbook:
    """A call that looks at the same thing has come: the state is about to be read."""
    _ = book << book.call(7, "get", id=1) >> claim(State.COMPENSATING)
    return book << events.Claimed(newest(book), State.COMPENSATING, ok=True) >> read(Moment.NOW)


# --- what may be made early -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "settings", "reason"),
    [
        ("set", {"reversible": False}, Reason.UNSAFE),
        ("put", {}, Reason.UNSAFE),
        ("bold", {}, Reason.UNPROVEN),
        ("blind", {}, Reason.NOT_REVERSIBLE_HERE),
        ("shared", {}, Reason.NOT_REVERSIBLE_HERE),
    ],
)
def test_a_write_is_made_early_only_where_its_undo_is_proved_and_the_user_wants_it(tool, settings, reason):
    book = play(**settings)
    with book << book.predicted(guess(tool, id=1)) >> skipped(reason):
        pass


def test_the_user_may_take_an_undo_on_trust():
    with proposed(play(accept_unproven=frozenset({"s.bold"})), "bold"):
        pass


def test_a_write_needs_a_surer_guess_than_a_read():
    book = play()
    with book << book.predicted(guess("set", q=0.7, id=1)) >> skipped(Reason.UNSURE):
        pass
    with proposed(book):
        pass


def test_shadow_mode_makes_no_write_early():
    book = play()
    _ = book << events.ModeSet(Mode.SHADOW)
    with book << book.predicted(guess("set", id=1)) >> skipped(Reason.UNSAFE):
        pass


def test_a_changed_undo_stops_what_it_takes_back():
    book = play()
    _ = book << listing({**TOOLS}, changed="get")
    with book << book.predicted(guess("set", id=1)) >> skipped(Reason.CHANGED):
        pass


def test_nothing_is_made_early_where_somebody_is_told_of_changes():
    book = play()
    _ = book << events.RequestArrived(5, CLIENT, SERVER, "resources/subscribe") >> invoke(5)
    _ = book << events.CallReturned(5, RESULT)
    with book << book.predicted(guess("set", id=1)) >> skipped(Reason.SUBSCRIBED):
        pass


def test_a_subscription_waits_until_what_was_made_early_is_taken_back():
    book = ready(play())
    with book << events.RequestArrived(5, CLIENT, SERVER, "resources/subscribe") >> claim(State.COMPENSATING):
        pass


def test_nothing_is_made_early_beside_a_look_at_the_same_thing():
    book = play()
    _ = book << book.call(5, "get", id=1) >> invoke(5)
    with book << book.predicted(guess("set", id=1)) >> skipped(Reason.CONFLICT):
        pass
    with book << book.predicted(guess("set", id=2)) >> read(Moment.BEFORE):
        pass


@pytest.mark.parametrize(("digest", "unless", "reason"), [(None, False, "unreadable"), ("old", True, "unless")])
def test_what_cannot_be_read_or_must_not_be_done_is_not_launched(digest, unless, reason):
    book = proposed(play())
    with book << state(book, Moment.BEFORE, digest, unless=unless) >> ended(reason):
        pass
    with book << book.call(5, "put", id=1) >> invoke(5):
        pass


def test_without_a_record_on_disk_nothing_is_launched():
    book = proposed(play())
    _ = book << state(book, Moment.BEFORE, "old") >> INTEND
    with book << events.Recorded(newest(book), ok=False) >> settle(State.DISCARDED):
        pass


# --- adoption ---------------------------------------------------------------------------------------------------------


def test_a_call_adopts_what_was_made_for_it_once_that_is_decided_on_disk():
    book = ready(play())
    _ = book << book.call(5, "set", id=1) >> claim(State.ADOPTED)
    with book << events.Claimed(newest(book), State.ADOPTED, ok=True) >> settle(State.ADOPTED) >> reply(5, HIT):
        pass
    assert not book.engine.world.ledger.unadopted


def test_a_call_that_comes_early_waits_for_the_answer_however_long():
    book = launched(play())
    with book << book.call(5, "set", id=1):
        pass
    with book.wait(500.0):
        pass
    _ = book << book.returned() >> claim(State.ADOPTED)
    with book << events.Claimed(newest(book), State.ADOPTED, ok=True) >> settle(State.ADOPTED) >> reply(5, JOIN):
        pass


def test_a_call_whose_adoption_the_disk_refuses_is_made_after_the_undo():
    book = ready(play())
    _ = book << book.call(5, "set", id=1) >> claim(State.ADOPTED)
    _ = book << events.Claimed(newest(book), State.ADOPTED, ok=False) >> claim(State.COMPENSATING)
    _ = book << events.Claimed(newest(book), State.COMPENSATING, ok=True) >> read(Moment.NOW)
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    _ = book << events.Undone(newest(book), UndoOutcome.DONE) >> read(Moment.RESTORED)
    _ = book << state(book, Moment.RESTORED, "old") >> settle(State.COMPENSATED)
    with book << events.Settled(newest(book), ok=True) >> invoke(5):
        pass


def test_while_a_call_that_was_to_adopt_is_made_for_real_nothing_there_is_read_early():
    book = ready(play())
    _ = book << book.call(5, "set", id=1) >> claim(State.ADOPTED)
    with book << book.predicted(guess("get", id=1)) >> skipped(Reason.CONFLICT):
        pass


def test_an_adopted_write_spoils_what_was_held_from_before_it_but_not_what_followed_from_it():
    book = play()
    _ = book.holds("survey")
    _ = ready(book)
    made = newest(book)
    _ = book << book.predicted(guess("get", id=1), lineage=(made,)) >> launch("get") << book.returned()
    _ = book << book.call(5, "set", id=1) >> ended("spoiled") >> claim(State.ADOPTED)
    _ = book << events.Claimed(made, State.ADOPTED, ok=True) >> settle(State.ADOPTED) >> reply(5, HIT)
    with book << book.call(6, "get", id=1) >> reply(6, HIT):
        pass


# --- isolation --------------------------------------------------------------------------------------------------------


def test_a_call_that_looks_at_it_waits_until_it_is_taken_back():
    book = doomed(ready(play()))
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    _ = book << events.Undone(newest(book), UndoOutcome.DONE) >> read(Moment.RESTORED)
    _ = book << state(book, Moment.RESTORED, "old") >> settle(State.COMPENSATED, reason="mispredicted")
    with book << events.Settled(newest(book), ok=True) >> invoke(7):
        pass


def test_calls_that_touch_other_things_go_on_and_requests_that_read_everything_wait():
    book = ready(play())
    with book << book.call(5, "put", id=2) >> invoke(5):
        pass
    with book << events.RequestArrived(6, CLIENT, SERVER, "tools/list") >> invoke(6):
        pass
    with book << events.RequestArrived(7, CLIENT, SERVER, "resources/read") >> claim(State.COMPENSATING):
        pass


def test_calls_that_touch_other_things_go_on_while_one_waits_for_an_undo():
    book = doomed(ready(play()))
    with book << book.call(8, "put", id=2) >> invoke(8):
        pass
    with book << book.call(9, "get", id=3) >> invoke(9):
        pass


def test_what_conflicts_with_a_call_that_waits_waits_behind_it():
    book = ready(play())
    _ = book << book.call(7, "survey") >> claim(State.COMPENSATING)
    with book << book.call(8, "put", id=2):
        pass
    with book << book.call(9, "get", id=2):
        pass


def test_the_call_of_another_client_waits_too():
    book = ready(play().begun("other"))
    with book << book.call(5, "get", "other", id=1) >> claim(State.COMPENSATING):
        pass


def test_what_was_read_before_it_still_answers():
    book = play().holds("get", id=1)
    _ = ready(book)
    with book << book.call(5, "get", id=1) >> reply(5, HIT):
        pass


def test_what_followed_from_it_answers_nothing_before_it_is_adopted():
    book = ready(play())
    _ = book << book.predicted(guess("get", id=1), lineage=(newest(book),)) >> launch("get") << book.returned()
    with book << book.call(5, "get", id=1) >> claim(State.COMPENSATING) >> ended("spoiled"):
        pass


def test_nothing_else_looks_at_it_early():
    book = ready(play())
    with book << book.predicted(guess("get", id=1)) >> skipped(Reason.CONFLICT):
        pass


def test_a_call_fails_clearly_when_the_undo_takes_too_long():
    book = doomed(ready(play()))
    with book.wait(10.0) >> Wanted(do.Fail, {"call": 7}):
        pass
    with book << book.call(8, "get", id=2) >> invoke(8):
        pass


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("ok", [False, True])
def test_a_call_whose_adoption_hangs_on_the_disk_fails_clearly_and_what_the_disk_says_at_last_holds(joins, ok):
    book = launched(play()) if joins else ready(play())
    _ = book << book.call(5, "set", id=1)
    _ = (book << book.returned() if joins else book) >> claim(State.ADOPTED)
    with book.wait(9.9):
        pass
    with book.wait(0.2) >> Wanted(do.Fail, {"call": 5}):
        pass
    _ = book << book.call(6, "get", id=1)  # nobody looks at it before it is decided
    _ = book << events.Claimed(newest(book), State.ADOPTED, ok=ok)
    if not ok:
        with book >> claim(State.COMPENSATING):
            return
    with book >> settle(State.ADOPTED) >> Wanted(do.Tell) >> invoke(6):
        pass


def test_a_call_that_was_cancelled_before_the_disk_hung_is_told_nothing():
    book = ready(play())
    _ = book << book.call(5, "set", id=1) >> claim(State.ADOPTED)
    _ = book << events.CallCancelled(5)
    with book.wait(60.0):
        pass


# --- its end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        events.SessionClosed(CLIENT),
        events.ModeSet(Mode.OFF),
        events.ModeSet(Mode.SHADOW),
        events.ServerNotified(SERVER, "notifications/tools/list_changed"),
        events.ClientNotified(CLIENT, SERVER, "notifications/roots/list_changed"),
    ],
)
def test_what_ends_its_use_has_it_taken_back(event):
    book = ready(play())
    with book << event >> claim(State.COMPENSATING):
        pass


def test_what_no_call_wants_in_time_is_taken_back():
    with ready(play()).wait(30.0) >> claim(State.COMPENSATING):
        pass


def test_one_that_is_still_running_is_taken_back_when_it_has_answered():
    book = launched(play())
    with book << book.call(5, "get", id=1):
        pass
    with book << book.returned() >> claim(State.COMPENSATING):
        pass


def test_one_that_failed_is_looked_at_and_forgotten_where_nothing_has_changed():
    book = launched(play())
    _ = book << book.returned(ERROR) >> claim(State.COMPENSATING)
    _ = book << events.Claimed(newest(book), State.COMPENSATING, ok=True) >> read(Moment.NOW)
    with book << state(book, Moment.NOW, "old") >> settle(State.COMPENSATED):
        pass


def test_what_somebody_else_has_changed_is_left_alone_and_loud():
    book = doomed(ready(play()))
    with book << state(book, Moment.NOW, "another") >> settle(State.STUCK, reason="foreign-state"):
        pass
    with book << book.predicted(guess("set", id=2)) >> skipped(Reason.STUCK_THERE):
        pass


def test_an_undo_that_leaves_something_is_stuck():
    book = doomed(ready(play()))
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    _ = book << events.Undone(newest(book), UndoOutcome.DONE) >> read(Moment.RESTORED)
    with book << state(book, Moment.RESTORED, "nearly old") >> settle(State.STUCK, reason="residue"):
        pass


def test_a_failing_undo_is_made_again_after_longer_and_longer_pauses_and_then_stuck():
    book = doomed(ready(play()))
    waited_s: list[float] = []
    for _ in range(4):
        _ = book << state(book, Moment.NOW, "new") >> UNDO
        _ = book << events.Undone(newest(book), UndoOutcome.FAILED)
        assert book.engine.deadline_s is not None
        waited_s.append(book.engine.deadline_s - book.now_s)
        _ = book.wait(waited_s[-1]) >> read(Moment.NOW)
    assert waited_s == sorted(set(waited_s))
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    with book << events.Undone(newest(book), UndoOutcome.FAILED) >> settle(State.STUCK, reason="undo-failed"):
        pass


def test_an_undo_of_which_nobody_knows_is_not_made_twice():
    book = doomed(ready(play()))
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    _ = book << events.Undone(newest(book), UndoOutcome.LOST) >> read(Moment.NOW)
    with book << state(book, Moment.NOW, "new") >> settle(State.STUCK, reason="undo-unknown"):
        pass


def test_an_undo_that_may_run_twice_does():
    book = ready(play(), "add")
    _ = doomed(book) << state(book, Moment.NOW, "new") >> UNDO
    _ = book << events.Undone(newest(book), UndoOutcome.LOST) >> read(Moment.NOW)
    with book << state(book, Moment.NOW, "new") >> UNDO:
        pass


def test_an_undo_that_goes_on_as_a_task_is_stuck_even_where_it_may_run_twice():
    book = ready(play(), "add")
    _ = doomed(book) << state(book, Moment.NOW, "new") >> UNDO
    with book << events.Undone(newest(book), UndoOutcome.GOES_ON) >> settle(State.STUCK, reason="undo-unknown"):
        pass


def test_an_undo_without_its_arguments_is_stuck():
    book = doomed(ready(play()))
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    with book << events.Undone(newest(book), UndoOutcome.UNBOUND) >> settle(State.STUCK, reason="unbound"):
        pass


def test_a_server_that_hangs_over_the_undo_leaves_it_stuck():
    book = doomed(ready(play()))
    _ = book << state(book, Moment.NOW, "new") >> UNDO
    _ = book.wait(60.0) >> Wanted(do.Fail, {"call": 7})
    with book.wait(61.0) >> settle(State.STUCK, reason="no-answer"):
        pass


# --- lost connections and crashes -------------------------------------------------------------------------------------


def lost(tool: str) -> Playbook:
    """The server died under it, and is there again."""
    book = launched(play(), tool)
    _ = book << book.returned(LOST) >> claim(State.COMPENSATING)
    _ = book << events.Disconnected(SERVER)
    _ = book << events.Claimed(newest(book), State.COMPENSATING, ok=True) >> WAKE
    _ = book << events.Connected(SERVER, 2)
    return book << listing({**TOOLS}) >> read(Moment.NOW)


def test_where_nobody_knows_whether_it_was_done_the_probe_decides():
    book = lost("add")
    _ = book << state(book, Moment.NOW, "new") >> PROBE
    with book << events.Probed(newest(book), done=True) >> NOTE >> UNDO:
        pass


def test_without_a_probe_it_is_kept_for_a_person():
    book = lost("set")
    with book << state(book, Moment.NOW, "new") >> settle(State.STUCK, reason="outcome-unknown"):
        pass


def test_a_state_as_before_shows_that_it_was_not_done():
    book = lost("set")
    with book << state(book, Moment.NOW, "old") >> settle(State.COMPENSATED):
        pass


def left_behind(number: int, **more: Any) -> Inheritance:
    members: dict[str, Any] = {"left": "new", "claimed": False, "undo_sent": False}
    given = members | more
    return Inheritance(number, "gone", "set", {"id": 1}, TOOLS["set"], "old", **given)


def test_what_a_crash_left_is_in_the_way_until_it_is_settled():
    book = Playbook(TOOLS, settings=Settings(0.01, reversible=True), connect=False)
    _ = book << events.Inherited(SERVER, (left_behind(-1),)) >> claim(State.COMPENSATING)
    _ = book << events.Claimed(-1, State.COMPENSATING, ok=True) >> WAKE
    _ = book << events.Connected(SERVER, 1)
    with book << book.call(5, "get", id=1):
        pass
    _ = book << listing({**TOOLS}) >> read(Moment.NOW)
    _ = book << events.StateRead(-1, Moment.NOW, "new") >> UNDO
    _ = book << events.Undone(-1, UndoOutcome.DONE) >> read(Moment.RESTORED)
    _ = book << events.StateRead(-1, Moment.RESTORED, "old") >> settle(State.COMPENSATED, reason="crashed")
    with book << events.Settled(-1, ok=True) >> invoke(5):
        pass


def test_what_a_crash_left_is_taken_back_newest_first():
    book = Playbook(TOOLS, settings=Settings(0.01, reversible=True), connect=False)
    older, newer = left_behind(-1, claimed=True, left="mid"), left_behind(-2, claimed=True)
    _ = book << events.Inherited(SERVER, (older, newer)) >> WAKE
    _ = book << events.Connected(SERVER, 1)
    _ = book << listing({**TOOLS}) >> Wanted(do.ReadState, {"speculation": -2, "moment": Moment.NOW})
    _ = book << events.StateRead(-2, Moment.NOW, "old") >> settle(State.COMPENSATED)
    with book << events.Settled(-2, ok=True) >> Wanted(do.ReadState, {"speculation": -1, "moment": Moment.NOW}):
        pass


def test_a_stuck_one_stays_in_the_way_through_a_restart():
    book = Playbook(TOOLS, settings=Settings(0.01, reversible=True)).begun()
    _ = book << events.Inherited(SERVER, (left_behind(-1, stuck="residue"),))
    with book << book.call(5, "get", id=1):
        pass
    with book.wait(10.0) >> Wanted(do.Fail, {"call": 5}):
        pass


# --- what the server says ---------------------------------------------------------------------------------------------


def test_a_change_that_only_it_can_have_made_is_told_with_the_adopted_answer():
    book = ready(play())
    with book << events.ServerNotified(SERVER, "notifications/resources/updated") >> Wanted(do.HoldNotification):
        pass


def test_a_change_that_a_call_may_have_made_is_passed_on_and_ends_it():
    book = ready(play())
    _ = book << book.call(5, "put", id=2) >> invoke(5)
    with book << events.ServerNotified(SERVER, "notifications/resources/updated") >> claim(State.COMPENSATING):
        pass
