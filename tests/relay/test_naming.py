"""What a server is called of which only the command is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.relay.naming import name_of


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("npx -y @modelcontextprotocol/server-filesystem /home/me", "server-filesystem"),
        ("npx -y @scope/pkg@1.2.3", "pkg"),
        ("npx pkg@latest", "pkg"),
        ("uvx mcp-server-git==1.0", "mcp-server-git"),
        ("uvx mcp-server-git --repository .", "mcp-server-git"),
        ("uv tool run mcp-server-time", "mcp-server-time"),
        ("python3.11 -m mcp_server_fetch", "mcp_server_fetch"),
        ("python -m wrapped_servers.retail", "retail"),
        ("/usr/bin/node /opt/my-server/dist/index.js", "my-server"),
        ("node /srv/thing/build/src/main.mjs", "thing"),
        ("./bin/server", "server"),
        ("env TOKEN=x A1_B=/y/z my-server", "my-server"),
        ("bash -c", "server"),
        ("", "server"),
        ("-x", "server"),
        ("///", "server"),
    ],
)
def test_the_name_is_that_of_the_program_behind_its_launchers(command: str, name: str) -> None:
    assert name_of(command.split()) == name


@given(st.lists(st.text()))
def test_every_command_has_a_name(command: list[str]) -> None:
    assert name_of(command)
