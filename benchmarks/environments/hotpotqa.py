"""Multi-hop search, the paper's section 3.3: `spec-mcp bench hotpotqa`.

Agents answer questions over several hops at an encyclopaedia (`wrapped_servers/wiki`), without speculation and in the
arms below, side by side: the same questions, the same thoughts, and in the end the same transcripts and answers. Each
speculating arm has learned from other questions before. Then recorded HotpotQA sessions of others, in virtual time.

The perfect guesser (`replay/oracle.py`) sees what a proxy sees and is always right: what no call or answer has shown
yet, such as the title in the question itself, it cannot guess either.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomlkit

from benchmarks.environments import questions
from benchmarks.environments.repeating import differences, hidden_shares, saved_shares, side_by_side
from benchmarks.environments.reporting import Report, Row, as_command, spread
from benchmarks.environments.running import ROOT, Agent, AgentSession, Arm, Environment, Run, run_arm
from spec_mcp.cli.demo.agent import Answer
from spec_mcp.cli.demo.runner import answer_of
from spec_mcp.cli.text import count
from spec_mcp.engine.policy import Settings
from spec_mcp.errors import UserError
from spec_mcp.manifest.load import load_manifest
from spec_mcp.records import CallEvent, Session, write_sessions
from spec_mcp.replay import plots
from spec_mcp.replay.evaluate import Options
from spec_mcp.replay.oracle import Constants, bound
from spec_mcp.replay.script import Timings, set_stage, write_script
from wrapped_servers.wiki.corpus import Corpus
from wrapped_servers.wiki.server import Wiki
from wrapped_servers.wiki.tools import TOOLS
from wrapped_servers.wiki.world import make_world
from wrapped_servers.wiki.writing import write

MANIFEST = ROOT / "manifests" / "wiki.toml"
LATENCY_S: Mapping[str, float] = {"search": 1.0, "lookup": 0.7, "finish": 0.3}
"""What a wiki far away takes."""

PAPER_TOP3 = 0.46
RECORDED, RECORDED_QUICK = "hotpot", "hotpot-reflexion"
"""In the names of the files of recorded sessions."""
RECORDED_LATENCY_S, RECORDED_THINK_S = 1.0, 1.5
"""None of them has times."""

OFF = "off"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done."""

    warm: int
    """Questions that were learned from."""
    sessions: int
    questions: int
    """In each session."""
    repetitions: int
    pace: float
    """Scales thinking and latencies alike."""


FULL = Plan(warm=80, sessions=3, questions=5, repetitions=3, pace=0.4)
QUICK = Plan(warm=12, sessions=1, questions=2, repetitions=1, pace=0.2)


@dataclass(frozen=True, slots=True)
class Way:
    """How an arm speculates."""

    followed_by: bool
    equal: bool
    breadth: int
    depth: int = 3
    wasted_call_s: float = 0.0
    """0: as in the paper, where so many guesses are made whatever they cost."""


WAYS: Mapping[str, Way] = {
    "history, top 1": Way(False, False, 1),
    "history, top 3": Way(False, False, 3),
    "followed_by, top 1": Way(True, False, 1),
    "followed_by, top 3": Way(True, False, 3),
    "and equal, top 3": Way(True, True, 3),
    "and equal, top 3, one hop": Way(True, True, 3, depth=1),
    "and equal, usual price": Way(True, True, 4, wasted_call_s=0.2),
}
STRICT_TOP3 = ("history, top 3", "followed_by, top 3")
"""Measured as the paper measures: the very call, letter by letter, among three guesses at a step."""
QUICK_WAYS = ("history, top 3", "and equal, top 3")


