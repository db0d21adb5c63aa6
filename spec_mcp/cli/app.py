"""The command line: which commands there are, and how their errors are told."""

from __future__ import annotations

import inspect
import sys
from importlib import metadata
from io import TextIOWrapper
from typing import Annotated

import typer

from spec_mcp.cli import (
    bench,
    dashboard,
    doctor,
    forget,
    install,
    learn,
    login,
    manifest,
    mode,
    recover,
    replay,
    run,
    sessions,
    stats,
    trace,
    tune,
    wrap,
)
from spec_mcp.cli.demo import command as demo
from spec_mcp.errors import UserError

app = typer.Typer(
    name="spec-mcp",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Makes your agent's next tool calls while it is still thinking: a transparent proxy for MCP servers.",
    epilog="Put it in front of a server with `spec-mcp wrap -- COMMAND`. Nothing ever leaves this machine by itself.",
)

SEE = "See it work"
SERVE = "Serve"
SET_UP = "Set up and check"
LOOK = "See what happened"
SETTINGS = "Switch and forget"
MEASURE = "Measure"

app.command("demo", rich_help_panel=SEE)(demo.command)
app.command("wrap", rich_help_panel=SERVE, context_settings=wrap.CONTEXT)(wrap.command)
app.command("run", rich_help_panel=SERVE)(run.command)
app.command("install", rich_help_panel=SET_UP)(install.install)
app.command("uninstall", rich_help_panel=SET_UP)(install.uninstall)
app.add_typer(manifest.app, name="manifest", rich_help_panel=SET_UP)
app.command("login", rich_help_panel=SET_UP)(login.command)
app.command("doctor", rich_help_panel=SET_UP)(doctor.command)
app.command("stats", rich_help_panel=LOOK)(stats.command)
app.command("sessions", rich_help_panel=LOOK)(sessions.command)
app.command("trace", rich_help_panel=LOOK)(trace.command)
app.command("dashboard", rich_help_panel=LOOK)(dashboard.command)
app.command("replay", rich_help_panel=LOOK)(replay.command)
app.command("learn", rich_help_panel=SETTINGS, cls=learn.Command)(learn.command)
app.command("tune", rich_help_panel=LOOK)(tune.command)
app.command("off", rich_help_panel=SETTINGS)(mode.off)
app.command("shadow", rich_help_panel=SETTINGS)(mode.shadow)
app.command("on", rich_help_panel=SETTINGS)(mode.on)
app.command("recover", rich_help_panel=SETTINGS)(recover.command)
app.command("forget", rich_help_panel=SETTINGS)(forget.command)
app.add_typer(bench.app, name="bench", rich_help_panel=MEASURE)


def _flowing(of: typer.Typer) -> None:
    """Let the help of its commands be as wide as the terminal: the library keeps the line ends of a docstring."""
    for command in of.registered_commands:
        paragraphs = inspect.cleandoc((command.callback and command.callback.__doc__) or "").split("\n\n")
        command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


for each in (app, manifest.app, bench.app):
    _flowing(each)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """What happens before any command, and without one."""
    if version:
        typer.echo(f"spec-mcp {metadata.version('spec-mcp')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run_command(arguments: list[str]) -> int:
    """Carry out a command line; the exit status.

    Raises:
        UserError: it is wrong, or a file that it needs.
        Failed: what it asks for could not be done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that the terminal cannot show must not end the command
            stream.reconfigure(errors="backslashreplace")
    try:
        status: object = app(args=arguments, prog_name="spec-mcp", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "spec-mcp"
        raise UserError(f"{error.format_message().rstrip('.')}: see `{command} --help`") from error
    except typer.Abort:
        return 1
    return status if isinstance(status, int) else 0
