"""A stateless client that was asked for something comes back to the server process and the call that wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spec_mcp.config import Listen
from spec_mcp.relay.front.settings import HttpSettings
from tests.relay.front.rig import Rig, modern_request, serving
from tests.relay.gateway.inside import Played, gateway, said, until

pytestmark = pytest.mark.anyio

CAPABLE = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
QUESTION = {"message": "sure?", "requestedSchema": {"type": "object", "properties": {}}}
ANSWER = {"action": "accept", "content": {}}
HTTP = HttpSettings(Listen(), forwarded=frozenset({"x-user"}))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def begin(rig: Rig, trace: int, user: str, **more: Any) -> Any:
    """The call, in a trace of its own."""
    meta = {**CAPABLE, "traceparent": f"00-{trace:032x}-b7ad6b7169203331-01"}
    params = {"name": "wait", "arguments": {"word": 1}, **more}
    body, headers = modern_request("tools/call", params, trace, meta, x_user=user)
    return rig.ask(body, **headers)


async def test_the_call_that_waits_is_found_by_its_state_alone_and_by_its_own_principal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played()
    async with (
        gateway(tmp_path, monkeypatch, {"only": played}, 'forward_headers = ["x-user"]') as it,
        serving(it, settings=HTTP) as rig,
    ):
        asked = begin(rig, 1, "ann")
        await until(lambda: any(link.calls for link in played.links), "the call is there")
        (link,) = played.links
        link.says(id="q", method="elicitation/create", params=QUESTION)
        question = (await asked.response()).json()["result"]
        assert question["resultType"] == "input_required"
        (key,) = question["inputRequests"]
        given = {"requestState": question["requestState"], "inputResponses": {key: ANSWER}}

        stranger = (await begin(rig, 2, "bob", **given).response()).json()
        assert stranger["error"]["data"] == {"reason": "invalid_request_state"}
        assert not any(one.get("id") == "q" for one in link.got)

        again = begin(rig, 3, "ann", **given)
        await until(lambda: any(one.get("id") == "q" for one in link.got), "the question is answered")
        assert [one["result"] for one in link.got if one.get("id") == "q"] == [ANSWER]
        (call,) = link.calls
        link.says(id=call.id, result=said(link))
        assert (await again.response()).json()["result"]["structuredContent"] == {"by": link.number}
        assert not any(other.calls for other in played.links if other is not link)
