"""The evidence for one candidate: contexts, whose rates of use are learned, and positions, whose weights are.

The positions are structure alone (how old the source is, which element of how long a list, in what order the list was
walked), so their weights carry over from any server to any other. They are shipped in `prior.json`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import cast

from spec_mcp.predict.cells import CLASSES

# Contexts, by number. The first two are a recipe's own cells; those up to PACED are shared by the elements of one list.
RECIPE = 0  # (recipe, fresh)
LAST = 1  # after which tool
OUTCOME = 2  # and after what coarse answer of it
AGE = 3  # how old the source is, how often the candidate was offered in vain
STRUCTURE = 4  # the same for recipes of this kind: what is taken of one never seen
PACED = 5  # how far its list has been walked, how many calls of the tool there were since the last write
CALL = 6  # this very call
CALL_AFTER = 7  # this very call after that very call
MEMORY = 8  # how well it is remembered as a follower
CONTEXTS = 9

CHAINS = ((LAST, OUTCOME), (AGE, PACED))
"""Contexts from general to particular, along each of which rates back off to one estimate; before these, all chains
have STRUCTURE and RECIPE."""

BACK_OFF = 2.5
"""Observations that the more general estimate counts for: a particular context must earn its say."""

KINDS = ("constant", "argument", "result", "memory", "said", "mixed")
AGES = LENGTHS = PLACES = OFFERS = STREAKS = 5
PACES = 6

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


def shipped_weights(head: str) -> tuple[float, ...]:
    """The shipped weights of the model for use, or for being next."""
    told = _shipped().get(head, ())
    return told if len(told) == WEIGHTS else plain_weights()


def shipped_correction() -> tuple[float, ...]:
    """The shipped knots of the correction; nothing where there are none."""
    return _shipped().get("correction", ())


@cache
def _shipped() -> dict[str, tuple[float, ...]]:
    try:
        text = resources.files("spec_mcp.predict").joinpath("prior.json").read_text()
    except FileNotFoundError:
        return {}
    return {name: tuple(values) for name, values in cast("dict[str, list[float]]", json.loads(text)).items()}


def plain_weights() -> tuple[float, ...]:
    """The weights that know nothing: the mean of what the chains say."""
    share = 1.0 / len(CHAINS)
    return (0.0,) * CHAIN_WEIGHTS + (share,) * (BY_KIND - CHAIN_WEIGHTS) + (0.0,) * (WEIGHTS - BY_KIND)
