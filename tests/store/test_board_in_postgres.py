"""The board in PostgreSQL, where it is more than what every board must do: threads, indexes, and what comes late."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from spec_mcp.engine.resources import Footprint, Pattern
from spec_mcp.engine.tokens import probes, to_text, tokens
from spec_mcp.store.board import Fence, Gift, Offering, Posting, Process, Refusal
from spec_mcp.store.postgres import board_statements as statements
from spec_mcp.store.postgres.board import PostgresBoard
from spec_mcp.store.postgres.connecting import Database
from spec_mcp.store.store import StoreError
from tests import postgres

pytestmark = pytest.mark.postgres

LEASE_S = 60.0
BOUND_S = 30.0
MANY = 10_000


class Boards:
    """Boards on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.opened: list[PostgresBoard] = []

    def open(self) -> PostgresBoard:
        self.opened.append(PostgresBoard(self.database))
        return self.opened[-1]

    def joined(self, name: str) -> tuple[PostgresBoard, Fence]:
        board = self.open()
        fence = board.join(Process(name), (), LEASE_S)
        assert board.renew(fence)
        return board, fence


@pytest.fixture
def boards(shared_connections: Database) -> Iterator[Boards]:
    boards = Boards(shared_connections)
    yield boards
    for board in boards.opened:
        board.close()
    postgres.empty(shared_connections.remote.url)


def file(name: str) -> Footprint:
    return Footprint("s", (Pattern(f"file:/{name}", prefix=False),))


def test_of_many_that_take_at_once_one_gets_it(boards: Boards) -> None:
    takers = [boards.joined(f"r{number}") for number in range(4)]
    board, fence = takers[0]
    offers: list[int] = []
    for number in range(20):
        offer = board.offer(fence, Offering("d", file(str(number)), 30.0, may_be_overtaken=True))
        assert offer is not None
        board.show(fence, offer, b"{}")
        offers.append(offer)
    together = threading.Barrier(len(takers), timeout=BOUND_S)

    def take_all(taker: tuple[PostgresBoard, Fence]) -> list[bool]:
        taken: list[bool] = []
        for offer in offers:
            together.wait()
            taken.append(isinstance(taker[0].take(taker[1], offer), Gift))
        return taken

    with ThreadPoolExecutor(len(takers)) as pool:
        outcomes = list(pool.map(take_all, takers))
    assert [sum(taken) for taken in zip(*outcomes, strict=True)] == [1] * len(offers)


def test_a_write_that_is_posted_before_a_take_is_always_seen_by_it(boards: Boards) -> None:
    """Each taker posts a write and then takes what the other one offers: of two such, one at least sees the other."""
    pairs = [boards.joined("left"), boards.joined("right")]
    together = threading.Barrier(2, timeout=BOUND_S)

    def write_and_take(side: int) -> list[bool]:
        (board, fence), taken = pairs[side], list[bool]()
        for number in range(30):
            offer = board.offer(fence, Offering("d", file(f"{number}/{side}"), 30.0, may_be_overtaken=True))
            assert offer is not None
            board.show(fence, offer, b"{}")
            offers[side] = offer
            together.wait()
            board.post(fence, [Posting(number, file(f"{number}/{side}"), True)])
            taken.append(isinstance(board.take(fence, offers[1 - side]), Gift))
            together.wait()
        return taken

    offers = [0, 0]
    with ThreadPoolExecutor(2) as pool:
        left, right = pool.map(write_and_take, range(2))
    assert not any(both == (True, True) for both in zip(left, right, strict=True))


@pytest.mark.parametrize(
    ("process", "word"), [(Process("a"), "joined again"), (Process("a", pid=2), "another process is the replica")]
)
def test_a_join_that_comes_late_changes_nothing(boards: Boards, process: Process, word: str) -> None:
    """It has its number already, and waits for its turn while the replica gives up and joins again."""
    _board, fence = boards.joined("a")
    patient = Database(boards.database.remote, lock_timeout_s=BOUND_S, statement_timeout_s=BOUND_S)
    late = PostgresBoard(patient)
    with boards.database.connection() as connection, ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute(statements.WAIT_FOR_TURN)
            joining = pool.submit(late.join, process, [Posting(1, file("x"), True)], LEASE_S)
            while not connection.execute(WAITING).fetchall():
                assert not joining.done()
            again = connection.execute(
                "UPDATE replicas SET fence = nextval('board_numbers') RETURNING fence"
            ).fetchall()
        with pytest.raises(StoreError, match=word):
            joining.result(BOUND_S)
        assert connection.execute("SELECT fence FROM replicas").fetchall() == again != [{"fence": fence}]
        assert connection.execute("SELECT 1 FROM postings").fetchall() == []
    late.close()
    patient.close()


JOINED_AGAIN = "UPDATE replicas SET fence = nextval('board_numbers'), is_active = false RETURNING fence"
WAITING = """
    SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE locktype = 'advisory' AND NOT granted AND d.datname = current_database()
"""
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


