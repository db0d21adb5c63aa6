"""What a process and its descendants hold of the machine, read from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Footprint:
    """One process, and how many are below it."""

    descriptors: int
    threads: int
    rss_bytes: int
    cpu_s: float
    """Used since it started, without its children."""
    descendants: int
    """Zombies included: a child that nobody waited for is left behind too."""


def footprint(pid: int) -> Footprint:
    """What it holds now.

    Raises:
        ProcessLookupError: there is no such process.
    """
    status = _status(pid)
    if status is None:
        raise ProcessLookupError(pid)
    return Footprint(
        descriptors=len(os.listdir(PROC / str(pid) / "fd")),
        threads=int(status["Threads"]),
        rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
        cpu_s=_cpu_s(pid),
        descendants=len(descendants(pid)),
    )


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    children: dict[int, list[int]] = {}
    for each in _pids():
        status = _status(each)
        if status is not None:
            children.setdefault(int(status["PPid"]), []).append(each)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def command_of(pid: int) -> str:
    """Its command line; empty once it has gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def marked(name: str, value: str) -> list[int]:
    """All processes that were started with this in their environment, wherever they have gone since."""
    wanted = f"{name}={value}".encode()
    found: list[int] = []
    for pid in _pids():
        try:
            if wanted in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def settle(pid: int, good: Callable[[Footprint], bool], within_s: float) -> Footprint:
    """Wait until what a process holds is good; what it holds then, or when the time is up."""
    deadline_s = time.monotonic() + within_s
    while not good(now := footprint(pid)) and time.monotonic() < deadline_s:
        time.sleep(STEP_S)
    return now


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def _cpu_s(pid: int) -> float:
    after_name = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    user, system = after_name[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _status(pid: int) -> dict[str, str] | None:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    found = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {"VmRSS": "0 kB", **found}  # a zombie has no memory
