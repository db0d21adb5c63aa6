"""A server's process ends with us, with all that it started, and nobody else does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spec_mcp.relay import process as process_module
from spec_mcp.relay.process import CannotStart, ServerProcess
from tests.pipes import eventually, is_alive

ROOT = Path(__file__).resolve().parents[2]
SLACK_S = 10.0
"""What a loaded machine may add."""

QUIET = "import os, signal, sys, time, subprocess\n"
READS_ON = QUIET + "print('up', flush=True)\nsys.stdin.read()\n"
STUBBORN = QUIET + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)\n"
CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_{}); print('child', flush=True); time.sleep(600)"
CAREFUL = QUIET + (
    "print('up', flush=True)\nsys.stdin.read()\nos.close(1)\ntime.sleep(0.3)\nopen(sys.argv[1], 'w').write('saved')\n"
)


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", code, *arguments]


def with_child(after: str, child: str = "DFL") -> str:
    """A server with a child that has its standard output too, and tells its number on standard error."""
    return (
        QUIET
        + f"command = [sys.executable, '-S', '-E', '-c', {CHILD.format(child)!r}]\n"
        + "c = subprocess.Popen(command, stdin=subprocess.DEVNULL)\n"
        + "open(sys.argv[1], 'w').write(str(c.pid))\n"
        + after
    )


def up(process: ServerProcess, word: bytes = b"up") -> ServerProcess:
    """Wait until it has said so."""
    said = b""

    def has_said() -> bool:
        nonlocal said
        try:
            said += os.read(process.output_fd, 1000)
        except BlockingIOError:
            pass
        return word in said

    eventually(has_said, f"{word!r} from the server")
    return process


def children() -> dict[int, str]:
    """All processes that this one has started and not yet seen the end of, each with its state."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        try:
            stat = (folder / "stat").read_text().rsplit(")", 1)[1].split() if folder.name.isdigit() else []
        except OSError:
            continue
        if stat and int(stat[1]) == os.getpid():
            found[int(folder.name)] = stat[0]
    return found


def guards() -> list[int]:
    """The guards among them that are not dead."""
    found: list[int] = []
    for pid, state in children().items():
        try:
            if state != "Z" and b"spec-mcp-guard" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="counts through /proc")


def test_a_server_that_reads_to_its_end_leaves_by_itself() -> None:
    process = up(ServerProcess(python(READS_ON)))
    process.end()
    assert process.exit_status() == 0
    assert not is_alive(process.pid)


