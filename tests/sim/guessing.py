"""Predictors of every character. None of them may make the client see anything else."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.events import Candidate, Guess, Lineage
from tests.sim.plan import TOOLS, Plan, arguments_for

if TYPE_CHECKING:
    from tests.sim.clients import Client

AHEAD = 6
"""How far the honest one looks, writes or not: what a write spoils must be spoiled by the engine."""

RANKS = ((0,), (0,), (1,), (2, 0), (), (7, -1))
"""Guesses that a candidate is said to rest on, likely ones and such as there are not."""

STRANGE: tuple[Json, ...] = (1, 1.0, True, "1", "01", None, [], [1, 2], {}, "../1", "*", 2**60, -0.0, "ä" * 5)


class Predictor:
    """Guesses from the script, and lies in the plan's share of cases."""

    def __init__(self, plan: Plan, random: Random) -> None:
        self._plan, self._random = plan, random

    def guess(self, client: Client, lineage: Lineage) -> tuple[Candidate, ...]:
        """Candidates for what a client does next, or after what is supposed, some of it guessed."""
        random = self._random
        depth = len(lineage)
        if lineage and isinstance(lineage[-1], Guess):
            return tuple(replace(told, guesses=random.choice(RANKS)) for told in self._guess(client, depth - 1))
        return self._guess(client, depth)

    def _guess(self, client: Client, depth: int) -> tuple[Candidate, ...]:
        random = self._random
        ahead = client.ahead(AHEAD + depth)[depth:]
        random.shuffle(ahead)
        least = 0.7 if self._plan.settings.attach else 0.4
        honest = [
            Candidate(call.server, call.tool, call.arguments, random.uniform(least, 1.0), "script", copied_whole=True)
            for call in ahead
            if not TOOLS[call.tool].writes or random.random() < 0.1
        ]
        lies = [self._lie(honest) for _ in range(random.randint(1, 4))] if random.random() < self._plan.lies else []
        candidates = honest + lies
        if lies:
            random.shuffle(candidates)
        return tuple(candidates)

    def _lie(self, honest: list[Candidate]) -> Candidate:
        random = self._random
        tool = random.choice([name for name in TOOLS if name != "tick_ex"])
        arguments = arguments_for(random, TOOLS[tool])
        if honest and random.random() < 0.5:
            true = random.choice(honest)
            tool, arguments = true.tool, true.arguments
        if random.random() < 0.4:
            arguments = self._bent(arguments)
        q = random.choice([0.9, 1.0, 1.0, 5e8, math.inf, math.nan, -1.0, 0.0])
        server = random.choice(["s"] * 5 + ["t", "nobody"])
        return Candidate(
            server, tool, arguments, q, "lie", copied_whole="url" not in arguments or random.random() < 0.5
        )

    def _bent(self, arguments: Arguments) -> Arguments:
        random = self._random
        if "url" in arguments:
            return {"url": random.choice(["https://evil.com/1", "https://ok.com/confirm/1", "https:\\\\evil.com"])}
        bent = dict(arguments)
        bent[random.choice([*arguments, "more"])] = random.choice(STRANGE)
        return bent
