"""The workload on one processor: threads that compute, threads that answer requests, and what the requests took."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from wrapped_servers.tuner import knob
from wrapped_servers.tuner.worker import SAMPLE

COMPUTING, ANSWERING = 6, 1
"""Processes of each kind."""
KEPT = 10_000
"""Requests that are remembered: minutes."""
DEFAULT_US = 24_000
"""The slice of the computing ones, and of the answering ones until it is set. What computes for long asks for long
ones, which cost it the fewest switches; who answers beside it then feels its own slice."""


class Workload(Protocol):
    """What is tuned."""

    def set_slice(self, slice_us: int) -> None:
        """Raises `KnobError`."""
        ...

    def latencies_s(self, seconds: float) -> Sequence[float]:
        """What the requests of the last seconds took."""
        ...

    def close(self) -> None: ...


class RealWorkload:
    """Processes on one processor of this machine."""

    def __init__(self, core: int) -> None:
        self.measured = threading.Event()
        """Set when the first request is answered."""
        self._samples: deque[tuple[float, float]] = deque(maxlen=KEPT)
        computing = [_start("compute", core, subprocess.DEVNULL) for _ in range(COMPUTING)]
        self._answering = [_start("answer", core, subprocess.PIPE) for _ in range(ANSWERING)]
        self._processes = [*computing, *self._answering]
        pipes = [process.stdout for process in self._answering if process.stdout is not None]
        self._readers = [threading.Thread(target=self._read, args=(pipe,), daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()
        try:
            for process in self._processes:
                knob.set_slice(process.pid, DEFAULT_US)
        except knob.KnobError:
            self.close()
            raise

    def set_slice(self, slice_us: int) -> None:
        for process in self._answering:
            knob.set_slice(process.pid, slice_us)

    def latencies_s(self, seconds: float) -> Sequence[float]:
        since_s = time.monotonic() - seconds
        return [took_s for at_s, took_s in list(self._samples) if at_s >= since_s]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for reader in self._readers:
            reader.join()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while len(sample := pipe.read(SAMPLE.size)) == SAMPLE.size:
                self._samples.append((time.monotonic(), SAMPLE.unpack(sample)[0]))
                self.measured.set()


def _start(kind: str, core: int, stdout: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "wrapped_servers.tuner.worker", kind, str(core)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, env=env)
