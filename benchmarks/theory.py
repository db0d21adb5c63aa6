"""Algorithm 1 through the real engine in virtual time, beside the paper's Proposition 1 and the exact expectation.

A client makes T calls one after the other, each as soon as the one before it is answered; `act` takes Exp(beta), and
its surrogate guesses the answer after Exp(alpha). Times are relative to the same calls without speculation, in
expectation. What is launched, joined, discarded and answered is decided by the engine; nothing here knows how.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import Arguments, CallKey, canonical_arguments
from spec_mcp.engine.effects import Effect, FollowRule, ServerPolicy, Surrogate, ToolPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import SAMPLES_KEPT
from spec_mcp.replay import plots
from spec_mcp.replay.theory import Setting, as_stated, bound, one_step, proposition_1

SERVER, CLIENT = "s", "c"
UNIT_S = 0.02
"""Seconds of one 1/beta: so short that the engine's least patience with a joined call outlasts any."""

NO_COST = 1e-9
SPREAD = 0.6
"""Where some answers are easier to guess than others: p is so much larger or smaller, by turns of chance."""

GRID = [(p, ratio, calls) for calls in (2, 10, 30) for p in (0.3, 0.6, 0.9) for ratio in (2.0, 10.0)]
QUICK = [(0.3, 2.0, 10), (0.9, 2.0, 10), (0.9, 10.0, 10)]
BREADTHS = [
    ("1, always", 1, NO_COST),
    ("3, always", 3, NO_COST),
    ("up to 3, a wasted call worth 0.02 / beta", 3, 0.02),
    ("up to 3, a wasted call worth 0.1 / beta", 3, 0.1),
]
"""How many guesses are followed, and what a wasted call is worth, in units of 1/beta."""
BEYOND = [(depth, k) for depth in (1, 2, 3) for k in (1, 3)]

ACT = ToolPolicy(
    Effect.READ,
    (),
    exclusive=True,
    open_world=False,
    surrogate=Surrogate("guess", {"at": "arguments.at"}, 16),
    followed_by=(FollowRule("act", {"at": "result.at"}, 0.9),),
)
POLICY = ServerPolicy(
    SERVER,
    {"act": ACT, "guess": ToolPolicy(Effect.READ, (), exclusive=True, open_world=False)},
    concurrent=True,
    cancel=True,
)


