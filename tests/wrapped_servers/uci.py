"""A chess engine that speaks UCI and nothing more: it plays the first legal move in order, and `hang` hangs."""

from __future__ import annotations

import sys

import chess


def main() -> None:
    board = chess.Board()
    for line in sys.stdin:
        words = line.split()
        match words[:1]:
            case ["uci"]:
                say("id name first move", "uciok")
            case ["isready"]:
                say("readyok")
            case ["position"]:
                board = chess.Board()
                for move in words[3:]:
                    board.push_uci(move)
            case ["go"]:
                if len(board.move_stack) == 1 and "--hang" in sys.argv:
                    continue
                if len(board.move_stack) == 2 and "--die" in sys.argv:
                    sys.exit(3)
                best = min(move.uci() for move in board.legal_moves)
                say(f"info depth 1 multipv 1 score cp 10 pv {best}", f"bestmove {best}")
            case ["stop"]:
                say(f"bestmove {min(move.uci() for move in board.legal_moves)}")
            case ["quit"]:
                return
            case _:
                pass


def say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
