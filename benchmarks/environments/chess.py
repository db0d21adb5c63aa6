"""`spec-mcp bench chess`: two players think in turn, and while one thinks the other begins on the guessed moves.

The paper's first environment. Both players are one engine that looks at a fixed number of positions and answers after
a fixed time at the earliest, as a model does that reasons for a while on other people's machines. What is guessed is
said by a shallow look of the same engine, by the manifest's `surrogate`; so accuracy is that of a good guesser, not of
a model that is told to reason little.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import tomlkit

from benchmarks.environments.repeating import differences, interleaved, saved_shares
from benchmarks.environments.reporting import Report, Row, as_command, spread
from benchmarks.environments.running import DIRECT, ROOT, Agent, AgentSession, Arm, Environment, Run, run_arm
from spec_mcp.cli.text import count
from spec_mcp.replay import plots

MANIFEST = ROOT / "manifests" / "chess.toml"
WIDTHS = (1, 3, 5)
OURS_FROM = 0.25
"""At least this much of the time is to be saved with three guesses."""

PAPER_SAVED, PAPER_ACCURACY, PAPER_SAYS = 0.195, 0.373, "k = 3, 30 steps, models as players"

HALF_MOVES, GAMES, REPETITIONS = 30, 5, 3
NODES = 60_000
"""A tenth or two of a second on one core: five guesses and a look fit beside each other into the time of one answer."""
MIN_S = 1.0

OPENINGS = tuple(
    line.split()
    for line in (
        "e2e4 e7e5 g1f3 b8c6",
        "e2e4 c7c5 g1f3 d7d6",
        "e2e4 e7e6 d2d4 d7d5",
        "e2e4 c7c6 d2d4 d7d5",
        "e2e4 d7d5 e4d5 d8d5",
        "d2d4 d7d5 c2c4 e7e6",
        "d2d4 g8f6 c2c4 g7g6",
        "d2d4 g8f6 c2c4 e7e6",
        "d2d4 f7f5 g2g3 g8f6",
        "c2c4 e7e5 b1c3 g8f6",
        "g1f3 d7d5 g2g3 c7c5",
        "b2b3 e7e5 c1b2 b8c6",
    )
)


def player(opening: Sequence[str], half_moves: int, nodes: int, min_s: float) -> Agent:
    """Plays both sides of one game from an opening."""

    async def play(session: AgentSession) -> None:
        moves = list(opening)
        game = (await session.call("new_game", moves=[*moves])).data["game"]
        for _ in range(half_moves):
            thought = await session.call("think", moves=[*moves], nodes=nodes, min_seconds=min_s)
            if thought.is_error:  # the game has ended
                break
            moves.append(thought.data["move"])
            await session.call("play", game=game, move=moves[-1])
        await session.call("board", game=game)

    return play


def arms(folder: Path) -> dict[str, Arm]:
    """Without us, and with so many guesses."""
    made = {DIRECT.name: DIRECT}
    for k in WIDTHS:
        manifest = folder / f"chess-{k}.toml"
        manifest.write_text(guessing(k))
        # each guess may be looked at, the answer that is guessed from, and one step more
        config = f"[speculation]\nbreadth = {k}\nin_flight = {2 * k + 2}\nwasted_call_s = 0.02\n"
        made[f"k = {k}"] = Arm(f"k = {k}", config=config, manifest=manifest)
    return made


def guessing(k: int) -> str:
    """The shipped manifest with so many guesses of each move."""
    document = tomlkit.parse(MANIFEST.read_text())
    surrogate = cast("Any", document)["tools"]["think"]["surrogate"]
    surrogate["k"] = k
    surrogate["arguments"]["k"] = f"`{k}`"
    return tomlkit.dumps(document)


def thinks(run: Run) -> int:
    """How often a player thought."""
    return sum(made.tool == "think" for made in run.made)


def accuracy(run: Run, games: int) -> float:
    """Of how many moves that could be guessed, which are all but a game's first, one of the guesses was right."""
    counts = run.totals.tools["chess", "think"]
    return (counts.hits + counts.joins) / (thinks(run) - games)


def extra_work(run: Run) -> float:
    """How much was thought for nothing, against what was thought; cancelled thoughts count as whole ones."""
    return run.totals.tools["chess", "think"].wasted / thinks(run)


