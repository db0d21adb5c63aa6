"""Speculators of every kind, in front of a server that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

from spec_mcp.config import ModelPredictor
from spec_mcp.predict.guessing import About, Answered, Question
from spec_mcp.predict.prompts import Scene, ToolShown
from spec_mcp.predict.recent import Step
from spec_mcp.speculators.api import Api
from spec_mcp.speculators.opening import open_api
from spec_mcp.speculators.schemas import Schemas
from spec_mcp.speculators.speculator import Speculator
from tests.servers.models import ModelServer

Kind = Literal["responses", "chat", "messages"]
KINDS: tuple[Kind, ...] = ("responses", "chat", "messages")

KEY = "sk-very-secret-0123456789"
ENVIRON = {"MODEL_KEY": KEY}

GET = ToolShown(
    "files",
    "get",
    "Reads a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}},
        "required": ["path"],
        "additionalProperties": False,
    },
    True,
)
DELETE = ToolShown("files", "delete_all", "Deletes all files.", {"type": "object"}, False)
SCENE = Scene((GET, DELETE), (Step(1, "files", "list", "{}", '{"files":["a.txt","b.txt"]}'),))
NEXT = Question("session", "small", About.NEXT_CALL, 4)
RUNNING = Question("session", "small", About.RUNNING_CALL, 4, 1)
LONG_S = 10.0

T = TypeVar("T")


def settings(server: ModelServer, kind: Kind, **others: Any) -> ModelPredictor:
    """A speculator behind this server. That its address is the hosted one's is for a test to say."""
    url = server.url.removesuffix("/v1") if kind == "messages" else server.url
    name = "anthropic" if kind == "messages" else "openai"
    given: dict[str, Any] = {"model": "scripted", "base_url": url, "api_key_env": "MODEL_KEY", "timeout_s": 5.0}
    return ModelPredictor(kind=name, **{**given, **others})


class Clients:
    """A server, and a client of each kind for it, on one loop."""

    def __init__(self, server: ModelServer, runner: asyncio.Runner) -> None:
        self.server = server
        self.runner = runner
        self._apis: dict[Kind, Api] = {}

    def api(self, kind: Kind) -> Api:
        if kind not in self._apis:

            async def open_it() -> Api:
                return open_api(settings(self.server, kind), ENVIRON)

            self._apis[kind] = self.runner.run(open_it())
        return self._apis[kind]

    def close(self) -> None:
        for api in self._apis.values():
            self.runner.run(api.close())


class Fixture:
    """One speculator and its server."""

    def __init__(self, clients: Clients, kind: Kind, **others: Any) -> None:
        self.server = clients.server
        self.said: list[str] = []
        self.now_s = 0.0
        self.settings = settings(clients.server, kind, **others)
        self._runner = clients.runner
        self.speculator = Speculator("small", self.settings, clients.api(kind), Schemas(), self.clock, self.said.append)

    def clock(self) -> float:
        return self.now_s

    def run(self, task: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(task)

    def ask(self, question: Question = NEXT, scene: Scene = SCENE, within_s: float = LONG_S) -> Answered:
        return self.run(self.speculator.ask(question, scene, within_s))
