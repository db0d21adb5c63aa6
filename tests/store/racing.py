"""Processes that begin at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BOUND_S = 60
ROOT = Path(__file__).resolve().parents[2]


def raced(program: str, arguments: tuple[str, ...], count: int) -> list[str]:
    """What each of them printed after its `ready`. A program says that, and waits then for a line on its input.

    All have ended without an error when this returns.
    """
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=BOUND_S) for racer in racers]
    ended = [(racer.returncode, errors) for racer, (_, errors) in zip(racers, said, strict=True)]
    assert ended == [(0, "")] * count
    return [printed for printed, _ in said]
