"""Rule 16: whatever clients, servers and predictors do, the engine's memory has a bound; and rule 17."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from spec_mcp.engine import events, inflight, ledger, world, writes
from spec_mcp.engine.admission import QUEUE_MAX
from spec_mcp.engine.events import Mode, Outcome
from spec_mcp.engine.inflight import CALLS_MAX, CANCELLED_MAX
from spec_mcp.engine.ledger import ANSWERED_MAX, HELD_MAX, HELD_MAX_BYTES
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.world import SESSIONS_MAX
from spec_mcp.engine.writes import OPEN_WRITES_MAX
from tests.engine.playbook import (
    CLIENT,
    HIT,
    JOIN,
    RESULT,
    SERVER,
    TOOLS,
    Playbook,
    ended,
    guess,
    invoke,
    launch,
    listing,
    reading,
    reply,
    skipped,
)


def big(size_bytes: int) -> Outcome:
    return Outcome(events.Answer.RESULT, size_bytes)


def test_of_too_many_held_results_the_least_likely_goes():
    with Playbook().begun() as play:
        for number in range(HELD_MAX + 1):
            likelihood = 0.5 if number == 3 else 0.9
            play << play.predicted(guess("get", q=likelihood, id=number)) >> launch("get")
            play.wait(0.5) << play.returned()
        assert play.held == HELD_MAX
        play << play.call(1, "get", id=4) >> reply(1, HIT)
        play << play.call(2, "get", id=3) >> invoke(2)


def test_results_that_are_too_large_together_go_one_by_one():
    with Playbook().begun() as play:
        for number in range(4):
            play.launches("get", id=number) << play.returned(big(HELD_MAX_BYTES // 4))
        play.launches("get", id=9) << play.returned(big(1)) >> ended("evicted")
        assert play.held == 4
        assert play.engine.world.ledger.held_bytes <= HELD_MAX_BYTES


def test_one_result_that_is_too_large_goes_alone():
    with Playbook().begun().holds("get", id=1) as play:
        play.launches("get", id=2) << play.returned(big(HELD_MAX_BYTES + 1)) >> ended("evicted")
        play << play.call(1, "get", id=1) >> reply(1, HIT)
        assert play.engine.world.ledger.held_bytes == 0


def test_a_call_that_waits_gets_even_a_large_result():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << play.returned(big(2 * HELD_MAX_BYTES)) >> reply(1, JOIN)
        assert play.engine.world.ledger.held_bytes == 0


def test_results_kept_for_reuse_are_bounded_as_well():
    with Playbook({"get": reading(reuse_s=1e6)}).begun() as play:
        for number in range(HELD_MAX + 5):
            play.launches("get", id=number).wait(0.5) << play.returned()
            play.wait(0.5) << play.call(number, "get", id=number) >> reply(number, HIT)
        assert play.held <= HELD_MAX
        play.launches("get", id="big") << play.call(1000, "get", id="big")
        play << play.returned(big(2 * HELD_MAX_BYTES)) >> reply(1000, JOIN)
        assert play.engine.world.ledger.held_bytes <= HELD_MAX_BYTES


def test_candidates_that_wait_for_a_place_are_bounded():
    settings = Settings(wasted_call_s=0.01, breadth=1000)
    with Playbook(settings=settings, concurrent=False).begun() as play:
        play << play.predicted(*(guess("get", id=number) for number in range(100))) >> launch("get")
        play >> skipped("full")
        assert len(play.engine.world.connections[SERVER].queue) == QUEUE_MAX


def test_answered_calls_are_remembered_up_to_a_bound():
    with Playbook().begun() as play:
        for number in range(ANSWERED_MAX + 10):
            play << play.call(number, "get", id=number) >> invoke(number) << events.CallReturned(number, RESULT)
        assert len(play.engine.world.ledger.answered) == ANSWERED_MAX


def test_a_server_that_answers_no_write_is_sealed_until_it_starts_anew():
    with Playbook().begun() as play:
        for number in range(OPEN_WRITES_MAX + 1):
            play << play.call(number, "put", id=f"w{number}") >> invoke(number)
            play << events.CallCancelled(number)
            play.pending.clear()
        assert len(play.engine.world.ledger.writes) == 1, "the seal alone"
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.CallReturned(1, RESULT) << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.Disconnected(SERVER) << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.call(9999, "get", id=9) >> invoke(9999)
        play << play.predicted(guess("get", id=1)) >> launch("get")


def test_calls_that_are_never_answered_are_forgotten_and_their_server_sealed(monkeypatch):
    monkeypatch.setattr(inflight, "CALLS_MAX", 20)
    assert CALLS_MAX > 20
    with Playbook().begun() as play:
        for number in range(25):
            play << play.call(number, "look", id=number) >> invoke(number)
        assert len(play.engine.world.calls) == 20
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        assert play.engine.world.sessions[CLIENT].outstanding == 20
        play << events.CallReturned(1, RESULT) << events.CallReturned(24, RESULT)


def test_forgotten_listening_streams_seal_nothing(monkeypatch):
    monkeypatch.setattr(inflight, "CALLS_MAX", 20)
    with Playbook().begun() as play:
        for number in range(25):
            play << events.RequestArrived(number, CLIENT, SERVER, "subscriptions/listen") >> invoke(number)
        play << play.predicted(guess("get", id=1)) >> launch("get")


def test_clients_that_never_say_that_they_left_are_forgotten():
    with Playbook() as play:
        for number in range(SESSIONS_MAX + 10):
            play << play.call(number, "get", f"client-{number}", id=1) >> invoke(number)
            play << events.CallReturned(number, RESULT)
        assert len(play.engine.world.sessions) == SESSIONS_MAX


def test_cancelled_calls_are_remembered_up_to_a_bound():
    with Playbook().begun() as play:
        for number in range(CANCELLED_MAX + 10):
            play << play.call(number, "look", id=number) >> invoke(number) << events.CallCancelled(number)
            play.pending.clear()
        assert len(play.engine.world.calls.cancelled_on(SERVER)) == CANCELLED_MAX


def containers(thing: object, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """Every container that the engine reaches from its state, with its length."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, str | bytes | int | float | type):
        return
    seen.add(id(thing))
    if isinstance(thing, dict):
        yield path, len(thing)
        for value in thing.values():
            yield from containers(value, path + "[]", seen)
    elif isinstance(thing, list | tuple | set | frozenset) or type(thing).__name__ == "deque":
        yield path, len(thing)  # type: ignore[arg-type]
        for value in thing:  # type: ignore[attr-defined]
            yield from containers(value, path + "[]", seen)
    else:
        names = getattr(type(thing), "__slots__", None) or vars(thing).keys() if hasattr(thing, "__dict__") else ()
        names = getattr(type(thing), "__slots__", names)
        for name in names:
            if name != "out":
                yield from containers(getattr(thing, name, None), f"{path}.{name}", seen)


