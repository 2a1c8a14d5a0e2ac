"""Detecting how a provider speaks, from reads alone: `balance`, `services` and, once, `products` (PROTOCOL 0, 3, 10).

One that sells products is also asked for the goods of an order that nobody has: what it refuses, the order or the
question, tells whether it knows the action. Only what all these show is concluded. Nothing in them proves that a
provider remembers idempotency keys, and to believe that in error would buy twice: a dialect with such a key is chosen
by a person, never here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from catalog.providers import order_replies
from catalog.providers.answers import Answer, failed_read, read_answer, refused_read
from catalog.providers.connection import Connection
from catalog.providers.errors import ProviderError, Reason
from catalog.providers.fields import Misshapen, folded, text_of
from catalog.providers.redaction import redactor
from catalog.providers.transport import Transport

# What the adding form and command call it.
DETECT = "detect"
MEGABYTE = 1024 * 1024
BALANCES = ("balance", "funds", "amount")
LISTS = ("services", "products", "data")
# Numbers of C5's refill flag that no yes or no has: through the provider, and off (PROTOCOL 3.1).
MORE_THAN_YES_OR_NO = frozenset({"2", "3"})
ONE_DG_TYPE = "(1dg)"
ONE_DG_DECIMALS = 4
# An order that nobody has.
NO_ORDER = "0"
# What a list of this very software holds, and PerfectPanel's mostly does not.
OUR_KEYS = frozenset({"cancel", "dripfeed", "desc"})


@dataclass(frozen=True, slots=True)
class Detected:
    """The preset that fits a provider best, the flags in which it differs from it, and why, in words for staff."""

    dialect: str
    findings: list[str]
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signs:
    """What the answers showed; `decimals` are those of the balance, None where it is no text."""

    envelope: bool = False
    currency: str = ""
    decimals: int | None = None
    listed: bool = False
    rows: int = 0
    keys: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    rates_are_numbers: bool = False
    keyed: bool = False
    boxed: bool = False
    tri_state: bool = False
    products: bool = False
    hands_over: bool | None = None


def detect(connection: Connection) -> Detected:
    """Ask a provider for its balance, services and products, and conclude which dialect it speaks.

    Raises ProviderError when it does not tell our balance; a list that cannot be read is a finding. Waits for the
    network: never inside a transaction.
    """
    balance = _ask(connection, "balance")
    try:
        services: Any = _ask(connection, "services", times=2)
        trouble = ""
    except ProviderError as error:
        services, trouble = None, error.text
    products = _has_products(connection)
    hands_over = _hands_over(connection) if products else None
    return conclude(balance, services, products=products, hands_over=hands_over, trouble=trouble)


def conclude(
    balance: Any, services: Any, *, products: bool, hands_over: bool | None = None, trouble: str = ""
) -> Detected:
    """Return the dialect that fits answers as they were decoded.

    `hands_over` says whether it has the action `result_product`, None where that is not known; `trouble` says why there
    is no list of services.
    """
    signs = replace(_read_signs(balance, services, products=products), hands_over=hands_over)
    name, why = _choose(signs)
    overrides, differences = _find_overrides(name, signs)
    unread = [_("Its service list could not be read: %s") % trouble] if trouble else []
    return Detected(name, [*why, *differences, *_describe(signs), *unread], overrides)


def _ask(connection: Connection, action: str, *, times: float = 1) -> Any:
    """Return the decoded answer to a read, whatever it is; raise ProviderError when there is none."""
    answer = _send(connection, action, {}, times)
    failure = failed_read(answer)
    if failure is not None:
        raise failure
    if answer.error is not None:
        raise refused_read(answer)
    if action == "balance":
        try:
            order_replies.balance(answer.value)
        except Misshapen as error:
            raise answer.unavailable(Reason.UNREADABLE, str(error)) from error
    return answer.value


def _send(connection: Connection, action: str, params: Mapping[str, str], times: float) -> Answer:
    transport = Transport()
    cap = connection.dialect.max_body_mb * MEGABYTE
    try:
        seconds = connection.read_timeout * times
        request = connection.request(action, params)
        reply = transport.read(request, connect=connection.connect_timeout, read=seconds, cap=cap)
    finally:
        transport.close()
    return read_answer(reply, action, redactor(connection.key), connection.refusals)


def _has_products(connection: Connection) -> bool:
    try:
        value = _ask(connection, "products")
    except ProviderError:
        return False
    return any("product" in row for row in _rows(value)) or value == []


def _hands_over(connection: Connection) -> bool | None:
    """Tell whether a provider knows `result_product`; None where its answer says neither."""
    try:
        answer = _send(connection, "result_product", {"order": NO_ORDER}, 1)
    except ProviderError:
        return None
    condition = answer.refusal.condition if answer.refusal is not None else ""
    return {"order_unknown": True, "bad_request": False}.get(condition)


def _read_signs(balance: Any, services: Any, *, products: bool) -> Signs:
    rows = list(_rows(services))
    said = folded(balance) if isinstance(balance, Mapping) else {}
    amount = next((said[name] for name in BALANCES if name in said), balance)
    outer = folded(services) if isinstance(services, Mapping) else {}
    return Signs(
        envelope=text_of(said.get("status")).lower() == "success",
        currency=text_of(said.get("currency")),
        decimals=len(amount.partition(".")[2]) if isinstance(amount, str) else None,
        listed=services is not None,
        rows=len(rows),
        keys=frozenset(key for row in rows for key in row),
        types=frozenset(text_of(row.get("type")) for row in rows),
        rates_are_numbers=any(not isinstance(row.get("rate"), str) for row in rows),
        boxed=any(name in outer for name in LISTS),
        keyed=bool(outer) and not any(name in outer for name in LISTS),
        tri_state=any(text_of(row.get("refill")) in MORE_THAN_YES_OR_NO for row in rows),
        products=products,
    )


def _rows(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a list, of a list in an envelope, or of an object keyed by id."""
    if isinstance(value, Mapping):
        outer = folded(value)
        inner = next((outer[name] for name in LISTS if isinstance(outer.get(name), list | Mapping)), None)
        if inner is not None:
            yield from _rows(inner)
            return
        value = list(value.values())
    if isinstance(value, list):
        yield from (folded(row) for row in value if isinstance(row, Mapping))


