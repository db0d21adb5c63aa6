"""Where the store lies: in the home, or where `[store] url` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from spec_mcp.errors import UserError

STORE_NAME = "spec-mcp.sqlite3"

POSTGRES = ("postgresql", "postgres")
"""The schemes that PostgreSQL's own programs take."""


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
        return f"{parts.scheme}://{user.partition(':')[0]}{at}{hosts}{parts.path}"

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is that is kept."""

    path: Path
    """The SQLite file; of a PostgreSQL store what stays on this machine lies beside where it would be."""
    remote: Remote | None = None
    """The database that is the store instead."""

    def __str__(self) -> str:
        return str(self.path if self.remote is None else self.remote)


def locate(url: str = "sqlite:", *, folder: Path) -> Place:
    """What `[store] url` names; a relative path is taken from `folder`, the home.

    Raises:
        UserError: it names another kind of store.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or len(scheme) == 1 or "/" in scheme or "\\" in scheme:
        rest = url  # a path; one letter before the colon is a Windows drive
    elif scheme in POSTGRES:
        return Place(folder / STORE_NAME, Remote(url))
    elif scheme != "sqlite":
        raise UserError(
            f'[store]: url: "{scheme}:" is no store that this version knows, write "sqlite:", a path, or '
            '"postgresql://USER@HOST/DATABASE"'
        )
    if rest.startswith("///"):
        rest = rest[2:]  # sqlite:///var/x, as other programs write an absolute path
    return Place(folder / STORE_NAME if not rest else folder / Path(rest).expanduser())