async def play(plan: Plan, seed: int, repetitions: int, names: Sequence[str]) -> tuple[dict[str, list[Run]], float]:
    """The runs of all arms, and the share of the agents' waiting that a perfect guesser hides."""
    world = make_world(seed)
    asked = questions.draw(world, f"asked {seed}", plan.sessions * plan.questions)
    agents = [
        _agent(asked[first : first + plan.questions], plan.pace) for first in range(0, len(asked), plan.questions)
    ]
    environment = Environment(
        "wiki", server_command(seed, plan.pace), snapshot=lambda folder: _text(folder / "answers.jsonl")
    )
    with tempfile.TemporaryDirectory(prefix="spec-mcp-bench-") as name:
        folder = Path(name)
        learned = await record(seed, plan.warm)
        arms = {OFF: Arm(OFF, OFF)}
        for arm in names:
            manifest = _manifest(folder / f"{len(arms)}.toml", WAYS[arm])
            home = warm_home(folder / f"warm-{len(arms)}", learned, server_command(seed, plan.pace), manifest)
            arms[arm] = Arm(arm, "on", _config(WAYS[arm], plan.pace), manifest, home)

        async def one(arm: str, repetition: int) -> Run:
            place = folder / f"{list(arms).index(arm)}-{repetition}"
            return await run_arm(environment, arms[arm], agents, place)

        runs = await side_by_side("questions", list(arms), repetitions, one)
    return runs, oracle_share(runs[OFF][0], learned)


def server_command(seed: int, pace: float) -> list[str]:
    latencies = [f"--latency={tool}={latency_s * pace:.3f}" for tool, latency_s in LATENCY_S.items()]
    return [sys.executable, "-m", "wrapped_servers.wiki", f"--seed={seed}", "--answers=answers.jsonl", *latencies]


def _agent(asked: Sequence[questions.Question], pace: float) -> Agent:
    async def work(session: AgentSession) -> None:
        for question in asked:
            await questions.answer(question, session, pace)

    return work


def _config(way: Way, pace: float) -> str:
    return (
        f"[speculation]\nwasted_call_s = {way.wasted_call_s * pace:.4f}\n"
        f"breadth = {way.breadth}\ndepth = {way.depth}\nin_flight = 16\n"
    )


def _manifest(path: Path, way: Way) -> Path:
    """The shipped manifest without what an arm does without."""
    document: Any = tomlkit.parse(MANIFEST.read_text())
    for tool in document["tools"].values():
        if not way.followed_by:
            tool.pop("followed_by", None)
        if not way.equal:
            tool.pop("equal", None)
    path.write_text(tomlkit.dumps(document))
    return path


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


# --- what was learned before ----------------------------------------------------------------------------------------


class _Recorder:
    """A desk without latency, whose calls are written down as recorded sessions are."""

    def __init__(self, wiki: Wiki) -> None:
        self._wiki = wiki
        self.events: list[CallEvent] = []

    async def call(self, tool: str, **arguments: Any) -> Answer:
        result = await self._wiki.call(TOOLS[tool], arguments)
        seen = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        kind = "read" if TOOLS[tool].reads else "write"
        self.events.append(CallEvent(tool, arguments, seen, result.is_error, kind))
        return answer_of(result)

    async def think(self, duration_s: float) -> None:
        pass


async def record(seed: int, number: int) -> list[Session]:
    """Other questions about the same world, answered before."""
    world = make_world(seed)
    corpus = Corpus.in_memory(write(world, seed))
    sessions: list[Session] = []
    for question in questions.draw(world, f"warm {seed}", number):
        desk = _Recorder(Wiki(corpus))
        await questions.answer(question, desk, 0.0)
        sessions.append(Session(question.seed, "bench", tuple(desk.events)))
    corpus.close()
    return sessions


