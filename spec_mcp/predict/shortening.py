"""Texts cut to what they may take, so that one that is huge does not crowd out the rest."""

from __future__ import annotations

from collections.abc import Sequence

HEAD_SHARE = 0.7
"""Of what is kept of a text, what comes from its beginning: lists are read from there, and totals stand at the end."""

LEFT_OUT = "…({} characters left out)…"


def cut(text: str, most_chars: int) -> str:
    """The text, or its beginning and end with a note between them; at most so many characters."""
    if len(text) <= most_chars:
        return text
    note = LEFT_OUT.format(len(text))
    kept = most_chars - len(note)
    if kept <= 0:
        return text[: max(0, most_chars)]
    head = int(kept * HEAD_SHARE)
    tail = kept - head
    note = LEFT_OUT.format(len(text) - kept)
    return text[:head] + note + text[len(text) - tail :]


def shares(sizes: Sequence[int], budget: int) -> list[int]:
    """How much each may take of a budget: all of it where it is small, else as much as any other that is not.

    The shares are max-min fair (water-filling): none could have more without taking from one that has no more.
    """
    result = [0] * len(sizes)
    left, waiting = budget, len(sizes)
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        result[index] = min(sizes[index], max(0, left) // waiting)
        left -= result[index]
        waiting -= 1
    return result
