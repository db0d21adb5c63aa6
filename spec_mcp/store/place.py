"""Where the store lies: `SPEC_MCP_HOME`, else the platform's folder for a user's data, else what `[store] url` says."""

from __future__ import annotations

import os
from pathlib import Path

from spec_mcp.errors import UserError

STORE_NAME = "spec-mcp.sqlite3"

HOME_VARIABLE = "SPEC_MCP_HOME"


def home() -> Path:
    """The folder of the store, the configuration and the user's manifests. It may not exist yet."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs  # only where it is needed: it is on the way of every start

    return Path(platformdirs.user_data_dir("spec-mcp", appauthor=False))


def locate(url: str = "sqlite:", folder: Path | None = None) -> Path:
    """The SQLite file that `[store] url` names; a relative path is taken from the home folder.

    Raises:
        UserError: it names another kind of store.
    """
    folder = folder or home()
    scheme, colon, rest = url.partition(":")
    if not colon or len(scheme) == 1 or "/" in scheme or "\\" in scheme:
        rest = url  # a path; one letter before the colon is a Windows drive
    elif scheme != "sqlite":
        raise UserError(f'[store]: url: "{scheme}:" is no store that this version knows, write "sqlite:" or a path')
    if rest.startswith("///"):
        rest = rest[2:]  # sqlite:///var/x, as other programs write an absolute path
    if not rest:
        return folder / STORE_NAME
    return folder / Path(rest).expanduser()
