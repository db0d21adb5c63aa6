"""One speculator of each kind, in front of one server. The vendors' clients take a tenth of a second to make, so all
tests share them; what a server was asked and told is each test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spec_mcp.speculators import bodies
from tests.servers.models import ModelServer
from tests.speculators.asking import KINDS, Clients, Fixture, Kind


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    with ModelServer() as server, asyncio.Runner() as runner:
        clients = Clients(server, runner)
        yield clients
        clients.close()


@pytest.fixture
def server(clients: Clients) -> ModelServer:
    clients.server.reset()
    return clients.server


@pytest.fixture
def make(clients: Clients, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Fixture]:
    """A speculator of a kind, with settings of one's own."""

    def of(kind: Kind = "chat", **others: Any) -> Fixture:
        if kind == "responses":  # which is how the vendor's own address is spoken to
            monkeypatch.setattr(bodies, "HOSTED", ("127.0.0.1",))
        return Fixture(clients, kind, **others)

    return of


@pytest.fixture(params=KINDS)
def any_kind(request: pytest.FixtureRequest, make: Callable[..., Fixture]) -> Fixture:
    return make(request.param)