class Run:
    """One run of T calls. A state is a text: the right one of step n is `n`, any other one is wrong for ever."""

    def __init__(
        self,
        setting: Setting,
        random: Random,
        depth: int,
        k: int,
        literal: bool = False,
        cost: float = NO_COST,
        spread: float = 0.0,
    ) -> None:
        self.setting, self.random, self.k, self.literal, self.spread = setting, random, k, literal, spread
        self.engine = Engine(Settings(cost * UNIT_S, 16, depth, 1024), {SERVER: POLICY})
        self.easy: dict[str, bool] = {}
        self.launched = 0
        self.now_s = 0.0
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        self.step = 0
        self.guesses: dict[int, tuple[str, tuple[str, ...]]] = {}
        """By speculation of the surrogate, the state that it was asked about and what it says follows."""
        for part in range(SAMPLES_KEPT):
            self.engine.world.timing.took(SERVER, "act", UNIT_S * 2 * (part + 1) / SAMPLES_KEPT)
            share = setting.beta / setting.alpha
            self.engine.world.timing.took(SERVER, "guess", share * UNIT_S * 2 * (part + 1) / SAMPLES_KEPT)

    def time(self) -> float:
        """How long all calls take, in units of 1/beta."""
        self.tell(events.Connected(SERVER, 1))
        self.tell(events.ToolsListed(SERVER, {"act": "", "guess": ""}))
        self.call()
        while self.agenda and self.step < self.setting.calls:
            self.now_s, _, action = heapq.heappop(self.agenda)
            action()
        return self.now_s / UNIT_S

    def key(self, at: str) -> CallKey:
        return CallKey(SERVER, 1, "", "act", "me", canonical_arguments({"at": at}, {}), "{}")

    def call(self) -> None:
        at = str(self.step)
        self.tell(events.CallArrived(self.step, CLIENT, SERVER, "act", {"at": at}, self.key(at)))

    def answered(self) -> None:
        self.step += 1
        if self.step < self.setting.calls:
            self.after(0.0, self.call)

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (self.now_s + delay_s, next(self.order), action))

    def tell(self, event: events.Event) -> None:
        for command in self.engine.handle(event, self.now_s):
            self.carry_out(command)

    def carry_out(self, command: do.Command) -> None:
        match command:
            case do.Invoke(call=call):
                self.after(self.latency_s("act"), lambda: self.returned(call))
            case do.Reply():
                self.answered()
            case do.Launch(speculation=number, tool=tool, arguments=arguments):
                at = str(arguments["at"])
                self.launched += tool == "act"
                if tool == "guess":
                    self.guesses[number] = (at, self.guess(at))
                self.after(self.latency_s(tool), lambda: self.speculated(number, tool, at))
            case do.BindSurrogate(arguments=arguments, key=key):
                if not self.literal or self.runs_for_real(key):
                    bound_ = events.SurrogateBound(CLIENT, key, dict(arguments))
                    self.after(0.0, lambda: self.tell(bound_))
            case do.Predict(lineage=lineage) if lineage:
                self.after(0.0, lambda: self.predict(command))
            case _:
                pass

    def runs_for_real(self, key: CallKey) -> bool:
        """Algorithm 1 asks the speculator of calls that are made for real, and of no speculation."""
        return any(call.key == key and call.invoked for call in self.engine.world.calls.of(CLIENT))

    def latency_s(self, tool: str) -> float:
        rate = self.setting.beta if tool == "act" else self.setting.alpha
        return self.random.expovariate(1.0) * UNIT_S * self.setting.beta / rate

    def returned(self, call: int) -> None:
        self.answered()
        self.tell(events.CallReturned(call, events.Outcome(events.Answer.RESULT, 1)))
        self.judge(str(call))

    def speculated(self, number: int, tool: str, at: str) -> None:
        self.tell(events.SpeculationReturned(number, events.Outcome(events.Answer.RESULT, 1)))
        if tool == "act":
            self.judge(at)

    def judge(self, at: str) -> None:
        """It is known what follows from a state."""
        for number in [number for number, (about, _) in self.guesses.items() if about == at]:
            _, said = self.guesses.pop(number)
            right = tuple(rank for rank, guessed in enumerate(said) if guessed == follower(at))
            self.tell(events.GuessesJudged(CLIENT, number, SERVER, "act", right))

    def guess(self, at: str) -> tuple[str, ...]:
        """k guesses, each right with what is left of p: the first with p, the next of the rest."""
        said = [f"{at}?{number}" for number in range(self.k)]
        for number in range(self.k):
            if self.random.random() < self.p_of(at):
                said[number] = follower(at)
                break
        return tuple(said)

    def predict(self, command: do.Predict) -> None:
        last = command.lineage[-1]
        if isinstance(last, events.Guess):
            about, said = self.guesses.get(last.surrogate, ("", ()))
            p = self.p_of(about)
            found = [self.candidate({"at": at}, number, p) for number, at in enumerate(said)]
            self.tell(events.Predicted(CLIENT, command.step, command.lineage, tuple(found)))

    def p_of(self, at: str) -> float:
        """How easy the answer from this state is to guess: the speculator knows, and says so."""
        if not self.spread:
            return self.setting.p
        is_easy = self.easy.setdefault(at, self.random.random() < 0.5)
        return min(1.0, self.setting.p * (1.0 + (self.spread if is_easy else -self.spread)))

    def candidate(self, arguments: Arguments, rank: int, p: float) -> events.Candidate:
        q = p * (1.0 - p) ** rank
        return events.Candidate(SERVER, "act", arguments, max(q, 0.01), "theory", guesses=(rank,))


def follower(at: str) -> str:
    """The state that really follows."""
    return str(int(at) + 1) if at.isdigit() else f"{at}!"


def simulate(
    setting: Setting, runs: int, seed: int, depth: int = 1, k: int = 1, *, literal: bool = False
) -> tuple[float, float]:
    """The mean ratio to the time without speculation, and its standard error.

    `literal`: the speculator is asked of calls that are made for real alone, as Algorithm 1 says.
    """
    random = Random(seed)
    sequential = setting.sequential * setting.beta
    ratios = [Run(setting, random, depth, k, literal).time() / sequential for _ in range(runs)]
    return fmean(ratios), stdev(ratios) / runs**0.5


def simulate_breadth(setting: Setting, runs: int, seed: int, k: int, cost: float) -> tuple[float, float, float]:
    """The mean ratio where some answers are easier to guess than others, its standard error, and how many calls were
    made ahead for each that the client made."""
    random = Random(seed)
    done: list[tuple[float, int]] = []
    for _ in range(runs):
        run = Run(setting, random, 3, k, cost=cost, spread=SPREAD)
        done.append((run.time() / (setting.sequential * setting.beta), run.launched))
    ratios = [ratio for ratio, _ in done]
    return fmean(ratios), stdev(ratios) / runs**0.5, fmean(launched for _, launched in done) / setting.calls


