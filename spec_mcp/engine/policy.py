"""Which candidates are worth a call: the bounds, the cost-latency rule and the rules for tools that reach outside.

A candidate is admitted when `q * saved_s > (1 - q) * cost_s` (the paper's trade-off of breadth against time saved):
q the probability of use, saved_s the wait that it is expected to hide, cost_s what a wasted call is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ToolPolicy
from spec_mcp.engine.events import Candidate

ACTING_WORDS = (
    "confirm",
    "unsubscribe",
    "reset",
    "verify",
    "activate",
    "approve",
    "accept",
    "delete",
    "remove",
    "logout",
    "signout",
    "cancel",
    "optout",
    "opt-out",
    "token=",
    "redirect",
)
"""A link with one of these may act when it is fetched, or leads who knows where."""

ACTING = re.compile("|".join(re.escape(word) for word in ACTING_WORDS), re.IGNORECASE)

LINK_ARGUMENT = re.compile(r"(^|[^a-z])(url|uri|link|href|host)s?$", re.IGNORECASE)
"""An argument of this name says where to go, whatever its value looks like."""

NO_LINK = re.compile(r"[^/?=]*")
"""Words without what every link has that says more than its host."""

SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)

LINK = re.compile(r"\s*([a-z][a-z0-9+.-]*:|//|\\\\|[\w-]+(\.[\w-]+)+(:\d+)?([/?#]|$))|.*://", re.IGNORECASE | re.DOTALL)
"""A scheme, two slashes, a name with dots that a path may follow, or a link anywhere in the text."""

AMBIGUOUS = re.compile(r"[\s\\@\x00-\x1f\x7f]|://.*://")
"""Space, a backslash, a user's name or a second link: what one reader takes for the host another does not."""

OTHER_LINK = re.compile(
    r"//|\\|:/|=\s*([a-z][a-z0-9+.-]*:|[\w-]+(\.[\w-]+)*\.[a-z]{2,}([/:?&#]|$)|\d+(\.\d+){3})",
    re.IGNORECASE | re.DOTALL,
)
"""Behind a link's host: another link, or a name or an address that it may lead on to."""

DECODINGS = 3
"""How often a link is taken to be encoded: who decodes what was encoded twice reads another one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The user's settings for speculation (`[speculation]` in the configuration)."""

    wasted_call_s: float = 0.2
    breadth: int = 4
    depth: int = 3
    in_flight: int = 4
    """Speculations at once over a connection, for each session that uses it."""
    join: bool = True
    reversible: bool = False
    accept_unproven: frozenset[str] = frozenset()
    """Reversible tools, as `server.tool`, whose undo the user takes on trust."""
    lossy: bool = False
    check_every: int = 0
    """Of how many hits one is made again in the background, to see whether the result was right; 0: none."""
    board: bool = False
    """Several replicas share a store, and each adoption is put to the board that they have there."""
    attach: bool = False
    """Not lossless: results of very likely next reads are attached to the replies of calls."""


def worth_s(q: float, saved_s: float, cost_s: float) -> float:
    """What a speculation is expected to gain, in seconds of waiting; it is admitted where this is above zero."""
    return q * saved_s - (1.0 - q) * cost_s


def may_reach_outside(candidate: Candidate, policy: ToolPolicy) -> bool:
    """May this candidate tell the outside world something (rule 3)?

    Only with values copied whole from the conversation, to hosts that are allowed, and never by a link that may act.
    """
    if not candidate.copied_whole or not policy.hosts:
        return False
    if not all(_link_is_allowed(text, policy.hosts) for text in _texts(candidate.arguments)):
        return False
    goals = [value for name, value in candidate.arguments.items() if LINK_ARGUMENT.search(name)]
    return all(LINK.match(text) or text.lower() in policy.hosts for goal in goals for text in _texts(goal))


def _link_is_allowed(text: str, hosts: tuple[str, ...]) -> bool:
    """Is the text no link, or one to an allowed host that asks for nothing to be done there, and leads nowhere else?"""
    if ACTING.search(_decoded(text)) and not NO_LINK.fullmatch(text):
        return False
    if not LINK.match(text):
        return True
    if AMBIGUOUS.search(text):  # readers of links disagree about what its host is
        return False
    try:
        parts = urlsplit(text if SCHEME.match(text) else "//" + text.lstrip("/"))
        host = parts.hostname
    except ValueError:
        return False
    if not host or OTHER_LINK.search(_decoded(f"{parts.path}?{parts.query}#{parts.fragment}")):
        return False
    return any(_is_host(host, allowed.lower()) for allowed in hosts)


def _decoded(text: str) -> str:
    for _ in range(DECODINGS):
        text = unquote(text)
    return text


def _is_host(host: str, allowed: str) -> bool:
    return host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)
