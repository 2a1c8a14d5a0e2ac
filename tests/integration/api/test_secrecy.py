"""No key, and no digest of one, in any answer, log line or page, whatever goes wrong and wherever the key stood."""

import logging
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts import api_keys
from accounts.models import ApiKey, User
from catalog.models import Service
from orders.models import Order, TrialOrder
from panel.api.middleware import PATHS
from tests.conftest import Fund
from tests.fuzz import running, shop

Fields = dict[str, str]
# method, path, body and headers of a call with a key in one place.
Sent = tuple[str, str, str, Fields]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def in_body(key: str, path: str, fields: Fields) -> Sent:
    return "POST", path, urlencode({"key": key, **fields}), FORM


def in_query(key: str, path: str, fields: Fields) -> Sent:
    return "GET", f"{path}?{urlencode({'key': key, **fields})}", "", {}


def as_bearer(key: str, path: str, fields: Fields) -> Sent:
    return "POST", path, urlencode(fields), {**FORM, "Authorization": f"Bearer {key}"}


def as_header(key: str, path: str, fields: Fields) -> Sent:
    return "POST", path, urlencode(fields), {**FORM, "X-Api-Key": key}


PLACES = [in_body, in_query, as_bearer, as_header]
Place = Callable[[str, str, Fields], Sent]


def mistakes(service_id: int) -> list[Fields]:
    """Return calls that are answered, and calls with every kind of error."""
    order = {"action": "add", "service": str(service_id), "link": "https://example.org/", "quantity": "100"}
    return [
        {"action": "balance"},
        order,
        {**order, "quantity": "1e5"},
        {**order, "service": "0"},
        {**order, "idempotency_key": "once"},
        {**order, "idempotency_key": "once", "quantity": "200"},
        {"action": "status", "order": "1"},
        {"action": "cancel", "orders": "1,x"},
        {"action": "nonsense"},
        {"action": "status", "orders": "\x00"},
        {},
    ]


def ways(key: str, place: Place, service_id: int) -> Iterator[Sent]:
    """Return every kind of call with a key: mistakes, wrong methods and paths, bodies that cannot be read."""
    for fields in mistakes(service_id):
        yield place(key, "/api/v2", fields)
    for path in ("/api/v2/x", "/api/v1", "/api/v2//", "/api/v3/"):
        yield place(key, path, {"action": "balance"})
    _, path, body, headers = place(key, "/api/v2/", {"action": "balance"})
    yield "PUT", path, body, headers
    yield "POST", path, f'{{"key": "{key}", "action": ', {**headers, "Content-Type": "application/json"}
    yield "POST", path, f"x{key}", {**headers, "Content-Type": "multipart/form-data"}
    yield "POST", path, f"key={key}&".ljust(2 * 1024 * 1024 + 1, "x"), headers


