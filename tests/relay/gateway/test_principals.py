"""Two principals who ask the same share nothing: no result, no history, nothing that was learned, no word (rule 15)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from spec_mcp.relay.front.settings import HttpSettings
from spec_mcp.relay.gateway.gateway import ServersGateway
from tests.relay.front.rig import Rig, call, modern_request, serving
from tests.relay.front.test_door import LISTEN, Issuer, bearer, token
from tests.relay.gateway.inside import Client, Played, PlayedLink, gateway, said, until, visitor

pytestmark = pytest.mark.anyio

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "spec-mcp/session": "same"}
HTTP = HttpSettings(LISTEN, forwarded=frozenset({"x-user"}))

every_isolation = pytest.mark.parametrize("isolation", ["per-session", "shared", "pool"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def by(answer: Any) -> set[int]:
    """Which connections an answer names, anywhere in it."""
    found: set[int] = set()
    if isinstance(answer, dict):
        members: Mapping[str, Any] = answer
        found |= {members["by"]} if "by" in members else set()
        for member in members.values():
            found |= by(member)
    elif isinstance(answer, list):
        items: list[Any] = answer
        for member in items:
            found |= by(member)
    return found


async def looks_at(client: Client, number: int) -> None:
    """The habit of everybody here."""
    await client.call("get_issue", number=number)
    await client.call("read", path=f"file-{number}")


async def comes(gateway: ServersGateway, played: Played, subject: str) -> Client:
    """A client whose server may be speculated on."""
    return await Client(gateway, visitor(subject)).begins(played)


# --- over HTTP, by their tokens -------------------------------------------------------------------------------------


async def says_all(rig: Rig, played: Played, headers: dict[str, str], first: int, has_habits: bool) -> list[Any]:
    """All answers to a session of the handshake era and to a stateless client, who say what everybody here says."""
    answers: list[Any] = []
    session = await rig.initialize(**headers)

    async def both_say(tool: str, **arguments: Any) -> list[PlayedLink]:
        body, more = modern_request("tools/call", {"name": tool, "arguments": arguments}, 1, TRACE, **headers)
        said = [
            (await rig.post(call(tool, arguments, 1, progressToken=1), session, **headers)).json(),
            (await rig.post(body, **more)).json(),
        ]
        answers.extend(said)
        return [played.link(*by(answer)) for answer in said]

    for number in range(first, first + 5):
        path = f"file-{number}"
        for link in await both_say("get_issue", number=number):
            if has_habits:
                await until(lambda link=link, path=path: link.has_early("read", path=path), "it is read early")
        await both_say("read", path=f"file-{number}")
    if not has_habits:  # what fails may have written, and spoils what others look at meanwhile
        await both_say("fail", number=1)
    return answers


@every_isolation
async def test_over_http_nobody_gets_what_another_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    """By the same calls at the same time, of the same trace and the same key of ours."""
    everybody = {
        "ann": bearer(token()),
        "bob": bearer(token(sub="bob")),
        "ann with fewer rights": bearer(token(scope="mcp")),
        "ann with credentials": bearer(token()) | {"x_user": "s3cret-ann"},
        "ann with others": bearer(token()) | {"x_user": "s3cret-other"},
    }
    played = Played()
    answers: dict[str, list[Any]] = {}

    async def come(rig: Rig, name: str, first: int) -> None:
        answers[name] = await says_all(rig, played, everybody[name], first, has_habits=first > 1)

    more = f'isolation = "{isolation}"\nforward_headers = ["x-user"]'
    async with (
        gateway(tmp_path, monkeypatch, {"only": played}, more) as it,
        serving(it, settings=HTTP, get=Issuer().get) as rig,
    ):
        for first in (1, 11):
            async with anyio.create_task_group() as tasks:
                for name in everybody:
                    tasks.start_soon(come, rig, name, first)
        users = {link.number: link.headers.get("x-user", "") for link in played.links}
    connections = {name: by(given) for name, given in answers.items()}
    assert all(len(found) >= 1 for found in connections.values())
    for name, found in connections.items():
        others = [other for other_name, other in connections.items() if other_name != name]
        assert found.isdisjoint(set[int]().union(*others)), connections
        assert {users[number] for number in found} == {everybody[name].get("x_user", "")}
        assert "s3cret" not in json.dumps(answers[name])


# --- what is held, what is awaited, what was learned ----------------------------------------------------------------


@every_isolation
async def test_what_is_held_for_one_answers_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, f'isolation = "{isolation}"') as it:
        ann, bob = await comes(it, played, "ann"), await comes(it, played, "bob")
        for number in (1, 2, 3):
            await looks_at(ann, number)
        mine = (await ann.call("get_issue", number=7))["by"]
        await until(lambda: any(one.arguments == {"path": "file-7"} for one in played.early()), "it is read early")
        other = await bob.call("read", path="file-7")
        assert other["by"] != mine
        assert (await ann.call("read", path="file-7"))["by"] == mine
        reads = [(link.number, one.is_early) for link in played.links for one in link.calls if "file-7" in str(one)]
        assert sorted(reads) == sorted([(mine, True), (other["by"], False)])


async def test_nobody_waits_for_what_is_under_way_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(link: PlayedLink, arguments: dict[str, Any]) -> dict[str, Any] | None:
        is_slow = arguments["path"] == "file-7" and link.calls[-1].is_early
        return None if is_slow else said(link, path=arguments["path"])

    played = Played()
    played.tools["read"] = read
    async with gateway(tmp_path, monkeypatch, {"only": played}, 'isolation = "shared"') as it:
        ann, bob = await comes(it, played, "ann"), await comes(it, played, "bob")
        for number in (1, 2, 3):
            await looks_at(ann, number)
        mine = (await ann.call("get_issue", number=7))["by"]
        await until(lambda: any(one.arguments == {"path": "file-7"} for one in played.early()), "it is read early")
        waiting = ann.begin("tools/call", name="read", arguments={"path": "file-7"})
        assert (await bob.call("read", path="file-7"))["by"] != mine
        (link,) = (link for link in played.links if link.number == mine)
        (early,) = (one for one in link.calls if one.is_early and one.arguments == {"path": "file-7"})
        link.says(id=early.id, result=said(link, path="file-7"))
        assert (await ann.answer(waiting))["result"]["structuredContent"]["by"] == mine


@pytest.mark.parametrize("how", ["a newer token", "a batch"])
async def test_what_was_read_early_is_not_held_beyond_its_token_and_answers_no_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, 'isolation = "shared"') as it:
        ann = await comes(it, played, "ann")
        for number in (1, 2, 3):
            await looks_at(ann, number)
        mine = played.link((await ann.call("get_issue", number=7))["by"])
        await until(lambda: mine.has_early("read", path="file-7"), "it is read early")
        read = {"name": "read", "arguments": {"path": "file-7"}}
        if how == "a batch":
            ann.session.on_client_line(
                json.dumps([{"jsonrpc": "2.0", "id": "b", "method": "tools/call", "params": read}]).encode() + b"\n"
            )
            await ann.wait(lambda one: isinstance(one, list))
        else:
            ann.session.drop_held()
            await ann.ask("tools/call", **read)
        made = [one.is_early for one in mine.calls if one.arguments == read["arguments"]]
        assert made == [True, False]


async def test_what_one_does_again_and_again_foretells_nothing_of_another_not_even_in_a_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played()
    for run in (1, 2):
        async with gateway(tmp_path, monkeypatch, {"only": played}, 'isolation = "shared"') as it:
            ann, bob = await comes(it, played, "ann"), await comes(it, played, "bob")
            for number in (1, 2, 3) if run == 1 else ():
                await looks_at(ann, number)
            number = 10 * run
            other = (await bob.call("get_issue", number=number))["by"]
            await ann.call("get_issue", number=number + 1)
            await until(
                lambda number=number: any(one.arguments == {"path": f"file-{number + 1}"} for one in played.early()),
                "what ann will read is read early",
            )
            assert not [one for one in played.link(other).calls if one.is_early and one.tool == "read"]
            assert not [one for one in played.early() if one.arguments == {"path": f"file-{number}"}]


# --- what is said besides -------------------------------------------------------------------------------------------


async def test_what_a_server_says_to_one_principal_no_other_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, 'isolation = "shared"') as it:
        ann, bob = await comes(it, played, "ann"), await comes(it, played, "bob")
        for client in (ann, bob):
            await client.ask("resources/subscribe", uri="x://same")
            await client.ask("logging/setLevel", level="debug")
            client.begin("tools/call", "same", name="wait", arguments={}, _meta={"progressToken": "same"})
        await until(lambda: all(any(one.tool == "wait" for one in link.calls) for link in played.open), "both wait")
        mine, other = played.open
        (waiting,) = (one for one in mine.calls if one.tool == "wait")
        mine.tells("notifications/message", level="error", data="secret")
        mine.tells("notifications/progress", progressToken=waiting.token, progress=1)
        mine.tells("notifications/resources/updated", uri="x://same")
        mine.tells("notifications/tools/list_changed")
        mine.says(id="q", method="elicitation/create", params={"message": "secret?"})
        question = await ann.wait(lambda one: one.get("method") == "elicitation/create")
        bob.says(id=question["id"], result={"action": "accept", "content": {}})
        ann.says(id=question["id"], result={"action": "decline"})
        mine.says(id=waiting.id, error={"code": -1, "message": "secret"})
        assert (await ann.answer("same"))["error"]["message"] == "secret"
        await until(lambda: any(one.get("id") == "q" for one in mine.got), "the question is answered")
        assert [one["result"] for one in mine.got if one.get("id") == "q"] == [{"action": "decline"}]
        assert not any(one.get("id") == "q" for one in other.got)
        assert sorted(ann.notified()) == [
            "notifications/message",
            "notifications/progress",
            "notifications/resources/updated",
            "notifications/tools/list_changed",
        ]
        assert bob.got == []


async def test_a_list_shows_what_the_server_lists_to_this_principal_at_once_and_in_a_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lists(link: PlayedLink) -> list[str]:
        return ["read", f"only-{link.headers['x-user']}"]

    played = Played(lists=lists)
    for _ in range(2):
        async with gateway(tmp_path, monkeypatch, {"only": played}, 'forward_headers = ["x-user"]') as it:
            shown: dict[str, list[str]] = {}
            for name in ("ann", "bob", "ann", "bob"):
                client = await Client(it, visitor(name, **{"x-user": name})).initialize()
                listed = await client.ask("tools/list")
                shown[name] = [tool["name"] for tool in listed["result"]["tools"]]
            assert shown == {"ann": ["read", "only-ann"], "bob": ["read", "only-bob"]}
