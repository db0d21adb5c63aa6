"""Stand in front of a stdio server, change nothing and keep every line: `python tap.py --log FILE -- COMMAND...`.

A line of the log is `> ` and what the server was sent, or `< ` and what it answered. What goes in is logged before
the server has it, what comes out after it was passed on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

READ_BYTES = 1 << 16


def main() -> int:
    log_path, dashes, *command = sys.argv[2:]
    assert sys.argv[1] == "--log"
    assert dashes == "--"
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin
    assert server.stdout
    with Path(log_path).open("ab", buffering=0) as log:
        threading.Thread(target=_inwards, args=(server.stdin.fileno(), log), daemon=True).start()
        _outwards(server.stdout.fileno(), log)
        # the thread may still hold the log: leave without ending it
        os._exit(server.wait())


def _inwards(server: int, log) -> None:
    pending = b""
    while chunk := os.read(0, READ_BYTES):
        *lines, pending = (pending + chunk).split(b"\n")
        log.write(b"".join(b"> " + line + b"\n" for line in lines))
        _write_all(server, chunk)
    os.close(server)


def _outwards(server: int, log) -> None:
    pending = b""
    while chunk := os.read(server, READ_BYTES):
        *lines, pending = (pending + chunk).split(b"\n")
        _write_all(1, chunk)
        log.write(b"".join(b"< " + line + b"\n" for line in lines))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        pass  # the other side left; the end of its output ends us


if __name__ == "__main__":
    sys.exit(main())
