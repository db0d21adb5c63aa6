"""The arms of an environment in turn, several times over, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio

from benchmarks.environments.running import Run
from spec_mcp.cli.progress import progress
from spec_mcp.errors import Failed

RunOne = Callable[[str, int], Awaitable[Run]]
"""Runs the named arm for the so-manieth time, from 0."""


async def interleaved(title: str, arms: Sequence[str], repetitions: int, run: RunOne) -> dict[str, list[Run]]:
    """Every arm once, then every arm again: the runs of each arm. Each round begins with another arm."""
    runs: dict[str, list[Run]] = {arm: [] for arm in arms}
    with progress(title, repetitions * len(arms)) as advance:
        for repetition in range(repetitions):
            first = repetition % len(arms)
            for arm in (*arms[first:], *arms[:first]):
                runs[arm].append(await run(arm, repetition))
                advance()
    return runs


async def side_by_side(title: str, arms: Sequence[str], repetitions: int, run: RunOne) -> dict[str, list[Run]]:
    """All arms at once, then all again: for agents and servers that wait most of the time, and would take long one
    after the other. Never where the work itself needs the processor.

    Raises:
        Failed: one of them failed.
    """
    runs: dict[str, list[Run]] = {arm: [] for arm in arms}
    failures: list[Failed] = []
    with progress(title, repetitions * len(arms)) as advance:

        async def one(arm: str, repetition: int) -> None:
            try:
                runs[arm].append(await run(arm, repetition))
            except Failed as failed:
                failures.append(failed)
            advance()

        for repetition in range(repetitions):
            async with anyio.create_task_group() as tasks:
                for arm in arms:
                    tasks.start_soon(one, arm, repetition)
            if failures:
                raise failures[0]
    return runs


def differences(runs: Mapping[str, Sequence[Run]], reference: str) -> list[str]:
    """Where an arm's transcript or final state differs from that of the reference's same repetition; nothing is as it
    must be where nothing may be lost."""
    found: list[str] = []
    for arm, of_arm in runs.items():
        for number, (run, right) in enumerate(zip(of_arm, runs[reference], strict=True), 1):
            if run.transcript != right.transcript:
                found.append(f"{arm}, repetition {number}: {_first_difference(run, right)}")
            if run.state != right.state:
                found.append(f"{arm}, repetition {number}: the final state differs")
    return found


def _first_difference(run: Run, right: Run) -> str:
    for number, (mine, theirs) in enumerate(zip(run.transcript, right.transcript, strict=False), 1):
        if mine != theirs:
            return f"call {number} differs: {str(mine)[:300]} instead of {str(theirs)[:300]}"
    return f"{len(run.transcript)} calls instead of {len(right.transcript)}"


def saved_shares(runs: Mapping[str, Sequence[Run]], arm: str, reference: str) -> list[float]:
    """The paper's measure of time saved, by repetition: (sequential - speculative) / sequential, of the whole time."""
    return [1 - run.wall_s / right.wall_s for run, right in zip(runs[arm], runs[reference], strict=True)]


def hidden_shares(runs: Mapping[str, Sequence[Run]], arm: str, reference: str) -> list[float]:
    """How much of the agents' waiting for tools is gone, by repetition."""
    return [1 - run.wait_s / right.wait_s for run, right in zip(runs[arm], runs[reference], strict=True)]
