"""`spec-mcp demo`: its options and its exit status."""

from __future__ import annotations

import json
from typing import Annotated

import typer

CASES = 8
"""Both runs together then take about a minute and a half."""
QUICK_CASES = 4
QUICK_PACE = 0.4
"""Quick: thinking and latencies shrink alike, so what is answered stays about the same."""
MAX_CASES = 500

DONE = 0
DIFFERENT = 1


def command(
    seed: Annotated[int, typer.Option(metavar="N", help="Another shop with other customers.")] = 0,
    cases: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=MAX_CASES, help=f"How many customers ({CASES})."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON, and nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer customers, and everything faster.")] = False,
) -> int:
    """See it work: an agent at a shop's customer service, first without and then with speculation.

    A real MCP server with slow tools, a scripted agent, a timeline, and what was saved. It takes about a minute and a
    half, needs no network and no settings, and touches nothing of yours. It fails if the two runs differ in anything
    but time.
    """
    from spec_mcp.cli.demo.show import demonstrate  # imports mcp, which takes a second

    report = demonstrate(
        seed=seed,
        cases=cases or (QUICK_CASES if quick else CASES),
        pace=QUICK_PACE if quick else 1.0,
        quiet=as_json,
    )
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    return DONE if report.lossless else DIFFERENT
