"""A world, drawn from a seed: what there is, what the clients will do and what will go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import (
    Effect,
    FileValidator,
    FollowRule,
    ServerPolicy,
    Surrogate,
    ToolPolicy,
    ToolValidator,
)
from spec_mcp.engine.events import Mode
from spec_mcp.engine.policy import Settings

IDS = 4
"""Things of each family: few, so that calls meet."""

FAMILIES = ("ex", "mem", "out", "file", "root", "level")
"""Through us alone; process memory; changed by others too; the same with a validator; the client's roots; log level."""

OUT_TTL_S = 5.0
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what it does to the world, and what its manifest says of it."""

    name: str
    family: str
    policy: ToolPolicy | None
    writes: bool = False
    reach: str = "one"
    """`one` thing by `id`, `many` by `ids`, or `all` of the family."""
    quirk: str = ""
    notes: int = 0
    slow: bool = False


def _read(touches: str | None, **more: object) -> ToolPolicy:
    more = {"exclusive": "ttl_s" not in more, "open_world": False} | more
    return ToolPolicy(Effect.READ, None if touches is None else (touches,), **more)  # type: ignore[arg-type]


def _write(touches: str | None, settle_s: float = 0.0) -> ToolPolicy:
    return ToolPolicy(Effect.UNSAFE, None if touches is None else (touches,), open_world=False, settle_s=settle_s)


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("get_ex", "ex", _read("ex:{id}"), notes=2),
        Tool("list_ex", "ex", _read("ex:*"), reach="all"),
        Tool("many_ex", "ex", _read("ex:{ids}"), reach="many"),
        Tool("slow_ex", "ex", _read("ex:{id}"), slow=True, notes=1),
        Tool("again_ex", "ex", _read("ex:{id}", reuse_s=15.0)),
        Tool("odd_ex", "ex", _read("ex:{id}"), quirk="odd"),
        Tool("odd_ok", "ex", _read("ex:{id}", adopt_errors=True), quirk="odd"),
        Tool("get_mem", "mem", _read("mem:{id}")),
        Tool("get_root", "root", _read("root:0"), reach="all"),
        Tool("get_level", "level", _read("level:0"), reach="all"),
        Tool("get_out", "out", _read("out:{id}", ttl_s=OUT_TTL_S)),
        Tool("peek_out", "out", _read("out:{id}", ttl_s=OUT_TTL_S), slow=True),
        Tool("cat", "file", _read("file:{id}", ttl_s=30.0, fresh=FileValidator("{id}"))),
        Tool("versioned", "out", _read("out:{id}", ttl_s=30.0, fresh=ToolValidator("get_out", {"id": "arguments.id"}))),
        Tool("survey", "any", _read(None, ttl_s=OUT_TTL_S), reach="all"),
        Tool("ask_ex", "ex", _read("ex:{id}"), quirk="asks"),
        Tool("log_ex", "ex", _read("ex:{id}"), quirk="logs"),
        Tool("drift", "ex", _read("ex:{id}"), quirk="drifts"),
        Tool("tick_ex", "ex", _read("ex:{id}"), quirk="counts"),
        Tool(
            "fetch",
            "web",
            _read("web:{url}", ttl_s=60.0, open_world=True, hosts=("ok.com",), open_world_per_minute=3.0),
            reach="all",
            quirk="outside",
        ),
        Tool("put_ex", "ex", _write("ex:{id}"), writes=True),
        Tool("put_many", "ex", _write("ex:{ids}"), writes=True, reach="many"),
        Tool("put_mem", "mem", _write("mem:{id}"), writes=True),
        Tool("put_out", "out", _write("out:{id}"), writes=True),
        Tool("put_file", "file", _write("file:{id}"), writes=True),
        Tool("put_fails", "ex", _write("ex:{id}"), writes=True, quirk="fails"),
        Tool("put_slow", "ex", _write("ex:{id}"), writes=True, slow=True),
        Tool("put_late", "ex", _write("ex:{id}", SETTLE_S), writes=True, quirk="late"),
        Tool("put_task", "ex", _write("ex:{id}"), writes=True, quirk="task"),
        Tool("put_hang", "ex", _write("ex:{id}"), writes=True, quirk="hangs"),
        Tool("put_crash", "ex", _write("ex:{id}"), writes=True, quirk="crashes"),
        Tool("put_all", "ex", _write(None), writes=True, reach="all"),
        Tool("hidden", "ex", None, writes=True),
    )
}

THEMES: dict[str, tuple[str, ...]] = {
    "mixed": (),
    "order": ("slow_ex", "slow_ex", "slow_ex", "get_ex", "get_ex", "put_ex", "put_slow"),
    "restarts": ("get_mem", "get_mem", "get_ex", "list_ex", "list_ex", "put_crash", "put_slow", "put_slow"),
    "departures": ("slow_ex", "slow_ex", "slow_ex", "peek_out", "get_ex"),
    "outside": ("get_out", "get_out", "get_out", "peek_out", "get_ex", "again_ex"),
    "files": ("cat", "cat", "cat", "cat", "put_file"),
    "versions": ("versioned", "versioned", "versioned", "get_out", "put_out"),
    "late": ("get_ex", "get_ex", "get_ex", "list_ex", "many_ex", "put_late", "put_task", "put_slow"),
    "roots": ("get_root", "get_root", "get_root", "get_level", "get_ex", "get_out"),
    "definitions": ("drift", "drift", "get_ex", "put_ex"),
    "checks": ("get_ex", "get_ex", "slow_ex", "slow_ex", "cat", "versioned", "tick_ex", "put_ex", "put_ex", "put_file"),
    "many": ("get_ex", "get_ex", "get_ex", "slow_ex", "slow_ex", "get_out", "survey", "put_ex", "put_slow"),
    "overtaking": ("slow_ex", "slow_ex", "slow_ex", "slow_ex", "put_ex"),
    "revivals": ("list_ex", "list_ex", "list_ex", "get_ex", "put_crash", "put_slow"),
    "guesses": ("slow_ex", "slow_ex", "slow_ex", "peek_out", "get_ex", "again_ex", "put_ex"),
    "attached": ("get_out", "get_out", "peek_out", "get_ex", "slow_ex", "odd_ok", "cat", "survey", "put_ex", "put_out"),
}
"""What a world is about: the tools that its clients use most."""

ASKED_FOR = frozenset({"checks", "overtaking", "revivals", "guesses", "attached"})
"""Themes that no seed chooses by itself: they show one rule."""

SURROGATES = {
    "slow_ex": Surrogate("get_ex", {"id": "arguments.id"}, 3),
    "peek_out": Surrogate("put_out", {"id": "arguments.id"}, 2),
}
"""What guesses the answers of slow tools: a read, and a tool that must not be called for that."""

SLOW_FOLLOWERS = ("slow_ex", "get_ex")
"""What is said to come after a tool that has a surrogate."""

PER_CONNECTION = frozenset({"get_mem", "put_mem", "get_root", "get_level"})
"""Tools that speak of one process or of one client: not to be read over another connection."""

OWN = ("get_ex", "slow_ex", "again_ex", "odd_ex", "cat", "put_ex", "put_slow", "put_file", "put_fails")
"""Tools by which sessions that keep to their own things cannot meet."""

LOOSE_THEMES = frozenset(
    {
        "attached",
        "checks",
        "restarts",
        "roots",
        "departures",
        "outside",
        "late",
        "definitions",
        "overtaking",
        "revivals",
    }
)
"""Worlds that have more than one outcome even without speculation."""

UNTIMELY = frozenset({"put_late", "put_task", "put_hang", "put_crash", "get_root", "drift", "tick_ex"})
"""Tools whose effect depends on when they run."""

SECOND = ("get_ex", "slow_ex", "put_ex", "put_all", "hidden")
"""Tools of a second server, over the same things."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a client will make."""

    server: str
    tool: str
    arguments: Arguments
    meta: Arguments = field(default_factory=dict[str, object])  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client does at once, after it has thought; then it waits for all answers."""

    think_s: float
    calls: tuple[Call, ...]
    kind: str = "calls"
    """`calls`, `batch`, a request's method, or a notification's."""
    cancel_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """One client."""

    session: str
    principal: str
    turns: tuple[Turn, ...]
    leaves_after_s: float | None = None
    ways: dict[str, str] = field(default_factory=dict[str, str])
    """By server, the connection over which it calls; where none is named, that of the server's own name."""
    hasty: bool = False
    """It leaves while a slow write of its own is under way."""

    @property
    def knows_extras(self) -> bool:
        """May replies to it hold extra items?"""
        return sum(map(ord, self.session)) % 4 != 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole world."""

    seed: int
    exact: bool
    """Without speculation it has one outcome, which the run with speculation must equal."""
    policies: dict[str, ServerPolicy]
    manifest_late: bool
    scripts: tuple[Script, ...]
    settings: Settings
    mode: Mode
    mode_changes: tuple[tuple[float, Mode], ...]
    outside_every_s: float
    """How often somebody else changes something; 0: never."""
    announced: float
    """The share of these changes that the server tells of."""
    clock_jumps_at_s: float
    drifts_at_s: float
    faults: float
    """The share of speculations that go wrong in a way that calls do not."""
    deadly: float
    """The share of speculations under which the server dies."""
    rate_limits: float
    lies: float
    """The share of candidates that are wrong on purpose."""
    in_predictors_s: float
    in_validators_s: float
    big: bool
    """Results are megabytes."""
    spiteful: bool
    """A client leaves at the moment when another's call waits for what was speculated for it."""
    ends_when_left: bool = True
    """A process ends with its connection."""

    @property
    def connections(self) -> dict[str, str]:
        """The server at the end of each."""
        ways = {connection: server for script in self.scripts for server, connection in script.ways.items()}
        return ways or {server: server for server in self.policies}

    def way(self, session: str, server: str) -> str:
        """Over which connection a session calls a server."""
        script = next(script for script in self.scripts if script.session == session)
        return script.ways.get(server, server)

    def users(self, connection: str) -> list[str]:
        """The sessions whose calls travel over a connection."""
        return [script.session for script in self.scripts if connection in script.ways.values()]


