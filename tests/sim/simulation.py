"""One seed: its world with speculation, and without where the two must be equal."""

from __future__ import annotations

from collections import Counter

from spec_mcp.engine.events import Mode
from tests.sim.clients import Client
from tests.sim.plan import Plan, draw
from tests.sim.relay import Relay
from tests.sim.server import Result, Violation


def simulate(seed: int, theme: str = "") -> Counter[str]:
    """Run a seed's world; return what happened.

    Raises:
        Violation: something that must hold did not; like any other error it carries the seed in a note.
    """
    plan = draw(seed, theme)
    try:
        relay = Relay(plan, plan.mode)
        relay.run()
        if plan.exact:
            compare(plan, relay)
    except Exception as error:
        error.add_note(f"in the simulation's seed {seed}")
        raise
    return relay.oracle.stats


def compare(plan: Plan, relay: Relay) -> None:
    """The master invariant itself: transcript and final state equal those of the run without speculation."""
    plain = Relay(plan, Mode.OFF)
    plain.run()
    relay.oracle.stats["exact"] += 1
    for with_us, without in zip(relay.clients, plain.clients, strict=True):
        if [asked.place for asked in with_us.asked] != [asked.place for asked in without.asked]:
            raise Violation(f"{with_us.name} asked for other things than without speculation")
        ours, theirs = transcript(with_us), transcript(without)
        for place in sorted(ours.keys() & theirs.keys()):
            if ours[place] != theirs[place]:
                raise Violation(f"{with_us.name} {place}: {ours[place]}, but without speculation {theirs[place]}")
    for name, history in relay.things.histories.items():
        if history.version != plain.things.histories[name].version:
            raise Violation(f"{name} was changed {history.version} times, without speculation otherwise")


def transcript(client: Client) -> dict[tuple[int, int], tuple[Result | None, bool]]:
    """What a client was answered, with all that was told on the way; what it gave up may go either way in any run."""
    return {asked.place: (asked.result, asked.lost) for asked in client.asked if not asked.cancelled}
