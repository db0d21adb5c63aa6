"""The shop as an MCP server: both protocol eras, latencies, cancellation, the log and the database file."""

from __future__ import annotations

import json
import subprocess
import sys

import anyio
import pytest
from mcp import Client, MCPError

from tests.wrapped_servers.retail import ROOT, command, till
from wrapped_servers.latency import Latency
from wrapped_servers.retail.catalogue import TOOLS, Effect
from wrapped_servers.retail.database import Database, DatabaseError, read_tables
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.model import Tables
from wrapped_servers.retail.server import make_server
from wrapped_servers.retail.shop import Refused

pytestmark = pytest.mark.anyio

DEADLINE_S = 30
FOR_EVER_S = 3600.0


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def shop():
    with till(generate(0)) as made:
        yield made


def text_of(result):
    (item,) = result.content
    return item.text


def first_order(status):
    return next(order for order in generate(0)["orders"].values() if order["status"] == status)


# --- over the wire ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "revision"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_it_serves_its_tools_in_both_eras_over_stdio(mode, revision):
    with anyio.fail_after(DEADLINE_S):
        async with Client(command(), mode=mode) as client:
            assert client.server_info is not None
            assert client.server_info.name == "retail"
            assert client.protocol_version == revision
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == list(TOOLS)
            result = await client.call_tool("calculate", {"expression": "1 + 2"})
            assert (text_of(result), result.is_error) == ("3.0", False)


async def test_what_the_shop_refuses_is_an_error_result_and_an_unknown_tool_an_error(shop):
    with anyio.fail_after(DEADLINE_S):
        async with Client(make_server(shop.shop, Latency())) as client:
            refused = await client.call_tool("get_order_details", {"order_id": "#W0"})
            assert (text_of(refused), refused.is_error) == ("Error: order not found", True)
            with pytest.raises(MCPError, match="Unknown tool: sell_everything"):
                await client.call_tool("sell_everything", {})


async def test_hints_tell_reads_from_writes(shop):
    async with Client(make_server(shop.shop, Latency())) as client:
        for tool in (await client.list_tools()).tools:
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint == (TOOLS[tool.name].effect is Effect.READ)
            assert tool.annotations.open_world_hint is False


# --- latency and cancellation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_calls_wait_side_by_side_and_a_cancelled_one_is_never_executed(shop, mode):
    order_id = first_order("pending")["order_id"]
    arguments = {"order_id": order_id, "reason": "no longer needed"}
    server = make_server(shop.shop, Latency(0.0, {"cancel_pending_order": FOR_EVER_S}))
    with anyio.fail_after(DEADLINE_S):
        async with Client(server, mode=mode) as client, anyio.create_task_group() as slow_calls:
            slow_calls.start_soon(client.call_tool, "cancel_pending_order", arguments)
            await anyio.wait_all_tasks_blocked()
            quick = await client.call_tool("get_order_details", {"order_id": order_id})
            assert json.loads(text_of(quick))["status"] == "pending"
            slow_calls.cancel_scope.cancel()
        async with Client(server, mode=mode) as client:
            later = await client.call_tool("get_order_details", {"order_id": order_id})
    assert json.loads(text_of(later))["status"] == "pending"
    assert [entry["tool"] for entry in shop.log] == ["get_order_details", "get_order_details"]


