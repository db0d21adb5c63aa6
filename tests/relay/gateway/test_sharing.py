"""Sessions that share a connection, or a few, through the whole gateway: each gets its own, whatever names it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spec_mcp.relay.gateway.served import POOL_SIZE
from tests.relay.gateway.inside import Call, Client, Played, PlayedLink, gateway, said, until

pytestmark = pytest.mark.anyio

SESSIONS = 6
CONNECTIONS = {"shared": 1, "pool": POOL_SIZE}

every_sharing = pytest.mark.parametrize("isolation", ["shared", "pool"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Sharers:
    """Some sessions of one principal."""

    def __init__(self, played: Played, clients: list[Client]) -> None:
        self.played = played
        self.clients = clients

    async def wait_all(self, tool: str = "wait") -> list[tuple[PlayedLink, Call]]:
        """Each makes a call of the same id with the same token; where it is, in the order of the clients."""
        for word, client in enumerate(self.clients):
            meta = {"progressToken": "same"}
            client.begin("tools/call", "same", name=tool, arguments={"word": word}, _meta=meta)
        await until(lambda: len(self.waiting(tool)) == len(self.clients), "all wait")
        return [self.waiting(tool)[word] for word in range(len(self.clients))]

    def waiting(self, tool: str) -> dict[int, tuple[PlayedLink, Call]]:
        found = [(link, one) for link in self.played.links for one in link.calls if one.tool == tool]
        return {one.arguments["word"]: (link, one) for link, one in found}

    def silent(self, but: Client | None = None) -> bool:
        """Has nobody else been told anything?"""
        return all(client.got == [] for client in self.clients if client is not but)


async def _sharers(it: Any, played: Played, isolation: str) -> Sharers:
    clients = [await Client(it).initialize() for _ in range(SESSIONS)]
    assert len(played.links) == CONNECTIONS[isolation]
    for client in clients:
        client.got.clear()
    return Sharers(played, clients)


@every_sharing
async def test_answers_and_progress_reach_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, f'isolation = "{isolation}"') as it:
        sharers = await _sharers(it, played, isolation)
        places = await sharers.wait_all()
        for link in played.links:
            asked = [one for one in link.calls if one.tool == "wait"]
            assert len({one.id for one in asked}) == len({one.token for one in asked}) == len(asked)
        for word, (link, one) in reversed(list(enumerate(places))):
            link.tells("notifications/progress", progressToken=one.token, progress=word)
            link.says(id=one.id, result=said(link, word=word))
            client = sharers.clients[word]
            told = await client.wait(lambda message: message.get("method") == "notifications/progress")
            assert told["params"] == {"progressToken": "same", "progress": word}
            assert (await client.answer("same"))["result"]["structuredContent"]["word"] == word
            assert sharers.silent()


@every_sharing
async def test_a_cancellation_ends_its_own_call_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, f'isolation = "{isolation}"') as it:
        sharers = await _sharers(it, played, isolation)
        places = await sharers.wait_all()
        sharers.clients[2].says(method="notifications/cancelled", params={"requestId": "same"})
        link, cancelled = places[2]
        await until(lambda: link.asked("notifications/cancelled"), "the server is told")
        told = [one for other in played.links for one in other.asked("notifications/cancelled")]
        assert [one["params"]["requestId"] for one in told] == [cancelled.id]
        for word in (0, 1, 3, 4, 5):
            other, one = places[word]
            other.says(id=one.id, result=said(other, word=word))
            assert (await sharers.clients[word].answer("same"))["result"]["structuredContent"]["word"] == word
        assert sharers.silent()


@every_sharing
async def test_a_question_reaches_the_only_session_that_it_can_be_meant_for_and_its_answer_comes_from_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, f'isolation = "{isolation}"') as it:
        sharers = await _sharers(it, played, isolation)
        asker = sharers.clients[1]
        asker.begin("tools/call", "mine", name="wait", arguments={"word": 1})
        await until(lambda: sharers.waiting("wait"), "it waits")
        link, _ = sharers.waiting("wait")[1]
        link.says(id="q", method="elicitation/create", params={"message": "?"})
        question = await asker.wait(lambda one: one.get("method") == "elicitation/create")
        assert sharers.silent()
        for client in sharers.clients:  # others may say what they like
            client.says(id=question["id"], result={"action": "accept" if client is asker else "decline"})
        await until(lambda: any(one.get("id") == "q" for one in link.got), "it is answered")
        assert [one["result"] for one in link.got if one.get("id") == "q"] == [{"action": "accept"}]
        assert not any("result" in one for other in played.links if other is not link for one in other.got)


@every_sharing
async def test_a_question_that_could_be_meant_for_several_is_refused_and_a_log_message_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, f'isolation = "{isolation}"') as it:
        sharers = await _sharers(it, played, isolation)
        places = await sharers.wait_all()
        crowded = [link for link, _ in places if sum(other is link for other, _ in places) > 1]
        for number, link in enumerate(dict.fromkeys(crowded)):
            link.says(id=number, method="roots/list")
            link.tells("notifications/message", level="error", data="whose?")
            await until(
                lambda link=link, number=number: any("error" in one for one in link.got if one.get("id") == number),
                "it is refused",
            )
        assert crowded
        assert sharers.silent()


@every_sharing
async def test_each_hears_of_the_resources_that_it_subscribed_to_and_all_of_lists_that_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}, f'isolation = "{isolation}"') as it:
        sharers = await _sharers(it, played, isolation)
        for number, client in enumerate(sharers.clients):
            assert (await client.ask("resources/subscribe", uri=f"x://{number % 2}"))["result"] == {}
            client.got.clear()
        for link in played.links:  # an address that nobody has subscribed to there may be of something below another
            if any(one["params"]["uri"] == "x://1" for one in link.asked("resources/subscribe")):
                link.tells("notifications/resources/updated", uri="x://1")
        for number, client in enumerate(sharers.clients):
            assert client.notified() == ["notifications/resources/updated"] * (number % 2)
            client.got.clear()
        played.links[0].tells("notifications/prompts/list_changed")
        told = [client.notified() for client in sharers.clients]
        own = SESSIONS // CONNECTIONS[isolation]
        assert sum(one == ["notifications/prompts/list_changed"] for one in told) >= own
        assert all(one in ([], ["notifications/prompts/list_changed"]) for one in told)


@every_sharing
async def test_a_write_of_one_session_drops_what_was_read_early_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    played = Played()
    played.tools["write"] = lambda link, arguments: said(link)
    async with gateway(tmp_path, monkeypatch, {"only": played}, f'isolation = "{isolation}"') as it:
        sharers = await _sharers(it, played, isolation)
        writes, reads = sharers.clients[0], await Client(it).begins(played)
        for number in (1, 2, 3):
            await reads.call("get_issue", number=number)
            await reads.call("read", path=f"file-{number}")
        await reads.call("get_issue", number=7)
        await until(lambda: any(one.arguments == {"path": "file-7"} for one in played.early()), "it is read early")
        await writes.call("write", path="file-7")
        await reads.call("read", path="file-7")
        asked = [one for link in played.links for one in link.calls if one.arguments == {"path": "file-7"}]
        assert [one.tool for one in asked if not one.is_early] == ["write", "read"]
