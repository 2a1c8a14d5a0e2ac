"""Every error text of the protocol's machine-readable table lands in its class."""

import re
from collections.abc import Iterator

import pytest

from catalog.providers.refusals import Refusal, classify

# Condition, class and the actions it is known from ("*" = any); below them the texts, those ending in "…" may go on.
TABLE = """\
invalid_key operator *
    Invalid API key | Incorrect API key | Invalid or disabled API key | Incorrect request or API key | API is
    Disable for this user or User Not Found! Contact the Support | API access disabled | API is disabled
missing_key operator *
    Missing key | The api key field is required | API key is required | Missing required parameter: key
account_blocked operator *
    Account suspended | Account restricted | Your account is not active | Your account has been suspended |
    neworder.error.account_banned
ip_not_allowed operator *
    IP not allowed
key_read_only operator add,add_product_order,refill,cancel
    This API key may only read
key_cap operator add,add_product_order
    Daily limit of this API key exceeded
bad_request final *
    Incorrect request | Incorrect action | Invalid action | This action is Invalid | The Request Not Found |
    Method Not Allowed | Unknown action
missing_params final *
    There are missing required parameters. Please check your API Manual… | Missing required parameter… | Missing
    required parameters… | Missing required fields… | Incorrect parameters… | Invalid parameters… | Missing order
    parameter… | Order ID required… | Order ID is required parameter. Please check your API Manual…
service_unknown failover add
    Incorrect service ID | error.incorrect_service_id | neworder.error.incorrect_service_id | Service ID does not
    exists | Invalid service ID | Invalid service | Service not found | neworder.error.service_not_found |
    neworder.error.invalid_service | error.invalid_service
service_disabled failover add,add_product_order
    Disabled service ID | Service is not available | Service not found or currently unavailable |
    neworder.error.service_inactive | Ordering is disabled
invalid_link final add
    neworder.error.link | Invalid link | Bad link | Incorrect link | neworder.error.invalid_link |
    neworder.error.link_not_found | error.invalid_link
quantity_too_low final add
    Quantity less than minimal… | neworder.error.min_quantity… | Quantity less than minimum… | Minimum quantity
    is… | Quantity must to be greater than or equal to minimum amount… | Total quantity must to be greater than or
    equal to minimum amount…
quantity_too_high final add
    Quantity more than maximum… | neworder.error.max_quantity… | Quantity less than maximum… | Maximum quantity
    is… | Quantity must to be less than or equal to maximum amount… | Total quantity must to be less than or equal
    to maximum amount…
quantity_invalid final add
    Incorrect quantity… | Quantity is required… | Quantity out of bounds… | Quantity must be between… |
    neworder.error.invalid_quantity… | Quantity must be a multiple of…
comments_invalid final add
    Comments field is required | neworder.error.comment | Invalid comments | Incorrect comments
dripfeed_invalid final add
    This services does not support Dripfeed feature! | Interval time is required | Runs is required | Invalid
    Interval in minutes | Dripfeed is not supported by this service | Incorrect runs | Incorrect interval
subscription_invalid final add
    Incorrect username | Incorrect posts | Incorrect min | Incorrect max | Incorrect delay | Incorrect expiry
upstream_funds operator_failover add,add_product_order
    Not enough funds on balance… | neworder.error.not_enough_funds… | not_enough_funds… |
    neworder.error.insufficient_balance… | Insufficient balance… | Insufficient funds… | Not enough funds…
duplicate_link wait add
    You have active order with this link. Please wait until order being completed. | You have active order with
    this link | neworder.error.link_duplicate | link_duplicate | An identical order was just placed |
    error.duplicate_order | Duplicate order | neworder.error.too_many_orders
order_unknown later status,refill,cancel
    Incorrect order ID | Incorrect order IDs | error.incorrect_order_id | Order not found | Invalid Order Id |
    Invalid Order Ids | The selected order id is invalid.
refill_unknown final refill_status
    Incorrect refill ID | Refill not found | Refill Request Not found | error.incorrect_refill_id | Refill ID
    required
refill_not_supported final refill
    Refill is disabled for this service | Refill not allowed | Service does not support refill | Refill not
    supported for this service
refill_too_early later refill
    The order was completed or refill was requested less than 24 hours ago | Refill not allowed yet
refill_order_not_completed later refill
    The order is not completed | The refill task is not completed for this order
refill_open wait refill
    Refill already in progress | Refill already requested
refill_expired final refill
    Refill days are over… | Refill expired…
refill_not_eligible final refill
    Order not eligible for refill… | You are not eligible to send refill request… | Invalid Request… | Already
    completed… | Already refunded…
cancel_refused final cancel
    Cancel not allowed… | Order cannot be cancelled… | You are not eligible to cancel this order… | Cannot cancel…
    | Cancellation via API is not supported… | Cancel not supported for this service…
too_many_ids final status,refill,cancel
    Maximum 100 orders…
rate_limited later *
    Too many requests… | Rate limit exceeded…
maintenance later *
    This panel is temporarily unavailable… | Hệ thống đang bảo trì…
server_error ambiguous add
    Internal server error… | Server error… | Failed to place order… | Order could not be created… | There was an
    error processing your request. Please try again later…
product_not_found failover add_product_order
    Incorrect product ID
require_invalid final add_product_order
    Incorrect require
out_of_stock failover add_product_order
    Out of stock | Not enough stock
"""


