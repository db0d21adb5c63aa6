"""All tools of a manifest, many tries, several fresh servers.

The first tries of each round meet the state as it was made; then calls with the same and with overlapping arguments
are made for good in between, so that later tries meet what is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import Effect, ServerPolicy
from spec_mcp.manifest.evaluate import result_of
from spec_mcp.manifest.fingerprint import fingerprints
from spec_mcp.manifest.load import Manifest
from spec_mcp.manifest.proof import involved
from spec_mcp.manifest.verifying.generate import Generator, Pool
from spec_mcp.manifest.verifying.observe import looks_at, reads_of
from spec_mcp.manifest.verifying.scratch import Answer, Bench, Call, Server, ServerLost, Start
from spec_mcp.manifest.verifying.shrink import blamed, shrink
from spec_mcp.manifest.verifying.trials import Fault, Trial, attempt

TRIES_PER_ROUND = 8
"""Of each tool, on one server: the state grows with them, and then the next round begins anew."""

EFFECTIVE_MIN = 3
"""So many tries must have changed something for a proof; one that never did anything proves nothing."""

LOOKS_AROUND = 3
"""Calls of each read before the first try: what one shows is what the next is asked for."""

GUESSES = 6
"""Calls made in one try, until one is neither ruled out by `unless` nor without effect."""

_SAME_SHARE, _OVERLAP_SHARE, _OTHER_SHARE = 0.25, 0.25, 0.4
"""How often a call is made for good before a try: the same one, one like it, and first one of any writing tool."""

Progress = Callable[[str, int, int], None]
"""Told the tool, the tries that were made, and all that there will be."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried, and with what."""

    runs: int
    """Tries of each tool."""
    seed: int
    recorded: Mapping[str, Sequence[Arguments]] = field(default_factory=dict[str, Sequence[Arguments]])
    """By tool, arguments of recorded calls."""
    values: Mapping[str, Sequence[Json]] = field(default_factory=dict[str, Sequence[Json]])
    """By argument, all values that it may have."""
    writes: Sequence[str] = ()
    """Unsafe tools that may be called."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one tool."""

    tool: str
    effect: Effect
    state: str
    """`holds`, `disproved` or `untried`; never `holds` where nothing happened."""
    tries: int = 0
    effective: int = 0
    reason: str = ""
    """Why it was not tried."""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a manifest."""

    verdicts: tuple[Verdict, ...]
    fingerprints: Mapping[str, str]
    """Of the tools that the server has."""


def verify(manifest: Manifest, start: Start, plan: Plan, progress: Progress | None = None) -> Found:
    """Try every read and every reversible tool of a manifest.

    Raises:
        ServerLost: the server ended or fell silent under a call.
    """
    return _Verification(manifest, start, plan, progress).run()


@dataclass(slots=True)
class _Tally:
    tries: int = 0
    effective: int = 0
    fault: Fault | None = None
    unwitnessed: str = ""
    """A read that it needs, and that does not hold."""

    @property
    def is_open(self) -> bool:
        return self.fault is None and not self.unwitnessed


class _Verification:
    def __init__(self, manifest: Manifest, start: Start, plan: Plan, progress: Progress | None) -> None:
        self._policy: ServerPolicy = manifest.policy
        self._form = manifest.form
        self._start = start
        self._plan = plan
        self._progress = progress
        self._random = Random(plan.seed)
        self._pool = Pool(plan.values)
        for calls in plan.recorded.values():
            for arguments in calls:
                self._pool.learn(dict(arguments))
        self._pool.learn({name: list(values) for name, values in plan.values.items()})
        self._tallies: dict[str, _Tally] = {}
        self._reads: list[str] = []
        self._writers: list[str] = []

    def run(self) -> Found:
        with self._start() as server:
            there = fingerprints(list(server.tools))
            self._look_around(server, frozenset(there))
        untried = {name: why for name in self._policy.tools if (why := self._why_not(name, there))}
        self._reads = [name for name in reads_of(self._policy, frozenset(there)) if name not in untried]
        self._tallies = {name: _Tally() for name in self._policy.tools if name not in untried}
        undos = {tool.undo.tool for name, tool in self._policy.tools.items() if tool.undo and name not in untried}
        reversible = [name for name in self._tallies if self._policy.tool(name).effect is Effect.REVERSIBLE]
        self._writers = sorted({*reversible, *undos, *(name for name in self._plan.writes if name in there)})
        left = self._plan.runs
        while left > 0 and any(tally.is_open for tally in self._tallies.values()):
            left -= self._round(min(left, TRIES_PER_ROUND))
        return Found(tuple(self._verdict(name, untried.get(name, "")) for name in self._shown(untried)), there)

    def _look_around(self, server: Server, there: frozenset[str]) -> None:
        """See what values there are, on a server that is not used for tries: a first look may change something too."""
        generator = Generator(server.tools, self._pool, self._plan.recorded, self._random)
        for _ in range(LOOKS_AROUND):
            for read in reads_of(self._policy, there):
                self._learn(server.call(read, generator.arguments(read)))

    def _shown(self, untried: Mapping[str, str]) -> list[str]:
        """The tools that a verdict is given on: those that may be speculated, and those that were caught."""
        return [
            name
            for name, tool in self._policy.tools.items()
            if tool.effect is not Effect.UNSAFE or (name in self._tallies and self._tallies[name].fault is not None)
        ]

    def _why_not(self, name: str, there: Mapping[str, str]) -> str:
        """Why a tool cannot be tried; empty where it can."""
        tool, form = self._policy.tool(name), self._form.tools[name]
        if tool.effect is Effect.UNSAFE and name not in self._plan.writes:
            return "it is unsafe, and not called"
        if tool.open_world:
            return "it reaches outside: open_world is not false"
        if tool.lossy:
            return "it is lossy: there is no undo to prove"
        for other in involved(form, name):
            if other not in there:
                return f"the server has no tool {other}"
            listed = self._form.tools.get(other)
            if listed is None:
                return f"{other} is not listed, so its definition cannot be pinned"
            if listed.fingerprint is not None and listed.fingerprint != there[other]:
                return f"the definition of {other} changed since it was reviewed: `spec-mcp manifest lock` pins it"
            if self._policy.tool(other).open_world:
                return f"{other} reaches outside: open_world is not false"
        return ""

    def _round(self, tries: int) -> int:
        """Some tries of each tool on one fresh server, and how many; a fault ends them, as it leaves a state behind."""
        names = list(self._tallies)
        self._random.shuffle(names)  # what only the first read of all changes is seen when another one comes first
        with self._start() as server:
            generator = Generator(server.tools, self._pool, self._plan.recorded, self._random)
            bench = Bench(server, frozenset(self._reads), self._learn)
            for attempted in range(tries):
                for name in names:
                    tally = self._tallies[name]
                    if not tally.is_open:
                        continue
                    trial = self._try(bench, generator, name, fresh=attempted == 0)
                    tally.tries += 1
                    tally.effective += trial.effective
                    self._tell(name)
                    if trial.fault is not None:
                        self._caught(trial.fault)
                        return attempted
        return tries

    def _learn(self, answer: Answer) -> None:
        if not answer.is_error:
            self._pool.learn(result_of(answer.result))

    def _try(self, bench: Bench, generator: Generator, name: str, *, fresh: bool) -> Trial:
        trial = Trial()
        writes = name not in self._reads
        for _ in range(GUESSES):
            if not fresh and self._writers and self._random.random() < _OTHER_SHARE:
                other = self._random.choice(self._writers)
                self._keep(bench, generator, Call(other, generator.arguments(other)))
            call = Call(name, generator.arguments(name))
            if writes and not fresh:
                call = self._meet_again(bench, generator, call)
            trial = attempt(bench, self._policy, call, looks_at(self._reads, call, generator))
            if trial.effective or trial.fault is not None:
                break
        return trial

    def _meet_again(self, bench: Bench, generator: Generator, call: Call) -> Call:
        """Sometimes make the call for good, or one like it, so that the try meets what is there already."""
        chance = self._random.random()
        if chance < _SAME_SHARE:
            self._keep(bench, generator, call)
        elif chance < _SAME_SHARE + _OVERLAP_SHARE:
            self._keep(bench, generator, call)
            return Call(call.tool, generator.overlapping(call.tool, call.arguments))
        return call

    def _keep(self, bench: Bench, generator: Generator, call: Call) -> None:
        """Make a call for good."""
        bench.call(call)
        generator.learn(call.tool, call.arguments)

    def _caught(self, fault: Fault) -> None:
        """Note who is at fault. A read that does not hold is no witness any more."""
        small = shrink(fault, self._replay)
        small = blamed(small, self._reads, self._replay)
        self._tallies[small.tool].fault = small
        if small.tool in self._reads:
            self._reads.remove(small.tool)
            for name, tally in self._tallies.items():
                if small.tool in involved(self._form.tools[name], name) and name != small.tool:
                    tally.unwitnessed = small.tool

    def _replay(self, fault: Fault) -> Fault | None:
        """A counter-example on a fresh server."""
        try:
            with self._start() as server:
                bench = Bench(server, frozenset(self._reads), _forget)
                for call in fault.setup:
                    bench.call(call)
                return attempt(bench, self._policy, fault.call, fault.looks).fault
        except ServerLost:
            return None

    def _tell(self, name: str) -> None:
        if self._progress is not None:
            done = sum(
                self._plan.runs if its.fault else min(its.tries, self._plan.runs) for its in self._tallies.values()
            )
            self._progress(name, done, self._plan.runs * len(self._tallies))

    def _verdict(self, name: str, why_not: str) -> Verdict:
        effect = self._policy.tool(name).effect
        if why_not:
            return Verdict(name, effect, "untried", reason=why_not)
        tally = self._tallies[name]
        verdict = Verdict(name, effect, "holds", tally.tries, tally.effective, fault=tally.fault)
        if tally.fault is not None:
            return replace(verdict, state="disproved")
        if tally.unwitnessed:
            return replace(verdict, state="untried", reason=f"it needs {tally.unwitnessed}, which is no read")
        needed = min(EFFECTIVE_MIN, self._plan.runs) if effect is Effect.REVERSIBLE else 1
        if tally.effective < needed:
            reason = f"{tried_text(verdict)}, {needed} are needed: [verify] values may help"
            return replace(verdict, state="untried", reason=reason)
        return verdict


def tried_text(verdict: Verdict) -> str:
    """How much a verdict stands on."""
    what = "changed something" if verdict.effect is Effect.REVERSIBLE else "got an answer that is no error"
    return f"{verdict.effective} of {verdict.tries} tries {what}"


def _forget(answer: Answer) -> None:
    """Nothing is learned from what was tried before."""
    del answer
