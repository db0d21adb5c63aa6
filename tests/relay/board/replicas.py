"""Several `spec-mcp run` over HTTP on one database, in front of one server, and a client that asks each in turn."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psycopg

from tests.cli.gateways import OverHttp
from tests.pipes import WAIT_S, Missing, eventually
from tests.relay.front.rig import BOTH, modern_request

PAGES = Path(__file__).parents[2] / "servers" / "pages.py"

MANIFEST = """
[manifest]
version = 1
server = "pages"
reviewed = "2026-11-22"
concurrent = true
open_world = false
[tools.read_page]
effect = "read"
touches = ["page:{name}"]
ttl_s = 60
[[tools.read_page.followed_by]]
tool = "read_page"
arguments = { name = "result.next" }
confidence = 0.9
[tools.write_page]
effect = "unsafe"
touches = ["page:{name}"]
"""


BOOKS, NAMES = itertools.count(1), itertools.count(1)


class Told:
    """What the server was asked, as it notes it."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def log(self) -> list[dict[str, Any]]:
        """All of it, in the order in which it took effect."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def reads(self) -> Counter[str]:
        """How often each page was read."""
        return Counter(one["arguments"]["name"] for one in self.log() if one["tool"] == "read_page")


class Pages(Told):
    """The server over HTTP."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "pages.jsonl")
        self._log.touch()
        self._process = subprocess.Popen(
            [sys.executable, str(PAGES), str(self._log), "--http", "0"], stdout=subprocess.PIPE
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().decode().strip()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Wire:
    """A way to the database that can be cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ends: set[socket.socket] = set()
        self._is_cut = False
        user = f"{parts.username}@" if parts.username else ""
        netloc = f"{user}127.0.0.1:{self._listening.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=netloc))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing goes through any more."""
        self._is_cut = True
        for end in list(self._ends):
            self._drop(end)

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = self._listening.accept()
                if self._is_cut:
                    end.close()
                    continue
                other = socket.create_connection(self._to)
                self._ends |= {end, other}
                for pair in ((end, other), (other, end)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        self._ends.discard(end)
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


class Replica:
    """One gateway, and a stateless client's way to it."""

    def __init__(self, folder: Path, name: str, server_url: str, store_url: str, lease_s: float, mode: str) -> None:
        home = folder / name
        home.mkdir()
        (home / "pages.toml").write_text(MANIFEST)
        config = home / "config.toml"
        config.write_text(
            f'[servers.pages]\nurl = "{server_url}"\nmanifest = "pages.toml"\nisolation = "shared"\n'
            f'forward_headers = ["x-user"]\n[speculation]\nmode = "{mode}"\nwasted_call_s = 0.01\ndepth = 1\n'
            f'[store]\nurl = "{store_url}"\nlease_s = {lease_s}\n'
        )
        self.name = name
        self.gateway = OverHttp(config, env={"SPEC_MCP_HOME": str(home)})
        threading.Thread(target=self._drain, daemon=True).start()
        self._http = httpx2.Client(timeout=WAIT_S, trust_env=False)
        self._asked = 0

    def _drain(self) -> None:
        stderr = self.gateway.process.stderr
        assert stderr
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(stderr.fileno(), 1 << 16):
                self.gateway.said += chunk

    def call(self, tool: str, arguments: dict[str, Any], user: str = "ann") -> Any:
        """What the client gets, of one conversation whichever replica it asks."""
        self._asked += 1
        meta = {"spec-mcp/session": "one"}
        params = {"name": tool, "arguments": arguments}
        body, named = modern_request("tools/call", params, self._asked, meta, x_user=user)
        headers = {name.replace("_", "-"): value for name, value in named.items()}
        answer = self._http.post(self.gateway.url, json=body, headers={"accept": BOTH, **headers})
        return result_of(answer)

    def read(self, name: str, user: str = "ann") -> Any:
        return self.call("read_page", {"name": name}, user)

    def write(self, name: str, text: str) -> Any:
        return self.call("write_page", {"name": name, "text": text})

    def close(self) -> None:
        self._http.close()
        self.gateway.close()


def result_of(answer: httpx2.Response) -> Any:
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = [line for line in text.splitlines() if line.startswith("data: ")][-1].removeprefix("data: ")
    message = json.loads(text)
    return message["result"]["structuredContent"] if "result" in message else message


class Group:
    """Replicas that share a database and a server."""

    def __init__(self, folder: Path, pages: Told, url: str, *, lease_s: float = 10.0, mode: str = "on") -> None:
        self.pages = pages
        self.url = url
        self._folder = folder
        self._lease_s = lease_s
        self._mode = mode
        self.replicas: list[Replica] = []

    def add(self, store_url: str | None = None) -> Replica:
        """One more, which has met the server and is known to the others."""
        assert isinstance(self.pages, Pages)
        name = f"replica-{next(NAMES)}"
        one = Replica(self._folder, name, self.pages.url, store_url or self.url, self._lease_s, self._mode)
        self.replicas.append(one)
        return one

    def add_at_once(self, count: int) -> None:
        """So many more."""
        with ThreadPoolExecutor(count) as starts:
            list(starts.map(lambda _: self.add(), range(count)))

    def close(self) -> None:
        for one in self.replicas:
            one.close()

    def new_book(self, kind: str = "book") -> str:
        return f"{kind}{next(BOOKS)}"

    def warm_up(self) -> None:
        """Each has seen what the server's tools are, and reads ahead."""
        for one in self.replicas:
            self.reads_ahead(one)

    def reads_ahead(self, one: Replica, user: str = "ann") -> str:
        """A book of which it has read the first page for its client, and the second one ahead."""
        found = ""

        def does() -> bool:
            nonlocal found
            found = self.new_book()
            one.read(f"{found}-1", user)
            return self.reads_soon(f"{found}-2")

        eventually(does, "it reads ahead")
        return found

    def reads_soon(self, page: str) -> bool:
        """Is a page read within a moment?"""
        with contextlib.suppress(Missing):
            eventually(lambda: self.pages.reads()[page] > 0, "it is read", 1.0)
        return self.pages.reads()[page] > 0

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True, options="-c search_path=spec_mcp") as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def adopts(self, giver: Replica, taker: Replica, user: str = "ann", *, is_there: bool = False) -> bool:
        """Is a page that one has read ahead what the other one gives its client? The answer is right in any case.

        It may be asked for while it is on its way, unless `is_there`.
        """
        book = self.reads_ahead(giver)
        second = f"{book}-2"
        if is_there:
            with contextlib.suppress(Missing):
                eventually(lambda: not self.query("SELECT 1 FROM offers WHERE fate = 'running'"), "it is there", 1.0)
        answer = taker.read(second, user)
        assert answer == {"name": second, "text": "", "next": f"{book}-3"}
        return self.pages.reads()[second] == 1
