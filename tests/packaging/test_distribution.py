"""What people get: the wheel, the bundle for desktop clients, the entry for the registry, and the first steps."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import TextContent

from tests.servers.install import INSTALLED, PACKING, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("distribution")]

UV = str(ROOT / "scripts" / "uv")
MCPB = f"node {INSTALLED / PACKING / 'node_modules' / '.bin' / 'mcpb'}"
FILESYSTEM = INSTALLED / "npm" / "node_modules" / "@modelcontextprotocol" / "server-filesystem" / "dist" / "index.js"
BOUND_S = 200
WALK_BOUND_S = 60
DESCRIPTION_MAX_CHARS = 100
"""The registry takes no longer one."""


def run(command: Sequence[str], **environment: str) -> str:
    """What a command prints; it must succeed."""
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "SPEC_MCP_HOME")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=BOUND_S, check=False, env=env | environment, cwd=ROOT
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run([UV, "build", "--wheel", "--quiet", "--out-dir", str(folder)])
    (built,) = folder.glob("*.whl")
    return built


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_wheel_holds_what_it_needs_besides_its_code(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    manifests = {f"spec_mcp/manifests/{path.name}" for path in (ROOT / "manifests").iterdir() if path.is_file()}
    static = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "spec_mcp" / "dashboard" / "static").rglob("*")
        if path.is_file()
    }
    assert len(manifests) > 20
    assert len(static) > 5
    assert manifests | static <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_the_bundle_for_desktop_clients_is_valid_and_its_program_starts(tmp_path: Path) -> None:
    target = tmp_path / "spec-mcp.mcpb"
    printed = run([str(ROOT / "scripts" / "bundle"), str(target)], MCPB=MCPB)
    assert "Manifest schema validation passes" in printed
    bundle = tmp_path / "unpacked"
    zipfile.ZipFile(target).extractall(bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert (bundle / manifest["server"]["entry_point"]).is_file()
    assert (manifest["name"], manifest["version"]) == (project()["name"], project()["version"])
    options = manifest["user_config"]
    started = manifest["server"]["mcp_config"]["args"]
    assert {name for word in started for name in re.findall(r"\$\{user_config\.(\w+)\}", word)} == set(options)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("alpha")
    config = tmp_path / "servers.json"
    config.write_text(json.dumps({"mcpServers": {"files": {"command": "node", "args": [str(FILESYSTEM), str(notes)]}}}))
    meant = {"__dirname": str(bundle), "user_config.config": str(config), "user_config.mode": "shadow"}
    words = [re.sub(r"\$\{([\w.]+)\}", lambda found: meant[found[1]], word) for word in started]
    environment = {**os.environ, "SPEC_MCP_HOME": str(tmp_path / "home")}
    environment.pop("VIRTUAL_ENV", None)
    assert used([UV, *words], environment, tmp_path, str(notes / "a.txt")) == "alpha"


def test_the_entry_for_the_registry_says_what_the_package_says() -> None:
    entry = json.loads((ROOT / "packaging" / "server.json").read_text())
    assert entry["$schema"].endswith("/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert f"mcp-name: {entry['name']}" in (ROOT / "README.md").read_text()
    assert len(entry["description"]) <= DESCRIPTION_MAX_CHARS
    (package,) = entry["packages"]
    assert (package["registryType"], package["identifier"]) == ("pypi", project()["name"])
    assert entry["version"] == package["version"] == project()["version"]


def test_a_newcomer_installs_it_watches_it_switches_it_on_and_takes_it_out(wheel: Path, tmp_path: Path) -> None:
    home, notes = tmp_path / "home", tmp_path / "notes"
    notes.mkdir(parents=True)
    (notes / "a.txt").write_text("alpha")
    path = home / ".config" / "Claude" / "claude_desktop_config.json"
    path.parent.mkdir(parents=True)
    entry = {"command": "node", "args": [str(FILESYSTEM), str(notes)]}
    before = json.dumps({"theme": "dark", "mcpServers": {"files": entry}}, indent=2).encode()
    path.write_bytes(before)
    places = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "UV_CACHE_DIR": run([UV, "cache", "dir"]).strip(),
        "UV_TOOL_DIR": str(home / "tools"),
        "UV_TOOL_BIN_DIR": str(home / "bin"),
    }
    version = project()["version"]
    assert version in run(
        [UV, "tool", "run", "--python", sys.executable, "--from", str(wheel), "spec-mcp", "--version"], **places
    )
    run([UV, "tool", "install", "--quiet", "--python", sys.executable, str(wheel)], **places)
    program = str(home / "bin" / "spec-mcp")

    assert "files" in run([program, "install", "claude-desktop", "--dry-run"], **places)
    assert path.read_bytes() == before
    run([program, "install", "claude-desktop"], **places)
    started = json.loads(path.read_text())["mcpServers"]["files"]
    assert started["command"] == program
    bare = {name: places[name] for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")} | {"PATH": "/usr/bin:/bin"}
    command = [started["command"], *started["args"]]

    assert used(command, bare | started.get("env", {}), tmp_path, str(notes / "a.txt")) == "alpha"
    watched = json.loads(run([program, "stats", "--json"], **places))
    assert (watched["sessions"], watched["calls"], watched["hits"]) == (1, 1, 0)
    assert "on" in run([program, "on"], **places)
    assert used(command, bare | started.get("env", {}), tmp_path, str(notes / "a.txt")) == "alpha"
    assert json.loads(run([program, "stats", "--json"], **places))["sessions"] == 2
    run([program, "uninstall", "claude-desktop"], **places)
    assert path.read_bytes() == before


def used(command: Sequence[str], environment: dict[str, str], folder: Path, file: str) -> str:
    """Start a server as a client does, and read a file through it."""

    async def session(log: Any) -> str:
        start = StdioServerParameters(command=command[0], args=list(command[1:]), env=environment, cwd=folder)
        with anyio.fail_after(WALK_BOUND_S):
            async with Client(stdio_client(start, errlog=log)) as client:
                tools = {tool.name for tool in (await client.list_tools()).tools}
                assert {"read_text_file", "list_directory"} <= tools
                (content,) = (await client.call_tool("read_text_file", {"path": file})).content
                assert isinstance(content, TextContent)
                return content.text

    with (folder / "log").open("w") as log:
        return anyio.run(session, log)
