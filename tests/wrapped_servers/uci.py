"""A chess engine that speaks UCI and nothing more: it plays the first legal move in order.

`--hang`: after one half-move it looks until it is told to stop. `--die`: after two it dies. `--late`: it takes its time
before it is ready.
"""

from __future__ import annotations

import sys
import time

import chess

LATE_S = 0.5


def main() -> None:
    board, looking = chess.Board(), False
    for line in sys.stdin:
        words = line.split()
        match words[:1]:
            case ["uci"]:
                say("id name first move", "uciok")
            case ["isready"]:
                time.sleep(LATE_S if "--late" in sys.argv else 0)
                say("readyok")
            case ["position"]:
                board = chess.Board()
                for move in words[3:]:
                    board.push_uci(move)
            case ["go"]:
                if len(board.move_stack) == 1 and "--hang" in sys.argv:
                    looking = True
                    continue
                if len(board.move_stack) == 2 and "--die" in sys.argv:
                    sys.exit(3)
                best = min(move.uci() for move in board.legal_moves)
                say(f"info depth 1 multipv 1 score cp 10 pv {best}", f"bestmove {best}")
            case ["stop"] if looking:
                looking = False
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
