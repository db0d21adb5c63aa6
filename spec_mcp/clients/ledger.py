"""What was put where: one small file for each client's file that was changed, so that exactly that can be taken out.

They hold what stood in the clients' files, secrets included, and are for the user alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from spec_mcp.clients.faults import ClientFileError
from spec_mcp.clients.files import write_private

VERSION = 1

Spot = tuple[tuple[str, ...], str]
"""A table of servers, by the keys that lead to it, and a name in it."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that stands in a gateway's configuration now."""

    name: str
    text: str
    """As it was written: its value, or in TOML all its lines."""
    is_block: bool = False
    """Are those lines under headers of their own?"""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the file that holds all changes for one entry, or for several that lie within each other."""

    old: str
    new: str


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One entry that starts spec-mcp now."""

    table: tuple[str, ...]
    """The keys that lead to its table."""
    name: str
    stretch: str
    """Which of the record's."""
    words: tuple[str, ...]
    """Its command line, up to the server's command where that has arguments of its own."""
    command: str = ""
    """A program: how its command was written; empty: a remote server, or a gateway."""
    had_args: bool = True
    had_env: bool = True
    env: dict[str, str] = {}
    """Variables that were added, by name: the header that each holds, `url`, or empty."""
    values: dict[str, str] = {}
    """How those that hold headers are written."""
    fields: tuple[tuple[str, str], ...] = ()
    """A remote server: its keys that went, and how their values were written, in their order."""
    behind: dict[str, str] = {}
    """Of those that did not follow the address: the last key before them that stayed; empty: there was none."""
    headers_key: str = ""
    kind: str = ""
    """How its `type` was written; empty: it had none."""
    held: tuple[Held, ...] = ()
    """A gateway: what it holds."""

    @property
    def spot(self) -> Spot:
        """Where it stands."""
        return self.table, self.name


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All that was put into one file."""

    version: int = VERSION
    client: str
    file: str
    pieces: tuple[Piece, ...]
    stretches: dict[str, Stretch] = {}
    gateways: dict[str, str] = {}
    """The configurations of gateways that were written, by path, each with a digest of its text."""


class Ledger:
    """The records of all clients, in a folder of the home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, client: str, file: Path) -> Record:
        """What was put into this file; nothing yet: an empty record.

        Raises:
            ClientFileError: the record cannot be read.
        """
        path = self._path(client, file)
        return _read(path) if path.exists() else Record(client=client, file=str(file), pieces=())

    def all_of(self, client: str) -> Iterator[Record]:
        """What was put into any file of a client.

        Raises:
            ClientFileError: a record cannot be read.
        """
        for path in sorted(self._folder.glob(f"{client}-*.json")):
            record = _read(path)
            if record.client == client:
                yield record

    def keep(self, record: Record) -> None:
        """Write it down; an empty one goes.

        Raises:
            OSError: that cannot be written.
        """
        path = self._path(record.client, Path(record.file))
        if record.pieces:
            write_private(path, msgspec.json.format(msgspec.json.encode(record)))
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _path(self, client: str, file: Path) -> Path:
        return self._folder / f"{client}-{digest_of(str(file))}.json"


def digest_of(text: str) -> str:
    """Enough of a digest to tell files apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _read(path: Path) -> Record:
    mend = "put it right, or move it away: then spec-mcp knows no more what it put into that client's file"
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except OSError as error:
        raise ClientFileError(str(path), "", f"cannot be read: {error.strerror or error}", mend) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ClientFileError(str(path), "", f"no record of what was installed: {error}", mend) from error
    if record.version > VERSION:
        raise ClientFileError(str(path), "", "written by a newer spec-mcp", "use that one")
    return record
