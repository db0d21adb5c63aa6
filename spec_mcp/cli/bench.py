"""`spec-mcp bench`: the comparisons. They live in the checkout beside the package and run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import spec_mcp
from spec_mcp.errors import UserError

CHECKOUT = Path(spec_mcp.__file__).resolve().parents[1]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
Plot = Annotated[str, typer.Option("--plot", metavar="FILE", help="Draw to FILE: .png, .svg or .pdf.")]
Quick = Annotated[bool, typer.Option("--quick", help="Little of everything, once: to see that it works.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of all that is drawn.")]
Repetitions = Annotated[int | None, typer.Option("--repetitions", metavar="N", min=1, help="Of every arm.")]

app = typer.Typer(
    help="Compare: what we cost, and what we save. Needs a checkout of the project.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.callback()
def group() -> None:
    """Compare: what we cost, and what we save. Needs a checkout of the project."""


@app.command("overhead")
def overhead(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds and calls: to see that it works.")] = False,
    rounds: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rounds; 7, or 2 with --quick.")] = None,
    era: Annotated[str, typer.Option(metavar="ERA", help="How the client begins: auto or legacy.")] = "auto",
    no_fastmcp: Annotated[bool, typer.Option("--no-fastmcp", help="Leave out FastMCP's proxy.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a target is missed.")] = False,
) -> int:
    """Measure what the proxy adds to a call, against the direct call, a bytes relay and FastMCP's proxy.

    An echo server on the SDK, interleaved rounds, ratios within a round. Installs FastMCP into the checkout the first
    time. About ten minutes; [b]--quick[/b] takes two.
    """
    arguments = ["--era", era]
    arguments += ["--json"] * as_json + ["--quick"] * quick + ["--no-fastmcp"] * no_fastmcp + ["--check"] * check
    return _run("overhead", [*arguments, *(("--rounds", str(rounds)) if rounds else ())])


@app.command("gateway")
def gateway(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds and calls: to see that it works.")] = False,
    rounds: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rounds; 7, or 2 with --quick.")] = None,
    era: Annotated[str, typer.Option(metavar="ERA", help="How the client begins: auto or legacy; else both.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a target is missed.")] = False,
) -> int:
    """Measure what the gateway adds to a call, against the direct call over HTTP, and three servers against one.

    An echo server on the SDK, interleaved rounds, ratios within a round. FastMCP's figures stand beside. About three
    minutes; [b]--quick[/b] takes half of one.
    """
    arguments = ["--json"] * as_json + ["--quick"] * quick + ["--check"] * check + (["--era", era] if era else [])
    return _run("gateway.overhead", [*arguments, *(("--rounds", str(rounds)) if rounds else ())])


@app.command("scale")
def scale(
    as_json: AsJson = False,
    quick: Quick = False,
    rounds: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rounds; 5, or 1 with --quick.")] = None,
) -> int:
    """Measure what one and three replicas on PostgreSQL add to a call, beside one gateway on SQLite.

    An echo server over HTTP, interleaved rounds, ratios within a round; the PostgreSQL server is that of the tests.
    About three minutes; [b]--quick[/b] takes half of one.
    """
    arguments = ["--json"] * as_json + ["--quick"] * quick + (["--rounds", str(rounds)] if rounds else [])
    return _run("gateway.scale", arguments)


@app.command("load")
def load(
    session_count: Annotated[int, typer.Option("--sessions", metavar="N", min=1, help="Clients at once.")] = 200,
    duration_s: Annotated[float, typer.Option("--seconds", metavar="S", min=1, help="How long they call.")] = 60.0,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Which accidents happen when; printed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> int:
    """Let many clients call three servers through the gateway while servers are killed and come back.

    Every call must get its own right answer or a clear error, and nothing may be left behind: no process, task,
    descriptor or memory. Exits with 1 where that does not hold.
    """
    arguments = ["--sessions", str(session_count), "--seconds", str(duration_s)]
    arguments += ["--json"] * as_json + (["--seed", str(seed)] if seed is not None else [])
    return _run("gateway.load", arguments)


@app.command("prediction")
def prediction(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="One setting instead of five.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Start from nothing.")] = False,
    context: Annotated[bool, typer.Option("--context", help="Show the words of user and assistant.")] = False,
    inject: Annotated[bool, typer.Option("--inject", help="1 s a call and 3 s of thinking everywhere.")] = False,
    parts: Annotated[bool, typer.Option("--parts", help="Leave each part of the model out in turn.")] = False,
    decide: Annotated[bool, typer.Option("--decide", help="Time decisions after 100,000 calls.")] = False,
    only: Annotated[str, typer.Option("--only", metavar="TEXT", help="Files whose name holds this.")] = "",
) -> int:
    """Measure prediction on other people's recorded sessions, beside what others have published.

    Learns from the first half of each file's tasks, measures on the second. Writes JSON and two plots to
    benchmarks/results. About two minutes.
    """
    chosen = {"--json": as_json, "--quick": quick, "--online": online, "--context": context, "--inject": inject}
    arguments = [option for option, given in {**chosen, "--parts": parts, "--decide": decide}.items() if given]
    return _run("prediction", [*arguments, "--only", only])


@app.command("speculators")
def speculators(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Few sessions and settings.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw the cost-latency frontier.")] = None,
) -> int:
    """Measure what asking models would be worth, with injected guesses of known quality: no model is asked.

    History alone, a speculator alone and both merged on recorded sessions, the first ones and those after them; then
    two with prices, at several prices of an hour saved. Exits with 1 where merging is worse than the better of both by
    more than noise, or where more was spent than may be. About five minutes; [b]--quick[/b] takes ten seconds.
    """
    arguments = ["--json"] * as_json + ["--quick"] * quick
    return _run("speculators", [*arguments, *(("--plot", str(plot.absolute())) if plot is not None else ())])


@app.command("reversible")
def reversible(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer customers, and everything faster.")] = False,
    warm: Annotated[
        int | None, typer.Option("--warm", metavar="N", min=0, help="Customers learned from before; 140.")
    ] = None,
) -> int:
    """Measure what early writes save, and what a wrong one costs.

    A desk that changes addresses, payments and orders, without speculation, with reads, and with reversible calls too;
    answers and databases are compared. About a minute and a half; [b]--quick[/b] takes fifteen seconds.
    """
    arguments = ["--json"] * as_json + ["--quick"] * quick
    return _run("reversible", [*arguments, *(("--warm", str(warm)) if warm is not None else ())])


@app.command("chess")
def chess(
    as_json: AsJson = False, plot: Plot = "", quick: Quick = False, seed: Seed = 1, repetitions: Repetitions = None
) -> int:
    """Play chess through the proxy: while one player thinks, the other begins on the guessed moves.

    The paper's first environment, its figures beside ours. Needs python-chess and Stockfish. About twenty minutes;
    [b]--quick[/b] takes half of one.
    """
    return _environment("chess", as_json, plot, quick, seed, repetitions)


@app.command("retail")
def retail(
    as_json: AsJson = False,
    plot: Plot = "",
    quick: Quick = False,
    seed: Seed = 1,
    repetitions: Repetitions = None,
    pace: Annotated[
        float | None,
        typer.Option("--pace", metavar="X", min=0.001, help="Of life's times; 0.05, or 0.02 with --quick."),
    ] = None,
) -> int:
    """Serve a shop's customers through the proxy: lookups are made while the customer types.

    The paper's second environment, its figures beside ours: simulated customers, and recorded sessions of τ-bench where
    they lie beside the checkout. About half an hour; [b]--quick[/b] takes one minute.
    """
    more = ["--pace", str(pace)] if pace else []
    return _environment("retail", as_json, plot, quick, seed, repetitions, more)


@app.command("hotpotqa")
def hotpotqa(
    as_json: AsJson = False, plot: Plot = "", quick: Quick = False, seed: Seed = 1, repetitions: Repetitions = None
) -> int:
    """Multi-hop search at an encyclopaedia: calls predicted and time saved, beside the paper's section 3.3.

    Scripted ReAct agents by history alone, with a manifest's followed_by, and with equal; then recorded HotpotQA
    sessions. About four minutes; [b]--quick[/b] takes twenty seconds.
    """
    return _environment("hotpotqa", as_json, plot, quick, seed, repetitions)


@app.command("theory")
def theory(as_json: AsJson = False, plot: Plot = "", quick: Quick = False, seed: Seed = 1) -> int:
    """The paper's Proposition 1 beside its Algorithm 1, played through the engine in virtual time.

    The formula, the exact expectation and what is simulated; then depth and breadth, against what lead cannot hide.
    About a minute; [b]--quick[/b] takes ten seconds.
    """
    arguments = ["--json"] * as_json + ["--quick"] * quick + ["--seed", str(seed)]
    return _run("theory", [*arguments, *(["--plot", str(Path(plot).absolute())] if plot else [])])


@app.command("tuning")
def tuning(
    as_json: AsJson = False,
    plot: Plot = "",
    quick: Quick = False,
    seed: Seed = 1,
    repetitions: Repetitions = None,
    model: Annotated[bool, typer.Option("--model", help="A simulation, also where the kernel has the knob.")] = False,
) -> int:
    """Tune the scheduler of this Linux: recovery from a bad setting, beside the paper's section 4.

    By nobody, by a slow Actor, by a fast rule of thumb, and by both through the proxy. Needs Linux 6.12, else it
    simulates and says so. About three minutes; [b]--quick[/b] takes twenty seconds.
    """
    return _environment("tuning", as_json, plot, quick, seed, repetitions, ["--model"] * model)


@app.command("all")
def everything(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON too.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Little of everything: to see that it works.")] = False,
    only: Annotated[str, typer.Option("--only", metavar="TEXT", help="Those whose name holds this.")] = "",
    results: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Take an environment's NAME.json there, in place of a run."),
    ] = None,
) -> int:
    """Run every comparison and write one report of them, as a web page and as JSON.

    The paper's tables and figures beside ours, on this machine: benchmarks/results/report.html and report.json. Some
    hours; [b]--quick[/b] takes ten minutes.
    """
    arguments = ["--json"] * as_json + ["--quick"] * quick + ["--only", only]
    return _run("environments.everything", arguments + (["--from", str(results.absolute())] if results else []))


def _environment(
    name: str, as_json: bool, plot: str, quick: bool, seed: int, repetitions: int | None, more: Sequence[str] = ()
) -> int:
    arguments = [*more, *["--json"] * as_json] + ["--quick"] * quick + ["--seed", str(seed)]
    arguments += ["--plot", str(Path(plot).absolute())] if plot else []
    return _run(f"environments.{name}", [*arguments, *(("--repetitions", str(repetitions)) if repetitions else ())])


def _run(name: str, arguments: list[str]) -> int:
    """Run one comparison of the checkout, `folder.name` for one in a folder; its exit status."""
    file = Path("benchmarks", *name.split(".")).with_suffix(".py")
    if not (CHECKOUT / file).is_file():
        raise UserError(f"bench: there is no {file} in {CHECKOUT}: run it in a checkout of spec-mcp")
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode
