"""`spec-mcp login`: with a server of the SDK's that wants it, and a person who opens what is shown."""

from __future__ import annotations

import re
import select
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spec_mcp.cli.app import app

GUARDED = Path(__file__).resolve().parents[1] / "servers" / "guarded.py"
WAIT_S = 30.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-W", "ignore", str(GUARDED)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert select.select([server.stdout], [], [], WAIT_S)[0]
        yield server.stdout.readline().strip()
        server.kill()


def login(*arguments: str) -> tuple[int, str]:
    """Run the command, and open the address that it shows; its status and what it said."""
    command = [sys.executable, "-m", "spec_mcp", "login", *arguments]
    said = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if (found := re.match(r" +(http\S+)", line)) is not None:
                with urllib.request.urlopen(found[1], timeout=WAIT_S) as page:
                    assert b"close this window" in page.read()
        return process.wait(WAIT_S), said


def test_a_login_by_name_is_kept_where_only_the_user_can_read_it(url: str, spec_mcp_home: Path) -> None:
    spec_mcp_home.mkdir()
    (spec_mcp_home / "config.toml").write_text(f'[servers.mine]\nurl = "{url}"\n')
    status, said = login("mine")
    assert (status, said.splitlines()[-1]) == (0, "mine: logged in.")
    (kept,) = (spec_mcp_home / "tokens").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    assert "access_token" in kept.read_text()
    assert login("mine") == (0, "mine: logged in.\n")  # without a question


def test_a_login_by_address_needs_no_configuration(url: str) -> None:
    status, said = login(url)
    assert (status, said.splitlines()[-1]) == (0, f"{url}: logged in.")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nobody"], 2, "missing"),
        (["local"], 2, "wants no login"),
        (["static"], 2, "says what to show"),
        (["ftp://x/"], 2, "no address of HTTP"),
        (["http://127.0.0.1:1/mcp"], 1, "cannot be reached"),
    ],
)
def test_where_there_is_no_login_one_line_says_why(
    spec_mcp_home: Path, arguments: list[str], status: int, words: str
) -> None:
    spec_mcp_home.mkdir()
    static = '[servers.static]\nurl = "https://x/"\nheaders = { authorization = "Bearer a" }\n'
    (spec_mcp_home / "config.toml").write_text('[servers.local]\ncommand = "x"\n' + static)
    result = subprocess.run(
        [sys.executable, "-m", "spec_mcp", "login", *arguments], capture_output=True, text=True, timeout=WAIT_S
    )
    assert result.returncode == status
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_help_says_what_is_done() -> None:
    assert "keyring" in CliRunner().invoke(app, ["login", "--help"]).output
