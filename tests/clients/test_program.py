"""How an entry starts this very spec-mcp."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from spec_mcp.clients.entries import ours
from spec_mcp.clients.program import Running, program
from spec_mcp.errors import Failed

CACHE = "/home/ada/.cache/uv/archive-v0/Xy12"


def running(
    script: Path | str = "/x/spec_mcp/__main__.py",
    prefix: str = "/opt/venv",
    origin: str = "",
    environ: Mapping[str, str] | None = None,
    uvx: str | None = None,
) -> Running:
    return Running(str(script), f"{prefix}/bin/python", prefix, origin, environ or {}, {"uvx": uvx}.get)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "spec-mcp"
    path.write_text("#!/bin/sh\n")
    return path


def test_the_installed_script_is_named_as_it_was_called(script: Path, tmp_path: Path) -> None:
    assert program(running(script)) == (str(script),)
    link = tmp_path / "bin" / "spec-mcp"
    link.parent.mkdir()
    link.symlink_to(script)  # as uv and pipx do it: what it leads to moves with every upgrade
    assert program(running(link)) == (str(link),)


@pytest.mark.parametrize("name", ["/usr/bin/pytest", "/x/spec_mcp/__main__.py", "/gone/spec-mcp"])
def test_else_the_python_of_the_environment_starts_the_module(name: str) -> None:
    assert program(running(name)) == ("/opt/venv/bin/python", "-P", "-m", "spec_mcp")


def test_a_temporary_environment_is_made_again_by_uvx(script: Path, tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    (tmp_path / "uvx").write_text("")
    assert program(running(script, CACHE, environ={"UV": str(uv)})) == (str(tmp_path / "uvx"), "spec-mcp")
    assert program(running(script, CACHE, uvx="/usr/bin/uvx")) == ("/usr/bin/uvx", "spec-mcp")
    with pytest.raises(Failed, match="uv tool install spec-mcp"):
        program(running(script, CACHE))


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ({"url": "file:///home/ada/a%20b/spec_mcp-1.whl", "archive_info": {}}, "/home/ada/a b/spec_mcp-1.whl"),
        ({"url": "https://e.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}, "git+https://e.org/x.git@abc"),
        ({"url": "https://e.org/spec_mcp-1.whl", "archive_info": {}}, "https://e.org/spec_mcp-1.whl"),
    ],
)
def test_and_from_where_it_came(origin: dict[str, object], source: str) -> None:
    found = program(running(prefix=CACHE, origin=json.dumps(origin), uvx="/usr/bin/uvx"))
    assert found == ("/usr/bin/uvx", "--from", source, "spec-mcp")


@pytest.mark.parametrize("origin", ["", "{", "[]", "{}"])
def test_an_origin_that_says_nothing_is_the_registry(origin: str) -> None:
    assert program(running(prefix=CACHE, origin=origin, uvx="/usr/bin/uvx")) == ("/usr/bin/uvx", "spec-mcp")


def test_every_program_is_known_as_ours_again() -> None:
    for found in (
        program(running()),
        program(running(prefix=CACHE, uvx="/usr/bin/uvx")),
        program(running(prefix=CACHE, uvx="/u/uvx", origin='{"url": "file:///x.whl"}')),
        (sys.executable, "-m", "spec_mcp"),
    ):
        known = ours([*found, "wrap", "--", "npx"])
        assert known is not None
        assert known.program == found
