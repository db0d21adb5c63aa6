"""All speculators of a process, on a thread of their own.

Nothing heavy is imported with this module: the libraries that ask models take seconds, and are loaded by the thread
once it has been started. `ask`, `cancel` and `close` return at once and may be called from one thread at any time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.config import ModelPredictor
from spec_mcp.predict.guessing import NOTHING_SPENT, Answered, Ending, Question
from spec_mcp.speculators.taping import NOTHING_TAPED, Taping

if TYPE_CHECKING:
    import asyncio

    from spec_mcp.predict.prompts import Scene
    from spec_mcp.speculators.speculator import Speculator

CLOSE_S = 0.5
"""How long the end of the program waits for questions to be taken back; then the thread is left to end with it."""

Told = Callable[[Answered], None]


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    scene: Scene
    until_s: float
    told: Told


class Panel:
    """Speculators by name. Each question is told of once, on their thread, whatever comes of it."""

    def __init__(
        self,
        models: Mapping[str, ModelPredictor],
        environ: Mapping[str, str],
        say: Callable[[str], None],
        taping: Taping = NOTHING_TAPED,
    ) -> None:
        self._models = models
        self._environ = environ
        self._say = say
        self._taping = taping
        self._inbox: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[asyncio.Task[None], Question] = {}
        """What is under way."""
        self._speculators: dict[str, Speculator] = {}
        self.is_ready = False
        """Can anybody be asked?"""
        self.on_ready: Callable[[], None] = lambda: None
        """Told once, on their thread, that from now on somebody can."""
        self._closing = threading.Event()
        # a daemon: a library that is being imported, or a server that hangs, must not keep the program from ending
        self._thread = threading.Thread(target=self._run, name="spec-mcp speculators", daemon=True)

    def start(self) -> None:
        """Begin to load what they need. Due once the client has been served, since that takes a share of a core."""
        if self._thread.ident is None and not self._closing.is_set():
            try:
                self._thread.start()
            except RuntimeError as error:  # the system has no thread left for us
                self._say(f"{error}: no speculator is asked")

    def ask(self, question: Question, scene: Scene, within_s: float, told: Told) -> None:
        """Ask; an answer later than `within_s` is none."""
        asked = _Asked(question, scene, time.monotonic() + within_s, told)
        self._post(lambda: self._ask(asked))

    def cancel(self, question: Question) -> None:
        """Take back this very question: its session has gone on."""
        self._post(lambda: self._cancel(question))

    def close(self, within_s: float = CLOSE_S) -> None:
        """Take back everything and end, within the bound."""
        self._closing.set()
        self._post(self._cancel_all)
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def _post(self, task: Callable[[], None]) -> None:
        self._inbox.append(task)
        if (loop := self._loop) is not None:
            try:
                loop.call_soon_threadsafe(self._drain)
            except RuntimeError:  # it has ended in the meantime
                pass

    # --- on the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        import asyncio

        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  rule 17: calls go through without speculators
            self._say(f"the speculators failed ({type(error).__name__}: {error}); calls go through as before")

    async def _serve(self) -> None:
        import asyncio

        from spec_mcp.speculators.assembling import speculators_of

        self._ended = asyncio.Event()
        self._speculators, close = speculators_of(self._models, self._environ, self._taping, self._say)
        self._loop = asyncio.get_running_loop()
        self._drain()
        if self._speculators:
            self.is_ready = True
            self.on_ready()
        try:
            await self._ended.wait()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            self.is_ready = False
            await close()

    def _drain(self) -> None:
        while self._inbox:
            self._inbox.popleft()()
        if self._closing.is_set():
            self._ended.set()

    def _ask(self, asked: _Asked) -> None:
        import asyncio

        speculator = self._speculators.get(asked.question.speculator)
        within_s = asked.until_s - time.monotonic()
        if speculator is None or within_s <= 0 or self._closing.is_set():
            ending = Ending.FAILED if speculator is None else Ending.HELD_BACK
            asked.told(Answered(asked.question, ending, (), NOTHING_SPENT))
            return
        task = asyncio.get_running_loop().create_task(self._answer(speculator, asked, within_s))
        self._tasks[task] = asked.question

        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[task]
            if task.cancelled():  # before it began: nothing was sent
                asked.told(Answered(asked.question, Ending.CANCELLED, (), NOTHING_SPENT))
            elif (fault := task.exception()) is not None:  # rule 17: a fault of ours costs a guess
                self._say(f"[predictors.{asked.question.speculator}]: {type(fault).__name__}: {fault}")
                asked.told(Answered(asked.question, Ending.FAILED, (), NOTHING_SPENT))

        task.add_done_callback(ended)

    async def _answer(self, speculator: Speculator, asked: _Asked, within_s: float) -> None:
        asked.told(await speculator.ask(asked.question, asked.scene, within_s))

    def _cancel(self, question: Question) -> None:
        for task, asked in list(self._tasks.items()):
            if asked is question:
                task.cancel()

    def _cancel_all(self) -> None:
        for task in list(self._tasks):
            task.cancel()
