"""The board in a PostgreSQL database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Sequence
from typing import LiteralString

from spec_mcp.engine.events import OfferId, PostId
from spec_mcp.engine.resources import Footprint, everything
from spec_mcp.engine.tokens import EVERYWHERE, of_text, probes, to_text, tokens
from spec_mcp.store.board import (
    ABANDONED_S,
    LEASE_S,
    MAX_CLOSED,
    MAX_IN_THE_WAY,
    MAX_TRIES,
    SHARED_MAX_BYTES,
    AllGone,
    Fate,
    Fence,
    Gift,
    Member,
    NameTaken,
    News,
    Offering,
    OfferNews,
    Posting,
    Process,
    Refusal,
    WriteNews,
)
from spec_mcp.store.postgres import board_statements as statements
from spec_mcp.store.postgres import migrations
from spec_mcp.store.postgres.connecting import Database, Postgres, Record, translated
from spec_mcp.store.store import StoreError

MAX_NEWS_BYTES = 7_900
"""The server takes no news of 8,000 bytes."""


class PostgresBoard:
    """A `Board` over a connection of its own, which is made when it is needed and again when it was lost."""

    def __init__(self, database: Database) -> None:
        """Connects to nothing as yet."""
        self._database = database
        self._open: Postgres | None = None
        self._listens = False

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()

    # --- on a call's way ----------------------------------------------------------------------------------------------

    def post(self, fence: Fence, posts: Sequence[Posting]) -> bool:
        """See `Board`."""
        told = [_told(fence, posting.footprint) for posting in posts if posting.writes]
        given = json.dumps([_record(posting) for posting in posts])
        return bool(self._all(statements.POST, fence=fence, posts=given, news=told))

    def unpost(self, fence: Fence, posts: Sequence[PostId]) -> None:
        """See `Board`."""
        with self._connection() as connection:
            connection.execute(statements.UNPOST, {"fence": fence, "posts": list(posts)}, prepare=True)

    def offer(self, fence: Fence, offering: Offering) -> OfferId | None:
        """See `Board`."""
        offered = self._all(
            statements.OFFER,
            fence=fence,
            digest=offering.digest,
            footprint=to_text(offering.footprint),
            tokens=list(tokens(offering.footprint)),
            probes=list(probes(offering.footprint)),
            ttl_s=offering.ttl_s,
            may_be_overtaken=offering.may_be_overtaken,
        )
        return offered[0]["offer"] if offered else None

    def show(self, fence: Fence, offer: OfferId, result: bytes | None) -> None:
        """See `Board`."""
        is_shown = result is not None and len(result) <= SHARED_MAX_BYTES
        self._all(
            statements.SHOW,
            fence=fence,
            offer=offer,
            fate=Fate.READY if is_shown else Fate.GONE,
            result=result if is_shown else None,
        )

    def withdraw(self, fence: Fence, offers: Sequence[OfferId]) -> None:
        """See `Board`."""
        self._all(statements.WITHDRAW, fence=fence, offers=list(offers))

    def take(self, fence: Fence, offer: OfferId, keep: bool = False) -> Gift | Refusal:
        """See `Board`. What only seems to be in the way is looked at, and then left out of account."""
        harmless: list[int] = []
        looked_for: Footprint | None = None
        for _ in range(MAX_TRIES):
            (told,) = self._all(
                statements.TAKE, fence=fence, offer=offer, keep=keep, harmless=harmless, most=MAX_IN_THE_WAY
            )
            if told["is_given"]:
                return Gift(told["result"], told["age_s"])
            refusal = _refusal(told)
            if refusal is not Refusal.IN_THE_WAY:
                return refusal
            looked_for = looked_for or of_text(told["footprint"])
            if any(_is_in_the_way(text, looked_for) for _number, text in told["in_the_way"]):
                return refusal
            harmless.extend(number for number, _text in told["in_the_way"])
        return Refusal.IN_THE_WAY

    # --- members ------------------------------------------------------------------------------------------------------

    def join(self, process: Process, posts: Sequence[Posting], lease_s: float = LEASE_S) -> Fence:
        """See `Board`."""
        with self._connection() as connection:
            fence = _one(connection, statements.NEXT_FENCE)["fence"]
            with connection.transaction():
                connection.execute(statements.WAIT_FOR_TURN)
                connection.execute(statements.DURABLY)
                connection.execute(statements.MAKE_LIFE)
                for before in _members(connection, replica=process.replica):
                    if before.fence > fence and before.process == process:
                        raise StoreError(f"{process.replica}: has joined again meanwhile")
                    self._make_room(connection, process, fence, lease_s, before)
                connection.execute(statements.NOTICE_CLOCK)
                connection.execute(
                    statements.JOIN,
                    {
                        "replica": process.replica,
                        "host": process.host,
                        "pid": process.pid,
                        "started": process.started,
                        "fence": fence,
                        "lease_s": lease_s,
                    },
                )
            if posts:
                self.post(fence, posts)
        return fence

    def renew(self, fence: Fence) -> bool:
        """See `Board`."""
        if self._all(statements.RENEW, fence=fence):
            return True
        with self._connection() as connection, connection.transaction():
            connection.execute(statements.WAIT_FOR_TURN)
            return bool(connection.execute(statements.BEGIN, {"fence": fence}).fetchall())

    def leave(self, fence: Fence) -> None:
        """See `Board`."""
        self.bury(fence)

    def bury(self, fence: Fence) -> bool:
        """See `Board`."""
        with self._connection() as connection, connection.transaction():
            connection.execute(statements.WAIT_FOR_TURN)
            members = _members(connection, fence=fence)
            for member in members:
                _strike(connection, member)
        return bool(members)

    def members(self) -> list[Member]:
        """See `Board`."""
        with self._connection() as connection:
            return _members(connection)

    @staticmethod
    def _make_room(connection: Postgres, process: Process, fence: Fence, lease_s: float, before: Member) -> None:
        if before.process == process:
            connection.execute(statements.FORGET_POSTINGS, {"fence": before.fence})
        elif before.is_current or before.fence > fence or 0 <= before.silent_s <= lease_s:  # it may be about to begin
            raise NameTaken(f"{process.replica}: another process is the replica of this name")
        else:
            _strike(connection, before)

    # --- news and upkeep ----------------------------------------------------------------------------------------------

    def news(self, fence: Fence, timeout_s: float) -> list[News]:
        """See `Board`. Heard is what is said after this was asked first."""
        with self._connection() as connection:
            if not self._listens:
                connection.execute(statements.LISTEN)
                self._listens = True
            heard = [told.payload for told in connection.notifies(timeout=timeout_s, stop_after=1)]
        return [news for payload in heard if (news := _heard(payload, fence)) is not None]

    def sweep(self, fence: Fence) -> None:
        """See `Board`."""
        with self._connection() as connection, connection.transaction():
            turn = connection.execute(statements.SWEEP_TURN, {"fence": fence}).fetchone()
            if turn is None or not turn["ours"]:
                return
            connection.execute(statements.LET_GO, {"abandoned_s": ABANDONED_S})
            connection.execute(statements.ORPHANS)
            connection.execute(statements.TOO_OLD, {"most": MAX_CLOSED})
            connection.execute(statements.FORGET_CLOSED)

    # --- the connection -----------------------------------------------------------------------------------------------

    def _all(self, statement: LiteralString, **values: object) -> list[Record]:
        with self._connection() as connection:
            return connection.execute(statement, values, prepare=True).fetchall()

    @contextlib.contextmanager
    def _connection(self) -> Generator[Postgres]:
        with translated(self._database.remote):
            if self._open is None or self._open.closed:
                self._open, self._listens = None, False
                connection = self._database.dedicated()
                try:
                    migrations.check(self._database.remote, connection)
                    connection.execute(statements.SETTINGS)
                except BaseException:
                    connection.close()
                    raise
                self._open = connection
            yield self._open


def _refusal(told: Record) -> Refusal:
    """Why there is no gift; the first of the reasons that hold."""
    age_s, ttl_s = told["age_s"], told["ttl_s"]
    if not told["is_fresh"]:
        return Refusal.CUT_OFF
    if told["fate"] not in (Fate.READY, Fate.RUNNING):
        return Refusal.GONE
    if told["fate"] == Fate.RUNNING:
        return Refusal.RUNNING
    if age_s < 0 or (ttl_s is not None and age_s > ttl_s):
        return Refusal.TOO_OLD
    if told["silent"]:
        return Refusal.REPLICA_SILENT
    return Refusal.IN_THE_WAY if told["in_the_way"] else Refusal.GONE


def _is_in_the_way(posted: str, looked_for: Footprint) -> bool:
    return not posted or of_text(posted).overlaps(looked_for)


def _record(posting: Posting) -> dict[str, object]:
    return {
        "post": posting.post,
        "footprint": to_text(posting.footprint),
        "tokens": tokens(posting.footprint),
        "writes": posting.writes,
        "dies_with_us": posting.dies_with_us,
    }


def _members(connection: Postgres, *, replica: str | None = None, fence: Fence | None = None) -> list[Member]:
    rows = connection.execute(statements.MEMBERS, {"replica": replica, "fence": fence}).fetchall()
    return [
        Member(
            Process(row["replica"], row["host"], row["pid"], row["started"]),
            row["fence"],
            row["silent_s"],
            row["is_current"],
        )
        for row in rows
    ]


def _strike(connection: Postgres, member: Member) -> None:
    connection.execute(statements.ABANDON, {"fence": member.fence})
    if not member.is_current:
        connection.execute(statements.SUSPECT, {"fence": member.fence, "tokens": list(EVERYWHERE)})
    connection.execute(statements.STRIKE, {"fence": member.fence})
    connection.execute(statements.END_OFFERS)


def _told(fence: Fence, footprint: Footprint) -> str:
    news = json.dumps([fence, to_text(footprint)])
    return news if len(news) <= MAX_NEWS_BYTES else json.dumps([fence, to_text(everything(footprint.server))])


def _heard(payload: str, fence: Fence) -> News | None:
    """What somebody else told; None for what we did ourselves."""
    teller, *told = json.loads(payload)
    if teller == fence:
        return None
    match told:
        case []:
            return AllGone()
        case [footprint]:
            return WriteNews(of_text(footprint))
        case [offer, digest, fate]:
            return OfferNews(offer, digest, Fate(fate))
        case _:
            return None


def _one(connection: Postgres, statement: LiteralString) -> Record:
    (row,) = connection.execute(statement).fetchall()
    return row
