"""Choosing what to sell of a provider's list, of services or of products: found, priced and named before it is written.

It works from the table of what the provider listed when it was last read, never from the network. What a preview shows
and what is put on sale come from the same draft.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.errors import UserError
from catalog import importing, kinds, pricing
from catalog.models import Category, Markup, Provider, ProviderService, Route, Service
from catalog.pricing import Terms

Type = Service.Type
# A provider's row without a category goes there.
NO_CATEGORY = "Other"
TEMPLATE = "{name}"
TOKENS = ("{name}", "{category}", "{id}")
LONGEST_NAME = 300  # its column
# So many services are made in one transaction.
BATCH = 1000
UNKNOWN_TYPE = gettext_lazy("Not on sale: nobody knows the type “%s”")
FREE = gettext_lazy("Not on sale: it lists no rate")


@dataclass(frozen=True, slots=True)
class Price:
    """The rule that each service put on sale gets of its own."""

    percent: Decimal = Decimal(0)
    fixed: Decimal = Decimal(0)
    round_to: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be put on sale, and how: no price leaves it to the rules there are.

    `categories` says which of ours a category of theirs becomes; what it lacks keeps its name. `template` names
    services by `{name}`, `{category}` (theirs) and `{id}` (theirs).
    """

    provider: Provider
    row_ids: AbstractSet[int]
    price: Price | None = None
    categories: Mapping[str, str] = field(default_factory=dict)
    template: str = TEMPLATE
    is_product: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One category of a provider: how many services it has, how many of them are not ours yet, how many are chosen."""

    name: str
    total: int
    left: int
    chosen: int


@dataclass(frozen=True, slots=True)
class Draft:
    """One service as it would be; cost and rate at the list price, `note` why it would not be on sale."""

    row: ProviderService
    name: str
    category: str
    kind: Service.Type
    cost: Decimal
    rate: Decimal
    note: str | Promise = ""

    @property
    def type(self) -> str:
        """What kind of order it takes, as people read it."""
        return str(kinds.read_kind(self.row.type).label) if self.row.is_product else str(self.kind.label)

    @property
    def margin(self) -> Decimal:
        """What is left of the rate when the provider is paid, from 0 to 1."""
        return (self.rate - self.cost) / self.rate


@dataclass(frozen=True, slots=True)
class PutOnSale:
    """How many services were put on sale, were made but are not, and were left out since they changed meanwhile."""

    on_sale: int
    off_sale: int
    left_out: int


def list_rows(provider: Provider, *, is_product: bool = False) -> QuerySet[ProviderService]:
    """Return what can be chosen of a provider; `service_id` is ours where there is one already."""
    routes = Route.objects.filter(provider_service=OuterRef("pk"))
    listed = ProviderService.objects.filter(provider=provider, is_product=is_product, vanished_at=None, waiting="")
    return (
        listed.filter(min__gte=1, max__gte=F("min"))
        .annotate(used=Exists(routes), service_id=Subquery(routes.order_by("pk").values("service_id")[:1]))
        .order_by("category", "pk")
    )


def list_new(provider: Provider, *, is_product: bool = False) -> QuerySet[ProviderService]:
    """Return what can be put on sale of a provider: what no service of ours comes from."""
    return list_rows(provider, is_product=is_product).filter(routes=None)


def list_groups(provider: Provider, chosen: Collection[int], *, is_product: bool = False) -> list[Group]:
    """Return a provider's categories, with what is left to choose in each."""
    rows = list_rows(provider, is_product=is_product).order_by().values("category")
    counted = rows.annotate(total=Count("pk"), left=Count("pk", filter=Q(used=False))).order_by("category")
    picked = Counter(pick(provider, chosen, is_product=is_product).values())
    return [Group(row["category"], row["total"], row["left"], picked[row["category"]]) for row in counted]


def search(rows: QuerySet[ProviderService], text: str) -> QuerySet[ProviderService]:
    """Return the rows that a search finds: by their IDs, with blanks or commas between, or by words."""
    words = text.replace(",", " ").split()
    if words and all(word.isdigit() for word in words):
        return rows.filter(remote_id__in=words)
    for word in words:
        rows = rows.filter(Q(name__icontains=word) | Q(category__icontains=word) | Q(remote_id__iexact=word))
    return rows


def pick(provider: Provider, row_ids: Iterable[int], *, is_product: bool = False) -> dict[int, str]:
    """Return those of some rows that can be put on sale, in the list's order, each with its category.

    Compared here: a statement takes no more than 65,535 parameters, and a list may be longer.
    """
    wanted = set(row_ids)
    rows = list_new(provider, is_product=is_product).values_list("pk", "category") if wanted else ()
    return {pk: category for pk, category in rows if pk in wanted}


def choose_groups(provider: Provider, names: Collection[str], *, is_product: bool = False) -> set[int]:
    """Return the rows of whole categories that can be put on sale."""
    rows = list_new(provider, is_product=is_product).filter(category__in=list(names))
    return set(rows.values_list("pk", flat=True))


def propose_categories(provider: Provider, row_ids: Collection[int], *, is_product: bool = False) -> dict[str, str]:
    """Return what the categories of chosen rows would be called here: as one of ours in any case, else as theirs."""
    ours = {name.casefold(): name for name in Category.objects.values_list("name", flat=True)}
    names = dict.fromkeys(pick(provider, row_ids, is_product=is_product).values())
    return {name: ours.get((name or NO_CATEGORY).casefold(), name or NO_CATEGORY) for name in names}


