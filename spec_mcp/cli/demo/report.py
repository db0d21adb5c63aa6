"""What the two runs have in common, and what speculation saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spec_mcp.cli.demo.runner import LATENCY_S, Executed, Made, Run
from spec_mcp.engine.commands import How
from spec_mcp.store.place import locate
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import SessionTrace, StoreError
from wrapped_servers.retail.catalogue import TOOLS, Effect

LEARNING_CASES = 2
"""The store is empty at first: the cases after these show what was learned."""

INSTANT_SHARE = 0.25
"""Where nothing but the time tells: an answer that took less than this share of the tool's latency was there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the calls of a run were answered."""

    hows: tuple[How, ...]
    """One for each call that the agent made."""
    speculations: int
    wasted: int
    measured: bool
    """From the store; False: guessed from the time."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was reached in some of the cases. Shares are between 0 and 1; None where there was no such call."""

    calls: int
    reads: int
    answered: int
    answered_share: float | None
    answered_reads_share: float | None
    wait_off_s: float
    wait_on_s: float
    saved_s: float
    wait_cut_share: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a demonstration."""

    seed: int
    cases: int
    duration_off_s: float
    duration_on_s: float
    hits: int
    joins: int
    misses: int
    speculations: int
    wasted: int
    measured: bool
    all_cases: Part
    from_third_case: Part
    writes_made: int
    """By the agent."""
    writes_off: int
    """As the server's own log counts them."""
    writes_on: int
    early_writes: int
    """That the server began before the agent had made them."""
    identical_answers: bool
    identical_writes: bool
    """The same ones in the same order in both runs, and the ones that the agent made."""
    identical_records: bool

    @property
    def lossless(self) -> bool:
        """Did nothing differ but the time?"""
        return self.identical_answers and self.identical_writes and self.identical_records and self.early_writes == 0

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "lossless": self.lossless}


def compare(seed: int, cases: int, off: Run, on: Run, outcome: Outcome) -> Report:
    """The figures of two runs through the same cases."""
    off_writes, on_writes = _writes(off.executed), _writes(on.executed)
    hows = outcome.hows
    return Report(
        seed=seed,
        cases=cases,
        duration_off_s=round(off.duration_s, 3),
        duration_on_s=round(on.duration_s, 3),
        hits=hows.count(How.HIT),
        joins=hows.count(How.JOIN),
        misses=hows.count(How.MISS),
        speculations=outcome.speculations,
        wasted=outcome.wasted,
        measured=outcome.measured,
        all_cases=_part(off, on, hows, first_case=1),
        from_third_case=_part(off, on, hows, first_case=LEARNING_CASES + 1),
        writes_made=len(_writes_made(on)),
        writes_off=len(off_writes),
        writes_on=len(on_writes),
        early_writes=_early(on),
        identical_answers=_answers(off) == _answers(on),
        identical_writes=off_writes == on_writes == _writes_made(on),
        identical_records=off.records == on.records,
    )


def measured_outcome(home: Path, run: Run) -> Outcome | None:
    """What the store of the run recorded; None where it does not hold just these calls."""
    try:
        store = SqliteStore(locate(folder=home).path)
        try:
            traces = list(store.traces())
        finally:
            store.close()
    except StoreError:
        return None
    calls = [call for trace in traces for call in trace.calls]
    if [call.tool for call in calls] != [made.tool for made in run.made]:
        return None
    launched = [speculation for trace in traces for speculation in _launched(trace)]
    used = sum(speculation.call is not None and speculation.state == "adopted" for speculation in launched)
    return Outcome(tuple(How(call.how) for call in calls), len(launched), len(launched) - used, measured=True)


def guessed_outcome(run: Run, pace: float) -> Outcome:
    """The same from the times alone, and from what the server executed beyond the agent's own calls."""
    hows = tuple(guess(made, pace) for made in run.made)
    missed = hows.count(How.MISS)
    launched = len(run.executed) - missed
    return Outcome(hows, launched, launched - (len(hows) - missed), measured=False)


def guess(made: Made, pace: float) -> How:
    """How a call was answered, as its time lets think."""
    latency_s = LATENCY_S.get(made.tool)
    if latency_s is None or made.wait_s >= latency_s * pace:
        return How.MISS
    return How.HIT if made.wait_s < INSTANT_SHARE * latency_s * pace else How.JOIN


def _launched(trace: SessionTrace) -> Sequence[Any]:
    return [speculation for speculation in trace.speculations if speculation.launched_at is not None]


def _part(off: Run, on: Run, hows: Sequence[How], first_case: int) -> Part:
    counted = [(made, how) for made, how in zip(on.made, hows, strict=True) if made.case >= first_case]
    reads = [how for made, how in counted if not _writes_by(made)]
    answered = sum(how is not How.MISS for _, how in counted)
    answered_reads = sum(how is not How.MISS for how in reads)
    wait_off_s = sum(made.wait_s for made in off.made if made.case >= first_case)
    wait_on_s = sum(made.wait_s for made, _ in counted)
    return Part(
        calls=len(counted),
        reads=len(reads),
        answered=answered,
        answered_share=_share(answered, len(counted)),
        answered_reads_share=_share(answered_reads, len(reads)),
        wait_off_s=round(wait_off_s, 3),
        wait_on_s=round(wait_on_s, 3),
        saved_s=round(wait_off_s - wait_on_s, 3),
        wait_cut_share=_share(wait_off_s - wait_on_s, wait_off_s),
    )


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _answers(run: Run) -> list[tuple[int, str, Mapping[str, Any], object]]:
    return [(made.case, made.tool, made.arguments, made.answer) for made in run.made]


def _writes(executed: Sequence[Executed]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(entry.tool, entry.arguments) for entry in executed if entry.writes]


def _writes_made(run: Run) -> list[tuple[str, Mapping[str, Any]]]:
    return [(made.tool, made.arguments) for made in run.made if _writes_by(made)]


def _writes_by(made: Made) -> bool:
    return TOOLS[made.tool].effect is Effect.WRITE


def _early(run: Run) -> int:
    """Writes that the server began before the agent sent the call; both read the machine's one monotonic clock."""
    sent_s = [made.sent_s for made in run.made if _writes_by(made)]
    began_s = [entry.start_s for entry in run.executed if entry.writes]
    return sum(began < sent for began, sent in zip(began_s, sent_s, strict=False))
