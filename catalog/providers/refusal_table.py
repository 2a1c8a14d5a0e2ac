"""The table of PROTOCOL 4: every error text seen in the field, with the condition it reports and its class.

A row without actions holds for every action. `prefix` rows also match longer texts, for those that end in a number.
"""

from typing import NamedTuple

COMMANDS = frozenset({"add", "add_product_order", "refill", "cancel"})
ANY: frozenset[str] = frozenset()
ADD = frozenset({"add"})
ADD_PRODUCT = frozenset({"add_product_order"})
ADDS = ADD | ADD_PRODUCT
REFILL = frozenset({"refill"})
ABOUT_ORDERS = frozenset({"status", "refill", "cancel", "product_order_status", "result_product"})


class Row(NamedTuple):
    """Texts with one meaning."""

    condition: str
    refusal_class: str
    actions: frozenset[str]
    texts: tuple[str, ...]
    prefix: bool


def _row(meaning: tuple[str, str, frozenset[str]], *texts: str, prefix: bool = False) -> Row:
    return Row(*meaning, texts, prefix)


ROWS: tuple[Row, ...] = (
    _row(
        ("invalid_key", "operator", ANY),
        "Invalid API key",
        "Incorrect API key",
        "Invalid or disabled API key",
        "Incorrect request or API key",
        "API is Disable for this user or User Not Found! Contact the Support",
        "API access disabled",
        "API is disabled",
    ),
    _row(
        ("missing_key", "operator", ANY),
        "Missing key",
        "The api key field is required",
        "API key is required",
        "Missing required parameter: key",
    ),
    _row(
        ("account_blocked", "operator", ANY),
        "Account suspended",
        "Account restricted",
        "Your account is not active",
        "Your account has been suspended",
        "neworder.error.account_banned",
    ),
    _row(("ip_not_allowed", "operator", ANY), "IP not allowed"),
    # These two, and the one about `require`, are our own words, as another panel of this software says them.
    _row(("key_read_only", "operator", COMMANDS | {"result_product"}), "This API key may only read"),
    _row(("key_cap", "operator", ADDS), "Daily limit of this API key exceeded"),
    _row(
        ("bad_request", "final", ANY),
        "Incorrect request",
        "Incorrect action",
        "Invalid action",
        "This action is Invalid",
        "The Request Not Found",
        "Method Not Allowed",
        "Unknown action",
    ),
    _row(
        ("missing_params", "final", ANY),
        "There are missing required parameters. Please check your API Manual",
        "Missing required parameter",
        "Missing required fields",
        "Incorrect parameters",
        "Invalid parameters",
        "Missing order parameter",
        "Order ID required",
        "Order ID is required parameter. Please check your API Manual",
        prefix=True,
    ),
    _row(
        ("service_unknown", "failover", ADD),
        "Incorrect service ID",
        "error.incorrect_service_id",
        "neworder.error.incorrect_service_id",
        "Service ID does not exists",
        "Invalid service ID",
        "Invalid service",
        "Service not found",
        "neworder.error.service_not_found",
        "neworder.error.invalid_service",
        "error.invalid_service",
    ),
    _row(
        ("service_disabled", "failover", ADDS),
        "Disabled service ID",
        "Service is not available",
        "Service not found or currently unavailable",
        "neworder.error.service_inactive",
        "Ordering is disabled",
        "Dịch vụ tạm bảo trì",
    ),
    _row(
        ("invalid_link", "final", ADD),
        "neworder.error.link",
        "Invalid link",
        "Bad link",
        "Incorrect link",
        "neworder.error.invalid_link",
        "neworder.error.link_not_found",
        "error.invalid_link",
    ),
    _row(
        ("quantity_too_low", "final", ADDS),
        "Quantity less than minimal",
        "neworder.error.min_quantity",
        "Quantity less than minimum",
        "Minimum quantity is",
        "Quantity must to be greater than or equal to minimum amount",
        "Total quantity must to be greater than or equal to minimum amount",
        prefix=True,
    ),
    _row(
        ("quantity_too_high", "final", ADDS),
        "Quantity more than maximum",
        "neworder.error.max_quantity",
        "Quantity less than maximum",
        "Maximum quantity is",
        "Quantity must to be less than or equal to maximum amount",
        "Total quantity must to be less than or equal to maximum amount",
        prefix=True,
    ),
    _row(
        ("quantity_invalid", "final", ADDS),
        "Incorrect quantity",
        "Quantity is required",
        "Quantity out of bounds",
        "Quantity must be between",
        "neworder.error.invalid_quantity",
        "Quantity must be a multiple of",
        prefix=True,
    ),
    _row(
        ("comments_invalid", "final", ADD),
        "Comments field is required",
        "neworder.error.comment",
        "Invalid comments",
        "Incorrect comments",
    ),
    _row(
        ("dripfeed_invalid", "final", ADD),
        "This services does not support Dripfeed feature!",
        "Interval time is required",
        "Runs is required",
        "Invalid Interval in minutes",
        "Dripfeed is not supported by this service",
        "Incorrect runs",
        "Incorrect interval",
    ),
    _row(
        ("subscription_invalid", "final", ADD),
        "Incorrect username",
        "Incorrect posts",
        "Incorrect min",
        "Incorrect max",
        "Incorrect delay",
        "Incorrect expiry",
    ),
    _row(
        ("upstream_funds", "operator_failover", ADDS),
        "Not enough funds",
        "neworder.error.not_enough_funds",
        "not_enough_funds",
        "neworder.error.insufficient_balance",
        "Insufficient balance",
        "Insufficient funds",
        prefix=True,
    ),
    _row(
        ("duplicate_link", "wait", ADD),
        "You have active order with this link. Please wait until order being completed",
        "You have active order with this link",
        "neworder.error.link_duplicate",
        "link_duplicate",
        "An identical order was just placed",
        "error.duplicate_order",
        "Duplicate order",
        "neworder.error.too_many_orders",
    ),
    _row(
        ("order_unknown", "later", ABOUT_ORDERS),
        "Incorrect order ID",
        "Incorrect order IDs",
        "error.incorrect_order_id",
        "Order not found",
        "Invalid Order Id",
        "Invalid Order Ids",
        "The selected order id is invalid",
    ),
    _row(
        ("refill_unknown", "final", frozenset({"refill_status"})),
        "Incorrect refill ID",
        "Refill not found",
        "Refill Request Not found",
        "error.incorrect_refill_id",
        "Refill ID required",
    ),
    _row(
        ("refill_not_supported", "final", REFILL),
        "Refill is disabled for this service",
        "Refill not allowed",
        "Service does not support refill",
        "Refill not supported for this service",
    ),
    _row(
        ("refill_too_early", "later", REFILL),
        "The order was completed or refill was requested less than 24 hours ago",
        "Refill not allowed yet",
    ),
    _row(
        ("refill_order_not_completed", "later", REFILL),
        "The order is not completed",
        "The refill task is not completed for this order",
    ),
    _row(("refill_open", "wait", REFILL), "Refill already in progress", "Refill already requested"),
    _row(("refill_expired", "final", REFILL), "Refill days are over", "Refill expired", prefix=True),
    _row(
        ("refill_not_eligible", "final", REFILL),
        "Order not eligible for refill",
        "You are not eligible to send refill request",
        "Invalid Request",
        "Already completed",
        "Already refunded",
        prefix=True,
    ),
    _row(
        ("cancel_refused", "final", frozenset({"cancel"})),
        "Cancel not allowed",
        "Order cannot be cancelled",
        "You are not eligible to cancel this order",
        "Cannot cancel",
        "Cancellation via API is not supported",
        "Cancel not supported for this service",
        prefix=True,
    ),
    _row(("too_many_ids", "final", ABOUT_ORDERS), "Maximum 100 orders", prefix=True),
    _row(("rate_limited", "later", ANY), "Too many requests", "Rate limit exceeded", prefix=True),
    _row(
        ("maintenance", "later", ANY),
        "This panel is temporarily unavailable",
        "Hệ thống đang bảo trì",
        prefix=True,
    ),
    _row(
        ("server_error", "ambiguous", COMMANDS),
        "Internal server error",
        "Server error",
        "Failed to place order",
        "Order could not be created",
        "There was an error processing your request. Please try again later",
        prefix=True,
    ),
    _row(("product_not_found", "failover", ADD_PRODUCT), "Incorrect product ID"),
    _row(("require_invalid", "final", ADD_PRODUCT), "Incorrect require"),
    _row(("out_of_stock", "failover", ADD_PRODUCT), "Out of stock", "Not enough stock"),
)