def check_template(template: str) -> str:
    """Return a template for names; raise UserError when it would name all services alike or has an unknown token."""
    text = " ".join(template.split())
    if "{name}" not in text and "{id}" not in text:
        raise UserError(_("It needs {name} or {id}: else all services are called the same"), field="template")
    rest = text
    for token in TOKENS:
        rest = rest.replace(token, "")
    if "{" in rest or "}" in rest:
        raise UserError(_("It may hold %s and words, nothing else in braces") % ", ".join(TOKENS), field="template")
    return text


def name_service(template: str, row: ProviderService) -> str:
    """Return the name of a service made from a row."""
    filled = {"{name}": row.name, "{category}": row.category or NO_CATEGORY, "{id}": row.remote_id}
    text = template
    # The name last: what stands in it is no token.
    for token in ("{category}", "{id}", "{name}"):
        text = text.replace(token, filled[token])
    return " ".join(text.split())[:LONGEST_NAME]


def draft(choice: Choice, rows: Collection[ProviderService]) -> list[Draft]:
    """Return what rows would become; one query, whatever their number."""
    rules = _read_rules(choice)
    proposed = {row.category: choice.categories.get(row.category) or row.category or NO_CATEGORY for row in rows}
    return [_draft(choice, row, proposed[row.category], rules) for row in rows]


def put_on_sale(choice: Choice) -> PutOnSale:
    """Make a service with a route, and its own rule where there is a price, of each chosen row.

    So many rows are one transaction: nothing is sent to a provider while it is locked, and what is done is done when
    the rest fails. What was put on sale or vanished meanwhile is left out.
    """
    ids = sorted(choice.row_ids)
    parts = [_put_some(choice, ids[start : start + BATCH]) for start in range(0, len(ids), BATCH)]
    services = [service for part in parts for service in part]
    on_sale = sum(services)
    return PutOnSale(on_sale, len(services) - on_sale, len(ids) - len(services))


@transaction.atomic
def _put_some(choice: Choice, row_ids: Collection[int]) -> list[bool]:
    """Make a service of each of some rows, looked at again under the provider's lock; tell which are on sale."""
    provider = Provider.objects.select_for_update().get(pk=choice.provider.pk)
    rows = list(list_new(provider, is_product=choice.is_product).filter(pk__in=row_ids))
    drafts = draft(choice, rows)
    categories = _make_categories({one.category for one in drafts})
    services = [_make_service(one, categories[one.category.casefold()]) for one in drafts]
    Service.objects.bulk_create(services)
    importing.make_products(services, [one.row for one in drafts])
    pairs = zip(services, drafts, strict=True)
    Route.objects.bulk_create([Route(service=service, provider_service=one.row) for service, one in pairs])
    price = choice.price
    if price is not None:
        rules = [
            Markup(service=service, percent=price.percent, fixed=price.fixed, round_to=price.round_to)
            for service in services
        ]
        Markup.objects.bulk_create(rules)
    return [service.enabled for service in services]


def _draft(choice: Choice, row: ProviderService, category: str, rules: Mapping[str, Price]) -> Draft:
    kind = Type.DEFAULT if row.is_product else kinds.read_type(row.type)
    price = choice.price or rules.get(category.casefold()) or rules[""]
    terms = _make_terms(choice.provider, row, kind, price)
    note: str | Promise = ""
    if kind == Type.UNKNOWN:
        note = UNKNOWN_TYPE % row.type
    elif not row.rate:
        note = FREE
    return Draft(
        row=row,
        name=name_service(choice.template, row),
        category=category,
        kind=kind,
        cost=pricing.cost_rate(terms),
        rate=pricing.list_rate(terms),
        note=note,
    )


def _make_terms(provider: Provider, row: ProviderService, kind: Service.Type, price: Price) -> Terms:
    """Return the terms that the service would have for a customer without any of his own."""
    return Terms(
        service_id=0,
        provider_service_id=row.pk,
        provider_id=provider.pk,
        route_position=1,
        provider_rate=row.rate,
        exchange_rate=provider.exchange_rate,
        percent=price.percent,
        fixed=price.fixed,
        round_to=price.round_to,
        own_rate=None,
        custom_rate=None,
        discount_percent=Decimal(0),
        per=_read_per(kind, is_product=row.is_product),
        allow_loss=False,
    )


@cache
def _read_per(kind: Service.Type, *, is_product: bool) -> int | None:
    return Service(type=kind, is_product=is_product).per


def _read_rules(choice: Choice) -> dict[str, Price]:
    """Return the rules that count where no price is given: by our category, and under "" the provider's or site's."""
    scopes = Q(service=None) & (Q(provider=None) | Q(provider=choice.provider))
    found = Markup.objects.filter(scopes).select_related("category")
    rules: dict[str, Price] = {"": Price()}
    # A provider's rule comes after the site's.
    for rule in sorted(found, key=lambda rule: rule.provider_id is not None):
        name = rule.category.name.casefold() if rule.category else ""
        rules[name] = Price(rule.percent, rule.fixed, rule.round_to)
    return rules


def _make_categories(names: Collection[str]) -> dict[str, Category]:
    """Return our categories by name in lower case; what differs in case alone is one."""
    known = {category.name.casefold(): category for category in Category.objects.all()}
    for name in sorted(names):
        if name.casefold() not in known:
            known[name.casefold()] = Category.objects.create(name=name)
    return known


def _make_service(one: Draft, category: Category) -> Service:
    row = one.row
    return Service(
        category=category,
        name=one.name,
        description=row.description,
        type=one.kind,
        min=row.min,
        max=row.max,
        refill=bool(row.refill),
        cancel=bool(row.cancel),
        # What the provider does not say about drip-feed stays off until staff switch it on (PROTOCOL 12).
        dripfeed=bool(row.dripfeed) and one.kind in kinds.SPREADABLE,
        is_product=row.is_product,
        enabled=not one.note,
    )
