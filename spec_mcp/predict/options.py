"""A call that the client may make, and what is said of it at one moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from spec_mcp.engine.calls import Arguments, plain_text, quoted
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.resources import Footprint
from spec_mcp.predict.cells import Cell, Key
from spec_mcp.predict.recipes import Recipe


class Evidence(NamedTuple):
    """Where a recipe found the values of a candidate; of a remembered call, its rank and how often it was seen."""

    step: int
    position: int
    length: int


@dataclass(slots=True)
class Option:
    """A call that the client may make."""

    text: str
    token: str
    arguments: Arguments
    hash_: int
    writes: bool
    evidence: dict[Recipe, Evidence]
    remembered: Evidence | None = None
    """How well the call is remembered as a follower of the last calls."""
    touches: Footprint | None = None
    offered: int = 0
    made: bool = False
    """Made since the last conflicting write: not offered again before one comes."""
    ever_made: bool = False

    def copy(self) -> Option:
        """Another one, that may go its own way."""
        return Option(
            self.text,
            self.token,
            self.arguments,
            self.hash_,
            self.writes,
            dict(self.evidence),
            self.remembered,
            self.touches,
            self.offered,
            self.made,
            self.ever_made,
        )


@dataclass(slots=True)
class Common:
    """What candidates share that one recipe found alike, offered as often and as far on in their lists."""

    flags: tuple[int, ...]
    """The weights of the positions that they have."""
    cells: list[tuple[int, Cell]]
    """Their contexts that have a rate: the weight of each, and its cell as it was."""
    chains: list[tuple[int, float, float]]
    """Of each chain of contexts the weight, and the backed-off logits of use and of being next."""
    keys: tuple[Key, ...]
    sum_: float
    """Of all these, the log odds of use."""


@dataclass(slots=True)
class Scored:
    """An option at one moment: the probability that it is used, and what that was made of."""

    option: Option
    recipe: Recipe
    logit: float
    q: float
    common: Common
    flags: tuple[int, ...]
    """Beyond what it has in common with others, as are its cells and keys."""
    cells: list[tuple[int, Cell]]
    keys: tuple[Key, ...]
    turn: int
    weight: float = 1.0
    """Of what is learned from it: candidates of one list at one moment, or of one session again, say much the same."""

    fresh: bool = True
    """It was offered for the first time."""

    told: Candidate | None = None
    """What was told of it at its moment."""


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Made once: `json.dumps` would make an encoder for every call."""


def token_of(server: str, tool: str) -> str:
    """A server's tool, as one text."""
    return f"{server}\t{tool}"


@lru_cache(maxsize=4096)
def server_and_tool(token: str) -> tuple[str, str]:
    """The two that a token stands for."""
    server, _, tool = token.partition("\t")
    return server, tool


def text_of(token: str, arguments: Arguments) -> str:
    """The identity of a call, as text."""
    text = plain_text(arguments)
    return _encode([token, arguments]) if text is None else f"[{quoted(token)},{text}]"


def hash_of(text: str) -> int:
    """A number for a text that is the same in every process."""
    return crc32(text.encode("utf-8", "surrogatepass"))
