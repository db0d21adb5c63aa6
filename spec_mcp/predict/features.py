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

CHAINS = ((11, 0, 1, 3, 2), (11, 0, 4, 10))
"""Contexts from general to particular, along each of which rates back off to one estimate."""

BACK_OFF = 2.5
"""Observations that the more general estimate counts for: a particular context must earn its say."""

KINDS = ("constant", "argument", "result", "memory", "said", "mixed")
AGES = LENGTHS = PLACES = OFFERS = PACES = STREAKS = 5

CHAIN_WEIGHTS = CONTEXTS * CLASSES
BY_KIND = CHAIN_WEIGHTS + len(CHAINS) * CLASSES
BY_PLACE = BY_KIND + len(KINDS) * AGES
BY_LENGTH = BY_PLACE + PACES * PLACES
BY_STREAK = BY_LENGTH + OFFERS * LENGTHS
BY_PROGRESS = BY_STREAK + STREAKS * CLASSES
BY_SUPPORT = BY_PROGRESS + 4 * 4
BY_MEMORY = BY_SUPPORT + 2 * 3
BIAS = BY_MEMORY + 1 + 5 * 4
WEIGHTS = BIAS + 1
"""Where the weights of each group begin, and how many there are."""


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
    share = 1.0 / len(CHAINS)
    return [0.0] * CHAIN_WEIGHTS + [share] * (BY_KIND - CHAIN_WEIGHTS) + [0.0] * (WEIGHTS - BY_KIND)


def contexts(
    recipe: str,
    token: str,
    kind: int,
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
    memory: int,
) -> tuple[Key, ...]:
    """The keys of a candidate's cells; the first member of each is its kind."""
    fresh = min(offered, 1)
    return (
        (0, recipe, fresh),
        (1, recipe, fresh, last),
        (2, recipe, fresh, last, outcome, last2),
        (3, recipe, fresh, last, outcome),
        (4, recipe, age, offered),
        (5, recipe, place, length, pace),
        (6, token, last, outcome, same_tool),
        (7, recipe, writes, made, since),
        (8, hash_),
        (9, hash_, last_hash),
        (10, recipe, last, offered, pace, same_tool),
        (11, kind, age, offered),
        (12, memory, fresh),
    )
