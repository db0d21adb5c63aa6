"""The shop's manifest says the truth about the shop."""

from __future__ import annotations

import tomllib
from random import Random

import pytest

from spec_mcp.engine.resources import Footprint, Pattern, footprint
from tests.wrapped_servers.retail import ROOT, till
from wrapped_servers.retail.catalogue import TOOLS, Effect
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.server import NAME

MANIFEST = tomllib.loads((ROOT / "manifests" / "retail.toml").read_text(encoding="utf-8"))
WRITES_TRIED = 120
TAKEN_BACK = {"modify_pending_order_address", "modify_user_address"}


def touched(tool, arguments) -> Footprint:
    return footprint(NAME, MANIFEST["tools"][tool]["touches"], arguments, {})


def test_it_speaks_of_this_server_and_of_each_of_its_tools():
    assert MANIFEST["manifest"]["server"] == NAME
    assert set(MANIFEST["tools"]) == set(TOOLS)


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_read_is_called_a_read_and_a_write_reversible_or_unsafe(tool):
    entry = MANIFEST["tools"][tool]
    written = "reversible" if tool in TAKEN_BACK else "unsafe"
    assert entry["effect"] == ("read" if TOOLS[tool].effect is Effect.READ else written)
    assert entry.get("exclusive", False) == (entry["effect"] != "unsafe")


def reads_about(tables, user_id):
    """Every read that may tell of a user, with their orders and the goods in them."""
    user = tables["users"][user_id]
    yield "get_user_details", {"user_id": user_id}
    yield "find_user_id_by_email", {"email": user["email"]}
    yield "list_all_product_types", {}
    yield "calculate", {"expression": "1 + 1"}
    yield "think", {"thought": "so"}
    for zip_code in (user["address"]["zip"], "99999"):
        yield "find_user_id_by_name_zip", {**user["name"], "zip": zip_code}
    for order_id in user["orders"]:
        yield "get_order_details", {"order_id": order_id}
        for item in tables["orders"][order_id]["items"]:
            yield "get_product_details", {"product_id": item["product_id"]}


def random_write(random, tables, user_id):
    """A write about one of the user's orders, which the shop may refuse."""
    user = tables["users"][user_id]
    order = tables["orders"][random.choice(user["orders"])]
    item = random.choice(order["items"])
    other = random.choice(list(tables["products"][item["product_id"]]["variants"]))
    possible = {
        "user_id": user_id,
        "order_id": order["order_id"],
        "item_ids": [item["item_id"]],
        "new_item_ids": [other],
        "payment_method_id": random.choice(list(user["payment_methods"])),
        "reason": "no longer needed",
        "summary": "help",
    }
    possible |= {"address1": "1 New Road", "address2": "", "city": "Reno", "state": "NV", "country": "USA"}
    possible |= {"zip": "99999"}
    tool = random.choice([tool for tool in TOOLS.values() if tool.effect is Effect.WRITE])
    return tool.name, {parameter.name: possible[parameter.name] for parameter in tool.parameters}


def test_a_write_that_changes_what_a_read_answers_conflicts_with_it():
    random = Random(1)
    tables = generate(1)
    succeeded, answers_changed, spared = set(), 0, 0
    with till(tables) as shop:
        for _ in range(WRITES_TRIED):
            user_id = random.choice(list(tables["users"]))
            neighbour = random.choice(list(tables["users"]))
            reads = [*reads_about(tables, user_id), *reads_about(tables, neighbour)]
            before = [shop.answer(tool, arguments).text for tool, arguments in reads]
            write, arguments = random_write(random, tables, user_id)
            if not shop.answer(write, arguments).is_error:
                succeeded.add(write)
            for (tool, read), text in zip(reads, before, strict=True):
                conflict = touched(tool, read).overlaps(touched(write, arguments))
                if shop.answer(tool, read).text != text:
                    answers_changed += 1
                    assert conflict, (write, arguments, tool, read)
                else:
                    spared += not conflict
    assert succeeded == {name for name, tool in TOOLS.items() if tool.effect is Effect.WRITE}
    assert answers_changed > 0
    assert spared > 0


def test_what_a_write_says_it_changed_lies_in_what_it_touches():
    random = Random(2)
    tables = generate(2)
    changes = 0
    with till(tables) as shop:
        for _ in range(WRITES_TRIED):
            tool, arguments = random_write(random, tables, random.choice(list(tables["users"])))
            for name in shop.answer(tool, arguments).changed:
                changes += 1
                changed = Footprint(NAME, (Pattern(name.casefold(), prefix=False),))
                assert changed.overlaps(touched(tool, arguments)), (tool, arguments, name)
    assert changes > 0