def warm_home(folder: Path, learned: Sequence[Session], command: Sequence[str], manifest: Path) -> Path:
    """A home in which `spec-mcp learn` has learned from these sessions, of this server under this manifest.

    Raises:
        UserError: it did not.
    """
    folder.mkdir()
    home, recorded = folder / "home", folder / "warm.jsonl"
    home.mkdir()
    config = folder / "config.toml"
    config.write_text("")
    write_sessions(recorded, learned)
    words = [sys.executable, "-m", "spec_mcp", "learn", str(recorded), "--server", "wiki"]
    env = {**os.environ, "SPEC_MCP_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*words, "--", *command], env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"bench: spec-mcp learn failed: {done.stderr.strip()}")
    return home


def oracle_share(run: Run, learned: Sequence[Session]) -> float:
    """How much of the waiting in a run without speculation a perfect guesser would have hidden."""
    policy = load_manifest(MANIFEST).policy
    sessions = [
        Session(
            f"{number}", "bench",
            tuple(
                CallEvent(
                    made.tool, dict(made.arguments), dict(made.result), False, None, None, made.sent_s, made.answered_s
                )
                for made in run.made if made.session == number
            ),
        )
        for number in sorted({made.session for made in run.made})
    ]  # fmt: skip
    constants, hidden_s, wait_s = Constants(), 0.0, 0.0
    stage = set_stage(learned, (), policy)
    for session in learned:
        constants.learn(write_script(session, stage, Timings()))
    stage = set_stage(sessions, (), policy)
    for session in sessions:
        script = write_script(session, stage, Timings())
        hidden_s += bound(script, constants).hidden_s
        wait_s += sum(call.latency_s for call in script.calls)
        constants.learn(script)
    return hidden_s / wait_s


# --- other people's sessions ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """What history alone reaches on recorded sessions, half of whose tasks were learned from."""

    sessions: int
    calls: int
    top1: float
    top3: float
    reachable: float
    """The share of calls whose arguments a proxy could have seen before."""
    hidden: float
    of_oracle: float


def recorded(quick: bool) -> Recorded | None:
    """All recorded HotpotQA sessions together, or a few; None where there are none on this machine."""
    from benchmarks.prediction import load, pooled, traces
    from benchmarks.prediction import measure as foretell

    try:
        recordings = load(traces(), RECORDED_QUICK if quick else RECORDED)
    except UserError:
        return None
    options = Options(
        Settings(breadth=3, in_flight=16, wasted_call_s=0.0), Timings(RECORDED_LATENCY_S, RECORDED_THINK_S)
    )
    tally = pooled(foretell(recording, options, online=False, advance=lambda: None) for recording in recordings)
    return Recorded(
        sessions=tally.sessions,
        calls=tally.calls,
        top1=tally.next_call_top1 / tally.calls,
        top3=tally.next_call_top3 / tally.calls,
        reachable=tally.reachable / tally.calls,
        hidden=tally.wait_hidden_s / tally.wait_s,
        of_oracle=tally.wait_hidden_s / tally.oracle_hidden_s if tally.oracle_hidden_s else 0.0,
    )


# --- the report -----------------------------------------------------------------------------------------------------


def rows(runs: Mapping[str, Sequence[Run]], oracle: float, found: Recorded | None) -> list[Row]:
    """All figures."""
    made: list[Row] = []
    for arm in [arm for arm in runs if arm != OFF]:
        counts = [run.counts for run in runs[arm]]
        answered = [(of.hits + of.joins) / of.calls for of in counts]
        hidden = hidden_shares(runs, arm, OFF)
        paper = (PAPER_TOP3, "at best, by a model") if arm in STRICT_TOP3 else (None, "")
        made += [
            Row("calls predicted", spread(answered), "%", *paper, arm),
            Row("wait hidden", spread(hidden), "%", arm=arm),
            Row("of the perfect guesser's", spread([share / oracle for share in hidden]), "%", arm=arm),
            Row("time saved", spread(saved_shares(runs, arm, OFF)), "%", arm=arm),
            Row("wasted calls for each call", spread([of.wasted / of.calls for of in counts]), "", arm=arm),
        ]  # fmt: skip
    made.append(Row("wait hidden", spread([oracle]), "%", arm="perfect guesser"))
    if found is not None:
        where = "recorded sessions"
        made += [
            Row("next call, top 1", spread([found.top1]), "%", arm=where),
            Row("next call, top 3", spread([found.top3]), "%", PAPER_TOP3, "at best, by a model", where),
            Row("calls within reach of a proxy", spread([found.reachable]), "%", arm=where),
            Row("wait hidden", spread([found.hidden]), "%", arm=where),
            Row("of the perfect guesser's", spread([found.of_oracle]), "%", arm=where),
        ]
    return made


def notes(plan: Plan, runs: Mapping[str, Sequence[Run]], found: Recorded | None) -> list[str]:
    """What is to be known to read the figures."""
    run = runs[OFF][0]
    said = [
        f"{count(plan.sessions * plan.questions, 'question')}, {count(len(run.made), 'call')} a run; learned from "
        f"{plan.warm} other questions. Search takes {LATENCY_S['search']} s, a thought {questions.MEDIAN_THINK_S} s at "
        f"the median, all × {plan.pace}: waiting is {run.wait_s / run.wall_s:.0%} of the time.",
        "The agents are scripts: what they do says what a proxy can reach, not how well a model reasons. The paper's "
        "46 % are guesses by a model that sees the question; of a question's first search a proxy has seen nothing.",
    ]
    if found is None:
        said.append("No recorded sessions on this machine: set SPEC_MCP_SHARED to the folder above `traces`.")
    else:
        said.append(
            f"Recorded sessions: {found.sessions} sessions, {found.calls} calls of tasks not learned from, by history "
            f"alone, at {RECORDED_LATENCY_S} s a call and {RECORDED_THINK_S} s a thought. To reach the rest, somebody "
            "must read the question: a model speculator that is shown the conversation."
        )
    return said


async def measure(options: argparse.Namespace) -> Report:
    """All arms, and recorded sessions where there are any."""
    plan = QUICK if options.quick else FULL
    names = QUICK_WAYS if options.quick else tuple(WAYS)
    runs, oracle = await play(plan, options.seed, options.repetitions, names)
    found = recorded(options.quick)
    return Report(
        "Multi-hop search",
        options.quick,
        options.seed,
        options.repetitions,
        rows(runs, oracle, found),
        differences(runs, OFF),
        notes(plan, runs, found),
        {
            "plan": asdict(plan),
            "ways": {name: asdict(WAYS[name]) for name in names},
            "wall_s": {arm: [round(run.wall_s, 3) for run in of_arm] for arm, of_arm in runs.items()},
            "wait_s": {arm: [round(run.wait_s, 3) for run in of_arm] for arm, of_arm in runs.items()},
            "answered_tools": {
                arm: {tool: [of.hits, of.joins, of.calls] for (_, tool), of in of_arm[0].totals.tools.items()}
                for arm, of_arm in runs.items()
            },
            "median_search_wait_s": statistics.median(
                made.wait_s for made in runs[OFF][0].made if made.tool == "search"
            ),
        },
    )


def paint(report: Report, axes: Any) -> None:
    """Calls predicted and wait hidden, by arm, beside the paper's figure and the perfect guesser's."""
    arms = list(dict.fromkeys(row.arm for row in report.rows if row.figure == "calls predicted"))
    for offset, (figure, colour) in enumerate((("calls predicted", plots.BLUE), ("wait hidden", plots.ORANGE))):
        found = {row.arm: row.ours for row in report.rows if row.figure == figure}
        places = [number + 0.36 * (offset - 0.5) for number in range(len(arms))]
        axes.barh(
            places, [100 * found[arm].median for arm in arms], height=0.34, color=colour, label=figure,
            xerr=[
                [100 * (found[arm].median - found[arm].low) for arm in arms],
                [100 * (found[arm].high - found[arm].median) for arm in arms],
            ],
        )  # fmt: skip
        if figure == "wait hidden":
            oracle = 100 * found["perfect guesser"].median
            axes.axvline(oracle, color=colour, linestyle=":", label="wait that a perfect guesser hides")
    axes.axvline(100 * PAPER_TOP3, color=plots.GREY, linestyle="--", label="the paper's best: calls, by a model")
    axes.set_yticks(range(len(arms)), arms)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("%")
    axes.legend(fontsize=8, loc="lower right", framealpha=1.0)
    plots.titled(
        axes, "Multi-hop search", f"Scripted agents, {count(report.repetitions, 'repetition')}, seed {report.seed}"
    )


def main() -> int:
    """Returns the exit status."""
    return as_command("hotpotqa", __doc__ or "", FULL.repetitions, measure, paint)


if __name__ == "__main__":
    sys.exit(main())
