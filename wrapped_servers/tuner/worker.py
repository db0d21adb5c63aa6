"""One process of the workload: `python -m wrapped_servers.tuner.worker KIND CORE`. It ends with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import time
from random import Random

WORK_S = 0.002
"""The processor time of one request."""
PAUSE_S = (0.006, 0.014)
"""Between two requests of one thread."""
SAMPLE = struct.Struct("d")
_PR_SET_PDEATHSIG = 1


def main(kind: str, core: int) -> None:
    """Compute for ever, or answer requests and write the seconds that each took to standard output."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setaffinity(0, {core})
    if kind == "compute":
        while True:
            pass
    random = Random(os.getpid())
    while True:
        due_s = time.monotonic() + random.uniform(*PAUSE_S)
        time.sleep(max(0.0, due_s - time.monotonic()))
        enough_s = time.thread_time() + WORK_S
        while time.thread_time() < enough_s:
            pass
        os.write(1, SAMPLE.pack(time.monotonic() - due_s))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