def draw(seed: int, theme: str = "") -> Plan:
    """The world of a seed, about its own theme or a given one."""
    random = Random(seed)
    own = random.choice([name for name in THEMES if name not in ASKED_FOR])
    theme = theme or own
    if theme == "many":
        return _draw_many(random, seed)
    exact = theme not in LOOSE_THEMES and random.random() < 0.6
    calm = random.random() < 0.4
    concurrent = theme == "departures" or random.random() < 0.55
    policies = {"s": _policy(random, "s", [name for name in TOOLS if name != "hidden"], concurrent)}
    if theme == "guesses" or seed % 2:
        policies["s"] = _with_surrogates(policies["s"])
    if random.random() < 0.3:
        policies["t"] = _policy(random, "t", [name for name in SECOND if name != "hidden"], concurrent)
    pool = _pool(random, theme, exact, "t" in policies)
    temper = Temper(exact, exact and (concurrent or "t" in policies), theme, random.choice([0.05, 0.05, 0.3]))
    leaving = 0.0 if exact else 0.8 if theme == "departures" else 0.2
    crowded = theme in ("restarts", "departures", "late", "roots", "revivals")
    clients = 1 if exact or random.random() < (0.2 if crowded else 0.6) else 2
    strangers = random.random() < (0.1 if crowded else 0.3)
    turns = [tuple(_turn(random, pool, temper) for _ in range(random.randint(8, 18))) for _ in range(clients)]
    if clients == 2 and random.random() < (0.9 if theme == "departures" else 0.5):  # twins guess for each other
        turns[1] = turns[0]
    scripts = tuple(
        Script(
            f"client-{number}",
            f"p{number}" if strangers else "p",
            turns[number],
            random.uniform(2.0, 25.0) if number == 0 and random.random() < leaving else None,
        )
        for number in range(clients)
    )
    return Plan(
        seed,
        exact,
        policies,
        random.random() < 0.1,
        scripts,
        Settings(
            0.0005,
            random.choice([2, 4, 8]),
            random.choice([1, 3, 4]),
            random.choice([2, 4, 8]),
            join=random.random() < 0.9,
            check_every=_check_every(seed, theme),
            attach=_attaches(seed, theme),
        ),
        Mode.SHADOW if random.random() < (0.3 if theme == "checks" else 0.08) else Mode.ON,
        _mode_changes(random) if random.random() < 0.1 else (),
        0.0 if exact or random.random() < 0.2 else random.choice([0.3, 1.0, 4.0]),
        random.choice([0.1, 0.8]),
        random.uniform(3.0, 20.0) if random.random() < (0.5 if theme == "outside" else 0.05) else 0.0,
        random.uniform(5.0, 15.0) if theme == "definitions" or (not exact and random.random() < 0.1) else 0.0,
        0.0 if calm else 0.15,
        0.0 if calm or exact else random.choice([0.0, 0.02]),
        0.0 if calm else random.choice([0.0, 0.0, 0.02]),
        random.choice([0.0, 0.2, 0.7]),
        random.choice([0.0, 0.0, 0.0, 0.01, 0.3]),
        random.choice([0.0, 0.0, 0.01, 0.3]),
        random.random() < 0.1,
        theme == "departures" and random.random() < 0.5,
    )


