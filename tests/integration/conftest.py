import pytest

from catalog import importing
from catalog.models import Provider
from catalog.providers.sandbox import Sandbox


@pytest.fixture
def shop(provider: Provider, sandbox: Sandbox) -> Provider:
    """A provider that lists ten services, 1 to 10, at rate 1, all of them on sale here as they are."""
    sandbox.services.clear()
    for number in range(1, 11):
        sandbox.set_service(
            number, name=f"Visits, plan {number}", type="Default", category="Web", rate="1", min="10", max="1000"
        )
    importing.import_services(provider)
    return provider
