"""A manifest of the user's own: what it is called, where it lies, and writing it without losing one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from spec_mcp.manifest.schema import keep_schema
from spec_mcp.manifest.writing import unwritable, write

__all__ = ["file_name", "own_file", "write"]


def own_file(name: str) -> Path:
    """Where the user's own manifest of this name lies, or would lie; its folder is made."""
    from spec_mcp.config import make_home

    try:
        folder = make_home(os.environ) / "manifests"
        folder.mkdir(exist_ok=True)
        keep_schema(folder)
    except OSError as error:
        raise unwritable(Path(error.filename or "SPEC_MCP_HOME"), error, "folder by SPEC_MCP_HOME") from error
    return folder / f"{name}.toml"


def file_name(server: str, fallback: str) -> str:
    """A server's name as a file's name, without `.toml`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", server).strip("-.")[:100] or fallback
