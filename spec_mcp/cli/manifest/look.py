"""`spec-mcp manifest list`, `show` and `schema`."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from spec_mcp.cli.manifest.asking import NameArgument
from spec_mcp.cli.opening import JsonOption


@dataclass(frozen=True, slots=True)
class Entry:
    """One manifest in the list."""

    name: str
    server: str
    """Empty where the file does not tell."""
    tools: dict[str, int]
    """How many of them have each effect."""
    file: str
    shipped: bool
    fault: str | None


def list_all(as_json: JsonOption = False) -> None:
    """List all manifests: your own, and those that come with spec-mcp.

    A server that gives itself the name under [b]server[/b] gets the manifest
    without being told to. Your own come before shipped ones.
    """
    from spec_mcp.config import home
    from spec_mcp.manifest.match import folders

    entries = _entries()
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spec_mcp.cli.text import safe

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("name", "server", "tools", ""):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        tools = "has a fault" if entry.fault else effects_text(entry.tools)
        whose = "shipped" if entry.shipped else "yours"
        table.add_row(*(Text(safe(text)) for text in (entry.name, entry.server, tools, whose)))
    console.print(table)
    own, shipped = folders(home(os.environ))
    console.print()
    for what, folder in (("Shipped:", shipped), ("Yours:", own)):
        console.print(Text(f"{what} {safe(str(folder))}"), soft_wrap=True)
    for entry in entries:
        if entry.fault:
            console.print(Text(safe(entry.fault)), style="red", soft_wrap=True)


def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Print a manifest as it is written, so that it can be read, or copied and changed.

    [b]spec-mcp manifest show fetch > fetch.toml[/b] gives a copy of a shipped
    one. Put yours into the folder that [b]manifest list[/b] names, where it
    comes before the shipped one, or name it by --manifest.
    """
    from spec_mcp.config import home
    from spec_mcp.manifest import ManifestError, find_manifest, load_manifest
    from spec_mcp.tables import read_text

    path = find_manifest(name, home(os.environ))
    if not as_json:
        sys.stdout.write(read_text(path, ManifestError))
        return
    import msgspec

    manifest = load_manifest(path)
    members = {"name": path.stem, "file": str(path), **msgspec.to_builtins(manifest.form)}
    typer.echo(json.dumps(members, indent=2, ensure_ascii=False))


def schema(
    indent: Annotated[int, typer.Option(min=0, max=8, help="Spaces of indentation; 0 prints one line.")] = 2,
) -> None:
    """Print the JSON Schema of manifests, for editors that complete and check TOML.

    It lies beside the shipped manifests and your own ones already. For a file
    that lies elsewhere: [b]spec-mcp manifest schema > manifest.schema.json[/b]
    """
    from spec_mcp.manifest.schema import schema_text

    typer.echo(schema_text(indent or None), nl=False)


def effects_text(effects: dict[str, int]) -> str:
    """Such as `9 read, 5 unsafe`."""
    return ", ".join(f"{number} {effect}" for effect, number in effects.items() if number) or "none"


def _entries() -> list[Entry]:
    from spec_mcp.config import home
    from spec_mcp.engine.effects import Effect
    from spec_mcp.manifest import ManifestError, load_manifest, manifest_files, server_of, shipped_folder

    entries: list[Entry] = []
    for name, path in sorted(manifest_files(home(os.environ)).items()):
        effects: Counter[Effect] = Counter()
        fault = None
        try:
            manifest = load_manifest(path)
            effects.update(tool.effect for tool in manifest.form.tools.values())
        except ManifestError as error:
            fault = str(error)
        counts = {effect.value: effects[effect] for effect in Effect}
        shipped = path.parent == shipped_folder()
        entries.append(Entry(name, server_of(path) or "", counts, str(path), shipped, fault))
    return entries
