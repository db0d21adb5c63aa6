"""What is to happen in a world of several replicas: drawn from a seed, and nothing in it depends on the run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import Effect, ToolPolicy

THEMES = ("calm", "sight", "slow", "lossy", "cut", "deaths", "database", "clock")
"""What goes wrong there."""

BUSY = frozenset({"sight", "cut", "deaths", "database", "clock"})
"""There clients think less and want the same things, so that more happens about the same time."""

ITEMS = 3
TTL_S = 6.0

TOOLS: dict[str, ToolPolicy] = {
    "get": ToolPolicy(Effect.READ, ("item:{id}",), exclusive=True, open_world=False),
    "again": ToolPolicy(Effect.READ, ("item:{id}",), exclusive=True, reuse_s=20.0, open_world=False),
    "look": ToolPolicy(Effect.READ, ("out:{id}",), ttl_s=TTL_S, open_world=False),
    "survey": ToolPolicy(Effect.READ, ("item:*", "out:*"), ttl_s=TTL_S, open_world=False),
    "put": ToolPolicy(Effect.UNSAFE, ("item:{id}",), open_world=False),
    "set": ToolPolicy(Effect.UNSAFE, ("out:{id}",), open_world=False),
    "late": ToolPolicy(Effect.UNSAFE, ("item:{id}",), settle_s=2.0, open_world=False),
    "wipe": ToolPolicy(Effect.UNSAFE, None, open_world=False),
}
WRITES = frozenset({"put", "set", "late", "wipe"})


@dataclass(frozen=True, slots=True)
class Planned:
    """A call that a client makes."""

    tool: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Script:
    """What one client does: calls that it makes together, and how long it thinks before each turn."""

    session: str
    principal: str
    turns: tuple[tuple[Planned, ...], ...]
    thinks_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One world."""

    seed: int
    theme: str
    replicas: int
    scripts: tuple[Script, ...]
    outside_every_s: float
    """How often somebody else changes what is not ours alone; 0: never."""
    slow: float
    """How often a statement takes long."""
    fails: float
    """How often one fails, or is done without an answer."""
    unheard: float
    """How often news is lost."""
    cuts: tuple[tuple[float, int, float], ...]
    """When which replica cannot reach the board, and for how long."""
    deaths: tuple[tuple[float, int, float | None], ...]
    """When which replica dies, and after how long another process takes its place; None: none ever does."""
    buried_after_s: float
    database_restarts: tuple[float, ...]
    set_back: tuple[tuple[float, float], ...]
    """When the board's clock is set back, and by how much."""


def draw(seed: int, theme: str = "") -> Plan:
    """The world of a seed."""
    random = Random(seed * 7919 + 5)
    theme = theme or random.choice(THEMES)
    scripts = tuple(_script(random, number, theme) for number in range(random.randint(1, 3)))
    replicas = random.randint(2, 3)
    length_s = max(sum(script.thinks_s) for script in scripts)

    def at_s() -> float:
        return random.uniform(0.5, max(1.0, length_s))

    def some(present: bool, most: int) -> range:
        return range(random.randint(1, most) if present else 0)

    return Plan(
        seed,
        theme,
        replicas,
        scripts,
        0.5 if theme == "sight" else random.choice([0.0, 0.0, 3.0]),
        {"slow": 0.2, "cut": 0.1, "calm": 0.0}.get(theme, 0.03),
        {"cut": 0.02, "calm": 0.0, "slow": 0.01}.get(theme, 0.0),
        {"lossy": 0.7, "calm": 0.0}.get(theme, 0.1),
        tuple(
            (at_s(), random.randrange(replicas), random.choice([0.1, 1.5, 3.4, 4.0, 4.5]))
            for _ in some(theme in ("cut", "deaths", "clock"), 6)
        ),
        tuple(
            (at_s(), random.randrange(replicas), random.choice([0.0, 0.5, 3.0, None, None]))
            for _ in some(theme == "deaths", 3)
        ),
        random.choice([1.0, 2.0, 5.0]),
        tuple(at_s() for _ in some(theme == "database", 6)),
        tuple((at_s(), random.choice([0.3, 2.0, 4.0, 100.0])) for _ in some(theme == "clock", 5)),
    )


def _script(random: Random, number: int, theme: str) -> Script:
    turns = tuple(
        tuple(_planned(random, theme) for _ in range(random.choice([1, 1, 1, 2])))
        for _ in range(random.randint(16, 28) if theme in BUSY else random.randint(8, 16))
    )
    gaps_s = [0.1, 0.3, 0.7, 1.2] if theme in BUSY else [0.0, 0.3, 1.0, 2.5]
    thinks_s = tuple(random.choice(gaps_s) for _ in turns)
    return Script(f"client-{number}", random.choice(["me", "me", "you"]), turns, thinks_s)


def _planned(random: Random, theme: str) -> Planned:
    if theme == "sight":
        tool = random.choice(["look"] * 8 + ["survey", "survey", "set"])
    else:
        tool = random.choice(
            ["get"] * 5 + ["again"] * 2 + ["look"] * 4 + ["survey", "put", "put", "set", "late", "wipe"]
        )
    return Planned(
        tool,
        {} if tool in ("survey", "wipe") else {"id": random.choice([0, 0, 0, 1] if theme in BUSY else range(ITEMS))},
    )
