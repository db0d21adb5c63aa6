"""Where the store lies: in the home, or where `[store] url` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from spec_mcp.errors import UserError

STORE_NAME = "spec-mcp.sqlite3"


@dataclass(frozen=True, slots=True)
class Remote:
    """A PostgreSQL database."""

    url: str = field(repr=False)
    """Its address, which may hold a password: for the driver alone."""

    @property
    def shown(self) -> str:
        """The address for a person, without a password and the settings that may hold one."""
        parts = urlsplit(self.url)
        user, at, hosts = parts.netloc.rpartition("@")
        return urlunsplit((parts.scheme, f"{user.partition(':')[0]}{at}{hosts}", parts.path, "", ""))

    def __str__(self) -> str:
        return self.shown


def locate(url: str = "sqlite:", *, folder: Path) -> Path:
    """The SQLite file that `[store] url` names; a relative path is taken from `folder`, the home.

    Raises:
        UserError: it names another kind of store.
    """
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
