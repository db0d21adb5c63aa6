"""How long a decision takes when there is much to remember: predict and admit after a long history.

The recorded sessions are lived again and again, each time under new names and with other identifiers, so that every
bounded table of the predictor is full. Then the recorded sessions are played as they are.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter, process_time, thread_time
from typing import Any
from unittest import mock

from spec_mcp.engine.calls import Json
from spec_mcp.engine.policy import Settings
from spec_mcp.records import Session, Tool
from spec_mcp.replay import world
from spec_mcp.replay.evaluate import Evaluation, Options, learn
from spec_mcp.replay.script import Call, Script, Timings, set_stage, write_script
from spec_mcp.replay.tally import quantile

HISTORY_CALLS = 100_000
"""A year of a busy client."""

IDENTIFIER = re.compile(r"\S*\d\S*")
"""A text that names one thing: another user's sessions would hold another."""

MAX_IDENTIFIER_CHARS = 64

SESSIONS_PLAYED = 60
"""Of each file, while decisions are timed."""


def measure(files: Sequence[tuple[list[Session], list[Tool]]], calls: int, advance: Callable[[int], None]) -> Any:
    """The figures after at least so many calls of history; times in milliseconds."""
    evaluation = Evaluation(Options(Settings(), used_share=0.6))
    began_s = process_time()
    lived = _live(evaluation, files, calls, advance)
    learning_s = process_time() - began_s
    figures: dict[str, Any] = {"history_calls": lived, "learn_ms": round(1e3 * learning_s / lived, 4)}
    for name, clock in (("decide", perf_counter), ("decide_cpu", thread_time)):
        decide_s: list[float] = []
        with mock.patch.object(world, "perf_counter", clock):
            for sessions, tools in files:
                decide_s += evaluation.play(sessions[:SESSIONS_PLAYED], tools).decide_s
        figures[f"{name}_ms_p50"] = round(1e3 * quantile(decide_s, 0.5), 4)
        figures[f"{name}_ms_p99"] = round(1e3 * quantile(decide_s, 0.99), 4)
        figures["decisions"] = len(decide_s)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["peak_memory_mb"] = round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
    return figures


def _live(
    evaluation: Evaluation,
    files: Sequence[tuple[list[Session], list[Tool]]],
    calls: int,
    advance: Callable[[int], None],
) -> int:
    """Teach the predictor so many calls, file by file in turn; how many they were."""
    scripts = [
        [write_script(session, stage, Timings()) for session in sessions]
        for sessions, stage in ((sessions, set_stage(sessions, tools, None)) for sessions, tools in files)
    ]
    lived, round_ = 0, 0
    while lived < calls:
        before = lived
        for number in range(max(map(len, scripts), default=0)):
            for of_file in scripts:
                if number < len(of_file) and lived < calls:
                    learn(evaluation.predictor, _as_another(of_file[number], round_))
                    lived += len(of_file[number].calls)
                    advance(lived)
        assert lived > before, "recordings without calls make no history"
        round_ += 1
    return lived


def _as_another(script: Script, round_: int) -> Script:
    """The session as somebody else would have had it: the same calls about other things."""
    suffix = f"-{round_}"

    def another(call: Call) -> Call:
        arguments = {name: _renamed(value, suffix) for name, value in call.arguments.items()}
        return replace(call, arguments=arguments, result=_renamed(call.result, suffix))

    turns = tuple(replace(turn, calls=tuple(map(another, turn.calls))) for turn in script.turns)
    return Script(script.session + suffix, turns, tuple(call for turn in turns for call in turn.calls))


def _renamed(value: Json, suffix: str) -> Json:
    if isinstance(value, str):
        return value + suffix if len(value) <= MAX_IDENTIFIER_CHARS and IDENTIFIER.fullmatch(value) else value
    if isinstance(value, list):
        return [_renamed(item, suffix) for item in value]
    if isinstance(value, dict):
        return {name: _renamed(item, suffix) for name, item in value.items()}
    return value
