"""The dashboard as a command, and below a gateway: real processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from spec_mcp.__main__ import run
from tests.cli.gateways import OverHttp, configured, python

WAIT_S = 30
SECRET = "the gateway's own"


def get(url: str, **options: Any) -> httpx2.Response:
    return httpx2.get(url, timeout=WAIT_S, trust_env=False, **options)


@contextmanager
def begun() -> Generator[tuple[subprocess.Popen[str], str]]:
    """The command as a process, and the address that it prints; whatever happens, it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spec_mcp", "dashboard"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process, process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.wait(WAIT_S)
        process.stdout.close()
        process.stderr.close()


def test_it_prints_its_address_serves_it_and_ends_when_it_is_told_to(spec_mcp_home: Path) -> None:
    with begun() as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", address)
        assert "<main" in get(address).text
        assert get(address + "api/overview").json()["summary"] == {}
        with httpx2.stream("GET", address + "api/events", timeout=WAIT_S, trust_env=False) as stream:
            assert next(stream.iter_lines()).startswith("retry:")
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert not spec_mcp_home.exists()


def test_a_port_that_is_taken_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["dashboard", "--port", str(port)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"spec-mcp: --port {port}: ")
    assert captured.err.count("\n") == 1


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[OverHttp]:
    config = configured(tmp_path, {"light": python("light")})
    with OverHttp(config, env={"SPEC_MCP_TOKEN": SECRET}) as gateway:
        yield gateway


def test_a_gateway_has_it_for_whom_it_told_the_address_and_for_who_knows_its_token(gateway: OverHttp) -> None:
    root = gateway.url.removesuffix("/mcp")
    assert get(f"{root}/dashboard").status_code == 401
    assert get(f"{root}/dashboard/x/api/overview", headers={"authorization": f"Bearer {SECRET}"}).status_code == 404
    led = httpx2.post(f"{root}/dashboard/enter", data={"token": SECRET}, timeout=WAIT_S, trust_env=False)
    assert led.status_code == 303
    address = root + led.headers["location"]
    assert get(address + "api/overview").json()["mode"] == "on"
    assert get(address, headers={"host": "evil.example"}).status_code == 421
    assert get(address, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert httpx2.post(f"{root}/dashboard/enter", data={"token": "guess"}, trust_env=False).status_code == 403


def test_the_log_of_a_gateway_holds_no_key_to_it(gateway: OverHttp, tmp_path: Path) -> None:
    root = gateway.url.removesuffix("/mcp").encode()
    assert b"the dashboard is at " + root + b"/dashboard: it asks for the gateway's own token" in gateway.said
    assert re.search(rb"dashboard/[\w-]{20}", gateway.said) is None
    config = configured(tmp_path, {"light": python("light")})
    with OverHttp(config) as without_a_token:
        assert re.search(rb"dashboard/[\w-]{20}", without_a_token.said) is None
        assert b"`spec-mcp dashboard`" in without_a_token.said


def test_a_person_who_looks_on_is_told_its_whole_address(tmp_path: Path) -> None:
    ours, terminal = os.openpty()
    command = [
        sys.executable,
        "-m",
        "spec_mcp",
        "run",
        "--config",
        str(configured(tmp_path, {"light": python("light")})),
    ]
    process = subprocess.Popen([*command, "--http", "127.0.0.1:0"], stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    try:
        with os.fdopen(ours, "r") as said:
            told = next(line for line in said if "the dashboard is at" in line)
        assert "<main" in get(told.split()[-1]).text
    finally:
        process.kill()
        process.wait(WAIT_S)


def test_a_page_that_is_open_does_not_keep_a_gateway_from_ending(gateway: OverHttp) -> None:
    root = gateway.url.removesuffix("/mcp")
    led = httpx2.post(f"{root}/dashboard/enter", data={"token": SECRET}, timeout=WAIT_S, trust_env=False)
    with httpx2.stream("GET", f"{root}{led.headers['location']}api/events", timeout=WAIT_S, trust_env=False) as stream:
        assert next(stream.iter_lines()).startswith("retry:")
        assert gateway.terminate() == 0


def test_a_server_that_is_wrapped_never_meets_it(tmp_path: Path) -> None:
    program = "import sys; import spec_mcp.relay.wrap; print([name for name in sys.modules if 'dashboard' in name])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
        timeout=WAIT_S,
    )
    assert done.stdout.strip() == "[]"
