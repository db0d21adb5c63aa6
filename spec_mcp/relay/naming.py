"""What to call a server of which only the command is known."""

from __future__ import annotations

import re
from collections.abc import Sequence

LAUNCHERS = frozenset(
    {"npx", "uvx", "uv", "bunx", "bun", "deno", "node", "pipx", "docker", "podman", "env", "sh", "bash"}
)
SUBCOMMANDS = frozenset({"run", "tool", "exec", "x", "start", "serve"})

_PYTHON = re.compile(r"^(python|pypy)[0-9.]*$")
_VERSION = re.compile(r"(?<=.)@[^/]*$|(==|>=).*$")
_SUFFIX = re.compile(r"\.(js|mjs|cjs|ts|py|sh|exe|jar)$")


def name_of(command: Sequence[str]) -> str:
    """The name of the program that a command line starts, without its launcher, folder, scope and version."""
    for word in command:
        base = _VERSION.sub("", word).rstrip("/").rsplit("/", 1)[-1]
        base = _SUFFIX.sub("", base)
        if word.startswith("-") or not base or base in LAUNCHERS or base in SUBCOMMANDS or _PYTHON.match(base):
            continue
        if re.match(r"^[A-Za-z_][A-Za-z0-9_]*=", word):  # a variable given to env
            continue
        name = base.removeprefix("wrapped_servers.") if base.startswith("wrapped_servers.") else base
        if name in ("index", "main", "__main__", "cli", "server") and "/" in word:
            name = _package_of(word) or name
        return name
    return "server"


def _package_of(path: str) -> str | None:
    """The package's folder, where the file's own name says nothing."""
    skipped = {"dist", "build", "src", "lib", "bin", "out", ".", ".."}
    folders = [folder for folder in path.split("/")[:-1] if folder and folder not in skipped]
    return folders[-1] if folders else None
