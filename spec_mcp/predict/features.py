"""The evidence for one candidate: contexts, whose rates of use are learned, and positions, whose weights are.

The positions are structure alone (how old the source is, which element of how long a list, in what order the list was
walked), so their weights carry over from any server to any other. They are shipped in `prior.json`.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import cast

from spec_mcp.predict.cells import CLASSES, Key

CONTEXTS = 13
"""How many contexts each candidate is seen in; each has a weight per evidence class."""

KINDS = ("constant", "argument", "result", "memory", "said", "mixed")
AGES = LENGTHS = PLACES = OFFERS = PACES = 5
STREAKS = 5
POSITIONS = CONTEXTS * CLASSES
"""Where the weights of the positions begin."""

A = POSITIONS
B = A + len(KINDS) * AGES
C = B + PACES * PLACES
D = C + OFFERS * LENGTHS
E = D + STREAKS * CLASSES
F = E + 4 * 4
G = F + 2 * 3
WEIGHTS = G + 1


def few(count: int) -> int:
    """0, 1, 2, a few, many."""
    return count if count < 3 else 3 if count < 6 else 4


def prior_weights(head: str) -> list[float]:
    """The shipped weights of the model for use, or for being next."""
    try:
        shipped = resources.files("spec_mcp.predict").joinpath("prior.json").read_text()
        told = cast("dict[str, list[float]]", json.loads(shipped))[head]
        if len(told) == WEIGHTS:
            return told
    except FileNotFoundError:
        pass
    confidence = (0.0, 0.08, 0.1, 0.12, 0.13, 0.14, 0.15, 0.16, 0.16)
    return [confidence[index % CLASSES] for index in range(POSITIONS)] + [0.0] * (WEIGHTS - POSITIONS)


def contexts(
    recipe: str,
    token: str,
    last: str,
    last2: str,
    outcome: str,
    age: int,
    offered: int,
    place: int,
    length: int,
    pace: int,
    same_tool: int,
    writes: int,
    made: int,
    since: int,
    hash_: int,
    last_hash: int,
) -> tuple[Key, ...]:
    """The keys of a candidate's cells; the first member of each is its kind."""
    return (
        (0, recipe),
        (1, recipe, last),
        (2, recipe, last, last2),
        (3, recipe, last, outcome),
        (4, recipe, age, offered),
        (5, recipe, place, length, pace),
        (6, token, last, same_tool),
        (7, recipe, writes, made, since),
        (8, hash_),
        (9, hash_, last_hash),
        (10, recipe, last, offered, pace),
        (11, token, last, outcome, same_tool),
        (12, recipe, outcome, place, pace),
    )
