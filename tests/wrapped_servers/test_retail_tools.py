"""What each tool of the shop does, refuses and changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wrapped_servers.retail import everything, till
from wrapped_servers.retail.arithmetic import InvalidExpression, evaluate
from wrapped_servers.retail.catalogue import TOOLS, Effect

HOME = {"address1": "1 Elm", "address2": "", "city": "Boise", "country": "USA", "state": "ID", "zip": "83701"}
NEW_HOME = {"address1": "2 Oak", "address2": "Apt 9", "city": "Akron", "state": "OH", "country": "USA", "zip": "44301"}


def item(item_id, price):
    return {"name": "Mug", "product_id": "1000000001", "item_id": item_id, "price": price, "options": {"color": "red"}}


def order(order_id, status, method_id, *items):
    paid = {"transaction_type": "payment", "amount": round(sum(i["price"] for i in items), 2)}
    return {
        "order_id": order_id,
        "user_id": "ada_moss_1",
        "address": dict(HOME),
        "items": list(items),
        "fulfillments": [],
        "status": status,
        "payment_history": [{**paid, "payment_method_id": method_id}],
    }


TABLES: Any = {
    "users": {
        "ada_moss_1": {
            "name": {"first_name": "Ada", "last_name": "Moss"},
            "address": dict(HOME),
            "email": "Ada.Moss@example.com",
            "payment_methods": {
                "gift_card_1": {"source": "gift_card", "id": "gift_card_1", "balance": 20},
                "paypal_2": {"source": "paypal", "id": "paypal_2"},
                "credit_card_3": {"source": "credit_card", "id": "credit_card_3", "brand": "visa", "last_four": "0001"},
            },
            "orders": ["#W1", "#W2", "#W3", "#W4"],
        }
    },
    "orders": {
        "#W1": order("#W1", "pending", "paypal_2", item("11", 10.0)),
        "#W2": order("#W2", "delivered", "paypal_2", item("11", 10.0), item("11", 10.0), item("12", 12.5)),
        "#W3": order("#W3", "pending", "gift_card_1", item("12", 12.5)),
        "#W4": order("#W4", "processed", "paypal_2", item("12", 12.5)),
    },
    "products": {
        "1000000001": {
            "name": "Mug",
            "product_id": "1000000001",
            "variants": {
                "11": {"item_id": "11", "options": {"color": "red"}, "available": True, "price": 10.0},
                "12": {"item_id": "12", "options": {"color": "blue"}, "available": True, "price": 12.5},
                "13": {"item_id": "13", "options": {"color": "gold"}, "available": True, "price": 99.0},
                "14": {"item_id": "14", "options": {"color": "grey"}, "available": False, "price": 1.0},
            },
        },
        "1000000002": {"name": "Bowl", "product_id": "1000000002", "variants": {}},
    },
}


@pytest.fixture
def shop():
    with till(copy.deepcopy(TABLES)) as made:
        yield made


def balance(shop):
    return shop.result("get_user_details", user_id="ada_moss_1")["payment_methods"]["gift_card_1"]["balance"]


# --- reads ------------------------------------------------------------------------------------------------------------


def test_there_are_the_sixteen_tools_of_the_retail_domain():
    assert len(TOOLS) == 16
    assert list(TOOLS) == sorted(TOOLS)


def test_users_are_found_by_email_and_by_name_and_zip_whatever_the_case(shop):
    assert shop.answer("find_user_id_by_email", {"email": "ADA.moss@EXAMPLE.com"}).text == "ada_moss_1"
    name = {"first_name": "ada", "last_name": "MOSS", "zip": "83701"}
    assert shop.answer("find_user_id_by_name_zip", name).text == "ada_moss_1"


def test_nobody_found_is_an_error(shop):
    assert shop.refusal("find_user_id_by_email", email="x@example.com") == "Error: user not found"
    wrong = {"first_name": "Ada", "last_name": "Moss", "zip": "83702"}
    assert shop.refusal("find_user_id_by_name_zip", **wrong) == "Error: user not found"


def test_records_are_answered_as_they_were_filled_in(shop):
    assert shop.result("get_user_details", user_id="ada_moss_1") == TABLES["users"]["ada_moss_1"]
    assert shop.result("get_order_details", order_id="#W2") == TABLES["orders"]["#W2"]
    assert shop.result("get_product_details", product_id="1000000001") == TABLES["products"]["1000000001"]


def test_what_is_not_there_is_an_error(shop):
    assert shop.refusal("get_user_details", user_id="nobody") == "Error: user not found"
    assert shop.refusal("get_order_details", order_id="W1") == "Error: order not found"
    assert shop.refusal("get_product_details", product_id="11") == "Error: product not found"


def test_products_are_listed_by_name(shop):
    products = shop.result("list_all_product_types")
    assert list(products.items()) == [("Bowl", "1000000002"), ("Mug", "1000000001")]


def test_a_thought_is_answered_with_nothing(shop):
    assert shop.answer("think", {"thought": "hm"}).text == ""


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2 + 2", "4.0"), ("2*(19.90 - 4.5)", "30.8"), ("-60.78 + 167.87", "107.09"), ("7//2", "3.0"), ("1/3", "0.33")],
)
def test_sums_are_rounded_to_cents(shop, expression, value):
    assert shop.answer("calculate", {"expression": expression}).text == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("import os", "invalid characters in expression"),
        ("1 / 0", "division by zero"),
        ("2 ** 9", "invalid syntax"),
        ("(1", "invalid syntax"),
        ("", "invalid syntax"),
        ("()", "invalid syntax"),
        ("9" * 400, "number too large"),
        ("9" * 400 + ".0", "number too large"),
        ("1+" * 1500 + "1", "expression too long"),
        ("(" * 1000 + "1" + ")" * 999, "invalid syntax"),
    ],
)
def test_what_is_no_sum_is_an_error(shop, expression, message):
    assert shop.refusal("calculate", expression=expression) == f"Error: {message}"


@given(st.text(alphabet="0123456789+-*/(). ", max_size=60))
def test_a_text_is_a_number_or_an_invalid_expression_and_nothing_else(text):
    try:
        value = evaluate(text)
    except InvalidExpression:
        return
    assert isinstance(value, float)


@pytest.mark.parametrize("tool", [name for name, tool in TOOLS.items() if tool.effect is Effect.READ])
def test_a_read_changes_nothing(shop, tool):
    known = {"email": "ada.moss@example.com", "first_name": "Ada", "last_name": "Moss", "zip": "83701", "thought": "?"}
    known |= {"order_id": "#W1", "user_id": "ada_moss_1", "product_id": "1000000001", "expression": "1"}
    before = everything(shop.database)
    answer = shop.answer(tool, {parameter.name: known[parameter.name] for parameter in TOOLS[tool].parameters})
    assert not answer.is_error
    assert answer.changed == ()
    assert everything(shop.database) == before


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_cancelling_refunds_the_payment(shop):
    cancelled = shop.result("cancel_pending_order", order_id="#W1", reason="no longer needed")
    assert cancelled["status"] == "cancelled"
    assert cancelled["cancel_reason"] == "no longer needed"
    assert cancelled["payment_history"][1:] == [
        {"transaction_type": "refund", "amount": 10.0, "payment_method_id": "paypal_2"}
    ]
    assert shop.result("get_order_details", order_id="#W1") == cancelled
    assert balance(shop) == 20


def test_cancelling_what_a_gift_card_paid_fills_the_card(shop):
    answer = shop.answer("cancel_pending_order", {"order_id": "#W3", "reason": "ordered by mistake"})
    assert set(answer.changed) == {"order:#W3", "user:ada_moss_1"}
    assert balance(shop) == 32.5


def test_only_pending_orders_are_cancelled_and_for_known_reasons(shop):
    text = "Error: non-pending order cannot be cancelled"
    for order_id in ("#W2", "#W4"):
        assert shop.refusal("cancel_pending_order", order_id=order_id, reason="no longer needed") == text
    assert shop.refusal("cancel_pending_order", order_id="#W1", reason="too dear") == "Error: invalid reason"
    assert shop.refusal("cancel_pending_order", order_id="#W9", reason="too dear") == "Error: order not found"


# --- exchanging and returning -----------------------------------------------------------------------------------------


def exchange(order_id="#W2", item_ids=("11",), new_item_ids=("12",), payment_method_id="paypal_2"):
    return {
        "order_id": order_id,
        "item_ids": list(item_ids),
        "new_item_ids": list(new_item_ids),
        "payment_method_id": payment_method_id,
    }


def test_an_exchange_marks_the_order_and_moves_no_money(shop):
    answer = shop.answer("exchange_delivered_order_items", exchange(item_ids=("12", "11"), new_item_ids=("13", "12")))
    assert answer.changed == ("order:#W2",)
    order = shop.result("get_order_details", order_id="#W2")
    assert order["status"] == "exchange requested"
    assert order["exchange_items"] == ["11", "12"]
    assert order["exchange_new_items"] == ["12", "13"]
    assert order["exchange_payment_method_id"] == "paypal_2"
    assert order["exchange_price_difference"] == 89.0
    assert order["items"] == TABLES["orders"]["#W2"]["items"]
    assert balance(shop) == 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"order_id": "#W1"}, "non-delivered order cannot be exchanged"),
        ({"item_ids": ["13"]}, "13 not found"),
        ({"item_ids": ["12", "12"]}, "12 not found"),
        ({"new_item_ids": []}, "the number of items to be exchanged should match"),
        ({"new_item_ids": ["14"]}, "new item 14 not found or available"),
        ({"new_item_ids": ["99"]}, "new item 99 not found or available"),
        ({"payment_method_id": "paypal_9"}, "payment method not found"),
        (
            {"new_item_ids": ["13"], "payment_method_id": "gift_card_1"},
            "insufficient gift card balance to pay for the price difference",
        ),
    ],
)
def test_an_exchange_that_cannot_be_is_refused(shop, wrong, message):
    assert shop.refusal("exchange_delivered_order_items", **{**exchange(), **wrong}) == f"Error: {message}"


def test_an_order_is_exchanged_or_returned_once(shop):
    shop.result("exchange_delivered_order_items", **exchange())
    again = shop.refusal("exchange_delivered_order_items", **exchange())
    assert again == "Error: non-delivered order cannot be exchanged"
    back = shop.refusal("return_delivered_order_items", order_id="#W2", item_ids=["11"], payment_method_id="paypal_2")
    assert back == "Error: non-delivered order cannot be returned"


@pytest.mark.parametrize("method_id", ["paypal_2", "gift_card_1"])
def test_a_return_marks_the_order_and_moves_no_money(shop, method_id):
    arguments = {"order_id": "#W2", "item_ids": ["12", "11", "11"], "payment_method_id": method_id}
    answer = shop.answer("return_delivered_order_items", arguments)
    assert answer.changed == ("order:#W2",)
    order = shop.result("get_order_details", order_id="#W2")
    assert order["status"] == "return requested"
    assert order["return_items"] == ["11", "11", "12"]
    assert order["return_payment_method_id"] == method_id
    assert balance(shop) == 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"order_id": "#W1"}, "non-delivered order cannot be returned"),
        ({"payment_method_id": "paypal_9"}, "payment method not found"),
        (
            {"payment_method_id": "credit_card_3"},
            "payment method should be either the original payment method or a gift card",
        ),
        ({"item_ids": ["11", "11", "11"]}, "some item not found"),
    ],
)
def test_a_return_that_cannot_be_is_refused(shop, wrong, message):
    arguments = {"order_id": "#W2", "item_ids": ["11"], "payment_method_id": "paypal_2", **wrong}
    assert shop.refusal("return_delivered_order_items", **arguments) == f"Error: {message}"


# --- modifying --------------------------------------------------------------------------------------------------------


def test_new_items_take_the_place_of_old_ones_and_the_difference_is_paid(shop):
    answer = shop.answer("modify_pending_order_items", exchange("#W1"))
    assert answer.changed == ("order:#W1",)
    order = shop.result("get_order_details", order_id="#W1")
    assert order["status"] == "pending (item modified)"
    assert order["items"] == [item("12", 12.5) | {"options": {"color": "blue"}}]
    assert order["payment_history"][1:] == [
        {"transaction_type": "payment", "amount": 2.5, "payment_method_id": "paypal_2"}
    ]


def test_a_cheaper_item_is_refunded_to_the_gift_card(shop):
    arguments = exchange("#W3", item_ids=("12",), new_item_ids=("11",), payment_method_id="gift_card_1")
    answer = shop.answer("modify_pending_order_items", arguments)
    assert set(answer.changed) == {"order:#W3", "user:ada_moss_1"}
    refund = shop.result("get_order_details", order_id="#W3")["payment_history"][1]
    assert refund == {"transaction_type": "refund", "amount": 2.5, "payment_method_id": "gift_card_1"}
    assert balance(shop) == 22.5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"order_id": "#W2"}, "non-pending order cannot be modified"),
        ({"order_id": "#W4"}, "non-pending order cannot be modified"),
        ({"item_ids": ["12"]}, "12 not found"),
        ({"new_item_ids": ["12", "12"]}, "the number of items to be exchanged should match"),
        ({"new_item_ids": ["14"]}, "new item 14 not found or available"),
        ({"payment_method_id": "paypal_9"}, "payment method not found"),
        (
            {"new_item_ids": ["13"], "payment_method_id": "gift_card_1"},
            "insufficient gift card balance to pay for the new item",
        ),
    ],
)
def test_new_items_that_cannot_be_are_refused(shop, wrong, message):
    arguments = {**exchange("#W1"), **wrong}
    assert shop.refusal("modify_pending_order_items", **arguments) == f"Error: {message}"


def test_items_are_modified_once(shop):
    shop.result("modify_pending_order_items", **exchange("#W1"))
    again = shop.refusal("modify_pending_order_items", **exchange("#W1", item_ids=("12",), new_item_ids=("11",)))
    assert again == "Error: non-pending order cannot be modified"


def test_another_payment_method_pays_and_the_former_one_is_refunded(shop):
    arguments = {"order_id": "#W1", "payment_method_id": "gift_card_1"}
    answer = shop.answer("modify_pending_order_payment", arguments)
    assert set(answer.changed) == {"order:#W1", "user:ada_moss_1"}
    assert shop.result("get_order_details", order_id="#W1")["payment_history"] == [
        {"transaction_type": "payment", "amount": 10.0, "payment_method_id": "paypal_2"},
        {"transaction_type": "payment", "amount": 10.0, "payment_method_id": "gift_card_1"},
        {"transaction_type": "refund", "amount": 10.0, "payment_method_id": "paypal_2"},
    ]
    assert balance(shop) == 10


def test_leaving_a_gift_card_fills_it_again(shop):
    shop.result("modify_pending_order_payment", order_id="#W3", payment_method_id="credit_card_3")
    assert balance(shop) == 32.5


def test_a_payment_that_cannot_be_is_refused(shop):
    def refusal(order_id, method_id):
        return shop.refusal("modify_pending_order_payment", order_id=order_id, payment_method_id=method_id)

    assert refusal("#W2", "gift_card_1") == "Error: non-pending order cannot be modified"
    assert refusal("#W1", "paypal_9") == "Error: payment method not found"
    assert refusal("#W1", "paypal_2") == "Error: the new payment method should be different from the current one"
    shop.result("modify_pending_order_payment", order_id="#W1", payment_method_id="gift_card_1")
    assert refusal("#W1", "paypal_2") == "Error: there should be exactly one payment for a pending order"


def test_a_gift_card_with_too_little_on_it_does_not_pay(shop):
    tables = copy.deepcopy(TABLES)
    tables["orders"]["#W1"]["payment_history"][0]["amount"] = 20.01
    with till(tables) as other:
        text = other.refusal("modify_pending_order_payment", order_id="#W1", payment_method_id="gift_card_1")
    assert text == "Error: insufficient gift card balance to pay for the order"


def test_an_order_and_its_user_have_addresses_of_their_own(shop):
    answer = shop.answer("modify_pending_order_address", {"order_id": "#W1", **NEW_HOME})
    assert answer.changed == ("order:#W1",)
    assert shop.result("get_order_details", order_id="#W1")["address"] == NEW_HOME
    assert shop.result("get_user_details", user_id="ada_moss_1")["address"] == HOME
    answer = shop.answer("modify_user_address", {"user_id": "ada_moss_1", **NEW_HOME})
    assert answer.changed == ("user:ada_moss_1",)
    assert shop.result("get_user_details", user_id="ada_moss_1")["address"] == NEW_HOME
    assert shop.result("get_order_details", order_id="#W3")["address"] == HOME


def test_a_user_who_moved_is_found_at_the_new_zip_alone(shop):
    shop.result("modify_user_address", user_id="ada_moss_1", **NEW_HOME)
    name = {"first_name": "Ada", "last_name": "Moss"}
    assert shop.answer("find_user_id_by_name_zip", {**name, "zip": "44301"}).text == "ada_moss_1"
    assert shop.refusal("find_user_id_by_name_zip", **name, zip="83701") == "Error: user not found"


def test_an_address_that_cannot_be_changed_is_refused(shop):
    shipped = shop.refusal("modify_pending_order_address", order_id="#W4", **NEW_HOME)
    assert shipped == "Error: non-pending order cannot be modified"
    assert shop.refusal("modify_user_address", user_id="nobody", **NEW_HOME) == "Error: user not found"


def test_a_transfer_changes_no_table(shop):
    before = everything(shop.database)
    assert shop.answer("transfer_to_human_agents", {"summary": "lost parcel"}).text == "Transfer successful"
    assert everything(shop.database) == before


# --- bad arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [name for name, tool in TOOLS.items() if tool.parameters])
def test_a_missing_an_unknown_and_a_mistyped_argument_are_errors_that_name_it(shop, tool):
    names = [parameter.name for parameter in TOOLS[tool].parameters]
    arguments = {name: ["x"] if name.endswith("item_ids") else "x" for name in names}
    missing = {name: value for name, value in arguments.items() if name != names[-1]}
    assert shop.refusal(tool, **missing) == f"Error: {tool} needs the argument {names[-1]!r}"
    assert shop.refusal(tool, **arguments, extra=1) == f"Error: {tool} takes no argument 'extra'"
    mistyped = shop.refusal(tool, **{**arguments, names[0]: 7})
    assert mistyped == f"Error: {tool}: the argument {names[0]!r} must be a string"


def test_a_list_of_items_must_be_a_list_of_strings(shop):
    text = shop.refusal("exchange_delivered_order_items", **{**exchange(), "item_ids": [11]})
    assert text == "Error: exchange_delivered_order_items: the argument 'item_ids' must be a list of strings"


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3), st.sampled_from(sorted(TOOLS)))
def test_no_arguments_make_a_tool_fail_otherwise_than_by_an_error(arguments, name):
    with till(TABLES) as shop:
        answer = shop.answer(name, arguments)
        assert answer.is_error == answer.text.startswith("Error: ")
