"""The made-up shop."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wrapped_servers.retail import ROOT
from wrapped_servers.retail.generator import MAX_ITEMS_PER_ORDER, MAX_ORDERS_PER_USER, USERS, generate


def test_the_same_seed_makes_the_same_shop_in_every_process():
    program = (
        "import hashlib, json; from wrapped_servers.retail.generator import generate; "
        "print(hashlib.sha256(json.dumps(generate(7)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed},
            timeout=30,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_makes_another_shop():
    assert generate(1) != generate(2)


@settings(max_examples=15)
@given(st.integers(min_value=-(2**70), max_value=2**70))
def test_every_shop_is_consistent_in_itself(seed):
    shop = generate(seed)
    assert len(shop["users"]) == USERS
    assert len({user["email"] for user in shop["users"].values()}) == USERS
    assert sorted(shop["orders"]) == sorted(order_id for user in shop["users"].values() for order_id in user["orders"])
    for user_id, user in shop["users"].items():
        assert 1 <= len(user["orders"]) <= MAX_ORDERS_PER_USER
        assert all(method["id"] == key for key, method in user["payment_methods"].items())
        assert re.fullmatch(r"\d{5}", user["address"]["zip"])
        for order_id in user["orders"]:
            check_order(shop, user_id, order_id)
    json.dumps(shop, allow_nan=False)


def check_order(shop, user_id, order_id):
    order = shop["orders"][order_id]
    assert order["order_id"] == order_id
    assert order["user_id"] == user_id
    assert 1 <= len(order["items"]) <= MAX_ITEMS_PER_ORDER
    for item in order["items"]:
        variant = shop["products"][item["product_id"]]["variants"][item["item_id"]]
        assert (variant["price"], variant["options"]) == (item["price"], item["options"])
    total = round(sum(item["price"] for item in order["items"]), 2)
    assert all(paid["amount"] == total for paid in order["payment_history"])
    methods = shop["users"][user_id]["payment_methods"]
    assert all(paid["payment_method_id"] in methods for paid in order["payment_history"])
    sent = [item_id for parcel in order["fulfillments"] for item_id in parcel["item_ids"]]
    shipped = order["status"] in ("delivered", "processed")
    assert sent == ([item["item_id"] for item in order["items"]] if shipped else [])


@pytest.mark.parametrize("status", ["pending", "processed", "delivered", "cancelled"])
def test_a_shop_has_orders_of_every_status(status):
    assert Counter(order["status"] for order in generate(0)["orders"].values())[status] >= 10


def test_most_products_can_be_exchanged_for_another_variant():
    products = generate(0)["products"].values()
    exchangeable = [
        product for product in products if sum(variant["available"] for variant in product["variants"].values()) >= 2
    ]
    assert len(exchangeable) >= 0.8 * len(products)
