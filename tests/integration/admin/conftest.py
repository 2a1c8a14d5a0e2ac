import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from catalog.models import Service
from catalog.providers.sandbox import Sandbox
from orders import forwarding
from orders.models import Dispatch
from tests.conftest import Fund, Place


@pytest.fixture
def unclear(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> Dispatch:
    """A dispatch that the sandbox accepted without saying so."""
    fund(customer, "100")
    sandbox.misbehave("add", "reset")
    order = place(customer, service)
    forwarding.forward_all()
    return order.dispatches.get()


@pytest.fixture
def helper(db: None) -> User:
    """A member of staff who may do nothing yet."""
    return User.objects.create_user("hilda", "hilda@example.org", "hilda-password", is_staff=True)


@pytest.fixture
def helper_client(helper: User) -> Client:
    client = Client()
    client.force_login(helper, backend="django.contrib.auth.backends.ModelBackend")
    return client


def allow(user: User, *names: str) -> None:
    """Give a user permissions such as `orders.view_order`."""
    for name in names:
        label, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
