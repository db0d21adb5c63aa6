"""Whether the process of another replica is certainly gone."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import pytest

from spec_mcp.relay.board import identity
from spec_mcp.relay.board.identity import BOOT_ID, is_alive, is_gone, this_process
from spec_mcp.store.board import Process
from tests.pipes import eventually

pytestmark = pytest.mark.skipif(not BOOT_ID.exists(), reason="only Linux tells one boot from another")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def process_of(child: subprocess.Popen[bytes]) -> Process:
    us = this_process("us")
    return Process("child", us.host, child.pid, identity._started(child.pid) or "")


def test_we_are_alive() -> None:
    assert is_alive(this_process("us"))
    assert not is_gone(this_process("us"))


def test_a_process_that_was_killed_is_gone_whether_or_not_somebody_waits_for_it(child: subprocess.Popen[bytes]) -> None:
    process = process_of(child)
    assert is_alive(process)
    child.kill()
    eventually(lambda: is_gone(process), "it is gone")
    child.wait()
    assert is_gone(process)


def test_one_that_has_the_number_of_another_is_not_that_one(child: subprocess.Popen[bytes]) -> None:
    assert is_gone(dataclasses.replace(process_of(child), started="1"))


@pytest.mark.parametrize("host", ["", "another boot/pid:[1]"])
def test_of_a_process_elsewhere_nothing_is_certain(host: str) -> None:
    process = dataclasses.replace(this_process("us"), host=host, pid=2**22)
    assert not is_gone(process)
    assert not is_alive(process)
