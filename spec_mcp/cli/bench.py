"""`spec-mcp bench`: the comparisons. They live in the checkout beside the package and run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import spec_mcp
from spec_mcp.errors import UserError

CHECKOUT = Path(spec_mcp.__file__).resolve().parents[1]

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


def _run(name: str, arguments: list[str]) -> int:
    """Run one comparison of the checkout; its exit status."""
    if not (CHECKOUT / "benchmarks" / f"{name}.py").is_file():
        raise UserError(
            f"bench {name}: there is no benchmarks/{name}.py in {CHECKOUT}: run it in a checkout of spec-mcp"
        )
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode
