"""What each tool does. A tool is a function from the database and its arguments to the text of its result.

An exchange and a return are requests: they mark the order, and nobody's balance or stock changes by them.
Changing a pending order's items, its payment or cancelling it moves money at once, also on gift cards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from wrapped_servers.retail import arithmetic
from wrapped_servers.retail.database import Database
from wrapped_servers.retail.model import Address, Item, Order, PaymentMethod, User, Variant

CANCEL_REASONS = ("no longer needed", "ordered by mistake")

_T = TypeVar("_T")


class Refused(Exception):  # noqa: N818  what happened to the call
    """The shop does not do it, and nothing was changed; the message is meant for the caller."""


# --- reads ----------------------------------------------------------------------------------------------------------


def calculate(_: Database, expression: str) -> str:
    try:
        return str(round(arithmetic.evaluate(expression), 2))
    except arithmetic.InvalidExpression as error:
        raise Refused(str(error)) from None


def find_user_id_by_email(database: Database, email: str) -> str:
    return _found(database.user_id_by_email(email), "user not found")


def find_user_id_by_name_zip(database: Database, first_name: str, last_name: str, zip: str) -> str:  # noqa: A002
    return _found(database.user_id_by_name_zip(first_name, last_name, zip), "user not found")


def get_order_details(database: Database, order_id: str) -> str:
    return _json(_order(database, order_id))


def get_product_details(database: Database, product_id: str) -> str:
    return _json(_found(database.product(product_id), "product not found"))


def get_user_details(database: Database, user_id: str) -> str:
    return _json(_user(database, user_id))


def list_all_product_types(database: Database) -> str:
    return _json(database.product_ids_by_name())


def think(_: Database, thought: str) -> str:
    """The thought is the caller's own; the shop keeps nothing of it."""
    del thought
    return ""


# --- writes to orders and users -------------------------------------------------------------------------------------


def cancel_pending_order(database: Database, order_id: str, reason: str) -> str:
    order = _order(database, order_id)
    if order["status"] != "pending":
        raise Refused("non-pending order cannot be cancelled")
    if reason not in CANCEL_REASONS:
        raise Refused("invalid reason")
    user = _user(database, order["user_id"])
    for paid in list(order["payment_history"]):
        method_id, amount = paid["payment_method_id"], paid["amount"]
        order["payment_history"].append(
            {"transaction_type": "refund", "amount": amount, "payment_method_id": method_id}
        )
        if "gift_card" in method_id:
            _credit(database, order["user_id"], user, method_id, amount)
    order["status"] = "cancelled"
    order["cancel_reason"] = reason
    database.put_order(order)
    return _json(order)


