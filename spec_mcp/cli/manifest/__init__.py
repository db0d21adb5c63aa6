"""`spec-mcp manifest …`: what manifests there are, drafting one, holding one against its server, pinning it.

look.py    list, show, schema
draft.py   draft
check.py   check
lock.py    lock
verify.py  verify; scratch.py starts its servers, counterexample.py tells what they disprove
asking.py  whom they ask: a live server, or a recorded tool list
history.py recorded sessions, for a draft
advising.py what a model makes of the tools, for a draft
files.py   writing a manifest without losing one
"""

from __future__ import annotations

import typer

from spec_mcp.cli.manifest import check, draft, lock, look, verify

app = typer.Typer(
    help="Safety manifests: which tools of a server only read. They alone are called ahead of time.",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)

app.command("list")(look.list_all)
app.command("show")(look.show)
app.command("draft")(draft.command)
app.command("check")(check.command)
app.command("lock")(lock.command)
app.command("verify")(verify.command)
app.command("schema")(look.schema)


@app.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """Without a command, what there is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