def _check_every(seed: int, theme: str) -> int:
    return (1, 1, 4)[seed % 3] if theme == "checks" else (0, 0, 0, 1, 4)[seed % 5]


def _attaches(seed: int, theme: str) -> bool:
    return theme == "attached" or seed % 4 == 1


def _draw_many(random: Random, seed: int) -> Plan:
    """Several sessions, with connections of their own and with shared ones, to one server or two."""
    exact, calm = random.random() < 0.4, random.random() < 0.4
    concurrent = random.random() < 0.7
    names = [name for name in TOOLS if name not in PER_CONNECTION and name != "hidden"]
    usable = {*names, *SECOND}
    policies = {"s": _policy(random, "s", names, concurrent)}
    if random.random() < 0.5:
        policies["t"] = _policy(random, "t", [name for name in SECOND if name != "hidden"], concurrent)
    pool = [(server, name) for server, name in _pool(random, "many", exact, "t" in policies) if name in usable]
    if exact:
        pool = [(server, name) for server, name in pool if name in OWN] or [("s", "get_ex")]
    temper = Temper(exact, True, "many", 0.05)
    strangers = random.random() < 0.5
    scripts: list[Script] = []
    for number in range(random.randint(2, 4)):
        own = range(number, number + 1) if exact else range(IDS)
        turns = tuple(_within(_turn(random, pool, temper), own) for _ in range(random.randint(6, 14)))
        if not exact and scripts and random.random() < 0.3:  # twins
            turns = scripts[0].turns
        session = f"client-{number}"
        leaves = random.uniform(1.0, 20.0) if not exact and random.random() < 0.4 else None
        principal = f"p{number}" if strangers else "p"
        hasty = not exact and random.random() < 0.3
        scripts.append(Script(session, principal, turns, leaves, _ways(random, session, policies), hasty))
    return Plan(
        seed,
        exact,
        policies,
        random.random() < 0.15,
        tuple(scripts),
        Settings(
            0.0005,
            random.choice([2, 4, 8]),
            random.choice([1, 3]),
            random.choice([2, 4, 8]),
            check_every=_check_every(seed, "many"),
            attach=_attaches(seed, "many"),
        ),
        Mode.SHADOW if random.random() < 0.05 else Mode.ON,
        (),
        0.0 if exact or random.random() < 0.5 else random.choice([1.0, 4.0]),
        random.choice([0.1, 0.8]),
        0.0,
        0.0 if exact or random.random() < 0.8 else random.uniform(3.0, 10.0),
        0.0 if calm else 0.1,
        0.0 if calm or exact else random.choice([0.0, 0.02]),
        0.0 if calm else random.choice([0.0, 0.0, 0.01]),
        random.choice([0.0, 0.2]),
        random.choice([0.0, 0.0, 0.01, 0.3]),
        random.choice([0.0, 0.0, 0.01, 0.3]),
        random.random() < 0.1,
        False,
        random.random() < 0.5,
    )


