"""A store that cannot be used costs recording and learning, never a call."""

from __future__ import annotations

import json
import resource
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from tests.robustness.conftest import MakeWrapped, Wrapped

CALLS = 60
SMALL_FILE_BYTES = 16_384
CALL_S = 20.0
ALL_CALLS_S = 100.0
"""Calls that wait for a store that is locked take longer than this altogether, a second each at the least."""


def work(client: Wrapped) -> None:
    """A session of reads and writes, each of which must be answered rightly and soon."""
    client.initialize()
    client.list_tools()
    for number in range(CALLS):
        value = f"{number}" * 200
        assert client.answer(client.begin_call("write", {"key": "k", "value": value}), CALL_S).text == "written"
        assert json.loads(client.answer(client.begin_call("read", {"key": "k"}), CALL_S).text) == value
    client.close_input()
    assert client.wait_exit() == 0
    assert b"Traceback" not in client.stderr, client.stderr.decode()


def assert_said_once(client: Wrapped) -> None:
    """One line about it, that names the file."""
    said = [line for line in client.stderr.decode().splitlines() if "spec-mcp" in line]
    assert 1 <= len(said) <= 2, client.stderr.decode()


def test_a_read_only_home_costs_no_call(wrap: MakeWrapped, tmp_path: Path) -> None:
    home = Path("/proc/spec-mcp-home")  # where even root cannot write
    if not Path("/proc/self").exists():
        home = tmp_path / "read-only"
        home.mkdir(mode=0o555)
    client = wrap(env={"SPEC_MCP_HOME": str(home)})
    work(client)
    assert_said_once(client)


def test_a_home_that_is_a_file_costs_no_call(wrap: MakeWrapped, tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("no folder")
    client = wrap(env={"SPEC_MCP_HOME": str(home)})
    work(client)
    assert_said_once(client)


def test_a_full_disk_costs_no_call(wrap: MakeWrapped) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE_BYTES, SMALL_FILE_BYTES))

    client = wrap(preexec=small_files, env=quiet_server())
    work(client)


def quiet_server() -> Mapping[str, str]:
    """The hostile server keeps no files: the limit is ours to run into."""
    return {"HOSTILE_QUIET": "1"}


def store_of(home: Path) -> Path:
    """The store's file, as a first session leaves it."""
    stores = sorted(home.glob("*.db")) + sorted(home.glob("*.sqlite*"))
    assert stores, sorted(home.iterdir())
    return stores[0]


def test_a_corrupt_store_costs_no_call(wrap: MakeWrapped, spec_mcp_home: Path) -> None:
    work(wrap())
    store = store_of(spec_mcp_home)
    for path in spec_mcp_home.glob(store.name + "*"):
        path.unlink()
    store.write_bytes(b"this is no database" * 1000)
    client = wrap()
    work(client)
    assert_said_once(client)


def test_a_locked_store_costs_no_call(wrap: MakeWrapped, spec_mcp_home: Path) -> None:
    work(wrap())
    holder = sqlite3.connect(store_of(spec_mcp_home), isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        began_s = time.monotonic()
        work(wrap())
        assert time.monotonic() - began_s < ALL_CALLS_S
    finally:
        holder.close()


def test_two_sessions_on_one_store_both_work(wrap: MakeWrapped) -> None:
    first, second = wrap(), wrap()
    first.initialize()
    work(second)
    assert first.call("write", {"key": "a", "value": 1}).text == "written"
    first.close_input()
    assert first.wait_exit() == 0