def test_a_server_that_is_careful_has_the_time_for_it(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    up(ServerProcess(python(CAREFUL, str(saved)))).end()
    assert saved.read_text() == "saved"


def test_a_server_that_ignores_everything_is_gone_in_time() -> None:
    process = up(ServerProcess(python(STUBBORN)))
    began = time.monotonic()
    process.end()
    bounds_s = process_module.POLITE_S + process_module.TERM_S + process_module.KILLED_S
    assert time.monotonic() - began < bounds_s + SLACK_S
    assert process.exit_status() == -signal.SIGKILL
    assert not is_alive(process.pid)


@pytest.mark.parametrize("child", ["DFL", "IGN"])
@pytest.mark.parametrize("after", ["sys.stdin.read()\n", "os._exit(3)\n", "time.sleep(600)\n"])
@pytest.mark.parametrize("polite", [True, False])
def test_what_a_server_has_started_ends_with_it(tmp_path: Path, child: str, after: str, polite: bool) -> None:
    pid = tmp_path / "pid"
    process = up(ServerProcess(python(with_child(after, child), str(pid))), b"child")
    process.end(polite)
    eventually(lambda: not is_alive(int(pid.read_text())), "the child has gone")
    assert not is_alive(process.pid)


def test_a_child_may_leave_in_its_own_way_after_the_server_has_gone(tmp_path: Path) -> None:
    code = (
        QUIET
        + "def leave(*_): time.sleep(0.2); open(sys.argv[1], 'w').write('child saved'); os._exit(0)\n"
        + "signal.signal(signal.SIGTERM, leave)\n"
        + "print('child', flush=True)\ntime.sleep(600)\n"
    )
    saved = tmp_path / "saved"
    starts = QUIET + (
        f"subprocess.Popen([sys.executable, '-S', '-E', '-c', {code!r}, {str(saved)!r}], stdin=subprocess.DEVNULL)\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\nsys.stdin.read(); time.sleep(600)\n"
    )
    up(ServerProcess(python(starts)), b"child").end(polite=False)
    assert saved.read_text() == "child saved"


def test_a_server_that_never_stops_talking_ends_too() -> None:
    code = QUIET + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: os.write(1, b'x' * 60000)\n"
    process = up(ServerProcess(python(code)), b"x")
    process.end(polite=False)
    assert process.exit_status() == -signal.SIGKILL


def test_the_exit_status_is_known_while_the_number_of_the_process_stays_taken() -> None:
    process = ServerProcess(python("import os; os._exit(7)"))
    eventually(lambda: process.exit_status() is not None, "it ended")
    assert process.exit_status() == 7
    assert Path(f"/proc/{process.pid}").exists() or sys.platform != "linux"
    process.end()
    assert process.exit_status() == 7


def test_who_has_closed_its_output_and_lives_on_is_not_waited_for() -> None:
    process = up(ServerProcess(python("import os; print('up', flush=True); os.close(1); os._exit(7)")))
    eventually(lambda: process.final_status() is not None, "it ended")
    assert process.final_status() == 7
    process.end()
    stubborn = up(ServerProcess(python(STUBBORN)))
    began = time.monotonic()
    assert stubborn.final_status() is None
    assert time.monotonic() - began < SLACK_S
    stubborn.end(polite=False)


def test_a_group_is_never_signalled_once_its_leader_was_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    process = ServerProcess(python("pass"))
    process.end()
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda *signal: signals.append(signal))
    process.end(polite=False)
    assert signals == []


@pytest.mark.parametrize("command", [["/no/such/program"], ["/etc/passwd"], ["a\0b"]])
def test_what_cannot_be_started_is_said_in_words(command: list[str]) -> None:
    with pytest.raises(CannotStart, match="cannot start"):
        ServerProcess(command)


@needs_proc
def test_no_guard_descriptor_or_zombie_is_left_behind() -> None:
    before, others = sorted(os.listdir("/proc/self/fd")), children().keys()
    for code in (READS_ON, "pass", STUBBORN):
        process = ServerProcess(python(code))
        eventually(lambda: len(guards()) == 1, "it has a guard")
        process.end(polite=code is READS_ON)
        assert guards() == []
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert children().keys() <= others


@needs_proc
@pytest.mark.parametrize("code", [READS_ON, STUBBORN])
def test_the_guard_ends_the_group_when_we_are_killed_and_leaves(tmp_path: Path, code: str) -> None:
    pid = tmp_path / "pid"
    ours = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "from spec_mcp.relay.process import ServerProcess\n"
        f"p = ServerProcess({python(with_child(code, 'IGN'), str(pid))!r})\n"
        "print(p.pid, p._guard.pid, flush=True)\ntime.sleep(600)\n"
    )
    us = subprocess.Popen([sys.executable, "-c", ours], stdout=subprocess.PIPE, text=True)
    assert us.stdout is not None
    with us, us.stdout as told:
        server, guard = map(int, told.readline().split())
        eventually(pid.exists, "the child has been started")
        eventually(lambda: pid.read_text() != "", "the child has its number")
        us.kill()
    pids = [server, guard, int(pid.read_text())]
    eventually(lambda: not any(map(is_alive, pids)), "server, guard and child are gone")


def test_a_server_starts_where_it_is_told_to(tmp_path: Path) -> None:
    process = up(ServerProcess(python("import os; print(os.getcwd())"), cwd=str(tmp_path)), str(tmp_path).encode())
    process.end()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child keeps what it inherits")
def test_a_server_gets_no_more_descriptors_than_we_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import resource, sys\nsys.stdin.readline()\nprint(resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)\n"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(process_module, "DESCRIPTORS", soft - 1)
    process = ServerProcess(python(code + "sys.stdin.read()"))
    try:
        os.write(process.input_fd, b"now\n")
        up(process, f"({soft - 1}, {hard})".encode())
    finally:
        process.end()
