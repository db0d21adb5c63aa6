"""What the shop's records look like. They are kept and answered as JSON objects of these shapes."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class Name(TypedDict):
    """Of a user."""

    first_name: str
    last_name: str


class Address(TypedDict):
    """Where orders go; members stand in the order in which whoever wrote the address gave them."""

    address1: str
    address2: str
    city: str
    country: str
    state: str
    zip: str


class PaymentMethod(TypedDict):
    """A card, an account, or a gift card with what is left on it."""

    source: Literal["credit_card", "paypal", "gift_card"]
    id: str
    brand: NotRequired[str]
    last_four: NotRequired[str]
    balance: NotRequired[float]


class User(TypedDict):
    """The user id is the record's key and stands outside of it."""

    name: Name
    address: Address
    email: str
    payment_methods: dict[str, PaymentMethod]
    orders: list[str]


class Item(TypedDict):
    """One piece in an order: a variant of a product at the price paid for it."""

    name: str
    product_id: str
    item_id: str
    price: float
    options: dict[str, str]


class Fulfillment(TypedDict):
    """One parcel."""

    tracking_id: list[str]
    item_ids: list[str]


class Payment(TypedDict):
    """One movement of money for an order."""

    transaction_type: Literal["payment", "refund"]
    amount: float
    payment_method_id: str


class Order(TypedDict):
    """The members that are not required appear once the order was cancelled, returned or exchanged."""

    order_id: str
    user_id: str
    address: Address
    items: list[Item]
    fulfillments: list[Fulfillment]
    status: str
    payment_history: list[Payment]
    cancel_reason: NotRequired[str]
    return_items: NotRequired[list[str]]
    return_payment_method_id: NotRequired[str]
    exchange_items: NotRequired[list[str]]
    exchange_new_items: NotRequired[list[str]]
    exchange_payment_method_id: NotRequired[str]
    exchange_price_difference: NotRequired[float]


class Variant(TypedDict):
    """What can be bought of a product."""

    item_id: str
    options: dict[str, str]
    available: bool
    price: float


class Product(TypedDict):
    """A product type with its variants by item id."""

    name: str
    product_id: str
    variants: dict[str, Variant]


class Tables(TypedDict):
    """A whole shop, each table by its key."""

    users: dict[str, User]
    orders: dict[str, Order]
    products: dict[str, Product]
