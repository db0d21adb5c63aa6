"""Surrogates: a cheap read guesses the answer of a slow call that still runs, so that the call after it can start.

The surrogate's call is a speculation like any other, under all the same rules, and its answer is never given for the
slow one's. It is admitted by the worth of what it makes possible: the calls that come after the slow one may start
before its answer is there. What is predicted from a guess rests on it. When the slow call is answered, what rests on
guesses that were wrong alone is discarded at once, which makes room; what rests on a right one stands by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from spec_mcp.engine import admission, lifecycle
from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.connections import ConnectionState, Proposal
from spec_mcp.engine.effects import Surrogate, reads
from spec_mcp.engine.events import Candidate, Guess, GuessesJudged, Lineage, Mode, SurrogateBound
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.policy import worth_s
from spec_mcp.engine.running import Running, bind, find, guesses_in, steps_ahead, without
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.standing import standing_of
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.surrogacy import WRITES_BETWEEN, Awaited
from spec_mcp.engine.timing import GRID, UNKNOWN_LATENCY_S
from spec_mcp.engine.world import SessionState, World

MAY_GO = (State.PROPOSED, State.LAUNCHED, State.READY)
"""Where no call has found it yet."""


def ask(world: World, session: SessionState) -> None:
    """A step was taken: have guessed what the session's calls that run will answer."""
    for call in world.calls.of(session.name):
        if call.is_tool_call:
            bind(world, session.name, call)


def follows(world: World, call: CallState) -> None:
    """A call has arrived. The read that comes after a tool that has a surrogate says what a guess of its answer is
    worth; writes come between, as a player moves before the next one thinks."""
    session = world.session(call.session)
    if (awaited := session.awaited) is not None:
        _note_follower(world, session, awaited, call)
    if call.tool in world.server(call.server).surrogates:
        session.awaited = Awaited(call.server, call.tool)


def _note_follower(world: World, session: SessionState, awaited: Awaited, call: CallState) -> None:
    touched = world.footprint(call)
    if not call.reads and len(awaited.written) < WRITES_BETWEEN:
        awaited.written.append(touched)
        return
    session.awaited = None
    if (known := world.server(awaited.server).surrogates.get(awaited.tool)) is not None:
        is_ahead = call.reads and not any(written.overlaps(touched) for written in awaited.written)
        known.followers.append((call.server, call.tool) if is_ahead else None)


def bound(world: World, event: SurrogateBound) -> None:
    """The surrogate's arguments are there: admit its call, or skip it."""
    session, guessed = world.sessions.get(event.session), find(world, event.session, event.key)
    if world.mode is Mode.OFF or session is None or guessed is None:
        return
    surrogate = guessed.connection.tool(guessed.tool).surrogate
    if surrogate is None:
        return
    connection = guessed.connection
    q = connection.server.surrogates[guessed.tool].q * guessed.q
    candidate = Candidate(connection.server.name, surrogate.tool, event.arguments, q, f"surrogate of {guessed.tool}")
    worth = worth_s(q, _saved_s(world, guessed, surrogate), admission.cost_of(world, candidate.server, candidate.tool))
    if steps_ahead(world, session.name, guessed.lineage) + (not guessed.is_made) >= world.settings.depth:
        worth = 0.0  # nothing would be predicted from its guesses
    proposal = Proposal(event.session, session.step, candidate, q, worth, guessed.lineage, stands_for=event.key)
    admission.consider_surrogate(world, standing_of(world, connection, surrogate.tool), proposal)


def _saved_s(world: World, guessed: Running, surrogate: Surrogate) -> float:
    """The wait that is hidden where a call after this one starts as soon as its answer is guessed."""
    server, policy = guessed.connection.server, guessed.connection.tool(guessed.tool)
    guess_s = world.timing.latency_s(server.name, surrogate.tool, 0.5)
    if not world.timing.is_measured(server.name, surrogate.tool):  # that it is cheap is the author's word
        guess_s = min(guess_s, UNKNOWN_LATENCY_S)
    earlier_s = guessed.left_s - guess_s
    followers = list(server.surrogates[guessed.tool].followers)
    followers = followers or [(server.name, rule.tool) for rule in policy.followed_by]
    reading = [name for name in followers if name and reads(world.server(name[0]).policy.tool(name[1]))]
    hidden = [min(world.timing.latency_s(*name, fraction), earlier_s) for name in reading for fraction in GRID]
    return max(0.0, sum(hidden) / (len(followers) * len(GRID))) if hidden else 0.0


def answered(world: World, session: str, server: str, key: CallKey | None) -> None:
    """A call or a speculation runs no more: the surrogate that stood for it has done what it was for."""
    if key is None or not world.server(server).surrogates or find(world, session, key) is not None:
        return
    done = [held for held in world.ledger.live.of(session) if held.stands_for == key]
    for held in done:
        if held.is_expected:
            held.stands_for = None
        elif _may_go(held):
            lifecycle.discard(world, held, Reason.GUESSED)


def never_answered(world: World, call: CallState) -> None:
    """Nobody will know its answer: what rests on guesses of it is used by nobody."""
    if call.key is not None and world.server(call.server).surrogates:
        _fall(world, call.session, lambda guess: guess.key == call.key)


def judged(world: World, event: GuessesJudged) -> None:
    """The answer is there: what rests on wrong guesses falls, what rests on right ones stands by itself."""
    server = world.server(event.server)
    if (known := server.surrogates.get(event.tool)) is not None:
        known.note(bool(event.right))
    right = set(event.right)
    _fall(world, event.session, lambda guess: guess.surrogate == event.surrogate and right.isdisjoint(guess.ranks))
    _stand(world, event)
    for connection in _connections(world, event.session):
        admission.fill_places(world, connection)


def _fall(world: World, session: str, is_wrong: Callable[[Guess], bool]) -> None:
    """Discard what rests on wrong guesses, and forget what waits for a place for them."""
    for connection in _connections(world, session):
        connection.queue = [
            waiting
            for waiting in connection.queue
            if waiting.session != session or not any(map(is_wrong, guesses_in(waiting.lineage)))
        ]
    for held in list(world.ledger.live.of(session)):
        if any(map(is_wrong, guesses_in(held.lineage))) and held.id in world.ledger.live and _may_go(held):
            lifecycle.discard(world, held, Reason.MISPREDICTED)


def _stand(world: World, event: GuessesJudged) -> None:
    """A guess that was right is supposed no more: its call is history, or a speculation whose result is held."""
    for connection in _connections(world, event.session):
        for waiting in connection.queue:
            if waiting.session == event.session:
                waiting.lineage = _known(world, event, waiting.lineage)
    for held in world.ledger.live.of(event.session):
        held.lineage = _known(world, event, held.lineage)


def _known(world: World, event: GuessesJudged, lineage: Lineage) -> Lineage:
    for guess in guesses_in(lineage):
        if guess.surrogate == event.surrogate:
            made = world.ledger.by_key.get(guess.key)
            mine = made is not None and made.session == event.session
            return without(lineage, guess, made.id if made is not None and mine else None)
    return lineage


def _connections(world: World, session: str) -> list[ConnectionState]:
    known = world.sessions.get(session)
    return [] if known is None else world.connections_of(known)


def _may_go(held: Speculation) -> bool:
    """May it be discarded: does no call use it, wait for it or ask about it?"""
    return held.state in MAY_GO and held.caller is None and held.compared_with is None
