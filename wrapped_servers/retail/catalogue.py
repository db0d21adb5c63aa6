"""The tools: what each is called, what it takes, what it is for and which function of the shop it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wrapped_servers.retail import shop
from wrapped_servers.retail.shop import CANCEL_REASONS, Refused


class Effect(StrEnum):
    """What a tool may do."""

    READ = "read"
    WRITE = "write"


class Kind(StrEnum):
    """What an argument is."""

    TEXT = "text"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument; all are required."""

    name: str
    description: str
    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()

    def schema(self) -> dict[str, object]:
        """Its JSON Schema."""
        if self.kind is Kind.TEXTS:
            return {"type": "array", "items": {"type": "string"}, "description": self.description}
        if self.choices:
            return {"type": "string", "enum": list(self.choices), "description": self.description}
        return {"type": "string", "description": self.description}

    def accepts(self, value: object) -> bool:
        """Is the value of its type? Choices are the shop's to refuse."""
        if self.kind is Kind.TEXTS:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)  # pyright: ignore[reportUnknownVariableType]
        return isinstance(value, str)


@dataclass(frozen=True, slots=True)
class ShopTool:
    """One tool."""

    run: Callable[..., str]
    effect: Effect
    description: str
    parameters: tuple[Parameter, ...] = ()

    @property
    def name(self) -> str:
        return self.run.__name__

    def schema(self) -> dict[str, object]:
        """The JSON Schema of its arguments."""
        return {
            "type": "object",
            "properties": {parameter.name: parameter.schema() for parameter in self.parameters},
            "required": [parameter.name for parameter in self.parameters],
        }

    def checked(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """The arguments, fit for `run`.

        Raises:
            Refused: one is missing, unknown or of another type.
        """
        unknown = sorted(arguments.keys() - {parameter.name for parameter in self.parameters})
        if unknown:
            raise Refused(f"{self.name} takes no argument {unknown[0]!r}")
        for parameter in self.parameters:
            if parameter.name not in arguments:
                raise Refused(f"{self.name} needs the argument {parameter.name!r}")
            if not parameter.accepts(arguments[parameter.name]):
                wanted = "a list of strings" if parameter.kind is Kind.TEXTS else "a string"
                raise Refused(f"{self.name}: the argument {parameter.name!r} must be {wanted}")
        return dict(arguments)


ORDER_ID = Parameter("order_id", "The order's id with its leading '#', such as '#W1234567'.")
USER_ID = Parameter("user_id", "The user's id, such as 'ada_moss_1234'.")
PAYMENT_METHOD_ID = Parameter(
    "payment_method_id", "The id of one of the user's payment methods, such as 'gift_card_1234567'."
)
ITEM_IDS = Parameter("item_ids", "Ids of items in the order; one that is meant twice is named twice.", Kind.TEXTS)
NEW_ITEM_IDS = Parameter(
    "new_item_ids",
    "For each item, in the same order, the id of the variant of the same product that takes its place.",
    Kind.TEXTS,
)
ADDRESS = (
    Parameter("address1", "The address's first line, such as '12 Mill Lane'."),
    Parameter("address2", "Its second line, such as 'Apt 4', or ''."),
    Parameter("city", "The city."),
    Parameter("state", "The state, in two letters."),
    Parameter("country", "The country, such as 'USA'."),
    Parameter("zip", "The zip code, in five digits."),
)

TOOLS: Mapping[str, ShopTool] = {
    tool.name: tool
    for tool in (
        ShopTool(
            shop.calculate,
            Effect.READ,
            "Compute a sum. Prices come out rounded to cents.",
            (Parameter("expression", "Numbers, + - * / and brackets, such as '2 * (19.90 - 4.50)'."),),
        ),
        ShopTool(
            shop.cancel_pending_order,
            Effect.WRITE,
            "Cancel a pending order and refund what was paid: at once to a gift card, within days to any other payment "
            "method. Have the user confirm it first.",
            (ORDER_ID, Parameter("reason", "Why the user cancels.", choices=CANCEL_REASONS)),
        ),
        ShopTool(
            shop.exchange_delivered_order_items,
            Effect.WRITE,
            "Request that items of a delivered order be exchanged for other variants of the same products. An order "
            "takes one exchange or one return, once. Have the user confirm it first.",
            (ORDER_ID, ITEM_IDS, NEW_ITEM_IDS, PAYMENT_METHOD_ID),
        ),
        ShopTool(
            shop.find_user_id_by_email,
            Effect.READ,
            "Find a user's id by their email address.",
            (Parameter("email", "The email address, such as 'someone@example.com'."),),
        ),
        ShopTool(
            shop.find_user_id_by_name_zip,
            Effect.READ,
            "Find a user's id by name and zip code. For users whom their email address does not find.",
            (
                Parameter("first_name", "The first name."),
                Parameter("last_name", "The last name."),
                Parameter("zip", "The zip code of the user's address."),
            ),
        ),
        ShopTool(
            shop.get_order_details,
            Effect.READ,
            "Look up an order: its items, its status, where it goes and how it was paid.",
            (ORDER_ID,),
        ),
        ShopTool(
            shop.get_product_details,
            Effect.READ,
            "Look up a product: its variants with their options, prices and whether they are available.",
            (Parameter("product_id", "The product's id, which is not an item's id."),),
        ),
        ShopTool(
            shop.get_user_details,
            Effect.READ,
            "Look up a user: address, payment methods and the ids of their orders.",
            (USER_ID,),
        ),
        ShopTool(shop.list_all_product_types, Effect.READ, "List all products by name with their product ids."),
        ShopTool(
            shop.modify_pending_order_address,
            Effect.WRITE,
            "Change where a pending order goes. Have the user confirm it first.",
            (ORDER_ID, *ADDRESS),
        ),
        ShopTool(
            shop.modify_pending_order_items,
            Effect.WRITE,
            "Swap items of a pending order for other variants of the same products; the difference in price moves at "
            "once. An order takes this only once. Have the user confirm it first.",
            (ORDER_ID, ITEM_IDS, NEW_ITEM_IDS, PAYMENT_METHOD_ID),
        ),
        ShopTool(
            shop.modify_pending_order_payment,
            Effect.WRITE,
            "Pay a pending order by another method and refund the former one. Have the user confirm it first.",
            (ORDER_ID, PAYMENT_METHOD_ID),
        ),
        ShopTool(
            shop.modify_user_address,
            Effect.WRITE,
            "Change a user's own address; orders keep theirs. Have the user confirm it first.",
            (USER_ID, *ADDRESS),
        ),
        ShopTool(
            shop.return_delivered_order_items,
            Effect.WRITE,
            "Request that items of a delivered order be taken back and refunded to the original payment method or to a "
            "gift card. Have the user confirm it first.",
            (ORDER_ID, ITEM_IDS, PAYMENT_METHOD_ID),
        ),
        ShopTool(
            shop.think,
            Effect.READ,
            "Write a thought down for yourself. Looks nothing up and changes nothing.",
            (Parameter("thought", "The thought."),),
        ),
        ShopTool(
            shop.transfer_to_human_agents,
            Effect.WRITE,
            "Hand the user over to a person. Only if they ask for it, or if no tool can help them.",
            (Parameter("summary", "What the user wants, for the person who takes over."),),
        ),
    )
}
"""By name, in alphabetical order."""
