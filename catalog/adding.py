"""Adding a provider: nothing is written before it has answered with our balance (`manage.py add_provider`, admin).

A currency other than the panel's needs an exchange rate: taking it for the panel's own is the classic silent loss.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.db.models import Model
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.errors import UserError
from catalog import connecting, detecting, secrets
from catalog.detecting import Detected
from catalog.models import Markup, Provider
from catalog.providers.connection import Connection
from catalog.providers.dialects import dialect
from catalog.providers.errors import ProviderError, Reason, Unavailable
from catalog.providers.replies import Balance

CURRENCY = re.compile(r"[A-Z]{3}")
# What a provider that does not say its currency counts in, as nearly all do (PROTOCOL 3).
USUAL_CURRENCY = "USD"
# Asked so, nearly all answer; how they answer tells the rest.
PROBED_AS = "perfectpanel"
HINT_LENGTH = 4
LONGEST_URL = 300  # its column


@dataclass(frozen=True, slots=True)
class NewProvider:
    """A provider to be added. No currency: the one that it says; no exchange rate: 1, if that is the panel's own.

    `markup_percent` becomes the provider's own rule; None makes none. `overrides` are flags that differ from the
    dialect's, which a dialect that is to be detected has none of yet (`look_into`).
    """

    name: str
    url: str
    key: str = field(repr=False)
    currency: str = ""
    exchange_rate: Decimal | None = None
    markup_percent: Decimal | None = None
    dialect: str = "perfectpanel"
    overrides: Mapping[str, Any] = field(default_factory=dict)


def look_into(new: NewProvider) -> tuple[NewProvider, Detected]:
    """Ask a provider how it speaks; return what is to be added with its dialect, and what was found.

    Reads only, writes nothing; raises UserError as `add_provider` does. Never call it inside a transaction.
    """
    provider, _markup = _build(replace(new, dialect=PROBED_AS, overrides={}))
    with _explained(provider), connecting.connect(provider) as client:
        found = detecting.detect(client.connection)
    return replace(new, dialect=found.dialect, overrides=found.overrides), found


def detect_again(provider: Provider) -> Detected:
    """Ask a provider that is known already how it speaks; write nothing, raise as `ask_balance`."""
    with _explained(provider), connecting.connect(provider) as client:
        return detecting.detect(client.connection)


def add_provider(new: NewProvider) -> tuple[Provider, Balance]:
    """Test a provider's address and key by reading our balance, then add it; return both.

    Raises UserError, and nothing is written then: a name that exists, a value that cannot be, no answer, a refused key,
    or another currency without an exchange rate. Never call it inside a transaction, since it waits for the network.
    """
    provider, markup = _build(new)
    balance = ask_balance(provider)
    provider.currency = _choose_currency(new, balance)
    if new.exchange_rate is None and provider.currency != settings.CURRENCY:
        raise UserError(
            f"The provider counts in {provider.currency}, the panel in {settings.CURRENCY}: an exchange rate is needed",
            field="exchange_rate",
        )
    provider.balance, provider.balance_at = balance.amount, timezone.now()
    try:
        with transaction.atomic():
            provider.save()
            if markup is not None:
                markup.save()
    except IntegrityError as error:
        raise UserError(f"A provider named '{provider.name}' exists already", field="name") from error
    except DataError as error:
        raise UserError(f"A balance of {balance.amount} cannot be kept", field="api_url") from error
    return provider, balance


def find_provider(name: str) -> Provider:
    """Return the provider with a name, in any case; raise UserError when there is none."""
    provider = Provider.objects.annotate(lowered=Lower("name")).filter(lowered=name.strip().lower()).first()
    if provider is None:
        raise UserError(f"No provider is named '{name}'", field="name")
    return provider


def ask_balance(provider: Provider) -> Balance:
    """Ask a provider that is not saved yet for our balance; raise UserError naming its address or key."""
    with _explained(provider), connecting.connect(provider) as client:
        return client.balance()


def retest(provider: Provider) -> Balance:
    """Ask a provider for our balance, keep it, and end a pause that it proves needless; raise as `ask_balance`."""
    with _explained(provider):
        return connecting.read_balance(provider)


@contextmanager
def _explained(provider: Provider) -> Iterator[None]:
    """Turn a provider's failure into what staff can mend: its address or its key."""
    try:
        yield
    except ProviderError as error:
        refused = isinstance(error, Unavailable) and error.reason == Reason.KEY
        what = "refuses the key" if refused else "did not tell our balance"
        raise UserError(f"{provider.api_url} {what}: {error.text}", field="key" if refused else "api_url") from error