def clutter(play: Playbook, random: Random, number: int) -> events.Event:
    """Something that happens once and leaves as much behind as it can: new names, no answers."""
    session = random.choice(["a", "b", f"session-{number}"])
    return random.choice(
        [
            lambda: play.call(number, f"tool-{number}", session, id=number),
            lambda: play.call(number, random.choice(list(TOOLS)), session, id=number),
            lambda: events.RequestArrived(number, session, SERVER, f"vendor/{number}"),
            lambda: events.BatchArrived(number, session, SERVER, (("tools/call", f"tool-{number}"),)),
            lambda: events.CallCancelled(random.randrange(number + 1)),
            lambda: events.ClientNotified(session, SERVER, f"notifications/{number}"),
            lambda: events.ServerNotified(SERVER, f"notifications/{number}"),
            lambda: events.ServerAsked(SERVER, number, "sampling/createMessage"),
            lambda: events.TaskEnded(SERVER, f"task-{number}"),
            lambda: events.CallReturned(random.randrange(number + 1), Outcome(events.Answer.TASK, task=f"t{number}")),
            lambda: events.CallReturned(random.randrange(number + 1), RESULT),
            lambda: events.SpeculationReturned(random.randrange(number + 1), RESULT),
            lambda: events.Validated(random.randrange(number + 1), None, "v"),
            lambda: events.Connected(SERVER, number) if number % 50 == 0 else events.Ticked(),
            lambda: listing(TOOLS),
            lambda: events.ModeSet(random.choice([Mode.ON, Mode.ON, Mode.SHADOW])),
            lambda: play.predicted(
                guess(random.choice(list(TOOLS)), id=number), guess("get", server=f"server-{number}"), session=session
            ),
        ]
    )()


def test_whatever_happens_no_container_grows_beyond_its_bound(monkeypatch):
    for module, name in [
        (inflight, "CALLS_MAX"),
        (inflight, "ALL_CALLS_MAX"),
        (world, "SESSIONS_MAX"),
        (inflight, "CANCELLED_MAX"),
        (writes, "OPEN_WRITES_MAX"),
        (ledger, "ANSWERED_MAX"),
    ]:
        monkeypatch.setattr(module, name, 40)
    random = Random(1)
    play = Playbook()
    lengths: dict[str, int] = {}
    for number in range(8000):
        play.now_s += random.choice([0.0, 0.01, 3.0])
        play << clutter(play, random, number)
        play.pending.clear()
        if number % 500 == 499:
            lengths = dict(containers(play.engine.world))
            grown = {
                path: length
                for path, length in lengths.items()
                if length > 128 and not path.startswith((".timing.latencies", ".calls[].session"))
            }
            assert not grown, grown
    assert lengths[".timing.latencies"] <= 1100
    assert len(lengths) > 20, "the walk sees the engine's state"


@pytest.mark.parametrize("number", range(20))
def test_no_order_of_events_breaks_the_engine(number):
    """Rule 17 is the relay's; the engine's part is to raise nothing whatever it is told in whatever order."""
    random = Random(number)
    play = Playbook(concurrent=bool(number % 2), cancel=bool(number % 3)).begun()
    for step in range(400):
        play.now_s += random.choice([0.0, 0.0, 0.1, -0.5, 7.0])
        play << clutter(play, random, step)
        play.pending.clear()
        if play.launched and random.random() < 0.5:
            play << play.returned(RESULT, random.randrange(len(play.launched)))
            play.pending.clear()
        if play.validating and random.random() < 0.5:
            play << play.validated(random.choice(["v", None]))
            play.pending.clear()
