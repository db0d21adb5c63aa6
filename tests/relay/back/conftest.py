"""Servers behind every kind of link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.relay.back.places import Piped, over_http, over_sse, over_stateless_http


@pytest.fixture
def anyio_backend() -> str:
    """The gateway's."""
    return "asyncio"


WAYS = {"stdio": Piped, "http": over_http, "stateless-http": over_stateless_http, "sse": over_sse}


@pytest.fixture(params=WAYS, scope="module")
def shared_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server for all tests of a module: it takes its time to start."""
    place = WAYS[request.param](tmp_path_factory.mktemp("busy"))
    yield place
    place.end()


@pytest.fixture
def place(shared_place: Any) -> Any:
    """A server, and a link to it that nobody keeps yet."""
    shared_place.begin()
    return shared_place