def compare(quick: bool, seed: int) -> dict[str, Any]:
    """The grid, and what goes beyond the algorithm."""
    runs = 150 if quick else 200
    rows: list[dict[str, Any]] = []
    for p, ratio, calls in QUICK if quick else GRID:
        setting = Setting(p, ratio, 1.0, calls)
        literal, one = simulate(setting, runs, seed, literal=True), simulate(setting, runs, seed)
        rows.append(
            {
                "p": p,
                "alpha_over_beta": ratio,
                "calls": calls,
                "proposition_1": proposition_1(setting),
                "as_stated": as_stated(setting),
                "as_stated_simulated": literal[0],
                "as_stated_error": literal[1],
                "one_step": one_step(setting),
                "one_step_simulated": one[0],
                "one_step_error": one[1],
            }
        )
    setting, beyond = Setting(0.6, 10.0, 1.0, 10), list[dict[str, Any]]()
    for depth, k in BEYOND:
        mean, error = simulate(setting, max(50, runs // 3), seed, depth, k)
        beyond.append({"depth": depth, "k": k, "simulated": mean, "error": error})
    breadth: list[dict[str, Any]] = []
    for name, k, cost in BREADTHS:
        mean, error, launched = simulate_breadth(setting, max(50, runs // 3), seed, k, cost)
        breadth.append({"breadth": name, "simulated": mean, "error": error, "launched_per_call": launched})
    return {
        "seed": seed,
        "runs": runs,
        "rows": rows,
        "beyond": beyond,
        "breadth": breadth,
        "bound": bound(setting),
    }


def table(found: dict[str, Any]) -> str:
    """What was found, as Markdown."""
    lines = [
        "| p | alpha/beta | T | Proposition 1 | as stated, exact | simulated | joins too, exact | simulated |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        literal = f"{row['as_stated_simulated']:.3f} ± {row['as_stated_error']:.3f}"
        one = f"{row['one_step_simulated']:.3f} ± {row['one_step_error']:.3f}"
        lines.append(
            f"| {row['p']} | {row['alpha_over_beta']:g} | {row['calls']} | {row['proposition_1']:.3f} | "
            f"{row['as_stated']:.3f} | {literal} | {row['one_step']:.3f} | {one} |"
        )
    lines += ["", "| depth | guesses | simulated (p = 0.6, alpha/beta = 10, T = 10) |", "| --- | --- | --- |"]
    for row in found["beyond"]:
        lines.append(f"| {row['depth']} | {row['k']} | {row['simulated']:.3f} ± {row['error']:.3f} |")
    lines += ["", "| breadth (depth 3, p = 0.24 or 0.96) | simulated | calls made ahead, for each made |"]
    lines.append("| --- | --- | --- |")
    for row in found["breadth"]:
        told = f"{row['simulated']:.3f} ± {row['error']:.3f} | {row['launched_per_call']:.1f}"
        lines.append(f"| {row['breadth']} | {told} |")
    return "\n".join([*lines, "", f"No depth and no breadth goes below {found['bound']:.3f}."])


def paint(found: dict[str, Any]) -> Callable[[Any], None]:
    """Depth and breadth against the bound."""

    def paint_on(axes: Any) -> None:
        for k, colour in ((1, plots.BLUE), (3, plots.ORANGE)):
            rows = [row for row in found["beyond"] if row["k"] == k]
            across, up = [row["depth"] for row in rows], [row["simulated"] for row in rows]
            errors = [2 * row["error"] for row in rows]
            axes.errorbar(across, up, yerr=errors, fmt="o-", color=colour, capsize=3, label=f"{k} guesses of an answer")
        axes.axhline(found["bound"], color=plots.GREY, linestyle="--", label="what lead cannot hide")
        axes.set_ylim(0, 1)
        axes.set_xlabel("depth")
        axes.set_ylabel("time, of that without speculation")
        plots.titled(
            axes, "Depth and breadth against the bound", "p = 0.6, alpha/beta = 10, T = 10; two standard errors"
        )
        axes.legend(fontsize=9)

    return paint_on


def main(arguments: list[str] | None = None) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.theory", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args(arguments)
    if given.plot is not None:
        plots.check(given.plot)
    found = compare(given.quick, given.seed)
    print(json.dumps(found) if given.json else table(found))
    if given.plot is not None:
        plots.draw(given.plot, paint(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
