"""What `install` and `uninstall` tell of what they did."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

from spec_mcp.cli.mode import MEANING
from spec_mcp.cli.text import safe
from spec_mcp.clients.hiding import shown
from spec_mcp.clients.places import Client
from spec_mcp.clients.plans import Action, Plan, Step
from spec_mcp.engine.events import Mode

WORDS = {
    Action.WRAPPED: "behind spec-mcp now",
    Action.JOINED: "behind the gateway now",
    Action.ALREADY: "already behind spec-mcp",
    Action.LEFT: "left as it is",
    Action.RESTORED: "as it was before",
    Action.GONE: "nothing to take out",
}
COLORS = {Action.WRAPPED: "green", Action.JOINED: "green", Action.RESTORED: "green", Action.LEFT: "yellow"}
DIFF_COLORS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to one file of a client, or would be."""

    client: Client
    file: str
    before: str
    plan: Plan
    dry_run: bool
    backup: str = ""
    """Where its copy is."""
    kept: tuple[str, ...] = ()
    """Configurations of gateways that the user has edited."""

    @property
    def has_changed(self) -> bool:
        """Is it, or would it be, another text?"""
        return self.plan.text != self.before

    def as_object(self) -> dict[str, Any]:
        """The same for a program."""
        return {
            "client": self.client.name,
            "file": self.file,
            "changed": self.has_changed,
            "dry_run": self.dry_run,
            "backup": self.backup or None,
            "servers": [
                {"name": step.name, "project": step.project or None, "action": step.action.value, "reason": step.why}
                for step in self.plan.steps
            ],
            "gateways": list(self.plan.gateways),
        }


def show_install(done: Done, mode: Mode | None, *, as_json: bool) -> None:
    """Print what was done; `mode` holds now."""
    if as_json:
        typer.echo(json.dumps({**done.as_object(), "mode": mode and mode.value}, ensure_ascii=False))
        return
    _show_file(done)
    if mode is None:
        return
    if not done.has_changed:
        typer.echo("Nothing was changed.")
    for path in done.plan.gateways:
        typer.echo(f"The gateway's servers stand in {safe(path)}.")
    typer.echo(f"Mode {mode}: {MEANING[mode]}.")
    if done.has_changed:
        typer.echo(f"Start {done.client.title} anew, and use it. Then:")
        hints = {"spec-mcp stats": "what happened, and what it saved or would have"}
        if mode is not Mode.ON:
            hints["spec-mcp on"] = "answer calls ahead of time"
        hints[f"spec-mcp uninstall {done.client.name}"] = "take it out again"
        width = max(map(len, hints))
        for command, what in hints.items():
            typer.echo(f"  {command.ljust(width)}  {what}")


def show_uninstall(all_done: Sequence[Done], *, as_json: bool) -> None:
    """Print what was done to each file."""
    if as_json:
        typer.echo(json.dumps({"files": [done.as_object() for done in all_done]}, ensure_ascii=False))
        return
    for done in all_done:
        _show_file(done)
        if not done.has_changed and not done.dry_run:
            typer.echo(f"Nothing of `spec-mcp install` is in {safe(done.file)}.")
        elif not done.dry_run:
            typer.echo(f"Start {done.client.title} anew.")
        for path in done.kept:
            typer.echo(f"You have edited {safe(path)}: it was left there, and nothing reads it any more.")


def _show_file(done: Done) -> None:
    typer.echo(f"{done.client.title}: {safe(done.file)}")
    width = max((len(_label(step)) for step in done.plan.steps), default=0)
    for step in done.plan.steps:
        words = typer.style(WORDS[step.action], fg=COLORS.get(step.action))
        why = f": {safe(step.why)}" if step.why else ""
        typer.echo(f"  {_label(step).ljust(width)}  {words}{why}")
    if done.dry_run:
        _show_diff(done)
        typer.echo("Nothing was changed: this is a dry run.")
    if done.backup:
        typer.echo(f"The file as it was: {safe(done.backup)}")


def _label(step: Step) -> str:
    return safe(step.name) + (f" ({safe(step.project)})" if step.project else "")


def _show_diff(done: Done) -> None:
    before, after = (shown(done.client, done.file, text).splitlines() for text in (done.before, done.plan.text))
    for line in difflib.unified_diff(before, after, done.file, f"{done.file} with spec-mcp", lineterm="", n=2):
        typer.echo(typer.style(safe(line.expandtabs(4).replace("\ufeff", "")), fg=DIFF_COLORS.get(line[:1])))
