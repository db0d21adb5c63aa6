"""Whatever goes wrong in asking costs a guess: each question is told of once, and the next one can be asked."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from spec_mcp.config import ModelPredictor
from spec_mcp.predict.guessing import Answered, Ending
from spec_mcp.speculators import assembling
from spec_mcp.speculators.breaker import FAILURES
from spec_mcp.speculators.panel import Panel
from spec_mcp.speculators.schemas import Schemas
from spec_mcp.speculators.speculator import Speculator
from tests.speculators.asking import LONG_S, NEXT, SCENE

SETTINGS = ModelPredictor(kind="openai", model="scripted", base_url="http://127.0.0.1:9/v1")


class Broken:
    """A library that raises what it never said it would."""

    async def send(self, body: Any, within_s: float) -> Any:
        raise RuntimeError("no such thing")

    async def close(self) -> None:
        """Nothing is open."""


def test_a_library_that_raises_anything_fails_the_question_and_is_left_alone_in_the_end() -> None:
    said: list[str] = []
    speculator = Speculator("small", SETTINGS, Broken(), Schemas(), time.monotonic, said.append)

    async def ask() -> list[Ending]:
        return [(await speculator.ask(NEXT, SCENE, LONG_S)).ending for _ in range(FAILURES + 1)]

    assert asyncio.run(ask()) == [Ending.FAILED] * FAILURES + [Ending.HELD_BACK]
    assert said == ["[predictors.small]: its library failed: RuntimeError"]


def test_a_fault_of_ours_in_asking_is_told_as_a_question_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty:
        async def ask(self, *_: object) -> Answered:
            raise KeyError("ours")

    async def close() -> None:
        pass

    monkeypatch.setattr(assembling, "speculators_of", lambda *_: ({"small": Faulty()}, close))
    said: list[str] = []
    told: list[Answered] = []
    ready, answered = threading.Event(), threading.Event()
    panel = Panel({"small": SETTINGS}, {}, said.append)
    panel.on_ready = ready.set
    panel.start()
    assert ready.wait(LONG_S)

    def tell(one: Answered) -> None:
        told.append(one)
        answered.set()

    panel.ask(NEXT, SCENE, LONG_S, tell)
    assert answered.wait(LONG_S)
    panel.close(LONG_S)
    assert [one.ending for one in told] == [Ending.FAILED]
    assert said == ["[predictors.small]: KeyError: 'ours'"]
    assert not panel.is_ready, "nobody is there any more"