def rows() -> Iterator[tuple[str, str, Refusal]]:
    for head, texts in re.findall(r"^(\w.*)\n((?: +.*\n)+)", TABLE, re.MULTILINE):
        condition, refusal_class, actions = head.split()
        for action in actions.replace("*", "add,status,refill,cancel,balance,services").split(","):
            yield from (
                (text, action, Refusal(condition, refusal_class)) for text in " ".join(texts.split()).split(" | ")
            )


ACTIONS = {"add", "status", "refill", "cancel", "balance", "services", "refill_status", "add_product_order"}


@pytest.mark.parametrize(("text", "action", "meant"), tuple(rows()))
def test_a_known_text_lands_in_its_class(text: str, action: str, meant: Refusal) -> None:
    written = text.removesuffix("…")
    for variant in (written, written.upper(), f"  {written}. ", written + " 42" * text.endswith("…")):
        assert classify(variant, action) == meant


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("", "add"),
        (".", "add"),
        ("The moon is full", "add"),
        ("Invalid link was here", "add"),
        ("Incorrect service ID", "refill"),
        ("Refill not found", "refill"),
        ("Incorrect order ID", "add"),
        ("Out of stock", "add"),
        ("Not enough funds on balance", "status"),
        ("Invalid service type", "add"),
    ],
)
def test_what_nobody_classed_is_not_guessed_at(text: str, action: str) -> None:
    assert classify(text, action) is None


def test_the_table_holds_all_texts_of_the_protocol_and_three_of_our_own() -> None:
    assert len({text for text, _, _ in rows()}) == 153 + 3


def test_an_exact_text_comes_before_a_beginning() -> None:
    found = classify("Missing required parameter: key", "add")
    assert found is not None
    assert found.condition == "missing_key"


@pytest.mark.parametrize("text", ["Dịch vụ tạm bảo trì", "Dịch vụ tạm bảo trì"])
def test_accents_match_however_they_are_composed(text: str) -> None:
    assert classify(text, "add") == Refusal("service_disabled", "failover")


def test_the_text_of_staff_comes_before_the_table() -> None:
    own = {"Invalid LINK.": Refusal("private_account", "failover")}
    assert classify("invalid link", "add", own) == Refusal("private_account", "failover")
    assert classify("Bad link", "add", own) == Refusal("invalid_link", "final")


def test_a_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'sometimes' is no class"):
        Refusal("x", "sometimes")


def test_a_server_error_is_a_doubt_for_commands_alone() -> None:
    doubtful = {action for action in ACTIONS if classify("Server error", action) is not None}
    assert doubtful == {"add", "refill", "cancel", "add_product_order"}
