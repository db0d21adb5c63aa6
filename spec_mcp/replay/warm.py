"""Learns from recorded sessions what a predictor would have learned by living them, and each call once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.predict.default import make_predictor
from spec_mcp.predict.merging import KIND
from spec_mcp.records import Session
from spec_mcp.replay.evaluate import learn
from spec_mcp.replay.script import Timings, set_stage, write_script

LESSONS = f"lessons of {KIND}"
"""What rows of a store are called that say what was learned from; they end with the shape of what is learned."""


def teach(
    server: str,
    sessions: Sequence[Session],
    policy: ServerPolicy | None,
    progress: Callable[[], None] | None = None,
    words: bool = False,
) -> Json:
    """What a predictor dumps after these sessions of a server that goes by this name.

    `words`: it hears what user and assistant said too, as it does from a client that sends hints.
    """
    stage = set_stage(sessions, (), policy)
    predictor = make_predictor({server: stage.policy}, 0)
    for session in sessions:
        learn(predictor, write_script(session, stage, Timings()), words, server)
        if progress is not None:
            progress()
    return predictor.dump()


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is new in some sessions, and how many calls of each will have been learned from."""

    sessions: tuple[Session, ...]
    """Of a session that has grown since, its new calls alone."""
    learned: Mapping[str, int]
    """Calls, by the session's digest."""

    @property
    def calls(self) -> int:
        """How many are new."""
        return sum(1 for session in self.sessions for _ in session.calls())


def new_lessons(sessions: Sequence[Session], learned: Mapping[str, int]) -> Lessons:
    """What these sessions hold beyond what was learned from them before."""
    found: list[Session] = []
    counts: dict[str, int] = {}
    met: Counter[str] = Counter()
    for session in sessions:
        calls = list(session.calls())
        if not calls:
            continue
        digest = _digest(session)
        met[digest] += 1
        if met[digest] > 1:  # several trials of one task may go by one name
            digest = f"{digest}-{met[digest]}"
        known = learned.get(digest, 0)
        counts[digest] = max(known, len(calls))
        if known == 0:
            found.append(session)
        elif known < len(calls):
            found.append(replace(session, events=tuple(calls[known:])))
    return Lessons(tuple(found), counts)


def join_lessons(rows: Sequence[Json]) -> dict[str, int]:
    """What several rows say was learned from.

    Raises:
        ValueError: one of them has another shape.
    """
    learned: dict[str, int] = {}
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError("lessons are a table of sessions")
        for digest, calls in row.items():
            if not isinstance(calls, int):
                raise ValueError("lessons count calls")
            learned[digest] = max(calls, learned.get(digest, 0))
    return learned


def _digest(session: Session) -> str:
    """Which session it is, also when it has grown: its names and its first call."""
    first = next(session.calls())
    text = json.dumps([session.source, session.session, first.tool, first.arguments, first.t_start], sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
