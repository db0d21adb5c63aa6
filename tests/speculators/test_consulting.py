"""Speculators are asked for one session's sake, and left alone when its real call is there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.bandit import Costs
from spec_mcp.predict.guessing import Answered, Ending, Terms
from spec_mcp.predict.merged import MergedPredictor
from spec_mcp.predict.predictor import CallBegan, CallEnded
from spec_mcp.predict.prices import FREE
from spec_mcp.predict.recent import Recent
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.consulting import Consulting, Shown
from spec_mcp.speculators.panel import Panel
from tests.servers.models import ModelServer, Waits
from tests.speculators.asking import ENVIRON, settings

SERVER = "files"
POLICIES = {SERVER: ServerPolicy(SERVER, {"get": ToolPolicy(Effect.READ, exclusive=True, open_world=False)})}
SESSION = "session"
WAIT_S = 60.0


class Consulted:
    """One principal's session in front of a speculator. What its thread brings is done when the test says so."""

    def __init__(self, server: ModelServer) -> None:
        self.said: list[str] = []
        self.endings: list[Answered] = []
        self._tasks: queue.Queue[Callable[[], None]] = queue.Queue()
        self.panel = Panel({"small": settings(server, "chat")}, ENVIRON, self.said.append)
        self._shown = Shown(POLICIES, lambda: False)
        self.is_ready = threading.Event()
        timing = Timing()
        for _ in range(8):
            timing.took(SERVER, "get", 1.0)
            timing.thought(WAIT_S)
        self._predictor = MergedPredictor(Silent(), {"small": Terms(FREE)}, POLICIES, timing, Costs())
        self._consulting = Consulting(
            self.panel,
            self._predictor,
            Recent(lambda value: value),
            self._shown,
            self._tasks.put,
            lambda: False,
            timing.gap_s,
            lambda: 0.0,
        )
        self._consulting.on_answered = self.endings.append
        self._calls = 0

        def ready() -> None:
            self._consulting.ready()
            self.is_ready.set()

        self.panel.on_ready = ready

    def load(self) -> None:
        """What asks models is there, and that is heard."""
        self.panel.start()
        assert self.is_ready.wait(WAIT_S)
        self._do()

    def list(self, *tools: str) -> None:
        """The server has said what tools it has."""
        self._shown.listed(SERVER, [{"name": tool, "inputSchema": {"type": "object"}} for tool in tools])
        self._do()

    def begin(self) -> None:
        """The client makes a call."""
        self._calls += 1
        call = CallBegan(SESSION, self._calls, SERVER, "get", {"path": str(self._calls)}, 0.0, False)
        self._predictor.began(call)
        self._consulting.began(call)

    def end(self) -> None:
        """Its last call is answered."""
        call = CallEnded(SESSION, self._calls, {"text": "x"}, False, 0.0)
        self._predictor.ended(call)
        self._consulting.ended(call)

    def leave(self) -> None:
        """The client leaves."""
        self._predictor.closed(SESSION)
        self._consulting.closed(SESSION)

    def ask(self) -> None:
        """It is predicted for a step."""
        self._predictor.predict(SESSION, (), 16, 0.0)
        self._consulting.ask(SESSION, self.ask)

    def hear(self) -> Answered:
        """The next thing that is heard of a question."""
        self._do()
        return self.endings[-1]

    def _do(self) -> None:
        self._tasks.get(timeout=WAIT_S)()


@pytest.fixture
def consulted(server: ModelServer) -> Iterator[Consulted]:
    consulted = Consulted(server)
    yield consulted
    consulted.panel.close(WAIT_S)
    assert consulted.said == []


@pytest.mark.parametrize("what", ["the call that was guessed at", "the answer that was guessed at", "the client's end"])
def test_a_question_is_taken_back_at_once_by(consulted: Consulted, server: ModelServer, what: str) -> None:
    server.then(Waits())
    consulted.load()
    consulted.list("get")
    consulted.begin()
    if what != "the answer that was guessed at":
        consulted.end()
    consulted.ask()
    server.wait_asked()
    if what == "the call that was guessed at":
        consulted.begin()
    elif what == "the answer that was guessed at":
        consulted.end()
    else:
        consulted.leave()
    server.wait_left()
    answered = consulted.hear()
    assert (answered.ending, answered.guesses) == (Ending.CANCELLED, ())
    assert answered.spent.input_tokens > 0, "what was sent is taken to be paid for"


@pytest.mark.parametrize("first", ["the tools", "what asks models"])
def test_what_was_predicted_before_anything_could_be_asked_is_asked_once_that_can_be(
    consulted: Consulted, server: ModelServer, first: str
) -> None:
    server.then(Waits())
    consulted.begin()
    consulted.end()
    consulted.ask()
    if first == "the tools":
        consulted.list("get")
        consulted.load()
    else:
        consulted.load()
        consulted.list("a tool of which no manifest speaks")
        assert consulted.endings == server.asked == [], "no question was held back, so none was lost"
        consulted.list("a tool of which no manifest speaks", "get")
    server.wait_asked()
    consulted.ask()
    assert len(server.asked) == 1, "once in a turn"
    consulted.begin()
    assert consulted.hear().ending is Ending.CANCELLED
