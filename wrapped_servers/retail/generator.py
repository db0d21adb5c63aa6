"""A made-up shop: the same for the same seed, with other people, goods and orders for another one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from wrapped_servers.retail.model import (
    Address,
    Fulfillment,
    Item,
    Order,
    PaymentMethod,
    Product,
    Tables,
    User,
    Variant,
)
from wrapped_servers.retail.words import CITIES, FIRST_NAMES, GOODS, LAST_NAMES, STREETS, Goods

USERS = 160
MAX_ORDERS_PER_USER = 5
MAX_ITEMS_PER_ORDER = 5
MAX_VARIANTS = 12

STATUS_WEIGHTS: Mapping[str, int] = {"delivered": 44, "pending": 36, "processed": 14, "cancelled": 6}
"""Customers write about what they wait for and about what they got, so most orders are one or the other."""

AVAILABLE_SHARE = 0.75


def generate(seed: int) -> Tables:
    """The shop of this seed."""
    random = Random(f"retail shop {seed}")
    ids = _Ids(random)
    products = {product["product_id"]: product for product in (_product(random, ids, goods) for goods in GOODS)}
    users: dict[str, User] = {}
    orders: dict[str, Order] = {}
    stock = list(products.values())
    for user_id, user in _users(random, ids):
        users[user_id] = user
        for _ in range(random.choices(range(1, MAX_ORDERS_PER_USER + 1), weights=(2, 3, 4, 3, 2))[0]):
            order = _order(random, ids, user_id, user, stock)
            orders[order["order_id"]] = order
            user["orders"].append(order["order_id"])
    return {"users": users, "orders": orders, "products": products}


class _Ids:
    """Numbers that are drawn once each."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._drawn: set[str] = set()

    def digits(self, count: int) -> str:
        while (text := str(self._random.randrange(10 ** (count - 1), 10**count))) in self._drawn:
            pass
        self._drawn.add(text)
        return text


def _product(random: Random, ids: _Ids, goods: Goods) -> Product:
    combinations = list(itertools.product(*goods.options.values()))
    chosen = random.sample(combinations, min(len(combinations), random.randint(4, MAX_VARIANTS)))
    variants: dict[str, Variant] = {}
    for values in chosen:
        item_id = ids.digits(10)
        variants[item_id] = {
            "item_id": item_id,
            "options": dict(zip(goods.options, values, strict=True)),
            "available": random.random() < AVAILABLE_SHARE,
            "price": round(goods.price * random.uniform(0.85, 1.2), 2),
        }
    return {"name": goods.name, "product_id": ids.digits(10), "variants": variants}


def _users(random: Random, ids: _Ids) -> Iterator[tuple[str, User]]:
    names = random.sample(list(itertools.product(FIRST_NAMES, LAST_NAMES)), USERS)
    for first, last in names:
        number = ids.digits(4)
        yield (
            f"{first}_{last}_{number}".lower(),
            {
                "name": {"first_name": first, "last_name": last},
                "address": _address(random),
                "email": f"{first}.{last}{ids.digits(4)}@example.com".lower(),
                "payment_methods": {method["id"]: method for method in _payment_methods(random, ids)},
                "orders": [],
            },
        )


def _payment_methods(random: Random, ids: _Ids) -> Iterator[PaymentMethod]:
    for source in random.sample(("credit_card", "paypal", "gift_card"), random.choice((1, 2, 2, 3))):
        if source == "credit_card":
            yield {
                "source": "credit_card",
                "id": f"credit_card_{ids.digits(7)}",
                "brand": random.choice(("visa", "mastercard")),
                "last_four": f"{random.randrange(10_000):04}",
            }
        elif source == "paypal":
            yield {"source": "paypal", "id": f"paypal_{ids.digits(7)}"}
        else:
            yield {"source": "gift_card", "id": f"gift_card_{ids.digits(7)}", "balance": random.randrange(5, 300)}


def _address(random: Random) -> Address:
    city, state, zip_prefix = random.choice(CITIES)
    return {
        "address1": f"{random.randrange(2, 990)} {random.choice(STREETS)}",
        "address2": random.choice((f"Apt {random.randrange(1, 80)}", f"Unit {random.randrange(1, 40)}", "")),
        "city": city,
        "state": state,
        "country": "USA",
        "zip": f"{zip_prefix}{random.randrange(100):02}",
    }


def _order(random: Random, ids: _Ids, user_id: str, user: User, stock: Sequence[Product]) -> Order:
    products = random.sample(stock, random.choices(range(1, MAX_ITEMS_PER_ORDER + 1), weights=(4, 4, 3, 2, 1))[0])
    items = [_item(random, product) for product in products]
    status = random.choices(list(STATUS_WEIGHTS), weights=list(STATUS_WEIGHTS.values()))[0]
    total = round(sum(item["price"] for item in items), 2)
    method_id = random.choice(list(user["payment_methods"]))
    order: Order = {
        "order_id": f"#W{ids.digits(7)}",
        "user_id": user_id,
        # some orders are presents or go to where the customer lived before
        "address": user["address"].copy() if random.random() < 0.8 else _address(random),
        "items": items,
        "fulfillments": _fulfillments(random, ids, items) if status in ("delivered", "processed") else [],
        "status": status,
        "payment_history": [{"transaction_type": "payment", "amount": total, "payment_method_id": method_id}],
    }
    if status == "cancelled":
        order["payment_history"].append({"transaction_type": "refund", "amount": total, "payment_method_id": method_id})
        order["cancel_reason"] = random.choice(("no longer needed", "ordered by mistake"))
    return order


def _item(random: Random, product: Product) -> Item:
    variant = random.choice(list(product["variants"].values()))
    return {
        "name": product["name"],
        "product_id": product["product_id"],
        "item_id": variant["item_id"],
        "price": variant["price"],
        "options": variant["options"].copy(),
    }


def _fulfillments(random: Random, ids: _Ids, items: Sequence[Item]) -> list[Fulfillment]:
    item_ids = [item["item_id"] for item in items]
    cut = random.randrange(1, len(item_ids)) if len(item_ids) > 2 and random.random() < 0.3 else len(item_ids)
    return [
        {"tracking_id": [ids.digits(12)], "item_ids": parcel} for parcel in (item_ids[:cut], item_ids[cut:]) if parcel
    ]
