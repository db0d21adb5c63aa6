"""A seed, run."""

from __future__ import annotations

from collections import Counter

from tests.sim.replicas.plan import draw
from tests.sim.replicas.run import Run


def simulate(seed: int, theme: str = "") -> Counter[str]:
    """Run the world of a seed to its end.

    Raises:
        Violation: something that must hold did not.
    """
    return Run(draw(seed, theme)).run()
