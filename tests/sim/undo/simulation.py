"""A seed, once without deaths of the process and once with some."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from tests.sim.undo.plan import draw
from tests.sim.undo.run import Run


def simulate(seed: int, theme: str = "") -> Counter[str]:
    """Run the world of a seed to its end, then again with one to three deaths at any commands of it.

    Raises:
        Violation: something that must hold did not.
    """
    plan = draw(seed, theme)
    whole = Run(plan)
    stats = whole.run()
    random = Random(seed)
    points = frozenset(random.randint(1, max(1, whole.commands)) for _ in range(random.randint(1, 3)))
    return stats + Run(plan, points).run()


def die_everywhere(seed: int, theme: str = "", turns: int | None = None) -> Counter[str]:
    """Run the world of a seed as often as it has commands, and die after each of them once.

    It takes the square of the commands; with `turns`, each client leaves after so many.

    Raises:
        Violation: something that must hold did not.
    """
    plan = draw(seed, theme)
    plan = replace(plan, scripts=tuple(script[:turns] for script in plan.scripts))
    whole = Run(plan)
    stats = whole.run()
    for number in range(1, whole.commands + 1):
        stats += Run(plan, frozenset({number})).run()
    return stats
