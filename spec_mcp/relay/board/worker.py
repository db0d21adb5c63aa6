"""Threads that wait for the board in the loop's place, each with a connection of its own.

loop:  do(step, done)  ->  thread:  step(board)  ->  loop:  done(its result or a StoreError)
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from spec_mcp.store.board import Board, Fence, News
from spec_mcp.store.store import StoreBusy, StoreError

T = TypeVar("T")

OpenBoard = Callable[[], Board]

Soon = Callable[[Callable[[], None]], None]
"""Has a task done on the loop's thread; any thread may call it."""

MAX_WAITING = 10_000
"""Steps; a database that hangs must not fill the memory. What is on a call's way comes in batches and is one step."""

NEWS_S = 1.0
"""How long to listen before it is looked whether we are to end."""

DEAF_S = 0.5
"""How long to wait before listening is tried again."""


class Worker:
    """Carries steps out in their order. `do` and `close` are called on the loop's thread."""

    def __init__(self, name: str, open_board: OpenBoard, soon: Soon) -> None:
        self._open_board = open_board
        self._soon = soon
        self._steps: queue.SimpleQueue[tuple[Callable[[Board], Any], Callable[[Any], None]] | None] = (
            queue.SimpleQueue()
        )
        self._is_closed = False
        # a daemon: a network that hangs must not keep the program from ending
        self._thread = threading.Thread(target=self._run, name=f"spec-mcp board {name}", daemon=True)
        self._thread.start()

    def do(self, step: Callable[[Board], T], done: Callable[[T | StoreError], None]) -> None:
        """Have a step done, and `done` called on the loop's thread with what came of it."""
        if self._is_closed or self._steps.qsize() >= MAX_WAITING:
            self._soon(lambda: done(StoreBusy("too much waits for the board")))
        else:
            self._steps.put((step, done))

    def close(self) -> None:
        """End when all that was asked for is done."""
        self._is_closed = True
        self._steps.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        board: Board | None = None
        while (asked := self._steps.get()) is not None:
            step, done = asked
            result: object
            try:
                board = board or self._open_board()
                result = step(board)
            except StoreError as error:
                result = error
            except Exception as error:  # noqa: BLE001  the boundary: a fault here must not silence the thread
                result = StoreError(f"the board: {type(error).__name__}: {error}: please report this")
            self._soon(lambda done=done, result=result: done(result))
        if board is not None:
            board.close()


class Listener:
    """Listens to what the others do."""

    def __init__(self, open_board: OpenBoard, soon: Soon, heard: Callable[[list[News]], None]) -> None:
        """`heard` is called on the loop's thread."""
        self.fence: Fence = 0
        """Whose own news are left out."""
        self._open_board = open_board
        self._soon = soon
        self._heard = heard
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spec-mcp board news", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._ended.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        board: Board | None = None
        while not self._ended.is_set():
            try:
                board = board or self._open_board()
                news = board.news(self.fence, NEWS_S)
            except Exception:  # noqa: BLE001  the boundary: news only make things faster, and others say what is wrong
                self._ended.wait(DEAF_S)
            else:
                if news:
                    self._soon(lambda news=news: self._heard(news))
        if board is not None:
            board.close()
