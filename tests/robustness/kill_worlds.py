"""The two servers that are written to while `spec-mcp wrap` is killed, and what they must hold without speculation."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

from tests.pipes import RawClient, eventually
from wrapped_servers.retail.catalogue import TOOLS, Effect
from wrapped_servers.retail.database import MEMORY, Database
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.server import Shop

ROOT = Path(__file__).resolve().parents[2]
MEMORY_SERVER = ROOT / ".servers/npm/node_modules/@modelcontextprotocol/server-memory/dist/index.js"
ENTITIES = tuple(f"e{number}" for number in range(8))
OBSERVATIONS = 200
"""So many that a new one is seldom there already: what is there already is not foretold."""

SHOP_SEED = 0
CUSTOMERS = 6


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's call."""

    tool: str
    arguments: dict[str, Any]


class World(Protocol):
    """A server behind us, and the same server that only gets the calls that were made."""

    name: str
    manifest: Path
    reversible: tuple[str, ...]
    command: list[str]
    environ: dict[str, str]

    def call(self, random: Random) -> Call:
        """Something that the client may do next."""
        ...

    def early(self, random: Random) -> Call:
        """A write that may be made early."""
        ...

    def looks(self, random: Random, write: Call | None) -> Call:
        """A call that shows whether this write was done."""
        ...

    def writes(self, call: Call) -> bool: ...

    def expects(self, call: Call) -> Any:
        """What the call is answered without speculation, and what it does is done."""
        ...

    def differences(self) -> str:
        """What the server's own files hold beside what they must; empty if they are equal. No process has them."""
        ...

    def close(self) -> None: ...


class MemoryWorld:
    """The memory server: a graph in one file."""

    name: str = "memory"
    manifest = ROOT / "manifests" / "memory.toml"
    reversible: tuple[str, ...] = ("create_entities", "create_relations", "add_observations")
    READS = ("read_graph", "open_nodes", "search_nodes")

    def __init__(self, folder: Path) -> None:
        self._file, self._twin_file = folder / "memory.jsonl", folder / "twin.jsonl"
        anchor = {"type": "entity", "name": "anchor", "entityType": "thing", "observations": ["first"]}
        for file in (self._file, self._twin_file):
            file.write_text(json.dumps(anchor, separators=(",", ":")))
        self.command = ["node", str(MEMORY_SERVER)]
        self.environ = {"MEMORY_FILE_PATH": str(self._file)}
        self._twin = RawClient(self.command, env={"MEMORY_FILE_PATH": str(self._twin_file)}, cwd=folder)
        self._twin.initialize()
        self._kinds: list[tuple[int, Callable[[Random], Call]]] = [
            (30, self._create),
            (22, self._observe),
            (16, self._relate),
            (8, lambda random: Call("delete_entities", {"entityNames": [random.choice(ENTITIES)]})),
            (4, self._unrelate),
            (6, lambda random: Call("read_graph", {})),
            (8, lambda random: Call("open_nodes", {"names": random.sample(ENTITIES, 2)})),
            (6, lambda random: Call("search_nodes", {"query": random.choice(ENTITIES)})),
        ]

    def call(self, random: Random) -> Call:
        return random.choices([make for _, make in self._kinds], [weight for weight, _ in self._kinds])[0](random)

    def early(self, random: Random) -> Call:
        return random.choice((self._create, self._create, self._observe, self._relate))(random)

    def looks(self, random: Random, write: Call | None) -> Call:
        return Call("read_graph", {})

    def writes(self, call: Call) -> bool:
        return call.tool not in self.READS

    def expects(self, call: Call) -> Any:
        return self._twin.call(call.tool, call.arguments).message["result"]

    def differences(self) -> str:
        held, must = self._file.read_text(), self._twin_file.read_text()
        return "" if held == must else f"the file holds {held!r}, and not {must!r}"

    def close(self) -> None:
        self._twin.close()

    def _create(self, random: Random) -> Call:
        names = random.sample(ENTITIES, random.choice((1, 1, 2)))
        things = [{"name": name, "entityType": "thing", "observations": [_observation(random)]} for name in names]
        return Call("create_entities", {"entities": things})

    def _observe(self, random: Random) -> Call:
        name = random.choice(("anchor", "anchor", *ENTITIES))
        added = {"entityName": name, "contents": [_observation(random)]}
        return Call("add_observations", {"observations": [added]})

    def _relate(self, random: Random) -> Call:
        return Call("create_relations", {"relations": [_relation(random)]})

    def _unrelate(self, random: Random) -> Call:
        return Call("delete_relations", {"relations": [_relation(random) for _ in range(8)]})