class Listener(logging.Handler):
    """Takes down all that a record carries, and what a tool that reports failures would read of its request."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        request = getattr(record, "request", None)
        seen = [repr(vars(record)), self.format(record)]
        if request is not None and request.path_info in PATHS:
            seen += [repr(request.META), repr(dict(request.headers)), repr(vars(request))]
        self.told += seen


@pytest.fixture
def listener() -> Iterator[Listener]:
    handler, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def hold(key: str, told: str) -> None:
    assert key not in told
    assert api_keys.digest(key) not in told


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.django_db
@pytest.mark.usefixtures("books")
def test_no_record_of_any_logger_carries_a_key(
    place: Place, api_key: str, customer: User, service: Service, fund: Fund, listener: Listener
) -> None:
    fund(customer, "100")
    client = Client(raise_request_exception=False)
    for method, path, body, headers in ways(api_key, place, service.pk):
        content_type = headers.get("Content-Type", "")
        hold(api_key, client.generic(method, path, body, content_type, headers=headers).content.decode())
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_orderevent RENAME TO orders_orderevent_elsewhere")
    method, path, body, headers = place(api_key, "/api/v2", mistakes(service.pk)[1])
    answer = client.generic(method, path, body, headers.get("Content-Type", ""), headers=headers)
    assert answer.status_code == 500
    hold(api_key, "\n".join(listener.told))
    told = "\n".join(listener.told)
    assert "Method Not Allowed" in told
    assert "UndefinedTable" in told


@pytest.mark.parametrize("debug", ["0", "1"])
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("books")
def test_a_real_server_neither_answers_nor_prints_a_key(debug: str, tmp_path: Path) -> None:
    booth = shop.open_booths(1)[0]
    order = mistakes(booth.services[0].pk)[1]
    # With DEBUG Django prints statements at this level, and the digest is what a key is looked up by.
    level = "INFO" if debug == "1" else "DEBUG"
    with running.serving(tmp_path, DEBUG=debug, LOG_LEVEL=level) as (port, log):
        for sort, place in [*(("real", place) for place in PLACES), ("test", in_body), ("revoked", in_query)]:
            for method, path, body, headers in ways(booth.keys[sort], place, booth.services[0].pk):
                # Django's page for developers shows whoever mistyped an address what he sent.
                is_echo = debug == "1" and "?" in path and path.partition("?")[0] not in PATHS
                told = ask(port, method, path, body, headers)[1]
                assert is_echo or not [secret for secret in booth.secrets if secret in told]
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE orders_orderevent RENAME TO orders_orderevent_elsewhere")
        try:
            failed = [ask(port, *place(booth.keys["real"], "/api/v2", order)) for place in PLACES]
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE orders_orderevent_elsewhere RENAME TO orders_orderevent")
    assert {status for status, _ in failed} == {500}
    assert not [secret for secret in booth.secrets for _, told in failed if secret in told]
    printed = log.read_text()
    assert "Method Not Allowed" in printed
    assert "UndefinedTable" in printed
    assert not [secret for secret in booth.secrets if secret in printed]


def ask(port: int, method: str, path: str, body: str, headers: Fields) -> tuple[int, str]:
    """Send a call and return the status and all of the answer."""
    http = HTTPConnection("127.0.0.1", port, timeout=30)
    http.request(method, path, body, headers)
    answer = http.getresponse()
    told = f"{answer.headers}{answer.read().decode()}"
    http.close()
    return answer.status, told


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("books")
def test_no_page_of_the_admin_or_of_the_customer_has_a_key(staff_client: Client) -> None:
    booth = shop.open_booths(1)[0]
    call = mistakes(booth.services[0].pk)[4]
    for sort in ("real", "test"):
        assert "order" in Client().post("/api/v2", {"key": booth.keys[sort], **call}).json()
    pages = [path for model in admin.site._registry for path in find_pages(model)]
    assert f"/admin/accounts/user/{booth.user_id}/change/" in pages
    assert f"/admin/orders/order/{Order.objects.latest('pk').pk}/change/" in pages
    client = Client()
    client.force_login(User.objects.get(pk=booth.user_id), backend="django.contrib.auth.backends.ModelBackend")
    key = ApiKey.objects.get(digest=api_keys.digest(booth.keys["real"]))
    shown = {path: staff_client.get(path, follow=True).content.decode() for path in pages}
    for path in ("/", "/api/", f"/api/keys/{key.pk}/", "/api/docs/", "/orders/"):
        shown[path] = client.get(path, follow=True).content.decode()
    assert key.prefix in shown["/api/"]
    assert TrialOrder.objects.exists()
    for path, text in shown.items():
        assert not [secret for secret in booth.secrets if secret in text], path


def find_pages(model: Any) -> Iterator[str]:
    """Return the list of a model in the admin, and of its latest rows the page, the history and the deletion."""
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    yield reverse(f"admin:{name}_changelist")
    for row in model._default_manager.order_by("-pk")[:2]:
        for page in ("change", "history", "delete"):
            try:
                yield reverse(f"admin:{name}_{page}", args=[row.pk])
            except NoReverseMatch:
                continue


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("books")
def test_each_key_that_may_not_is_told_so_in_its_own_words_wherever_it_stands(place: Place) -> None:
    booth = shop.open_booths(1)[0]
    order = mistakes(booth.services[0].pk)[1]
    before = Order.objects.count()
    words = {**shop.WORDS, shop.READING: "This API key may only read"}

    def told(key: str, fields: Fields) -> bytes:
        method, path, body, headers = place(key, "/api/v2", fields)
        return Client().generic(method, path, body, headers.get("Content-Type", ""), headers=headers).content

    for sort, word in words.items():
        assert told(booth.keys[sort], order) == b'{"error":"%s"}' % word.encode(), sort
    User.objects.filter(pk=booth.user_id).update(is_active=False)
    assert {told(key, order) for key in booth.keys.values()} == {b'{"error":"Invalid API key"}'}
    assert Order.objects.count() == before
