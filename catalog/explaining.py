"""How a price comes about, step by step in words and figures: what staff answer somebody with who doubts one.

The figures are those of catalog/pricing.py, from the same terms; only the names of things are read beside them.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from django.db.models import F, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.money import plain
from accounts.templatetags.money import price
from catalog import pricing
from catalog.models import Markup, ProviderService
from catalog.pricing import Terms


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is, how it is reckoned, and the rate that it leaves, with its currency."""

    name: str | Promise
    how: str
    rate: str


def explain(terms: Terms, user: User | None) -> list[Step]:
    """Return the steps from the provider's rate to what a customer pays (None: anybody); two queries.

    `terms` are those of that customer, and of a moment ago.
    """
    listed, own = _explain_list(terms), _explain_customer(terms, user) if user is not None else []
    exact, rate, cost = pricing.rate_exactly(terms), pricing.sell_rate(terms), pricing.cost_rate(terms)
    how = _("for one, rounded up to 6 places") if terms.is_each else _("per 1000, rounded up to 6 places")
    share = str(_("%s %% of it, when the provider is paid")) % f"{(rate - cost) / rate * 100:.1f}"
    return [
        *_explain_cost(terms),
        *listed,
        *own,
        *_explain_floor(terms, exact),
        Step(_("Charged"), str(how), price(rate)),
        Step(_("Left for us"), share, price(rate - cost)),
    ]


def find_markup(terms: Terms) -> Markup | None:
    """Return the rule that wins for a service: its own, its category's, its provider's or the site's."""
    anywhere = Q(service=None, category=None, provider=None)
    of_it = Q(service=terms.service_id) | Q(category__services=terms.service_id) | Q(provider=terms.provider_id)
    rules = Markup.objects.filter(of_it | anywhere).select_related("service", "category", "provider")
    specific = [F(scope).asc(nulls_last=True) for scope in ("service_id", "category_id", "provider_id")]
    return rules.order_by(*specific).first()


def tell_scope(markup: Markup) -> str:
    """Say what a rule is for."""
    for name, row in (
        (_("Service"), markup.service),
        (_("Category"), markup.category),
        (_("Provider"), markup.provider),
    ):
        if row is not None:
            return f"{name}: {row}"
    return str(_("The whole site"))


def _explain_cost(terms: Terms) -> list[Step]:
    if terms.provider_service_id is None:
        return [Step(_("Cost"), str(_("what one cost us, as staff wrote down")), price(pricing.cost_rate(terms)))]
    remote = ProviderService.objects.select_related("provider").get(pk=terms.provider_service_id)
    named = {"provider": remote.provider, "service": remote.remote_id, "position": terms.route_position}
    where = str(_("%(provider)s, its service %(service)s, by route %(position)s")) % named
    times = str(_("× %s, the exchange rate")) % plain(terms.exchange_rate)
    return [
        Step(_("Provider's rate"), where, f"{plain(terms.provider_rate)} {remote.provider.currency}"),
        Step(_("Cost"), times, price(pricing.cost_rate(terms))),
    ]


def _explain_list(terms: Terms) -> list[Step]:
    exact = pricing.list_exactly(terms)
    if terms.own_rate is not None:
        return [Step(_("Own rate"), str(_("set for this service, whatever the cost and the markups")), price(exact))]
    markup = find_markup(terms)
    if markup is None:
        return [Step(_("Markup"), str(_("none")), price(exact))]
    told = {"of": tell_scope(markup), "percent": plain(terms.percent), "fixed": price(terms.fixed)}
    how = str(_("+ %(percent)s %% + %(fixed)s (%(of)s)")) % told
    steps = [Step(_("Markup"), how, price(pricing.list_exactly(replace(terms, round_to=None))))]
    if terms.round_to is not None:
        steps.append(Step(_("Rounded up"), str(_("to a multiple of %s")) % price(terms.round_to), price(exact)))
    return steps


def _explain_customer(terms: Terms, user: User) -> list[Step]:
    """Say what a customer's own terms make of the list rate."""
    exact = price(pricing.rate_exactly(terms))
    if terms.custom_rate is not None:
        return [Step(_("Custom rate"), str(_("his own for this service; no discount on top")), exact)]
    if not terms.discount_percent:
        return [Step(_("Discount"), str(_("none")), exact)]
    of = str(_("his own"))
    if user.group is not None and user.group.discount_percent > user.discount_percent:
        of = str(_("of his group %s")) % user.group
    return [Step(_("Discount"), f"− {plain(terms.discount_percent)} % ({of})", exact)]


def _explain_floor(terms: Terms, exact: Decimal) -> list[Step]:
    """Say what becomes of a rate below the cost; nothing of any other."""
    cost = pricing.cost_rate(terms)
    if exact >= cost:
        return []
    if terms.allow_loss:
        return [Step(_("Below cost"), str(_("this service may be sold at a loss")), price(exact))]
    return [Step(_("Lifted to the cost"), str(_("nothing is sold below it")), price(cost))]