def set_key(provider: Provider, key: str) -> None:
    """Encrypt a key into a provider that is not saved yet; only the end of a long one can be read again."""
    key = key.strip()
    if not key:
        raise UserError("The key is empty", field="key")
    provider.key_encrypted = secrets.encrypt(key)
    provider.key_hint = key[-HINT_LENGTH:] if len(key) > 2 * HINT_LENGTH else ""


def check_connection(provider: Provider, key: str) -> None:
    """Raise UserError when no request could be written for a provider's settings and key; ask nobody."""
    try:
        speech = dialect(provider.dialect, provider.dialect_overrides)
    except ValueError as error:
        raise UserError(str(error), field="dialect") from error
    patience = connecting.connect_timeout(provider), connecting.read_timeout(provider)
    try:
        Connection(provider.api_url, key.strip(), speech, *patience)
    except ValueError as error:
        fields = {"key": "key", "time-out": "connect_timeout"}
        field = next((name for word, name in fields.items() if word in str(error)), "api_url")
        raise UserError(str(error), field=field) from error


def _build(new: NewProvider) -> tuple[Provider, Markup | None]:
    """Return what is to be saved; raise UserError for what can be told without asking the provider."""
    provider = Provider(
        name=new.name.strip(), api_url=new.url.strip(), dialect=new.dialect, dialect_overrides=dict(new.overrides)
    )
    if Provider.objects.annotate(lowered=Lower("name")).filter(lowered=provider.name.lower()).exists():
        raise UserError(f"A provider named '{provider.name}' exists already", field="name")
    if new.currency and not CURRENCY.fullmatch(new.currency.upper()):
        raise UserError(f"'{new.currency}' is not a currency: three letters such as USD", field="currency")
    set_key(provider, new.key)
    check_connection(provider, new.key)
    if new.exchange_rate is not None:
        provider.exchange_rate = new.exchange_rate
    # A host without a dot is an address too, which URLField does not know.
    _clean(provider, exclude={"api_url", "key_encrypted", "key_hint"})
    if provider.exchange_rate <= 0:
        raise UserError("The exchange rate must be above zero", field="exchange_rate")
    if len(provider.api_url) > LONGEST_URL:
        raise UserError("The URL is too long", field="api_url")
    if new.markup_percent is None:
        return provider, None
    markup = Markup(provider=provider, percent=new.markup_percent)
    _clean(markup, exclude={"provider"})
    if markup.percent < 0:
        raise UserError("The markup must be 0 percent or more", field="markup_percent")
    return provider, markup


def _clean(row: Model, *, exclude: Collection[str]) -> None:
    try:
        row.clean_fields(exclude=exclude)
    except ValidationError as error:
        field, (text, *_) = next(iter(error.message_dict.items()))
        raise UserError(f"{field.replace('_', ' ')}: {text}", field=field) from error


def _choose_currency(new: NewProvider, balance: Balance) -> str:
    """Return the currency given, else the one that the provider says, else the usual one."""
    said = balance.currency.strip().upper()
    if new.currency:
        return new.currency.upper()
    if said and not CURRENCY.fullmatch(said):
        raise UserError(f"The provider counts in '{balance.currency}': name the currency to keep", field="currency")
    return said or USUAL_CURRENCY
