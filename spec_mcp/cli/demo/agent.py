"""What the agent does: a script of thinking and calls that depends on the case and on what the tools answer.

`work` is a generator. It yields a step, and wants the answer of each call sent back. It does no I/O, reads no clock and
draws from the case's own seed, so that two runs in which the tools answer the same take exactly the same steps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from spec_mcp.cli.demo.cases import STATUS_NEEDED, Case, Customer, Want, Wish
from wrapped_servers.retail.model import Item, Order, Product, User, Variant

MAX_THINK_S = 2.0
MIN_THINK_S = 0.1
MEDIAN_THINK_S = 0.35
THINK_SPREAD = 0.6
"""Of the logarithm: most thoughts are short, some take four times as long."""

WANDERS_SHARE = 0.1
"""Cases in which the agent looks at something that nothing before it hints at."""
NEWEST_FIRST_SHARE = 0.3
LOOKS_AT_ALL_ORDERS_SHARE = 0.5
SKIPS_USER_SHARE = 0.1
ADDS_UP_SHARE = 0.35
MORE_ITEMS_SHARE = 0.6
LOOKS_AGAIN_SHARE = 0.15
"""Writes after which the agent looks at the order once more."""


@dataclass(frozen=True, slots=True)
class Think:
    """The model writes its next step."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Call:
    """A tool is called; the generator waits for its `Answer`."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listen:
    """The customer has written this."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered."""

    text: str
    is_error: bool

    @property
    def data(self) -> Any:
        """The JSON that the text holds, else None."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


Step = Think | Call | Listen


def work(case: Case) -> Generator[Step, Answer | None, None]:
    """The whole visit of one customer. Send the answer after each `Call`, None after each other step."""
    yield from _Agent(case).serve()


class _Agent:
    """One case: what it has seen so far is what a model would have in its context, and is not looked up again."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._random = Random(case.seed)
        self._orders: dict[str, Order] = {}
        self._products: dict[str, Product] = {}

    def serve(self) -> Generator[Step, Answer | None, None]:
        yield Listen(self._case.customer.introduction)
        user_id = yield from self._identify(self._case.customer)
        if user_id is None:
            yield from self._call("transfer_to_human_agents", summary="cannot find out who the customer is")
            return
        numbers_known = all(wish.order_id is not None for wish in self._case.wishes)
        user = None
        if not (numbers_known and self._chance(SKIPS_USER_SHARE)):
            user = yield from self._user(user_id)
        for wish in self._case.wishes:
            if self._chance(WANDERS_SHARE):
                yield from self._wander()
            yield Listen(wish.words)
            yield from self._fulfil(wish, user_id, user)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _call(self, tool: str, **arguments: Any) -> Generator[Step, Answer | None, Answer]:
        thinking_s = self._random.lognormvariate(math.log(MEDIAN_THINK_S), THINK_SPREAD)
        yield Think(min(MAX_THINK_S, max(MIN_THINK_S, thinking_s)))
        answer = yield Call(tool, arguments)
        if answer is None:
            raise ValueError("a call needs an answer")
        return answer

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _user(self, user_id: str) -> Generator[Step, Answer | None, User]:
        answer = yield from self._call("get_user_details", user_id=user_id)
        return cast("User", json.loads(answer.text))

    def _order(self, order_id: str) -> Generator[Step, Answer | None, Order | None]:
        if order_id not in self._orders:
            answer = yield from self._call("get_order_details", order_id=order_id)
            if answer.is_error:
                return None
            self._orders[order_id] = cast("Order", json.loads(answer.text))
        return self._orders[order_id]

    def _product(self, product_id: str) -> Generator[Step, Answer | None, Product]:
        if product_id not in self._products:
            answer = yield from self._call("get_product_details", product_id=product_id)
            self._products[product_id] = cast("Product", json.loads(answer.text))
        return self._products[product_id]

    def _change(self, tool: str, order: Order, **arguments: Any) -> Generator[Step, Answer | None, bool]:
        """A write to an order; its answer is the order as it is then. False where the shop refuses."""
        answer = yield from self._call(tool, order_id=order["order_id"], **arguments)
        if answer.is_error:
            return False
        self._orders[order["order_id"]] = cast("Order", json.loads(answer.text))
        if self._chance(LOOKS_AGAIN_SHARE):
            del self._orders[order["order_id"]]
            yield from self._order(order["order_id"])
        return True

    # --- who it is, and which order -----------------------------------------------------------------------------------

    def _identify(self, customer: Customer) -> Generator[Step, Answer | None, str | None]:
        if customer.email is not None:
            answer = yield from self._call("find_user_id_by_email", email=customer.email)
            if not answer.is_error:
                return answer.text
        answer = yield from self._call(
            "find_user_id_by_name_zip",
            first_name=customer.first_name,
            last_name=customer.last_name,
            zip=customer.zip,
        )
        return None if answer.is_error else answer.text

    def _find(self, wish: Wish, user_id: str, user: User | None) -> Generator[Step, Answer | None, Order | None]:
        """The order that the wish is about: by its number, or by going through the customer's orders."""
        if wish.order_id is not None:
            return (yield from self._order(wish.order_id))
        user = user or (yield from self._user(user_id))
        order_ids = list(user["orders"])
        if self._chance(NEWEST_FIRST_SHARE):
            order_ids.reverse()
        looks_at_all = self._chance(LOOKS_AT_ALL_ORDERS_SHARE)
        found = None
        for order_id in order_ids:
            order = yield from self._order(order_id)
            if found is None and order is not None and _is_meant(order, wish):
                found = order
            if found is not None and not looks_at_all:
                break
        return found

    def _wander(self) -> Generator[Step, Answer | None, None]:
        """A customer asks in passing for something else: goods in general, or an order whose number is wrong."""
        if self._chance(0.4):
            products = yield from self._products_by_name()
            yield from self._product(self._random.choice(list(products.values())))
        else:
            yield from self._order(f"#W{self._random.randrange(10**6, 10**7)}")

    def _products_by_name(self) -> Generator[Step, Answer | None, dict[str, str]]:
        answer = yield from self._call("list_all_product_types")
        return cast("dict[str, str]", json.loads(answer.text))

    # --- what they want -----------------------------------------------------------------------------------------------

    def _fulfil(self, wish: Wish, user_id: str, user: User | None) -> Generator[Step, Answer | None, None]:
        if wish.want is Want.PRODUCT:
            products = yield from self._products_by_name()
            yield from self._product(products[wish.product])
            return
        order = yield from self._find(wish, user_id, user)
        if order is None:
            yield from self._call("transfer_to_human_agents", summary=f"no order with a {wish.product}")
        elif wish.want is Want.RETURN:
            items = self._some_items(order, wish)
            yield from self._change("return_delivered_order_items", order, item_ids=_ids(items), **_paid_by(order))
        elif wish.want is Want.CANCEL:
            reason = self._random.choice(("no longer needed", "ordered by mistake"))
            yield from self._change("cancel_pending_order", order, reason=reason)
        elif wish.want is Want.NEW_PAYMENT:
            yield from self._pay_otherwise(order, user_id, user)
        elif wish.want is Want.NEW_ADDRESS:
            yield from self._move(order, user_id)
        elif wish.want in (Want.EXCHANGE, Want.NEW_ITEMS):
            yield from self._swap(order, wish)

    def _swap(self, order: Order, wish: Wish) -> Generator[Step, Answer | None, None]:
        pairs: list[tuple[Item, Variant]] = []
        for item in self._some_items(order, wish):
            product = yield from self._product(item["product_id"])
            others = [
                variant
                for variant in product["variants"].values()
                if variant["available"] and variant["item_id"] != item["item_id"]
            ]
            if others:
                pairs.append((item, self._random.choice(others)))
        if not pairs:
            return
        if self._chance(ADDS_UP_SHARE):
            expression = " + ".join(f"({new['price']} - {item['price']})" for item, new in pairs)
            yield from self._call("calculate", expression=expression)
        yield from self._change(
            "exchange_delivered_order_items" if wish.want is Want.EXCHANGE else "modify_pending_order_items",
            order,
            item_ids=_ids([item for item, _ in pairs]),
            new_item_ids=[new["item_id"] for _, new in pairs],
            **_paid_by(order),
        )

    def _move(self, order: Order, user_id: str) -> Generator[Step, Answer | None, None]:
        moved = yield from self._change("modify_pending_order_address", order, **self._case.new_address)
        if moved and self._chance(0.5):
            yield from self._call("modify_user_address", user_id=user_id, **self._case.new_address)

    def _pay_otherwise(self, order: Order, user_id: str, user: User | None) -> Generator[Step, Answer | None, None]:
        user = user or (yield from self._user(user_id))
        others = [method for method in user["payment_methods"] if method != _paid_by(order)["payment_method_id"]]
        if others:
            method = self._random.choice(others)
            yield from self._change("modify_pending_order_payment", order, payment_method_id=method)

    def _some_items(self, order: Order, wish: Wish) -> list[Item]:
        """The item that the wish names, and now and then another one of the order."""
        named = [item for item in order["items"] if item["name"] == wish.product]
        others = [item for item in order["items"] if item["name"] != wish.product]
        more = self._random.sample(others, 1) if others and self._chance(MORE_ITEMS_SHARE) else []
        return named + more or order["items"][:1]


def _is_meant(order: Order, wish: Wish) -> bool:
    """Goes a customer's description with this order?"""
    holds_it = any(item["name"] == wish.product for item in order["items"])
    return holds_it and STATUS_NEEDED.get(wish.want, order["status"]) == order["status"]


def _ids(items: Sequence[Item]) -> list[str]:
    return [item["item_id"] for item in items]


def _paid_by(order: Order) -> dict[str, str]:
    return {"payment_method_id": order["payment_history"][0]["payment_method_id"]}
