"""The shop's three tables in SQLite. Each row is a record as JSON beside the columns that it is looked up by.

A database belongs to one server process at a time: it is opened with an exclusive lock, so nobody changes the shop
behind the server's back.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from wrapped_servers.retail.model import Order, Product, Tables, User

MEMORY = ":memory:"

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE users (
    user_id TEXT PRIMARY KEY, email TEXT NOT NULL, first_name TEXT NOT NULL, last_name TEXT NOT NULL,
    zip TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX users_by_email ON users (email);
CREATE INDEX users_by_name_zip ON users (last_name, zip, first_name);
CREATE TABLE orders (order_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE products (product_id TEXT PRIMARY KEY, name TEXT NOT NULL, record TEXT NOT NULL);
"""


class DatabaseError(Exception):
    """The tables cannot be served; the message names the file and the reason."""


class Database:
    """The tables. What is read or written in one `transaction` is read or written as a whole."""

    def __init__(self, path: str | Path, fill: Callable[[], Tables]) -> None:
        """Open the database at `path`, or `MEMORY`. An empty one is filled with `fill()`, any other served as it is.

        Raises:
            DatabaseError: it is no database of ours, or another process has it open.
        """
        self._changed: list[str] = []
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        except sqlite3.Error as error:
            raise DatabaseError(f"{path}: {error}") from error
        try:
            self._claim()
            self._prepare(path, fill)
        except sqlite3.Error as error:
            self._connection.close()
            raise DatabaseError(f"{path}: {error}") from error
        except DatabaseError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Give the file free."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Generator[list[str]]:
        """All or nothing: an exception takes back every `put`. Yields the names of the resources put so far."""
        self._changed = []
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._changed
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._changed.clear()
            raise
        self._connection.execute("COMMIT")

    def user(self, user_id: str) -> User | None:
        return cast("User | None", self._record("SELECT record FROM users WHERE user_id = ?", user_id))

    def order(self, order_id: str) -> Order | None:
        return cast("Order | None", self._record("SELECT record FROM orders WHERE order_id = ?", order_id))

    def product(self, product_id: str) -> Product | None:
        return cast("Product | None", self._record("SELECT record FROM products WHERE product_id = ?", product_id))

    def user_id_by_email(self, email: str) -> str | None:
        """The first user with this address, letters' case aside."""
        return self._text("SELECT user_id FROM users WHERE email = ? ORDER BY rowid LIMIT 1", email.lower())

    def user_id_by_name_zip(self, first_name: str, last_name: str, zip_code: str) -> str | None:
        """The first user of this name, letters' case aside, at this zip code."""
        return self._text(
            "SELECT user_id FROM users WHERE last_name = ? AND zip = ? AND first_name = ? ORDER BY rowid LIMIT 1",
            last_name.lower(),
            zip_code,
            first_name.lower(),
        )

    def product_ids_by_name(self) -> dict[str, str]:
        """In the order of the names."""
        return dict(self._connection.execute("SELECT name, product_id FROM products ORDER BY name"))

    def put_user(self, user_id: str, user: User) -> None:
        self._connection.execute(
            "INSERT INTO users (user_id, email, first_name, last_name, zip, record) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, first_name = excluded.first_name, "
            "last_name = excluded.last_name, zip = excluded.zip, record = excluded.record",
            (
                user_id,
                user["email"].lower(),
                user["name"]["first_name"].lower(),
                user["name"]["last_name"].lower(),
                user["address"]["zip"],
                json.dumps(user, ensure_ascii=False),
            ),
        )
        self._changed.append(f"user:{user_id}")

    def put_order(self, order: Order) -> None:
        self._connection.execute(
            "INSERT INTO orders (order_id, user_id, record) VALUES (?, ?, ?) "
            "ON CONFLICT (order_id) DO UPDATE SET user_id = excluded.user_id, record = excluded.record",
            (order["order_id"], order["user_id"], json.dumps(order, ensure_ascii=False)),
        )
        self._changed.append(f"order:{order['order_id']}")

    def _put_product(self, product: Product) -> None:
        self._connection.execute(
            "INSERT INTO products (product_id, name, record) VALUES (?, ?, ?)",
            (product["product_id"], product["name"], json.dumps(product, ensure_ascii=False)),
        )

    def _claim(self) -> None:
        """Take the lock that the first transaction would take, and keep it while the connection is open."""
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("BEGIN EXCLUSIVE")
        self._connection.execute("COMMIT")

    def _prepare(self, path: str | Path, fill: Callable[[], Tables]) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA_VERSION:
            return
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version or tables:
            raise DatabaseError(f"{path}: holds something else than a shop; name a new file")
        # not executescript, which would commit the transaction: a crash must not leave half a shop
        with self.transaction():
            for statement in SCHEMA.strip().split(";"):
                self._connection.execute(statement)
            shop = fill()
            for product in shop["products"].values():
                self._put_product(product)
            for user_id, user in shop["users"].items():
                self.put_user(user_id, user)
            for order in shop["orders"].values():
                self.put_order(order)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _record(self, query: str, key: str) -> object:
        text = self._text(query, key)
        return None if text is None else json.loads(text)

    def _text(self, query: str, *values: str) -> str | None:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]


def read_tables(folder: Path) -> Tables:
    """The tables in a folder's users, orders and products, each `.json` or `.json.gz`.

    Raises:
        DatabaseError: one is missing or no JSON object.
    """
    return cast("Tables", {name: _read_table(folder, name) for name in ("users", "orders", "products")})


def _read_table(folder: Path, name: str) -> object:
    packed, plain = folder / f"{name}.json.gz", folder / f"{name}.json"
    try:
        text = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
        table = json.loads(text)
    except (OSError, EOFError, ValueError) as error:
        raise DatabaseError(f"{plain}[.gz]: {error}") from error
    if not isinstance(table, dict):
        raise DatabaseError(f"{plain}[.gz]: is no JSON object")
    return cast("object", table)
