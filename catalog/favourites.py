"""The services that a customer starred, so that he finds them again among ten thousand others."""

from collections.abc import Collection

from accounts.errors import UserError
from catalog.models import Favourite, Service


def toggle(user_id: int, service_id: int) -> bool:
    """Star a service or take the star away; return whether it is starred now.

    Raises UserError for one that is not on sale, unless it was starred before.
    """
    if Favourite.objects.filter(user_id=user_id, service_id=service_id).delete()[0]:
        return False
    if not Service.objects.filter(pk=service_id, enabled=True, is_product=False).exists():
        raise UserError("Service is not available", field="service")
    Favourite.objects.bulk_create([Favourite(user_id=user_id, service_id=service_id)], ignore_conflicts=True)
    return True


def is_starred(user_id: int, service_id: int) -> bool:
    """Tell whether a customer starred a service."""
    return Favourite.objects.filter(user_id=user_id, service_id=service_id).exists()


def list_starred(user_id: int, among: Collection[int] | None = None) -> set[int]:
    """Return the ids of the services that a customer starred, all of them or those among the given."""
    starred = Favourite.objects.filter(user_id=user_id)
    if among is not None:
        starred = starred.filter(service__in=among)
    return set(starred.values_list("service_id", flat=True))
