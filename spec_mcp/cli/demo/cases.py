"""The customers of a demonstration: who they are, what they know, and what they want.

Drawn from the shop as its customers would write to it: each knows their own name and orders, few know a number by
heart. Nothing here, and nothing in the agent, knows of speculation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from wrapped_servers.retail.model import Address, Order, Tables, User


class Want(StrEnum):
    """What a customer wants done."""

    EXCHANGE = "exchange"
    RETURN = "return"
    CANCEL = "cancel"
    NEW_ITEMS = "change of items"
    NEW_ADDRESS = "change of address"
    NEW_PAYMENT = "change of payment"
    STATUS = "question on an order"
    PRODUCT = "question on a product"


WANT_WEIGHTS: Mapping[Want, int] = {
    Want.EXCHANGE: 24,
    Want.RETURN: 22,
    Want.CANCEL: 15,
    Want.NEW_ITEMS: 24,
    Want.NEW_ADDRESS: 10,
    Want.NEW_PAYMENT: 2,
    Want.STATUS: 6,
    Want.PRODUCT: 1,
}
"""About as often as each comes up at a shop's customer service."""

WORDS: Mapping[Want, str] = {
    Want.EXCHANGE: "I would like to exchange the {} for another one of its kind, please.",
    Want.RETURN: "The {} is not what I thought it was, so I want to send it back.",
    Want.CANCEL: "Please cancel my order with the {}, I do not need it any more.",
    Want.NEW_ITEMS: "Before you send it: could I have another variant of the {}?",
    Want.NEW_ADDRESS: "I have moved house, so the order with the {} has to go to my new address.",
    Want.NEW_PAYMENT: "I would rather pay for the {} in another way.",
    Want.STATUS: "Where is the {} that I ordered?",
    Want.PRODUCT: "Which kinds of {} do you have?",
}

STATUS_NEEDED: Mapping[Want, str] = {
    Want.EXCHANGE: "delivered",
    Want.RETURN: "delivered",
    Want.CANCEL: "pending",
    Want.NEW_ITEMS: "pending",
    Want.NEW_ADDRESS: "pending",
    Want.NEW_PAYMENT: "pending",
}

SECOND_WISH_SHARE = 0.45
GIVES_EMAIL_SHARE = 0.35
MISTYPES_EMAIL_SHARE = 0.3
KNOWS_ORDER_NUMBER_SHARE = 0.3
MISTAKEN_SHARE = 0.1
"""Customers who want what the shop refuses: to cancel what was sent, to return what never came."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing that a customer wants."""

    want: Want
    product: str
    """What it is about, in the customer's words: a product's name."""
    order_id: str | None
    """None: the customer does not have the number at hand."""

    @property
    def words(self) -> str:
        """As the customer writes it."""
        number = "" if self.order_id is None else f" The order is {self.order_id}."
        return f"{WORDS[self.want].format(self.product)}{number}"


@dataclass(frozen=True, slots=True)
class Customer:
    """Who writes, and how they say who they are."""

    first_name: str
    last_name: str
    zip: str
    email: str | None
    """As they type it; None: they give name and zip code instead."""

    @property
    def introduction(self) -> str:
        """As the customer writes it."""
        mine = f"my zip code is {self.zip}" if self.email is None else f"my e-mail address is {self.email}"
        return f"Hello, my name is {self.first_name} {self.last_name} and {mine}. I need help with an order of mine."


@dataclass(frozen=True, slots=True)
class Case:
    """One customer's visit."""

    number: int
    """From 1."""
    customer: Customer
    wishes: tuple[Wish, ...]
    new_address: Address
    """Where a customer who moves moves to."""
    seed: str
    """Of what else comes by chance: how long the agent thinks, where it looks first."""

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.customer.first_name} {self.customer.last_name}: {', '.join(wish.want for wish in self.wishes)}"


def draw_cases(shop: Tables, seed: int, count: int) -> list[Case]:
    """The first `count` customers of this seed. Customers may come back, as customers do."""
    random = Random(f"demo cases {seed}")
    return [_case(random, shop, number, seed) for number in range(1, count + 1)]


def _case(random: Random, shop: Tables, number: int, seed: int) -> Case:
    users = list(shop["users"].values())
    user, other = random.sample(users, 2)
    return Case(
        number=number,
        customer=_customer(random, user),
        wishes=tuple(_wishes(random, shop, user)),
        new_address=other["address"].copy(),
        seed=f"demo agent {seed} {number}",
    )


def _customer(random: Random, user: User) -> Customer:
    email = user["email"] if random.random() < GIVES_EMAIL_SHARE else None
    if email is not None and random.random() < MISTYPES_EMAIL_SHARE:
        email = email.replace("@example.com", "@example.org")
    return Customer(user["name"]["first_name"], user["name"]["last_name"], user["address"]["zip"], email)


def _wishes(random: Random, shop: Tables, user: User) -> Iterator[Wish]:
    orders = [shop["orders"][order_id] for order_id in user["orders"]]
    random.shuffle(orders)
    count = 2 if random.random() < SECOND_WISH_SHARE else 1
    # one wish an order: an order that was exchanged can be neither returned nor exchanged again
    for order in orders[:count]:
        yield _wish(random, shop, order)


def _wish(random: Random, shop: Tables, order: Order) -> Wish:
    want = random.choices(list(WANT_WEIGHTS), weights=_weights(random, order))[0]
    if want is Want.PRODUCT:
        return Wish(want, random.choice([product["name"] for product in shop["products"].values()]), None)
    product = random.choice(order["items"])["name"]
    knows_number = random.random() < KNOWS_ORDER_NUMBER_SHARE
    return Wish(want, product, order["order_id"] if knows_number else None)


def _weights(random: Random, order: Order) -> Sequence[int]:
    """The wishes that an order of this status gives rise to; a mistaken customer may have any."""
    if random.random() < MISTAKEN_SHARE:
        return list(WANT_WEIGHTS.values())
    return [
        weight if STATUS_NEEDED.get(want, order["status"]) == order["status"] else 0
        for want, weight in WANT_WEIGHTS.items()
    ]
