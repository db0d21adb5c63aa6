"""The agent of `spec-mcp bench reversible`: a shop's desk for people who move, and for some who want something else.

As in `spec-mcp demo` the agent is a generator of steps that depends on the case and on what the tools answer, so that
all arms take exactly the same steps. Who moves has the new address put into their record, and then into each order that
has not left yet; now and then one order is to go to the old address.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, cast

from spec_mcp.cli.demo.agent import Answer, Call, Think
from wrapped_servers.retail.model import Address, Order, Tables, User

Step = Think | Call

MEDIAN_THINK_S = 0.35
THINK_SPREAD = 0.6
MAX_THINK_S = 2.0
MIN_THINK_S = 0.1
"""The same as in the demonstration."""

GIVES_EMAIL_SHARE = 0.7
OLD_ADDRESS_SHARE = 0.05
"""Orders that are to go to the old address all the same: the agent does not change them."""


class Want(StrEnum):
    """What a customer wants done."""

    MOVE = "move"
    EXCHANGE = "exchange"
    PAYMENT = "payment"


WEIGHTS: Mapping[Want, int] = {Want.MOVE: 60, Want.EXCHANGE: 25, Want.PAYMENT: 15}


@dataclass(frozen=True, slots=True)
class Case:
    """One customer's visit."""

    number: int
    user: User
    want: Want
    address: Address
    """Where a customer who moves moves to."""
    seed: str


def draw_cases(shop: Tables, seed: str, count: int) -> list[Case]:
    """So many customers, each of whom comes once: their records are then as they were."""
    random = Random(f"desk {seed}")
    users = list(shop["users"].values())
    addresses = [user["address"] for user in users]
    wants = random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    return [
        Case(number, user, want, random.choice(addresses), f"desk {seed} {number}")
        for number, (user, want) in enumerate(zip(random.sample(users, count), wants, strict=True), 1)
    ]


def work(case: Case) -> Generator[Step, Answer | None, None]:
    """The whole visit. Send the answer after each `Call`, None after each `Think`."""
    yield from _Desk(case).serve()


class _Desk:
    def __init__(self, case: Case) -> None:
        self._case = case
        self._random = Random(case.seed)

    def serve(self) -> Generator[Step, Answer | None, None]:
        user_id = yield from self._identify()
        user = cast("User", (yield from self._read("get_user_details", user_id=user_id)))
        if self._case.want is Want.MOVE:
            yield from self._move(user_id, user)
        elif self._case.want is Want.EXCHANGE:
            yield from self._exchange(user)
        else:
            yield from self._pay_otherwise(user)

    def _call(self, tool: str, **arguments: Any) -> Generator[Step, Answer | None, Answer]:
        thinking_s = self._random.lognormvariate(math.log(MEDIAN_THINK_S), THINK_SPREAD)
        yield Think(min(MAX_THINK_S, max(MIN_THINK_S, thinking_s)))
        answer = yield Call(tool, arguments)
        assert answer is not None, "a call needs an answer"
        return answer

    def _read(self, tool: str, **arguments: Any) -> Generator[Step, Answer | None, Any]:
        answer = yield from self._call(tool, **arguments)
        return json.loads(answer.text)

    def _identify(self) -> Generator[Step, Answer | None, str]:
        user = self._case.user
        if self._random.random() < GIVES_EMAIL_SHARE:
            answer = yield from self._call("find_user_id_by_email", email=user["email"])
        else:
            name, zip_code = user["name"], user["address"]["zip"]
            answer = yield from self._call("find_user_id_by_name_zip", **name, zip=zip_code)
        return answer.text

    def _orders(self, user: User) -> Generator[Step, Answer | None, Sequence[Order]]:
        orders: list[Order] = []
        for order_id in user["orders"]:
            order = yield from self._read("get_order_details", order_id=order_id)
            orders.append(cast("Order", order))
        return orders

    def _move(self, user_id: str, user: User) -> Generator[Step, Answer | None, None]:
        yield from self._call("modify_user_address", user_id=user_id, **self._case.address)
        for order_id in user["orders"]:
            order = cast("Order", (yield from self._read("get_order_details", order_id=order_id)))
            if order["status"] == "pending" and self._random.random() >= OLD_ADDRESS_SHARE:
                yield from self._call("modify_pending_order_address", order_id=order_id, **self._case.address)

    def _exchange(self, user: User) -> Generator[Step, Answer | None, None]:
        for order in (yield from self._orders(user)):
            if order["status"] == "delivered":
                item = order["items"][0]
                product = yield from self._read("get_product_details", product_id=item["product_id"])
                others = [
                    variant["item_id"]
                    for variant in product["variants"].values()
                    if variant["available"] and variant["item_id"] != item["item_id"]
                ]
                if others:
                    yield from self._call(
                        "exchange_delivered_order_items",
                        order_id=order["order_id"],
                        item_ids=[item["item_id"]],
                        new_item_ids=[self._random.choice(others)],
                        payment_method_id=order["payment_history"][0]["payment_method_id"],
                    )
                return

    def _pay_otherwise(self, user: User) -> Generator[Step, Answer | None, None]:
        for order in (yield from self._orders(user)):
            paid = order["payment_history"][0]["payment_method_id"]
            others = [method for method in user["payment_methods"] if method != paid]
            if order["status"] == "pending" and others:
                method = self._random.choice(others)
                yield from self._call(
                    "modify_pending_order_payment", order_id=order["order_id"], payment_method_id=method
                )
                return
