"""Makes a process a replica, where the configuration has it share a PostgreSQL store."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from spec_mcp.config import Config, Server
from spec_mcp.engine.events import WorldKnown
from spec_mcp.relay.board.identity import own_name, this_process
from spec_mcp.relay.board.posts import Later
from spec_mcp.relay.board.replica import Replica, ReplicaSettings
from spec_mcp.relay.board.worker import Soon
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.deciding import Deciding
from spec_mcp.store.board import Board
from spec_mcp.store.place import Remote

if TYPE_CHECKING:
    from spec_mcp.store.postgres.connecting import Database

STATEMENT_S = 1.0
"""What takes longer is of no use to anybody any more."""


class _Boards:
    """Opens boards in one database, which is connected to by the first thread that needs it."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._turn = threading.Lock()
        self._database: Database | None = None

    def open(self) -> Board:
        from spec_mcp.store.postgres.board import PostgresBoard
        from spec_mcp.store.postgres.connecting import Database

        with self._turn:
            if self._database is None:
                self._database = Database(
                    self._remote, statement_timeout_s=STATEMENT_S, lock_timeout_s=STATEMENT_S, name="spec-mcp board"
                )
            return PostgresBoard(self._database)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()


class Shared:
    """This process as one of those that share a store, from now on."""

    def __init__(
        self,
        config: Config,
        remote: Remote,
        home: Path,
        deciding: Deciding,
        soon: Soon,
        later: Later,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Join, as soon as the database can be reached. `ended` is told when nothing of ours needs the loop more."""
        kept = config.store
        self._home = home
        self._deciding = deciding
        self._ended = ended
        self._boards = _Boards(remote)
        process = this_process(kept.replica or own_name())
        settings = ReplicaSettings(process, kept.lease_s, bury_after_s=kept.bury_after_s)
        self._replica = Replica(settings, self._boards.open, soon, later, now_s, deciding.feed, deciding.take_over)
        deciding.share(self._replica)
        self._replica.start()

    def serve(self, name: str, server: Server) -> None:
        """This server is served from now on, by each of the replicas; one of its name may have been another."""
        if server.command is not None:
            self._replica.children.add(name)
        else:
            self._replica.children.discard(name)
        is_ours_alone = server.command is not None or _is_logged_in(server, self._home)
        self._deciding.feed(WorldKnown(name, "" if is_ours_alone else world_of(server)))

    def end(self) -> None:
        """Nothing is under way any more: leave. Blocks for a moment."""
        self._replica.close()
        self._boards.close()
        self._ended()


def world_of(server: Server) -> str:
    """Equal where two replicas reach the same thing through a remote server, in the same name."""
    own = server.client_credentials
    told = [server.type, server.url, sorted(server.headers.items()), None if own is None else own.client_id]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _is_logged_in(server: Server, home: Path) -> bool:
    """Is it reached in the name of whoever logged in on this machine, whom another machine does not know?"""
    from spec_mcp.relay.back.address import Address
    from spec_mcp.relay.back.tokens import keeping_in

    try:
        address = Address(server.url or "", server.headers)
    except ValueError:  # it cannot be reached at all
        return True
    if address.has_credentials or server.client_credentials is not None:
        return False
    return keeping_in(home).get(str(address)) is not None