def _choose(signs: Signs) -> tuple[str, list[str]]:
    """Return the family that something proves, with its proofs; else what nearly all speak (PROTOCOL 0)."""
    proofs = list(_prove_one_dg(signs))
    if proofs:
        return "1dg", proofs
    proofs = list(_prove_smartpanel(signs))
    # One of these alone is found in other families too.
    if len(proofs) > 1:
        return "smartpanel", proofs
    if "cancel" in signs.keys:
        return "perfectpanel", [
            _("Its services say whether they can be canceled, as PerfectPanel's do."),
            _("Whether it has the action cancel, no reading shows: say “none” where its documentation lacks it."),
        ]
    return "perfectpanel", [_("Nothing tells its family: it is taken for PerfectPanel's, as nearly all are.")]


def _prove_one_dg(signs: Signs) -> Iterator[str]:
    if any(ONE_DG_TYPE in kind.lower() for kind in signs.types):
        yield _("It has service types named (1DG).")
    if signs.products and "cancel" not in signs.keys:
        yield _("It sells products and its services say nothing of canceling, as the 1DG family does.")
        if signs.decimals == ONE_DG_DECIMALS:
            yield _("It writes its balance with 4 decimals, as that family does.")
        if signs.hands_over is None:
            yield _(
                "Whether it hands over what was bought, it does not say: look for result_product in its documentation."
            )


def _prove_smartpanel(signs: Signs) -> Iterator[str]:
    if "cancel" in signs.keys:
        return
    if signs.envelope:
        yield _("It puts “status: success” beside the balance, as SmartPanel does.")
    if any("_" in kind and kind == kind.lower() for kind in signs.types):
        yield _("It writes service types as custom_comments, as SmartPanel does.")
    if {"desc", "dripfeed"} <= signs.keys:
        yield _("Its services carry desc and dripfeed and say nothing of canceling, as SmartPanel's do.")


def _find_overrides(name: str, signs: Signs) -> tuple[dict[str, Any], list[str]]:
    """Return the flags in which a provider differs from its preset, and why."""
    overrides: dict[str, Any] = {}
    findings = []
    if signs.tri_state:
        overrides["refill_flag_map"] = "tri-state"
        findings.append(_("Its refill flag has numbers from 0 to 3: 3 means off."))
    if name == "perfectpanel" and signs.rows and "cancel" not in signs.keys:
        overrides["cancel"] = "none"
        findings.append(_("No service says that it can be canceled: no cancels are sent to it."))
    if signs.products and signs.hands_over is not None:
        overrides |= {} if signs.hands_over else {"result_product": False}
        findings.append(
            _("It hands over what was bought by the action result_product.")
            if signs.hands_over
            else _("It has no action result_product: what was bought is what its status says.")
        )
    if name == "perfectpanel" and signs.products:
        # One that names its goods by a token would be sold as the token itself; one without the action tells staff.
        overrides["products"], overrides["result_product"] = True, signs.hands_over is not False
        findings.append(_("It sells products."))
    if name == "perfectpanel" and signs.keys >= OUR_KEYS:
        findings.append(
            _("If it runs this very software, choose “panel”: that remembers keys, so nothing is bought twice.")
        )
    return overrides, findings


def _describe(signs: Signs) -> Iterator[str]:
    """Yield what is good to know and decides nothing."""
    if signs.currency:
        yield _("It counts in %s.") % signs.currency
    else:
        yield _("It does not say in which currency it counts: compare its site before you sell.")
    if not signs.listed:
        return
    if not signs.rows:
        yield _("Its service list is empty: mostly a key without rights, or an account that is not yet approved.")
        return
    yield _("It lists %(services)s services of %(types)s types.") % {
        "services": f"{signs.rows:,}",
        "types": len(signs.types),
    }
    known = [name for name in ("refill", "cancel", "dripfeed", "desc") if name in signs.keys]
    yield _("Flags in its list: %s.") % (", ".join(known) or _("none"))
    if signs.rates_are_numbers:
        yield _("It writes rates as numbers; they are read exactly all the same.")
    if signs.boxed or signs.keyed:
        yield _("Its list comes in an envelope; that is understood.")
    if not signs.products:
        yield _("It has no list of products.")