def exchange_delivered_order_items(
    database: Database, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> str:
    order = _order(database, order_id)
    if order["status"] != "delivered":
        raise Refused("non-delivered order cannot be exchanged")
    swaps = _swaps(database, order, item_ids, new_item_ids)
    difference = round(_difference(swaps), 2)
    method = _payment_method(_user(database, order["user_id"]), payment_method_id)
    if _lacks(method, difference):
        raise Refused("insufficient gift card balance to pay for the price difference")
    order["status"] = "exchange requested"
    order["exchange_items"] = sorted(item_ids)
    order["exchange_new_items"] = sorted(new_item_ids)
    order["exchange_payment_method_id"] = payment_method_id
    order["exchange_price_difference"] = difference
    database.put_order(order)
    return _json(order)


def modify_pending_order_address(
    database: Database,
    order_id: str,
    address1: str,
    address2: str,
    city: str,
    state: str,
    country: str,
    zip: str,  # noqa: A002
) -> str:
    order = _order(database, order_id)
    if order["status"] != "pending":
        raise Refused("non-pending order cannot be modified")
    order["address"] = _address(address1, address2, city, state, country, zip)
    database.put_order(order)
    return _json(order)


def modify_pending_order_items(
    database: Database, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> str:
    """Once for each order: its status changes to one that is no longer simply pending."""
    order = _order(database, order_id)
    if order["status"] != "pending":
        raise Refused("non-pending order cannot be modified")
    swaps = _swaps(database, order, item_ids, new_item_ids)
    difference = _difference(swaps)
    user = _user(database, order["user_id"])
    method = _payment_method(user, payment_method_id)
    if _lacks(method, difference):
        raise Refused("insufficient gift card balance to pay for the new item")
    order["payment_history"].append(
        {
            "transaction_type": "payment" if difference > 0 else "refund",
            "amount": abs(difference),
            "payment_method_id": payment_method_id,
        }
    )
    if method["source"] == "gift_card":
        _credit(database, order["user_id"], user, payment_method_id, -difference)
    for old, new in swaps:
        old.update(item_id=new["item_id"], price=new["price"], options=new["options"])
    order["status"] = "pending (item modified)"
    database.put_order(order)
    return _json(order)


def modify_pending_order_payment(database: Database, order_id: str, payment_method_id: str) -> str:
    order = _order(database, order_id)
    if order["status"] != "pending":
        raise Refused("non-pending order cannot be modified")
    user = _user(database, order["user_id"])
    method = _payment_method(user, payment_method_id)
    history = order["payment_history"]
    if len(history) != 1 or history[0]["transaction_type"] != "payment":
        raise Refused("there should be exactly one payment for a pending order")
    amount, former_id = history[0]["amount"], history[0]["payment_method_id"]
    if former_id == payment_method_id:
        raise Refused("the new payment method should be different from the current one")
    if _lacks(method, amount):
        raise Refused("insufficient gift card balance to pay for the order")
    history.append({"transaction_type": "payment", "amount": amount, "payment_method_id": payment_method_id})
    history.append({"transaction_type": "refund", "amount": amount, "payment_method_id": former_id})
    if method["source"] == "gift_card":
        _credit(database, order["user_id"], user, payment_method_id, -amount)
    if "gift_card" in former_id:
        _credit(database, order["user_id"], user, former_id, amount)
    database.put_order(order)
    return _json(order)


def modify_user_address(
    database: Database,
    user_id: str,
    address1: str,
    address2: str,
    city: str,
    state: str,
    country: str,
    zip: str,  # noqa: A002
) -> str:
    user = _user(database, user_id)
    user["address"] = _address(address1, address2, city, state, country, zip)
    database.put_user(user_id, user)
    return _json(user)


def return_delivered_order_items(database: Database, order_id: str, item_ids: list[str], payment_method_id: str) -> str:
    order = _order(database, order_id)
    if order["status"] != "delivered":
        raise Refused("non-delivered order cannot be returned")
    method = _payment_method(_user(database, order["user_id"]), payment_method_id)
    original_id = order["payment_history"][0]["payment_method_id"]
    if payment_method_id != original_id and method["source"] != "gift_card":
        raise Refused("payment method should be either the original payment method or a gift card")
    if _not_ordered(order, item_ids) is not None:
        raise Refused("some item not found")
    order["status"] = "return requested"
    order["return_items"] = sorted(item_ids)
    order["return_payment_method_id"] = payment_method_id
    database.put_order(order)
    return _json(order)


def transfer_to_human_agents(_: Database, summary: str) -> str:
    """Changes nothing in the tables, but somebody picks up a telephone."""
    del summary
    return "Transfer successful"


# --- shared ---------------------------------------------------------------------------------------------------------


def _json(record: object) -> str:
    return json.dumps(record, ensure_ascii=False)


def _found(value: _T | None, message: str) -> _T:
    if value is None:
        raise Refused(message)
    return value


def _order(database: Database, order_id: str) -> Order:
    return _found(database.order(order_id), "order not found")


def _user(database: Database, user_id: str) -> User:
    return _found(database.user(user_id), "user not found")


def _payment_method(user: User, method_id: str) -> PaymentMethod:
    return _found(user["payment_methods"].get(method_id), "payment method not found")


def _lacks(method: PaymentMethod, amount: float) -> bool:
    return method["source"] == "gift_card" and method.get("balance", 0) < amount


def _credit(database: Database, user_id: str, user: User, method_id: str, amount: float) -> None:
    method = _payment_method(user, method_id)
    method["balance"] = round(method.get("balance", 0) + amount, 2)
    database.put_user(user_id, user)


def _address(address1: str, address2: str, city: str, state: str, country: str, zip_code: str) -> Address:
    return {
        "address1": address1,
        "address2": address2,
        "city": city,
        "state": state,
        "country": country,
        "zip": zip_code,
    }


def _not_ordered(order: Order, item_ids: Sequence[str]) -> str | None:
    """The first of these items that the order does not hold as often as it is named."""
    ordered = [item["item_id"] for item in order["items"]]
    return next((item_id for item_id in item_ids if item_ids.count(item_id) > ordered.count(item_id)), None)


def _swaps(
    database: Database, order: Order, item_ids: Sequence[str], new_item_ids: Sequence[str]
) -> list[tuple[Item, Variant]]:
    """The order's items, each with the variant of the same product that takes its place.

    Raises:
        Refused: an item is not in the order, a new one not to be had, or the lists do not pair.
    """
    if (missing := _not_ordered(order, item_ids)) is not None:
        raise Refused(f"{missing} not found")
    if len(item_ids) != len(new_item_ids):
        raise Refused("the number of items to be exchanged should match")
    left = list(order["items"])
    swaps: list[tuple[Item, Variant]] = []
    for item_id, new_item_id in zip(item_ids, new_item_ids, strict=True):
        # each piece of an item that is named twice is swapped once
        item = left.pop(next(at for at, item in enumerate(left) if item["item_id"] == item_id))
        product = _found(database.product(item["product_id"]), "product not found")
        variant = product["variants"].get(new_item_id)
        if variant is None or not variant["available"]:
            raise Refused(f"new item {new_item_id} not found or available")
        swaps.append((item, variant))
    return swaps


def _difference(swaps: Sequence[tuple[Item, Variant]]) -> float:
    """What the new items cost more than the old ones."""
    total = 0.0
    for old, new in swaps:
        total += new["price"] - old["price"]
    return total
