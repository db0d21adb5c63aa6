"""Who this process is to the other replicas, and whether one of them is gone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from spec_mcp.store.board import Process

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

PID_NAMESPACE = "/proc/self/ns/pid"


def this_process(replica: str) -> Process:
    """Who we are, under this name."""
    return Process(replica, _host(), os.getpid(), _started(os.getpid()) or "")


def own_name() -> str:
    """What this machine, or its container, is called."""
    return socket.gethostname() or "replica"


def is_gone(process: Process) -> bool:
    """Is that process certainly gone? Only what ran where we run can be told."""
    if not process.host or process.host != _host():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        pass
    started = _started(process.pid)
    return started == "" or (started is not None and bool(process.started) and started != process.started)


def is_alive(process: Process) -> bool:
    """Does that process run here, for all we can see?"""
    return bool(process.host) and process.host == _host() and not is_gone(process)


def _host() -> str:
    """Equal where processes see each other's numbers; empty where that cannot be told."""
    try:
        return f"{BOOT_ID.read_text().strip()}/{os.readlink(PID_NAMESPACE)}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process was started, as its host counts; empty: it has ended and nobody has looked; None: not told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]