def test_what_a_network_delivers_after_its_replica_joined_again_is_let_go_in_time(boards: Boards) -> None:
    (board, fence), (other, its_fence) = boards.joined("a"), boards.joined("b")
    with boards.database.connection() as connection:
        connection.execute(
            "INSERT INTO postings (fence, footprint, tokens, writes) VALUES (%s, %s, %s, true)",
            [fence - 1, to_text(file("x")), list(tokens(file("x")))],
        )
        board.sweep(fence)
        assert connection.execute("SELECT 1 FROM postings WHERE abandoned_at IS NOT NULL").fetchall()
        offer = other.offer(its_fence, Offering("d", file("x"), None, may_be_overtaken=False))
        assert offer is not None
        other.show(its_fence, offer, b"{}")
        assert board.take(fence, offer) is Refusal.IN_THE_WAY
        connection.execute("UPDATE postings SET abandoned_at = abandoned_at - interval '1 hour'")
        board.sweep(fence)
        other.withdraw(its_fence, [offer])
        board.sweep(fence)
        assert connection.execute("SELECT 1 FROM postings").fetchall() == []


def test_closed_postings_are_bounded_at_the_cost_of_old_offers(boards: Boards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spec_mcp.store.postgres.board.MAX_CLOSED", 3)
    board, fence = boards.joined("a")
    old = board.offer(fence, Offering("d", file("x"), None, may_be_overtaken=True))
    for number in range(5):
        board.post(fence, [Posting(number, file("z"), True)])
        board.unpost(fence, [number])
    new = board.offer(fence, Offering("d", file("y"), None, may_be_overtaken=True))
    board.sweep(fence)
    assert old is not None
    assert new is not None
    assert board.take(fence, old) is Refusal.GONE
    assert isinstance(board.take(fence, new), Gift)


def test_a_connection_that_was_cut_is_made_again_and_the_membership_lasts(boards: Boards) -> None:
    board, fence = boards.joined("a")
    with boards.database.connection() as connection:
        connection.execute(CUT)
    with pytest.raises(StoreError, match="postgresql://"):
        board.post(fence, [Posting(1, file("x"), True)])
    assert board.post(fence, [Posting(1, file("x"), True)])
    assert board.renew(fence)


# --- plans ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(boards: Boards) -> tuple[psycopg.Connection[dict[str, object]], Fence, int]:
    """A board's connection where very many offers are held and very many requests under way or over."""
    board, fence = boards.joined("a")
    assert board.renew(fence)  # the connection stands
    connection = board._open
    assert connection is not None
    connection.execute("SET statement_timeout = 0")
    with connection.cursor() as cursor:
        with cursor.copy("COPY postings (fence, post, footprint, tokens, writes, closed_no) FROM STDIN") as copy:
            for number in range(MANY):
                footprint = file(f"{number % 100}/{number}")
                closed_no = None if number % 10 == 0 else number
                copy.write_row([fence, number, to_text(footprint), list(tokens(footprint)), True, closed_no])
        with cursor.copy(
            "COPY offers (fence, digest, footprint, tokens, probes, may_be_overtaken, launched_at) FROM STDIN"
        ) as copy:
            for number in range(MANY):
                footprint = file(f"held/{number}")
                words, looked_for = list(tokens(footprint)), list(probes(footprint))
                copy.write_row([fence, str(number), to_text(footprint), words, looked_for, True, "2026-01-01"])
    row = connection.execute("SELECT offer FROM offers LIMIT 1").fetchone()
    assert row is not None
    return connection, fence, row["offer"]


def test_with_very_many_offers_and_postings_each_statement_uses_its_indexes(
    full: tuple[psycopg.Connection[dict[str, object]], Fence, int],
) -> None:
    connection, fence, offer = full
    given = {"fence": fence, "offer": offer, "keep": False, "harmless": [], "most": 64}
    posting = json.dumps([{"post": -1, "footprint": "", "tokens": ["x"], "writes": True, "dies_with_us": False}])
    used: dict[str, set[str]] = {}
    for name, statement, values in (
        ("take", statements.TAKE, given),
        ("post", statements.POST, {"fence": fence, "posts": posting, "news": []}),
        ("unpost", statements.UNPOST, {"fence": fence, "posts": [10, 20]}),
        ("show", statements.SHOW, {"fence": fence, "offer": offer, "fate": "ready", "result": b"x"}),
        ("withdraw", statements.WITHDRAW, {"fence": fence, "offers": [offer]}),
        ("renew", statements.RENEW, {"fence": fence}),
        ("forget closed", statements.FORGET_CLOSED, {}),
        ("let go", statements.LET_GO, {"abandoned_s": 60.0}),
    ):
        (row,) = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), values).fetchall()
        nodes = _nodes(row["QUERY PLAN"])
        scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
        assert not scanned & {"postings", "offers"}, f"{name}: {row}"
        used[name] = {str(node["Index Name"]) for node in nodes if "Index Name" in node}
    assert {"postings_tokens", "offers_pkey"} <= used["take"]
    assert "postings_open" in used["unpost"]
    assert "postings_closed" in used["forget closed"]


def _nodes(plan: object) -> list[dict[str, object]]:
    """All steps of a plan."""
    match plan:
        case list():
            return [node for part in plan for node in _nodes(part)]
        case dict():
            below = [node for part in plan.values() for node in _nodes(part)]
            return [plan, *below] if "Node Type" in plan else below
        case _:
            return []