async def test_a_cancelled_call_over_stdio_leaves_the_server_serving(tmp_path):
    log = tmp_path / "log.jsonl"
    parameters = command("--latency", f"think={FOR_EVER_S}", "--log", str(log))
    with anyio.fail_after(DEADLINE_S):
        async with Client(parameters) as client:
            async with anyio.create_task_group() as slow_calls:
                slow_calls.start_soon(client.call_tool, "think", {"thought": "long"})
                await client.call_tool("calculate", {"expression": "1"})
                slow_calls.cancel_scope.cancel()
            await client.call_tool("calculate", {"expression": "2"})
    tools = [json.loads(line)["tool"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert tools == ["calculate", "calculate"]


async def test_a_tool_without_a_latency_of_its_own_takes_the_default(shop):
    server = make_server(shop.shop, Latency(FOR_EVER_S, {"calculate": 0.0}))
    with anyio.fail_after(DEADLINE_S):
        async with Client(server) as client, anyio.create_task_group() as slow_calls:
            slow_calls.start_soon(client.call_tool, "list_all_product_types", {})
            await anyio.wait_all_tasks_blocked()
            await client.call_tool("calculate", {"expression": "1"})
            slow_calls.cancel_scope.cancel()
    assert [entry["tool"] for entry in shop.log] == ["calculate"]


async def test_a_shorter_latency_is_answered_first(shop):
    answered = []
    server = make_server(shop.shop, Latency(0.0, {"list_all_product_types": 0.5, "calculate": 0.01}))

    async def call(client, tool, arguments):
        await client.call_tool(tool, arguments)
        answered.append(tool)

    with anyio.fail_after(DEADLINE_S):
        async with Client(server) as client, anyio.create_task_group() as calls:
            calls.start_soon(call, client, "list_all_product_types", {})
            calls.start_soon(call, client, "calculate", {"expression": "1"})
    assert answered == ["calculate", "list_all_product_types"]
    assert [entry["tool"] for entry in shop.log] == answered


# --- the log ----------------------------------------------------------------------------------------------------------


async def test_the_log_has_a_line_for_each_executed_call_in_the_order_of_execution(tmp_path):
    log = tmp_path / "log.jsonl"
    order = first_order("pending")
    cancel = {"order_id": order["order_id"], "reason": "ordered by mistake"}
    with anyio.fail_after(DEADLINE_S):
        for _ in range(2):
            async with Client(command("--log", str(log))) as client:
                await client.call_tool("get_order_details", {"order_id": order["order_id"]})
                await client.call_tool("cancel_pending_order", cancel)
                await client.call_tool("cancel_pending_order", cancel)
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert len(entries) == 6, "a second server appends"
    read, write, again = entries[:3]
    assert (read["tool"], read["effect"], read["is_error"], read["changed"]) == ("get_order_details", "read", False, [])
    assert read["arguments"] == {"order_id": order["order_id"]}
    assert (write["effect"], write["is_error"], write["arguments"]) == ("write", False, cancel)
    assert f"order:{order['order_id']}" in write["changed"]
    assert (again["effect"], again["is_error"], again["changed"]) == ("write", True, [])
    times = [time for entry in entries[:3] for time in (entry["start_s"], entry["end_s"])]
    assert times == sorted(times)


# --- the database -----------------------------------------------------------------------------------------------------


def never() -> Tables:
    raise AssertionError("the file holds a shop already")


def test_a_transaction_that_fails_changes_nothing(tmp_path):
    order = first_order("pending")
    database = Database(tmp_path / "shop.db", lambda: generate(0))

    def write_and_fail() -> None:
        with database.transaction():
            database.put_order({**order, "status": "lost"})
            raise Refused("after the write")

    with pytest.raises(Refused):
        write_and_fail()
    assert database.order(order["order_id"]) == order
    database.close()


async def test_a_file_keeps_the_shop_over_a_restart(tmp_path):
    order_id = first_order("pending")["order_id"]
    parameters = command("--db", str(tmp_path / "shop.db"))
    with anyio.fail_after(DEADLINE_S):
        async with Client(parameters) as client:
            await client.call_tool("cancel_pending_order", {"order_id": order_id, "reason": "no longer needed"})
        async with Client(parameters) as client:
            again = await client.call_tool("get_order_details", {"order_id": order_id})
    assert json.loads(text_of(again))["status"] == "cancelled"


def test_a_file_belongs_to_one_server_at_a_time(tmp_path):
    first = Database(tmp_path / "shop.db", lambda: generate(0))
    with pytest.raises(DatabaseError, match=r"shop\.db: database is locked"):
        Database(tmp_path / "shop.db", never)
    first.close()
    Database(tmp_path / "shop.db", never).close()


def test_a_shop_that_could_not_be_filled_leaves_an_empty_file(tmp_path):
    def fails() -> Tables:
        raise DatabaseError("no tables")

    with pytest.raises(DatabaseError):
        Database(tmp_path / "shop.db", fails)
    filled = Database(tmp_path / "shop.db", lambda: generate(0))
    assert len(filled.product_ids_by_name()) == len(generate(0)["products"])
    filled.close()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at" * 30, encoding="utf-8")
    with pytest.raises(DatabaseError, match=r"notes\.txt"):
        Database(text, never)
    assert text.read_text(encoding="utf-8").startswith("not a database")


def test_tables_are_read_packed_or_plain_and_a_bad_one_is_named(tmp_path):
    shop = generate(3)
    for name, table in shop.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(table), encoding="utf-8")
    assert read_tables(tmp_path) == shop
    (tmp_path / "orders.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DatabaseError, match=r"orders\.json.*no JSON object"):
        read_tables(tmp_path)
    (tmp_path / "users.json").unlink()
    with pytest.raises(DatabaseError, match=r"users\.json"):
        read_tables(tmp_path)


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--latency", "dance=1"], 2, "'dance' is no tool of this server"),
        (["--latency", "think"], 2, "'' is no number of seconds"),
        (["--latency-default", "-1"], 2, "not between 0 and 3600"),
        (["--latency-default", "nan"], 2, "not between 0 and 3600"),
        (["--data", "/nowhere/at/all"], 1, "/nowhere/at/all/users.json"),
        (["--db", "/nowhere/at/all.db"], 1, "/nowhere/at/all.db: unable to open database file"),
        (["--log", "/nowhere/at/all.log"], 1, "/nowhere/at/all.log"),
    ],
)
def test_bad_usage_ends_with_a_line_that_says_why(arguments, status, message):
    ended = subprocess.run(
        [sys.executable, "-m", "wrapped_servers.retail", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        timeout=DEADLINE_S,
    )
    assert ended.returncode == status
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
