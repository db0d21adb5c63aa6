"""The same workload simulated, where the kernel has no such knob: a model, and said to be one wherever it speaks.

One processor under EEVDF (Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First", 1995) as Linux has it:
all tasks weigh the same, the eligible one (that has had no more than its share) with the earliest virtual deadline
runs, a deadline is a slice after the service that the task has had, the choice is made again at each tick, and when a
task wakes or sleeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from wrapped_servers.tuner.worker import PAUSE_S, WORK_S
from wrapped_servers.tuner.workload import ANSWERING, COMPUTING, DEFAULT_US

TICK_S = 0.004


@dataclass(slots=True)
class _Task:
    slice_s: float
    answers: bool
    served_s: float = 0.0
    deadline_s: float = 0.0
    left_s: float = 0.0
    due_s: float = 0.0
    """When its request came, or comes."""
    runs: bool = True


class Model:
    """A workload that exists in numbers alone. Asked for some seconds, it lives through so many more."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"tuner {seed}")
        self._now_s = 0.0
        slice_s = DEFAULT_US / 1e6
        self._tasks = [_Task(slice_s, False, deadline_s=slice_s) for _ in range(COMPUTING)]
        self._tasks += [
            _Task(slice_s, True, runs=False, due_s=self._random.uniform(*PAUSE_S)) for _ in range(ANSWERING)
        ]

    def set_slice(self, slice_us: int) -> None:
        for task in self._tasks:
            if task.answers:
                task.slice_s = slice_us / 1e6

    def latencies_s(self, seconds: float) -> Sequence[float]:
        took_s: list[float] = []
        end_s = self._now_s + seconds
        while self._now_s < end_s:
            self._wake()
            task = self._chosen()
            sleeping = [each.due_s for each in self._tasks if not each.runs]
            until_s = min([self._now_s + TICK_S, *sleeping])
            step_s = max(1e-9, until_s - self._now_s)
            step_s = min(step_s, task.left_s) if task.answers else step_s
            self._now_s += step_s
            task.served_s += step_s
            if task.served_s >= task.deadline_s:
                task.deadline_s = task.served_s + task.slice_s
            if task.answers:
                task.left_s -= step_s
                if task.left_s <= 1e-9:
                    took_s.append(self._now_s - task.due_s)
                    task.runs = False
                    task.due_s = self._now_s + self._random.uniform(*PAUSE_S)
        return took_s

    def close(self) -> None:
        pass

    def _wake(self) -> None:
        for task in self._tasks:
            if not task.runs and task.due_s <= self._now_s:
                task.served_s = self._mean()
                task.deadline_s = task.served_s + task.slice_s
                task.left_s = WORK_S
                task.runs = True

    def _chosen(self) -> _Task:
        mean_s = self._mean() + 1e-12
        return min((task for task in self._tasks if task.runs and task.served_s <= mean_s), key=lambda t: t.deadline_s)

    def _mean(self) -> float:
        running = [task.served_s for task in self._tasks if task.runs]
        return sum(running) / len(running)
