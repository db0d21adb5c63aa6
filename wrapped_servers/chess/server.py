"""The tools. `think` and `glance` look at a position that is given by its moves and know of no game: what they answer
depends on their arguments alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import anyio
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field

from wrapped_servers.chess.engines import Engines
from wrapped_servers.chess.games import Games, Refused, legal, outcome, position

NAME = "chess"
VERSION = "1"

MOST_NODES = 50_000_000
"""Some minutes of an engine's time."""

MOST_SECONDS = 600.0

Moves = Annotated[list[str], Field(description="All moves from the start, as UCI writes them: ['e2e4', 'e7e5'].")]
Game = Annotated[str, Field(description="A game's name, as new_game gave it.")]
Nodes = Annotated[int, Field(ge=1, le=MOST_NODES, description="How many positions the engine looks at.")]
Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS, description="The answer comes no sooner.")]
Breadth = Annotated[int, Field(ge=1, le=10, description="How many moves to guess.")]

READ = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
WRITE = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)


@dataclass(frozen=True)
class Position:
    """A game's position."""

    game: str
    moves: list[str]
    fen: str
    outcome: str | None


@dataclass(frozen=True)
class Move:
    """A move that was chosen."""

    move: str


@dataclass(frozen=True)
class Guess:
    """What `think` may answer."""

    result: Move
    confidence: float


@dataclass(frozen=True)
class Guesses:
    """Likeliest first."""

    guesses: list[Guess]


@dataclass(frozen=True)
class LegalMoves:
    """In order."""

    moves: list[str]


def make_server(engines: Engines, glance_nodes: int) -> MCPServer[None]:
    """The MCP server, for any transport and both protocol eras."""
    server: MCPServer[None] = MCPServer(NAME, version=VERSION, lifespan=_closing(engines), log_level="WARNING")
    games = Games()

    def shown(game: str) -> Position:
        board = games.board(game)
        moves = [move.uci() for move in board.move_stack]
        return Position(game=game, moves=moves, fen=board.fen(), outcome=outcome(board))

    @server.tool(annotations=WRITE)
    async def new_game(moves: Moves) -> Position:
        """Begin a game, with these moves already played."""
        return shown(games.begin(moves))

    @server.tool(annotations=WRITE)
    async def play(game: Game, move: Annotated[str, Field(description="Such as 'e2e4'.")]) -> Position:
        """Play a move in a game."""
        games.play(game, move)
        return shown(game)

    @server.tool(annotations=READ)
    async def board(game: Game) -> Position:
        """Show a game's position."""
        return shown(game)

    @server.tool(annotations=READ)
    async def legal_moves(moves: Moves) -> LegalMoves:
        """List the legal moves after these."""
        return LegalMoves(moves=legal(position(moves)))

    @server.tool(annotations=READ)
    async def think(moves: Moves, nodes: Nodes, min_seconds: Seconds = 0.0) -> Move:
        """Choose a move with care: slow and deep. The same moves and nodes give the same choice."""
        board = position(moves)
        if (ended := outcome(board)) is not None:
            raise Refused(f"the game has ended: {ended}")
        due = anyio.current_time() + min_seconds
        chosen = await engines.think(board, nodes)
        await anyio.sleep_until(due)
        return Move(move=chosen)

    @server.tool(annotations=READ)
    async def glance(moves: Moves, k: Breadth) -> Guesses:
        """Guess at once which moves `think` may choose, with confidences: quick and shallow."""
        board = position(moves)
        likely = [] if outcome(board) is not None else await engines.glance(board, glance_nodes, k)
        return Guesses(guesses=[Guess(result=Move(move=one.move), confidence=one.confidence) for one in likely])

    return server


def _closing(engines: Engines) -> Callable[[MCPServer[None]], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncGenerator[None]:
        try:
            yield None
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                await engines.close()

    return lifespan
