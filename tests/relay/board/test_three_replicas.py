"""Three gateways on one database behind a balancer that sends every request elsewhere."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import pytest

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.connecting import Database
from tests import postgres
from tests.pipes import RawClient, eventually
from tests.relay.board.replicas import MANIFEST, PAGES, Group, Pages, Told, Wire, result_of
from tests.relay.front.rig import BOTH, modern_request

pytestmark = [pytest.mark.postgres, pytest.mark.xdist_group("replicas")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    pages = Pages(tmp_path_factory.mktemp("pages"))
    yield pages
    pages.close()


@pytest.fixture(scope="module")
def three(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    with postgres.database() as url:
        group = Group(tmp_path_factory.mktemp("three"), pages, url)
        try:
            group.add_at_once(3)
            group.warm_up()
            yield group
        finally:
            group.close()


def test_what_one_replica_read_ahead_answers_a_call_at_another(three: Group) -> None:
    a, b, c = three.replicas
    for giver, taker in ((a, b), (b, c), (c, a)):
        eventually(lambda giver=giver, taker=taker: three.adopts(giver, taker, is_there=True), "it is used")
    eventually(lambda: ("hit",) in three.query("SELECT how FROM calls"), "it is on record as a hit")


def test_a_call_waits_for_what_another_replica_is_still_reading(three: Group) -> None:
    a, b, _c = three.replicas

    def joins() -> bool:
        book = three.new_book("slow")
        first, second = f"{book}-1", f"{book}-2"
        a.read(first)
        if not three.reads_soon(second):
            return False
        assert b.read(second) == {"name": second, "text": "", "next": f"{book}-3"}
        return three.pages.reads()[second] == 1

    eventually(joins, "it is waited for")
    eventually(lambda: ("join",) in three.query("SELECT how FROM calls"), "it is on record as a join")


def test_two_principals_share_nothing_over_replicas(three: Group) -> None:
    a, b, _c = three.replicas
    three.reads_ahead(b, user="bob")
    assert not any(three.adopts(a, b, user="bob") for _ in range(3))


def test_each_replica_of_a_host_has_a_name_of_its_own(three: Group) -> None:
    names = [name for (name,) in three.query("SELECT replica FROM replicas ORDER BY replica")]
    assert len(set(names)) == 3
    assert [name.removeprefix(names[0]) for name in names] == ["", "-2", "-3"]


def test_a_write_through_one_replica_is_seen_in_the_next_answer_of_any(three: Group) -> None:
    a, b, c = three.replicas
    for number in range(6):
        book = three.reads_ahead(a)
        c.write(f"{book}-2", f"text {number}")
        assert (b if number % 2 else a).read(f"{book}-2")["text"] == f"text {number}"


Step = tuple[str, str, str]


def program(seed: int) -> list[Step]:
    """A client that mostly reads on, and writes what it will read."""
    chance, at, steps = random.Random(seed), {"x": 0, "y": 0}, list[Step]()
    for number in range(24):
        book = chance.choice("xy")
        if chance.random() < 0.3:
            steps.append(("write_page", f"{book}-{at[book] + chance.randint(0, 2)}", f"text {number}"))
        else:
            at[book] += chance.choice((0, 1, 1, 1))
            steps.append(("read_page", f"{book}-{at[book]}", ""))
    return steps


def transcript(steps: list[Step], arm: str, asks: Iterator[Callable[[str, dict[str, Any]], Any]]) -> list[str]:
    """What the client is answered, with what tells this arm's pages from another's taken out."""
    answers: list[str] = []
    for tool, name, text in steps:
        arguments = {"name": arm + name, **({"text": text} if text else {})}
        answers.append(str(next(asks)(tool, arguments)).replace(arm, ""))
    return answers


def asking(url: str) -> Callable[[str, dict[str, Any]], Any]:
    """The server itself."""

    def ask(tool: str, arguments: dict[str, Any]) -> Any:
        body, named = modern_request("tools/call", {"name": tool, "arguments": arguments})
        headers = {name.replace("_", "-"): value for name, value in named.items()}
        answer = httpx2.post(url, json=body, headers={"accept": BOTH, **headers}, trust_env=False)
        return result_of(answer)

    return ask


def test_directly_through_one_replica_and_through_three_the_answers_are_the_same(pages: Pages, three: Group) -> None:
    steps = program(7)
    direct = transcript(steps, "direct", cycle([asking(pages.url)]))
    one = transcript(steps, "one", cycle([three.replicas[0].call]))
    all_three = transcript(steps, "three", cycle([replica.call for replica in three.replicas]))
    assert one == direct
    assert all_three == direct


def test_clients_at_all_replicas_at_once_each_see_their_own_writes(three: Group) -> None:
    def reads_what_it_wrote(number: int) -> bool:
        mine = cycle(three.replicas)
        book = f"client{number}"
        for page in range(1, 6):
            next(mine).read(f"{book}-{page}")
            next(mine).write(f"{book}-{page + 1}", str(page))
            if next(mine).read(f"{book}-{page + 1}")["text"] != str(page):
                return False
        return True

    with ThreadPoolExecutor(3) as clients:
        assert all(clients.map(reads_what_it_wrote, range(3)))


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.fixture
def url() -> Iterator[str]:
    with postgres.database() as url:
        Database(Remote(url)).close()
        yield url


def forget_the_abandoned(group: Group) -> None:
    group.query("UPDATE postings SET abandoned_at = abandoned_at - interval '1 hour' WHERE abandoned_at IS NOT NULL")


@pytest.mark.slow
def test_a_replica_that_is_killed_stops_adoption_until_it_is_buried(pages: Pages, tmp_path: Path, url: str) -> None:
    group = Group(tmp_path, pages, url, lease_s=2.0)
    try:
        group.add_at_once(2)
        a, b = group.replicas
        group.warm_up()
        eventually(lambda: group.adopts(a, b), "it is used")
        group.query(
            "INSERT INTO replicas (replica, host, pid, started, fence, life, lease_s, renewed_at, expires_at) "
            "SELECT 'elsewhere', 'another host', 1, '', nextval('board_numbers'), life, 1, now(), now() FROM board_life"
        )
        assert not any(group.adopts(a, b) for _ in range(3))
        group.query("DELETE FROM replicas WHERE replica = 'elsewhere'")
        eventually(lambda: group.adopts(a, b), "it is used again")
        c = group.add()
        group.reads_ahead(c)
        eventually(lambda: len(group.query("SELECT 1 FROM replicas WHERE is_active")) == 3, "three are members")
        c.gateway.process.send_signal(signal.SIGKILL)
        eventually(lambda: len(group.query("SELECT 1 FROM replicas")) == 2, "it is buried")
        forget_the_abandoned(group)
        eventually(lambda: group.adopts(a, b), "it is used again")
    finally:
        group.close()


@pytest.mark.slow
def test_a_replica_without_its_database_goes_on_alone_and_comes_back(pages: Pages, tmp_path: Path, url: str) -> None:
    group, wire = Group(tmp_path, pages, url, lease_s=2.0), Wire(url)
    try:
        a, b = group.add(), group.add(wire.url)
        group.warm_up()
        eventually(lambda: group.adopts(a, b), "it is used")
        held = group.reads_ahead(a)
        wire.cut()
        assert b.write(f"{held}-2", "unseen") == {"name": f"{held}-2", "written": True}
        assert a.read(f"{held}-2")["text"] == "unseen"
        assert b.read(f"{held}-3")["name"] == f"{held}-3"
        wire.mend()
        eventually(lambda: group.adopts(a, b) and group.adopts(b, a), "it is used again")
    finally:
        wire.close()
        group.close()


def test_a_wrapped_server_is_a_replica_while_it_is_used(tmp_path: Path, url: str) -> None:
    (tmp_path / "pages.toml").write_text(MANIFEST)
    config, log = tmp_path / "config.toml", tmp_path / "pages.jsonl"
    log.touch()
    config.write_text(f'[speculation]\nwasted_call_s = 0.01\ndepth = 1\n[store]\nurl = "{url}"\nlease_s = 10\n')
    command = [
        sys.executable,
        "-m",
        "spec_mcp",
        "wrap",
        "--config",
        str(config),
        "--manifest",
        str(tmp_path / "pages.toml"),
    ]
    group = Group(tmp_path, Told(log), url)
    with RawClient([*command, "--", sys.executable, str(PAGES), str(log)]) as client:
        client.initialize()
        client.list_tools()

        def uses_what_it_read_ahead() -> bool:
            book = group.new_book()
            client.call("read_page", {"name": f"{book}-1"})
            if not group.reads_soon(f"{book}-2"):
                return False
            answer = client.call("read_page", {"name": f"{book}-2"}).message["result"]["structuredContent"]
            assert answer == {"name": f"{book}-2", "text": "", "next": f"{book}-3"}
            return group.pages.reads()[f"{book}-2"] == 1

        client.call("read_page", {"name": "first-1"})
        eventually(lambda: group.query("SELECT 1 FROM replicas WHERE is_active"), "it is a member")
        eventually(uses_what_it_read_ahead, "it is used")
    assert group.query("SELECT 1 FROM replicas") == []
