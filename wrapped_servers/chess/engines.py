"""Looks at positions by UCI engines. Each look begins with an empty hash and runs on one thread, so that what it finds
depends on the position and the number of nodes alone."""

from __future__ import annotations

import asyncio
import math
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

import chess
import chess.engine
from mcp.server.mcpserver.exceptions import ToolError

VARIABLE = "SPEC_MCP_UCI"
"""Names a UCI engine in place of Stockfish."""

STOCKFISH = ("stockfish", "/usr/games/stockfish", "/opt/homebrew/bin/stockfish", "/usr/local/bin/stockfish")

OPTIONS: Mapping[str, int] = {"Threads": 1, "Hash": 16}

LINES = 5
"""A glance weighs so many moves against each other, or as many as are asked for."""

SPREAD_CENTIPAWNS = 35.0
"""How much better one move must be than another for a deeper look to choose it e times as often."""

MATE = 10_000
"""A mate in so many centipawns, less one for each move until then."""

PATIENCE_S = 20.0
"""How long an engine may take to start, or to stop."""


class NoEngine(ToolError):  # noqa: N818  what happened, as it is told
    """There is no engine, or it does not work; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Likely:
    """A move that a deeper look may choose."""

    move: str
    confidence: float
    """From 0 to 1; those of all legal moves add up to 1 at the most."""


def find_engine(environ: Mapping[str, str], named: str | None = None) -> list[str]:
    """The command of the engine: the one that is named, by the caller or by `SPEC_MCP_UCI`, or Stockfish.

    Raises:
        NoEngine: there is none.
    """
    wanted = named or environ.get(VARIABLE)
    for command in [shlex.split(wanted)] if wanted else [[name] for name in STOCKFISH]:
        if command and (found := shutil.which(command[0])) is not None:
            return [found, *command[1:]]
    if wanted:
        raise NoEngine(f"{wanted!r} starts no program: name a UCI engine by --engine or {VARIABLE}")
    raise NoEngine(f"no chess engine: install Debian's or Homebrew's stockfish, or name a UCI engine by {VARIABLE}")


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look found."""

    move: chess.Move | None
    lines: list[chess.engine.InfoDict]


class Engines:
    """Up to so many engines at once, kept for the next look; one that dies makes place for a new one."""

    def __init__(self, command: list[str], most: int = 0) -> None:
        """`most` 0: two for each processor, since looks that wait out their time leave it idle."""
        self._command = command
        self._idle: list[chess.engine.UciProtocol] = []
        self._looks: set[asyncio.Task[_Found]] = set()
        self._places = asyncio.Semaphore(most or 2 * (os.cpu_count() or 1))

    async def think(self, board: chess.Board, nodes: int) -> str:
        """The best move after so many nodes."""
        found = await self._look(board, nodes, 1)
        if found.move is None:
            raise NoEngine(f"the engine found no move in {board.fen()}")
        return found.move.uci()

    async def glance(self, board: chess.Board, nodes: int, k: int) -> list[Likely]:
        """The k moves that a deeper look is likeliest to choose, likeliest first."""
        found = await self._look(board, nodes, min(max(k, LINES), board.legal_moves.count()))
        scored = [
            (best[0].uci(), score.relative.score(mate_score=MATE))
            for line in found.lines
            if (best := line.get("pv")) and (score := line.get("score")) is not None
        ]
        highest = max((score for _, score in scored), default=0)
        weights = [(move, math.exp((score - highest) / SPREAD_CENTIPAWNS)) for move, score in scored]
        total = sum(weight for _, weight in weights)
        likely = [Likely(move, round(weight / total, 4)) for move, weight in weights]
        return sorted(likely, key=lambda one: -one.confidence)[:k]

    async def close(self) -> None:
        """End those that are idle or will be."""
        if self._looks:
            await asyncio.wait(self._looks)
        while self._idle:
            engine = self._idle.pop()
            await engine.quit()
            _end(engine)

    async def _look(self, board: chess.Board, nodes: int, lines: int) -> _Found:
        """A look is a task of its own, which is told to stop when nobody waits for it any more, and keeps its place
        until it has: python-chess does not bear that a command is cancelled before the engine has begun with it."""
        unwanted = asyncio.Event()
        look = asyncio.create_task(self._work(unwanted, board, nodes, lines))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        try:
            return await asyncio.shield(look)
        except asyncio.CancelledError:
            unwanted.set()
            raise

    async def _work(self, unwanted: asyncio.Event, board: chess.Board, nodes: int, lines: int) -> _Found:
        async with self._places:
            if unwanted.is_set():
                return _Found(None, [])
            engine = self._idle.pop() if self._idle else await self._start()
            try:
                found = await _search(engine, unwanted, board, nodes, lines)
            except (AssertionError, chess.engine.EngineError) as error:  # python-chess asserts in odd moments
                _end(engine)
                raise NoEngine(f"{self._command[0]}: {error}") from error
            self._idle.append(engine)
            return found

    async def _start(self) -> chess.engine.UciProtocol:
        transport: asyncio.SubprocessTransport | None = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                transport, engine = await chess.engine.popen_uci(self._command)
                await engine.configure({name: value for name, value in OPTIONS.items() if name in engine.options})
        except (OSError, TimeoutError, chess.engine.EngineError) as error:
            if transport is not None:
                transport.close()
            raise NoEngine(f"{self._command[0]} does not speak UCI: {error or 'no answer'}") from error
        return engine


async def _search(
    engine: chess.engine.UciProtocol, unwanted: asyncio.Event, board: chess.Board, nodes: int, lines: int
) -> _Found:
    several = lines if lines > 1 and "MultiPV" in engine.options else None  # some engines tell but their best line
    begun = asyncio.create_task(engine.analysis(board, chess.engine.Limit(nodes=nodes), multipv=several, game=object()))
    await asyncio.wait({begun, engine.returncode}, return_when=asyncio.FIRST_COMPLETED)
    if not begun.done():  # of an engine that dies before it begins, nobody would be told
        begun.cancel()
        raise chess.engine.EngineTerminatedError("the engine died")
    analysis = await begun
    stopping = asyncio.create_task(_stop(unwanted, analysis, engine))
    try:
        best = await analysis.wait()
    finally:
        stopping.cancel()
    return _Found(best.move, analysis.multipv)


async def _stop(
    unwanted: asyncio.Event, analysis: chess.engine.AnalysisResult, engine: chess.engine.UciProtocol
) -> None:
    await unwanted.wait()
    analysis.stop()
    await asyncio.sleep(PATIENCE_S)
    _end(engine)


def _end(engine: chess.engine.UciProtocol) -> None:
    if engine.transport is not None:
        engine.transport.close()
