"""Proxies to compare with, each started as a process: `python overhead_servers.py KIND -- COMMAND...`.

`bytes` copies bytes both ways and reads nothing: the least that any proxy can cost. `fastmcp` is FastMCP's own proxy,
and runs in FastMCP's environment, so nothing of ours is imported here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

READ_BYTES = 1 << 16


def relay_bytes(command: list[str]) -> int:
    """Copy what comes, with a thread for each direction."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin
    assert server.stdout
    threading.Thread(target=_copy, args=(0, server.stdin.fileno()), daemon=True).start()
    _copy(server.stdout.fileno(), 1)
    os._exit(server.wait())


def _copy(source: int, target: int) -> None:
    while data := os.read(source, READ_BYTES):
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
    os.close(target)


def proxy_fastmcp(command: list[str]) -> int:
    """FastMCP's proxy in its usual form."""
    from fastmcp.client.transports import StdioTransport  # pyright: ignore
    from fastmcp.server import create_proxy  # pyright: ignore

    proxy = create_proxy(StdioTransport(command[0], command[1:]), name="proxy")  # pyright: ignore
    proxy.run(show_banner=False)  # pyright: ignore
    return 0


if __name__ == "__main__":
    kind, dashes, *rest = sys.argv[1:]
    assert dashes == "--"
    sys.exit({"bytes": relay_bytes, "fastmcp": proxy_fastmcp}[kind](rest))
