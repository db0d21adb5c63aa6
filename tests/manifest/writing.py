"""Manifests for the tests, and the tool lists to hold them against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spec_mcp.manifest import Manifest, load_manifest

HEAD = """
[manifest]
version = 1
server = "shop"
"""


def write(folder: Path, text: str, name: str = "shop.toml") -> Path:
    """A manifest file with this text."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, tools: str) -> Manifest:
    """A good manifest with these tools' tables."""
    return load_manifest(write(folder, HEAD + tools))


def tool(name: str, *arguments: str, **members: Any) -> dict[str, Any]:
    """An element of `tools/list`."""
    properties = {argument: {"type": "string"} for argument in arguments}
    return {"name": name, "inputSchema": {"type": "object", "properties": properties}, **members}
