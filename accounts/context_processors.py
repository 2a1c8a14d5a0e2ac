from decimal import Decimal

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import ledger


def shop(request: HttpRequest) -> dict[str, object]:
    """Give every page the shop's name, its currency and the customer's balance."""
    user = getattr(request, "user", None)

    def read() -> Decimal:
        return ledger.read_balance(user.pk) if user is not None and user.is_authenticated else Decimal(0)

    return {"site_name": settings.SITE_NAME, "currency": settings.CURRENCY, "balance": SimpleLazyObject(read)}
