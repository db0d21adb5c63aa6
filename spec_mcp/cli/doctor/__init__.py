"""`spec-mcp doctor`: is everything as it must be, and what to do where it is not.

installation.py  the program, its home and its store
clients.py       the configurations of clients that start it
journal.py       early writes that wait to be taken back
predictors.py    the models that are to predict
servers.py       the configuration, and each server that it names
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.opening import ConfigOption, JsonOption
from spec_mcp.errors import Failed

if TYPE_CHECKING:
    from spec_mcp.cli.findings import Finding


def command(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    start: Annotated[
        bool,
        typer.Option(
            "--start/--no-start",
            help="Start or reach the configured servers and ask the configured models, one after another.",
        ),
    ] = True,
) -> None:
    """Check the installation, the clients that use it, the store, each server and its manifest.

    Says what to do where something is not as it should be. Starts or reaches
    every server of the configuration, reads its tool list and leaves it again;
    no tool is ever called. Asks each configured model one short question, unless
    the mode is off. Exits with 1 if something is wrong. What is marked [b]note[/b] is
    worth knowing; what is marked [b]behind[/b] costs speed and no safety.
    """
    findings = examine(config, start=start)
    from spec_mcp.cli.findings import Level, as_object, show

    if as_json:
        typer.echo(json.dumps(as_object(findings), indent=2, ensure_ascii=False))
    else:
        show(findings)
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    if wrong:
        raise Failed(f"doctor: {wrong} {'thing is' if wrong == 1 else 'things are'} wrong: do what is said above")


def examine(config: Path | None, *, start: bool) -> list[Finding]:
    """All findings, in the order in which they are shown."""
    from spec_mcp.cli.doctor import clients, installation, journal, predictors, servers

    read, of_config = servers.configuration(config)
    found = [*installation.program(), *installation.home_folder(), *clients.clients(), *of_config]
    if read is None:
        return found
    found += [*installation.store(read), *journal.journal(read), *installation.mode(read)]
    return [*found, *predictors.predictors(read, ask=start), *servers.servers(read, start=start)]
