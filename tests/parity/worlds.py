"""The servers that the parity tests wrap, real ones and our own, each with a state that is the same in every arm."""

from __future__ import annotations

import base64
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from tests.parity.rig import ROOT, World
from tests.parity.transcript import scrub

SERVERS = ROOT / ".servers"
NODE = SERVERS / "npm" / "node_modules" / "@modelcontextprotocol"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
UCI = shlex.join([sys.executable, str(ROOT / "tests" / "wrapped_servers" / "uci.py")])
SEED = 0
"""Of what the servers in `wrapped_servers` make up."""
FIXED_TIME_S = 1_700_000_000
GIT_ENV = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+0000",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+0000",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


def filesystem(folder: Path) -> World:
    """server-filesystem over a small tree."""

    def prepare(root: Path) -> None:
        (root / "docs" / "deep").mkdir(parents=True)
        (root / "a.txt").write_text("alpha\nbeta\ngamma\n")
        (root / "b.txt").write_text("b \u00e9\U0001f600\n")
        (root / "docs" / "one.md").write_text("# One\n")
        (root / "docs" / "deep" / "two.md").write_text("# Two\n")
        (root / "pixel.png").write_bytes(PIXEL)
        for path in sorted(root.rglob("*")):
            os.utime(path, (FIXED_TIME_S, FIXED_TIME_S))

    return World(
        name="filesystem",
        command=["node", str(NODE / "server-filesystem" / "dist" / "index.js"), str(folder)],
        folder=folder,
        prepare=prepare,
        snapshot=files_below,
        normalise=scrub(r"(created|modified|accessed): [^\\]+"),
        has_roots=False,
    )


def memory(folder: Path) -> World:
    """server-memory over a graph in a file."""
    graph = folder / "graph.json"
    return World(
        name="memory",
        command=["node", str(NODE / "server-memory" / "dist" / "index.js")],
        folder=folder,
        prepare=lambda _: None,
        snapshot=files_below,
        normalise=scrub(),
        env={"MEMORY_FILE_PATH": str(graph)},
    )


def git(folder: Path) -> World:
    """mcp-server-git over a repository whose commits are the same in every arm."""

    def prepare(root: Path) -> None:
        def run(*arguments: str) -> None:
            subprocess.run(
                ["git", *arguments], cwd=root, env={**os.environ, **GIT_ENV}, check=True, capture_output=True
            )

        run("init", "-q", "-b", "main")
        for number in (1, 2):
            (root / f"file{number}.txt").write_text(f"content {number}\n")
            run("add", ".")
            run("commit", "-q", "-m", f"commit {number}")
        (root / "file1.txt").write_text("changed\n")

    def snapshot(root: Path) -> object:
        def run(*arguments: str) -> str:
            done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
            return done.stdout

        head = run("log", "--all", "--format=%H %D %s")
        return head, run("status", "--porcelain"), run("diff", "--cached"), run("branch", "--list")

    return World(
        name="git",
        command=[str(SERVERS / "mcp-server-git" / "bin" / "mcp-server-git"), "--repository", str(folder)],
        folder=folder,
        prepare=prepare,
        snapshot=snapshot,
        normalise=scrub(),
        env=GIT_ENV,
    )


def clock(folder: Path) -> World:
    """mcp-server-time; what the clock says is taken out."""
    return World(
        name="time",
        command=[str(SERVERS / "mcp-server-time" / "bin" / "mcp-server-time"), "--local-timezone", "UTC"],
        folder=folder,
        prepare=lambda _: None,
        snapshot=files_below,
        normalise=scrub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"),
    )


def everything(folder: Path) -> World:
    """server-everything."""
    return World(
        name="everything",
        command=["node", str(NODE / "server-everything" / "dist" / "index.js"), "stdio"],
        folder=folder,
        prepare=lambda _: None,
        snapshot=files_below,
        normalise=scrub(r"\d{1,2}:\d\d:\d\d [AP]M", r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
        has_roots=False,
    )


def hostile(folder: Path) -> World:
    """Our own raw server, under a manifest that says which of its tools read."""
    return World(
        name="hostile",
        command=[sys.executable, str(ROOT / "tests" / "servers" / "hostile.py"), "--marks", str(folder / "marks")],
        folder=folder,
        prepare=lambda _: None,
        snapshot=lambda _: None,
        normalise=scrub(),
        wrap_options=["--manifest", str(ROOT / "tests" / "servers" / "hostile.toml")],
    )


def chess(folder: Path) -> World:
    """Chess with a tiny engine, which is there on every machine; games are in memory."""
    return environment("chess", folder, ["--engine", UCI], lambda _: None)


def retail(folder: Path) -> World:
    """A made-up shop in a database."""

    def records(root: Path) -> list[str]:
        with closing(sqlite3.connect(root / "shop.db")) as connection:
            return list(connection.iterdump())

    return environment("retail", folder, [f"--seed={SEED}", "--db=shop.db", "--latency-default=0.02"], records)


def wiki(folder: Path) -> World:
    """A made-up encyclopaedia, and a file of the answers that were given."""
    options = [f"--seed={SEED}", "--answers=answers.jsonl", "--latency-default=0.02"]
    return environment("wiki", folder, options, files_below)


def tuner(folder: Path) -> World:
    """A model of a scheduler's knob, and a file of what it was set to last."""
    return environment("tuner", folder, ["--model", "--state=slice"], files_below)


def environment(name: str, folder: Path, options: Sequence[str], snapshot: Callable[[Path], object]) -> World:
    """One of the servers in `wrapped_servers`, under its shipped manifest."""
    return World(
        name=name,
        command=[sys.executable, "-m", f"wrapped_servers.{name}", *options],
        folder=folder,
        prepare=lambda _: None,
        snapshot=snapshot,
        normalise=scrub(),
        env={"PYTHONPATH": str(ROOT)},
        wrap_options=["--manifest", name],
    )


WORLDS: dict[str, Callable[[Path], World]] = {
    "filesystem": filesystem,
    "memory": memory,
    "git": git,
    "time": clock,
    "everything": everything,
    "hostile": hostile,
    "chess": chess,
    "retail": retail,
    "wiki": wiki,
    "tuner": tuner,
}


def files_below(root: Path) -> dict[str, bytes]:
    """Every file with its content."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