def _ways(random: Random, session: str, policies: Mapping[str, ServerPolicy]) -> dict[str, str]:
    """Its own connections, shared ones, or one of a few."""
    kinds = {
        "own": lambda server: f"{server}#{session}",
        "shared": lambda server: f"{server}#shared",
        "pool": lambda server: f"{server}#{random.randrange(2)}",
    }
    return {server: kinds[random.choice([*kinds])](server) for server in policies}


def _within(turn: Turn, own: range) -> Turn:
    """The same turn, about these things alone."""
    if len(own) == IDS:
        return turn
    calls = turn.calls or (Call("s", "get_ex", {"id": 0}),)  # what other requests look at is not its own
    kind = turn.kind if turn.calls else "calls"
    return replace(turn, kind=kind, calls=tuple(replace(call, arguments=_among(call.arguments, own)) for call in calls))


def _among(arguments: Arguments, own: range) -> Arguments:
    identity = arguments.get("id")
    if identity is None:
        return arguments
    number = own[int(float(str(identity))) % len(own)]
    return arguments | {"id": type(identity)(number)}  # type: ignore[call-arg]


def _mode_changes(random: Random) -> tuple[tuple[float, Mode], ...]:
    return tuple((random.uniform(0.0, 20.0), random.choice([*Mode])) for _ in range(3))