def _observation(random: Random) -> str:
    return f"o{random.randrange(OBSERVATIONS)}"


def _relation(random: Random) -> dict[str, str]:
    one, other = random.sample(("anchor", *ENTITIES), 2)
    return {"from": one, "to": other, "relationType": "knows"}


class RetailWorld:
    """The shop: its database, which one process has at a time."""

    name: str = "retail"
    manifest = ROOT / "manifests" / "retail.toml"
    reversible: tuple[str, ...] = ("modify_pending_order_address", "modify_user_address")

    def __init__(self, folder: Path) -> None:
        self._file = folder / "shop.db"
        self.command = [sys.executable, "-m", "wrapped_servers.retail", "--db", str(self._file)]
        self.command += ["--seed", str(SHOP_SEED), "--latency-default", "0.01"]
        self.environ = {"PYTHONPATH": str(ROOT)}
        tables = generate(SHOP_SEED)
        self._twin = Database(MEMORY, lambda: tables)
        self._shop = Shop(self._twin)
        users = list(tables["users"].items())
        self._addresses = [user["address"] for _, user in users[-CUSTOMERS:]]
        self._users = [user_id for user_id, _ in users[:CUSTOMERS]]
        orders = [tables["orders"][number] for _, user in users[:CUSTOMERS] for number in user["orders"]]
        self._pending = [order["order_id"] for order in orders if order["status"] == "pending"]
        self._delivered = [order for order in orders if order["status"] == "delivered"]
        Database(self._file, lambda: tables).close()

    def call(self, random: Random) -> Call:
        drawn = random.random()
        if drawn < 0.6:
            return self.early(random)
        if drawn < 0.7:
            order = random.choice(self._delivered)
            paid = order["payment_history"][0]["payment_method_id"]
            arguments = {"order_id": order["order_id"], "item_ids": [order["items"][0]["item_id"]]}
            return Call("return_delivered_order_items", {**arguments, "payment_method_id": paid})
        if drawn < 0.85:
            return Call("get_order_details", {"order_id": random.choice(self._pending)})
        return Call("get_user_details", {"user_id": random.choice(self._users)})

    def early(self, random: Random) -> Call:
        address = dict(random.choice(self._addresses))
        if random.random() < 0.5:
            return Call("modify_user_address", {"user_id": random.choice(self._users), **address})
        return Call("modify_pending_order_address", {"order_id": random.choice(self._pending), **address})

    def looks(self, random: Random, write: Call | None) -> Call:
        if write is not None and "order_id" in write.arguments:
            return Call("get_order_details", {"order_id": write.arguments["order_id"]})
        user = random.choice(self._users) if write is None else write.arguments["user_id"]
        return Call("get_user_details", {"user_id": user})

    def writes(self, call: Call) -> bool:
        return TOOLS[call.tool].effect is Effect.WRITE

    def expects(self, call: Call) -> Any:
        answer = self._shop.call(TOOLS[call.tool], call.arguments, 0.0)
        return {"content": [{"text": answer.text, "type": "text"}], "isError": answer.is_error}

    def differences(self) -> str:
        eventually(self._is_free, "the shop's process gives the database free")
        with closing(sqlite3.connect(self._file)) as connection:
            held = list(connection.iterdump())
        must = list(self._twin._connection.iterdump())
        both = zip(held, must, strict=False)
        wrong = [f"{found!r}, and not {wanted!r}" for found, wanted in both if found != wanted]
        return "" if held == must else f"{len(wrong)} rows differ: {wrong[:2]}"

    def _is_free(self) -> bool:
        try:
            with closing(sqlite3.connect(self._file, timeout=0)) as connection:
                connection.execute("SELECT count(*) FROM users")
        except sqlite3.OperationalError:
            return False
        return True

    def close(self) -> None:
        self._twin.close()


WORLDS: dict[str, Callable[[Path], World]] = {"memory": MemoryWorld, "retail": RetailWorld}


def environment(world: World, home: Path) -> dict[str, str]:
    """Of all processes at this world."""
    return {**os.environ, **world.environ, "SPEC_MCP_HOME": str(home), "PYTHONPATH": str(ROOT)}
