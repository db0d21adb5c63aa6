"""A world of reversible writes, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.policy import Settings
from tests.sim.undo.world import NAMES, TOOLS

THEMES = ("mixed", "calm", "crowd", "chains", "broken", "foreign", "disk", "deaths", "apart")
"""`calm`: nothing goes wrong but the guesses; `crowd`: many clients, few things; `broken`: undos that fail or lie;
`apart`: a crowd of clients with connections of their own."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a client will make."""

    tool: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client does at once after it has thought; then it waits for all answers."""

    think_s: float
    calls: tuple[Call, ...]
    method: str = "tools/call"
    cancel_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole world. Shares are of the requests of that kind."""

    seed: int
    theme: str
    policy: ServerPolicy
    settings: Settings
    scripts: tuple[tuple[Turn, ...], ...]
    leaves_after_s: float | None
    lies: float
    wrong_speculations: float
    failing_undos: float
    lying_undos: float
    failing_reads: float
    deaths: float
    disk_refuses: float
    foreign_every_s: float
    off_at_s: float | None


def draw(seed: int, theme: str = "") -> Plan:
    """The world of a seed, about its own theme or a given one."""
    random = Random(seed)
    own = random.choice(THEMES)
    theme = theme or own
    calm = theme in ("calm", "chains", "foreign")
    clients = 3 if theme in ("crowd", "apart") else random.choice([1, 1, 2])
    named = {name: tool.policy for name, tool in TOOLS.items()}
    return Plan(
        seed,
        theme,
        ServerPolicy("s", named, concurrent=random.random() < 0.6, cancel=random.random() < 0.5),
        Settings(0.0005, 4, random.choice([1, 3, 4]), random.choice([2, 4, 8]), reversible=True),
        tuple(_script(random, theme) for _ in range(clients)),
        random.uniform(1.0, 15.0) if random.random() < 0.2 else None,
        random.choice([0.2, 0.5, 0.9]),
        0.0 if calm else random.choice([0.0, 0.1]),
        0.5 if theme == "broken" else 0.0 if calm else random.choice([0.0, 0.2]),
        0.3 if theme == "broken" else 0.0,
        0.0 if calm else random.choice([0.0, 0.1]),
        0.1 if theme == "deaths" else 0.0 if calm else random.choice([0.0, 0.0, 0.03]),
        0.3 if theme == "disk" else 0.0,
        random.uniform(0.3, 3.0) if theme == "foreign" else 0.0,
        random.uniform(1.0, 15.0) if random.random() < 0.1 else None,
    )


def _script(random: Random, theme: str) -> tuple[Turn, ...]:
    return tuple(_turn(random, theme) for _ in range(random.randint(6, 14)))


def _turn(random: Random, theme: str) -> Turn:
    think_s = random.choice([0.0, 0.5, 1.0, 2.0, 4.0] + [40.0] * (random.random() < 0.03))
    if random.random() < 0.05:
        return Turn(think_s, (), random.choice(["resources/read", "tools/list", "resources/subscribe"]))
    count = random.choice([1, 1, 1, 2])
    calls = tuple(call_for(random, theme) for _ in range(count))
    if count == 2 and random.random() < 0.4:  # which waits for anything, and is not to be overtaken by what does not
        calls = (Call("all", {}), calls[1])
    cancelled = random.random() < 0.07
    return Turn(think_s, calls, "tools/call", random.choice([0.0, 0.05, 0.5]) if cancelled else None)


def call_for(random: Random, theme: str) -> Call:
    """A call as a client would make it."""
    weights = {"get": 4, "all": 1, "put": 4, "make": 2, "add": 3, "drop": 1, "set": 1}
    if theme == "chains":
        weights |= {"drop": 0, "set": 0, "put": 6, "add": 5}
    tool = random.choices([*weights], [*weights.values()])[0]
    if tool == "all":
        return Call(tool, {})
    arguments: Arguments = {"id": random.randrange(2 if theme in ("crowd", "apart") else NAMES)}
    if tool in ("put", "set"):
        arguments["value"] = random.randint(1, 9)
    if tool == "add":
        arguments["by"] = random.randint(1, 3)
    return Call(tool, arguments)
