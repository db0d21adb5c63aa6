"""What one principal calls, is answered and says is in no prompt that is made for another (rule 15)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spec_mcp.hints import Hints
from spec_mcp.predict import bandit
from tests.relay.gateway.inside import Client, Played, PlayedLink, gateway, said, until, visitor
from tests.servers.models import Asked, ModelServer, Says

pytestmark = pytest.mark.anyio

DAYS = 3
NAMES = ("ann", "bob")
SPECULATOR = """
[predictors]
history = false
[predictors.small]
kind = "openai"
model = "scripted"
base_url = "{url}"
timeout_s = 20.0
concurrency = 16
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def named_in(asked: Asked) -> set[str]:
    """Whose words, calls and results a request shows."""
    return set(re.findall("|".join(NAMES), asked.prefix + asked.suffix))


def guesses(asked: Asked) -> Says:
    """A file of whoever is shown."""
    return Says.guesses(*(("read", {"path": f"foretold-{name}"}, 0.99) for name in named_in(asked)))


def result(link: PlayedLink, arguments: dict[str, object]) -> dict[str, object]:
    """Its user's name stands in it."""
    return said(link, owner=f"result of {link.headers['x-user']}")


async def test_neither_is_in_a_prompt_for_the_other_nor_called_for_by_a_guess_for_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bandit, "ASKING_S", -1.0)  # whatever it is worth to clients who do not think between calls
    played = Played({"get_issue": result, "read": result})
    hints = {name: Hints() for name in NAMES}
    with ModelServer(guesses) as model:
        more = 'isolation = "shared"\nforward_headers = ["x-user"]\n' + SPECULATOR.format(url=model.url)
        async with gateway(tmp_path, monkeypatch, {"only": played}, more) as it:
            clients = {name: await Client(it, visitor(name, **{"x-user": name})).begins(played) for name in NAMES}
            for number in range(DAYS):
                for name, client in clients.items():
                    hints[name].say("user", f"words of {name}, {number}")
                    given = {"number": f"{name}-{number}"}
                    await client.ask("tools/call", name="get_issue", arguments=given, _meta=hints[name].meta())
                    last = f'"number":"{name}-{number}"'
                    await until(
                        lambda last=last: any(last in asked.suffix for asked in model.asked),
                        "a question",
                        lambda last=last: (last, [asked.suffix for asked in model.asked]),
                    )
    shown = [named_in(asked) for asked in model.asked]
    assert {frozenset(names) for names in shown} == {frozenset({name}) for name in NAMES}
    everything = "".join(asked.suffix for asked in model.asked)
    for name in NAMES:
        for part in (f"words of {name}", f"{name}-0", f"result of {name}"):
            assert part in everything
    for link in played.links:
        paths = {one.arguments["path"] for one in link.calls if one.tool == "read"}
        assert paths <= {f"foretold-{link.headers['x-user']}"}, "whose guess it was, that server is asked"
