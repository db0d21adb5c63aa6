"""However we end, the server ends with us, and all that it started."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.pipes import eventually, is_alive
from tests.robustness.conftest import MakeWrapped, Wrapped

GONE_S = 60.0
STUBBORN = pytest.mark.parametrize("server_options", [(), ("--ignore-term",)], ids=["polite", "stubborn"])


def start(wrap: MakeWrapped, tmp_path: Path, server_options: tuple[str, ...]) -> tuple[Wrapped, list[int]]:
    """A session, with the numbers of the server's process and of its child."""
    child = tmp_path / "child"
    client = wrap("--child", str(child), *server_options)
    client.initialize()
    client.call("keys")
    pids = [client.wait_mark("started")["pid"], int(child.read_text())]
    assert all(is_alive(pid) for pid in pids)
    return client, pids


def assert_gone(pids: list[int]) -> None:
    try:
        eventually(lambda: not any(is_alive(pid) for pid in pids), "the server and its child are gone", GONE_S)
    finally:
        for pid in pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


@STUBBORN
def test_the_server_and_its_children_end_when_the_client_leaves(
    wrap: MakeWrapped, tmp_path: Path, server_options: tuple[str, ...]
) -> None:
    client, pids = start(wrap, tmp_path, server_options)
    client.close_input()
    assert client.wait_exit() == 0
    assert_gone(pids)


@STUBBORN
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_server_and_its_children_end_when_we_are_told_to(
    wrap: MakeWrapped, tmp_path: Path, server_options: tuple[str, ...], number: signal.Signals
) -> None:
    client, pids = start(wrap, tmp_path, server_options)
    os.kill(client.process.pid, number)
    client.wait_exit()
    assert_gone(pids)


@STUBBORN
def test_the_server_and_its_children_end_when_we_are_killed(
    wrap: MakeWrapped, tmp_path: Path, server_options: tuple[str, ...]
) -> None:
    client, pids = start(wrap, tmp_path, server_options)
    os.kill(client.process.pid, signal.SIGKILL)
    client.wait_exit()
    assert_gone(pids)


def test_leaving_with_a_call_in_flight_ends_at_once(wrap: MakeWrapped, tmp_path: Path) -> None:
    client, pids = start(wrap, tmp_path, ())
    client.begin_call("never")
    client.wait_mark("never")
    client.close_input()
    assert client.wait_exit(GONE_S) == 0
    assert_gone(pids)


def test_the_standard_error_of_the_server_passes_through(wrap: MakeWrapped) -> None:
    client = wrap()
    client.initialize()
    client.call("stderr", {"text": "a word from the server \u00e9"})
    client.wait_stderr("a word from the server \u00e9\n".encode())