async def measure(options: Any) -> Report:
    """All arms, in turn."""
    quick = bool(options.quick)
    half_moves, games, nodes, min_s = (6, 1, 5_000, 0.4) if quick else (HALF_MOVES, GAMES, NODES, MIN_S)
    rng = random.Random(options.seed)
    agents = [player(opening, half_moves, nodes, min_s) for opening in rng.sample(OPENINGS, games)]
    environment = Environment("chess", [sys.executable, "-m", "wrapped_servers.chess"])
    with tempfile.TemporaryDirectory(prefix="spec-mcp-chess-") as name:
        folder = Path(name)
        all_arms = arms(folder)

        async def one(arm: str, repetition: int) -> Run:
            return await run_arm(environment, all_arms[arm], agents, folder / f"{arm}-{repetition}")

        runs = await interleaved("chess", list(all_arms), options.repetitions, one)
    rows: list[Row] = []
    for k in WIDTHS:
        arm = f"k = {k}"
        paper = (PAPER_SAVED, PAPER_ACCURACY, PAPER_SAYS) if k == 3 else (None, None, "")
        rows += [
            Row("time saved", spread(saved_shares(runs, arm, DIRECT.name)), "%", paper[0], paper[2], arm),
            Row("moves guessed", spread([accuracy(run, games) for run in runs[arm]]), "%", paper[1], paper[2], arm),
            Row("thought for nothing", spread([extra_work(run) for run in runs[arm]]), "%", arm=arm),
        ]
    direct = spread([run.wall_s for run in runs[DIRECT.name]])
    notes = [
        f"{count(games, 'game')} of {half_moves} half-moves, {nodes:,} positions a move, {min_s} s at the least; "
        f"the direct run took {direct.median:.1f} s.",
        "The paper's players were a model that thinks for seconds to minutes, and its guesses the same model's, told "
        "to reason little; here both are one engine, deep and shallow: the share of moves guessed is not comparable.",
    ]
    if not quick:
        saved = spread(saved_shares(runs, "k = 3", DIRECT.name)).median
        reached = "Reached" if saved >= OURS_FROM else "MISSED"
        notes.insert(1, f"{reached}: {OURS_FROM:.0%} of the time saved with three guesses.")
    details = {"moves": [made.arguments["move"] for made in runs[DIRECT.name][0].made if made.tool == "play"]}
    return Report(
        "chess", quick, options.seed, options.repetitions, rows, differences(runs, DIRECT.name), notes, details
    )


def paint(report: Report, axes: Any) -> None:
    """The paper's figure 6: time saved against work for nothing, a point for each number of guesses."""
    by = {(row.figure, row.arm): row.ours for row in report.rows}
    names = [f"k = {k}" for k in WIDTHS]
    extra = [100 * by["thought for nothing", name].median for name in names]
    saved = [by["time saved", name] for name in names]
    low = [100 * (one.median - one.low) for one in saved]
    high = [100 * (one.high - one.median) for one in saved]
    axes.errorbar(extra, [100 * one.median for one in saved], yerr=[low, high], marker="o", capsize=4, color=plots.BLUE)
    for name, x, one in zip(names, extra, saved, strict=True):
        axes.annotate(name, (x, 100 * one.median), textcoords="offset points", xytext=(8, -12))
    axes.axhline(100 * PAPER_SAVED, color=plots.GREY, linestyle="--", label="the paper's time saved, k = 3")
    axes.set_xlim(0, 1.15 * max(extra))
    axes.set_ylim(min(0.0, *[100 * one.low for one in saved]), 50)
    axes.set_xlabel("thought for nothing, % of what was thought")
    axes.set_ylabel("time saved, %")
    axes.legend(fontsize=9, loc="lower right", framealpha=1.0)
    caption = f"k guesses of each move, {count(report.repetitions, 'repetition')}, seed {report.seed}"
    plots.titled(axes, "Chess: what more guesses save, and what they cost", caption)


def main() -> int:
    """Returns the exit status."""
    description = "Two players think in turn; see `spec-mcp bench chess --help`."
    return as_command("chess", description, REPETITIONS, measure, paint)


if __name__ == "__main__":
    sys.exit(main())
