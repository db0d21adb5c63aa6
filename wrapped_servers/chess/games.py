"""Games and positions, by the rules of chess. A move is written as UCI writes it: `e2e4`, `e7e8q`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import chess
from mcp.server.mcpserver.exceptions import ToolError

MAX_HALF_MOVES = 600
"""No game between people was longer; the rules end one of its own accord before it has 12,000."""

MAX_GAMES = 1_000
"""Kept at once by one server."""


class Refused(ToolError):  # noqa: N818  what happened, as it is told
    """What was asked for is against the rules; the text says why."""


def position(moves: Sequence[str]) -> chess.Board:
    """The position after these moves from the start.

    Raises:
        Refused: one of them is no legal move there.
    """
    if len(moves) > MAX_HALF_MOVES:
        raise Refused(f"{len(moves)} half-moves are more than the {MAX_HALF_MOVES} that a game may have")
    board = chess.Board()
    for number, move in enumerate(moves, 1):
        _play(board, move, f"half-move {number}")
    return board


def legal(board: chess.Board) -> list[str]:
    """All legal moves, in order."""
    return sorted(move.uci() for move in board.legal_moves)


def outcome(board: chess.Board) -> str | None:
    """How the game has ended, such as `1-0 checkmate`; None while it goes on."""
    ended = board.outcome()
    return None if ended is None else f"{ended.result()} {ended.termination.name.lower().replace('_', ' ')}"


def _play(board: chess.Board, text: str, which: str) -> None:
    try:
        move = chess.Move.from_uci(text)
    except ValueError:
        raise Refused(f"{which}: {text!r} is no move; write it like 'e2e4' or 'e7e8q'") from None
    if move not in board.legal_moves:
        raise Refused(f"{which}: {text} is not legal in {board.fen()}")
    board.push(move)


@dataclass(slots=True)
class Games:
    """The games that are being played, each by its name."""

    _boards: dict[str, chess.Board] = field(default_factory=dict[str, chess.Board])

    def begin(self, moves: Sequence[str]) -> str:
        """Begin a game with these moves already played; its name."""
        if len(self._boards) >= MAX_GAMES:
            raise Refused(f"{MAX_GAMES} games are being played: start another server")
        board = position(moves)
        name = f"game-{len(self._boards) + 1}"
        self._boards[name] = board
        return name

    def board(self, name: str) -> chess.Board:
        """The position of a game."""
        if name not in self._boards:
            raise Refused(f"there is no {name!r}: begin one with new_game")
        return self._boards[name]

    def play(self, name: str, move: str) -> chess.Board:
        """Play a move in a game; the position after it."""
        board = self.board(name)
        if (ended := outcome(board)) is not None:
            raise Refused(f"{name} has ended: {ended}")
        _play(board, move, f"half-move {len(board.move_stack) + 1}")
        return board
