"""How providers misbehave in a run: what they refuse with, and three kinds of weather, from fair to storm."""

from dataclasses import dataclass

# Every class of PROTOCOL 4 that an order can meet; what is named twice comes twice as often.
REFUSALS = (
    "neworder.error.link",  # final
    "Quantity more than maximum 10",  # final
    "Incorrect service ID",  # failover
    "Service is not available",  # failover
    "Disabled service ID",  # failover
    "Not enough funds on balance",  # operator_failover
    "Insufficient funds",  # operator_failover
    "Rate limit exceeded",  # later
    "This panel is temporarily unavailable",  # later
    "You have active order with this link. Please wait until order being completed",  # wait
    "Failed to place order",  # ambiguous
    "The moon is in the seventh house",  # nobody knows it
)

Rules = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Weather:
    """How a provider misbehaves for a while; `seconds` is what slow and hanging answers take."""

    name: str
    rules: Rules
    seconds: float = 1.0


# What the documents with products print (PROTOCOL 3.9), come true.
SLIPS = {"missing_commas": 0.1, "double_braces": 0.1, "two_objects": 0.1}
FAIR = Weather(
    "fair",
    {
        "add": {"slow": 0.2, "notice": 0.1, "wrong_types": 0.1, "error": 0.12, "refuse_429": 0.02},
        "status": {"slow": 0.2, "wrong_types": 0.2, "notice": 0.1},
        "cancel": {"slow": 0.2, "wrong_types": 0.2},
        "refill": {"slow": 0.2, "wrong_types": 0.2},
        "add_product_order": {"slow": 0.2, "notice": 0.1, "wrong_types": 0.1, "error": 0.08, "refuse_429": 0.02},
        "product_order_status": {"slow": 0.2, "wrong_types": 0.2, "notice": 0.1} | SLIPS,
        "result_product": {"slow": 0.2, "wrong_types": 0.2, "notice": 0.1} | SLIPS,
        "products": {"slow": 0.3} | SLIPS,
    },
    seconds=0.3,
)
ROUGH = Weather(
    "rough",
    {
        "add": {
            "error": 0.15,
            "maintenance_503": 0.06,
            "refuse_429": 0.02,
            "hang": 0.03,
            "slow": 0.02,
            "reset": 0.03,
            "accepted_500": 0.03,
            "cut": 0.02,
            "no_id": 0.02,
            "garbage": 0.01,
            "html": 0.02,
            "http500": 0.01,
            "empty": 0.01,
            "cut_before": 0.02,
        },
        "status": {"http500": 0.1, "html": 0.1, "cut": 0.1, "hang": 0.05, "refuse_429": 0.02},
        "balance": {"http500": 0.2, "html": 0.1},
        "orders": {"http500": 0.2, "cut": 0.1},
        "cancel": {"reset": 0.2, "accepted_500": 0.1, "hang": 0.05, "cut_before": 0.1},
        "refill": {"reset": 0.2, "accepted_500": 0.1, "hang": 0.05, "cut_before": 0.1},
        "refill_status": {"http500": 0.2, "html": 0.1},
        "add_product_order": {
            "error": 0.1,
            "maintenance_503": 0.05,
            "hang": 0.03,
            "reset": 0.03,
            "accepted_500": 0.03,
            "cut": 0.02,
            "no_id": 0.02,
            "html": 0.02,
            "http500": 0.02,
            "cut_before": 0.02,
        }
        | SLIPS,
        "product_order_status": {"http500": 0.1, "cut": 0.1, "hang": 0.05, "refuse_429": 0.02} | SLIPS,
        "result_product": {"http500": 0.1, "html": 0.1, "cut": 0.1, "hang": 0.05, "reset": 0.1} | SLIPS,
        "products": {"http500": 0.2, "cut": 0.1} | SLIPS,
    },
    seconds=2.0,
)
STORM = Weather(
    "storm",
    {
        "add": {"hang": 0.1, "reset": 0.15, "cut": 0.1, "html": 0.05, "error": 0.3, "maintenance_503": 0.1},
        "status": {"http500": 0.5, "cut": 0.3},
        "balance": {"http500": 0.5},
        "orders": {"http500": 0.5},
        "cancel": {"hang": 0.3, "reset": 0.3},
        "refill": {"hang": 0.3, "reset": 0.3},
        "add_product_order": {"hang": 0.1, "reset": 0.15, "cut": 0.1, "error": 0.2, "maintenance_503": 0.1},
        "product_order_status": {"http500": 0.5, "cut": 0.3},
        "result_product": {"http500": 0.3, "cut": 0.3, "hang": 0.2},
        "products": {"http500": 0.5, "cut": 0.3},
    },
    seconds=2.0,
)
WEATHERS = (FAIR, ROUGH, STORM)
# Of a provider that remembers keys doubt is cheap: there it is sent again, and may be refused the second time.
CHANCES = ((5, 6, 1), (2, 5, 5), (4, 6, 2))
AT_FIRST = (ROUGH, STORM, FAIR)