def _policy(random: Random, server: str, tools: list[str], concurrent: bool) -> ServerPolicy:
    named = {name: policy for name in tools if (policy := TOOLS[name].policy) is not None}
    cancel = random.random() < 0.5
    rate_per_minute = random.choice([0.0, 0.0, 0.0, 0.0, 5.0, 12.0])
    unknown = not concurrent and random.random() < 0.5
    says = None if unknown else concurrent
    return ServerPolicy(server, named, concurrent=says, cancel=cancel, rate_per_minute=rate_per_minute)


def _with_surrogates(policy: ServerPolicy) -> ServerPolicy:
    tools = dict(policy.tools)
    follow = tuple(FollowRule(name, {"id": "arguments.id"}, 0.9) for name in SLOW_FOLLOWERS)
    for name, surrogate in SURROGATES.items():
        tools[name] = replace(tools[name], surrogate=surrogate, followed_by=follow)
    return replace(policy, tools=tools)


@dataclass(frozen=True, slots=True)
class Temper:
    """What the turns of a world's clients are like."""

    exact: bool
    simple: bool
    """Calls that are made at once must not meet: nothing here decides which comes first."""
    theme: str
    impatience: float


def _pool(random: Random, theme: str, exact: bool, second: bool) -> list[tuple[str, str]]:
    """The tools that this world's clients use, by server; a few, so that calls repeat."""
    names = [name for name in TOOLS if not (exact and name in UNTIMELY) and (theme == "checks" or name != "tick_ex")]
    chatty = random.random() < 0.15
    reads = [name for name in names if not TOOLS[name].writes and (chatty or TOOLS[name].quirk not in ("asks", "logs"))]
    writes = [name for name in names if TOOLS[name].writes]
    chosen = [("s", name) for name in THEMES[theme] if name in names] * 2
    chosen += [("s", name) for name in random.sample(reads, random.randint(2, 5)) * (1 if chosen else 4)]
    chosen += [("s", name) for name in random.sample(writes, random.randint(0, 2))]
    if second:
        chosen += [("t", name) for name in SECOND]
    return chosen


def _turn(random: Random, pool: list[tuple[str, str]], temper: Temper) -> Turn:
    think_s = random.choice([0.5, 2.0, 4.0, 7.0] if temper.theme == "outside" else [0.0, 0.3, 0.6, 1.0, 2.0, 4.0])
    draw = random.random()
    if draw < (0.3 if temper.theme == "roots" else 0.05):
        kinds = ["resources/read", "logging/setLevel"] + ([] if temper.exact else ["notifications/roots/list_changed"])
        return Turn(think_s, (), random.choice(kinds))
    calls = [_call(random, *random.choice(pool)) for _ in range(random.choice([1, 1, 1, 2, 3]))]
    if temper.theme == "overtaking" and calls[-1].tool == "slow_ex" and random.random() < 0.4:  # and a write behind it
        calls.append(Call(calls[-1].server, "put_ex", calls[-1].arguments))
    if temper.simple and any(TOOLS[call.tool].writes for call in calls):
        calls = calls[:1]
    if random.random() < 0.08:
        return Turn(think_s, tuple(call for call in calls if call.server == calls[0].server), "batch")
    patient = temper.simple and any(TOOLS[call.tool].writes for call in calls)
    cancelled = not patient and random.random() < temper.impatience
    return Turn(think_s, tuple(calls), "calls", random.choice([0.0, 0.05, 0.5, 1.5]) if cancelled else None)


def _call(random: Random, server: str, tool: str) -> Call:
    return Call(server, tool, arguments_for(random, TOOLS[tool]), {"locale": "de"} if random.random() < 0.1 else {})


def arguments_for(random: Random, tool: Tool) -> Arguments:
    """Arguments as a client would make them."""
    if tool.quirk == "outside":
        return {"url": f"https://ok.com/{random.randrange(IDS)}"}
    if tool.reach == "many":
        return {"ids": [random.randrange(IDS) for _ in range(random.randint(1, 2))]}
    if tool.reach == "all":
        return {}
    identity = random.randrange(IDS)
    return {"id": random.choice([identity] * 8 + [float(identity), str(identity)])}
