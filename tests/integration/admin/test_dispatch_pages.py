import datetime
import html

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts import ledger
from accounts.models import User
from catalog import connecting
from catalog.models import Provider, RefusalText, Service
from catalog.providers.sandbox import Sandbox
from orders import cancels, doubting, forwarding, refills, resolving, syncing
from orders.admin_doubt import CONFIRMATION
from orders.models import Dispatch, Order, Refill
from tests.conftest import Fund, Place
from tests.integration.admin.conftest import allow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]
State = Dispatch.State
QUEUE = "/admin/orders/dispatch/"


def page(client: Client, dispatch: Dispatch) -> str:
    response = client.get(f"{QUEUE}{dispatch.pk}/change/")
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def decide(client: Client, dispatch: Dispatch, way: str, **values: str) -> HttpResponse:
    return client.post(  # type: ignore[return-value]  # the test client's own kind of response
        f"{QUEUE}{dispatch.pk}/{way}/", {f"{way}-{name}": value for name, value in values.items()}, follow=True
    )


def test_the_queue_shows_the_unclear_before_the_held_and_nothing_else(
    unclear: Dispatch, customer: User, service: Service, sandbox: Sandbox, place: Place, staff_client: Client
) -> None:
    sent = place(customer, service)
    forwarding.forward_all()
    sandbox.misbehave("add", "error", body="Not enough funds on balance")
    held = place(customer, service)
    forwarding.forward_all()
    assert held.dispatches.get().state == State.HELD
    shown = staff_client.get(QUEUE).context["cl"].result_list
    assert [row.pk for row in shown] == [unclear.pk, held.dispatches.get().pk]
    everything = staff_client.get(QUEUE, {"queue": "all"}).context["cl"].result_list
    assert sent.dispatches.get() in everything


def test_the_page_shows_what_came_back_and_what_would_be_paid_back(
    customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place, staff_client: Client
) -> None:
    fund(customer, "100")
    sandbox.misbehave("add", "html", body="<h1>Oops & sorry</h1>")
    order = place(customer, service)
    forwarding.forward_all()
    response = staff_client.get(f"{QUEUE}{order.dispatches.get().pk}/change/")
    assert b"<h1>Oops" not in response.content
    text = html.unescape(response.content.decode())
    assert order.link in text
    assert CONFIRMATION in text
    assert "the balance goes from" in text


def test_it_arrived_as(unclear: Dispatch, staff_client: Client, staff: User) -> None:
    response = decide(staff_client, unclear, "arrived", remote_id=" 70001 ")
    assert "followed under their ID 70001" in response.content.decode()
    unclear.refresh_from_db()
    assert (unclear.state, unclear.remote_id) == (State.SENT, "70001")
    assert unclear.order.events.get(kind="resolved").actor == staff


def test_an_id_that_another_order_has_is_told(
    unclear: Dispatch, customer: User, service: Service, place: Place, staff_client: Client
) -> None:
    other = place(customer, service)
    forwarding.forward_all()
    response = decide(staff_client, unclear, "arrived", remote_id=other.dispatches.get().remote_id)
    assert "Another order has this ID" in response.content.decode()
    unclear.refresh_from_db()
    assert unclear.state == State.UNCLEAR


@pytest.mark.parametrize("typed", ["", "yes", "I looked"])
def test_sending_again_in_doubt_needs_the_typed_words(unclear: Dispatch, staff_client: Client, typed: str) -> None:
    response = decide(staff_client, unclear, "send_again", looked=typed)
    assert "nothing was sent" in response.content.decode()
    unclear.refresh_from_db()
    assert unclear.state == State.UNCLEAR


def test_sending_again_with_the_typed_words(unclear: Dispatch, staff_client: Client, sandbox: Sandbox) -> None:
    decide(staff_client, unclear, "send_again", looked=CONFIRMATION.upper())
    forwarding.forward_all()
    unclear.refresh_from_db()
    assert (unclear.state, unclear.attempt) == (State.SENT, 2)


def test_a_held_dispatch_is_sent_again_without_words(
    customer: User,
    service: Service,
    provider: Provider,
    sandbox: Sandbox,
    fund: Fund,
    place: Place,
    staff_client: Client,
) -> None:
    fund(customer, "100")
    sandbox.misbehave("add", "error", body="Not enough funds on balance")
    held = place(customer, service).dispatches.get()
    forwarding.forward_all()
    assert CONFIRMATION not in page(staff_client, held)
    decide(staff_client, held, "send_again", looked="")
    held.refresh_from_db()
    assert held.state == State.QUEUED


def test_cancel_and_refund(unclear: Dispatch, staff_client: Client, customer: User) -> None:
    assert "required" in decide(staff_client, unclear, "cancel", why="").content.decode()
    unclear.refresh_from_db()
    assert unclear.state == State.UNCLEAR
    response = decide(staff_client, unclear, "cancel", why="looked, not there")
    assert "is canceled" in response.content.decode()
    order = Order.objects.get()
    assert (order.status, order.refunded) == ("Canceled", order.charge)
    assert ledger.read_balance(customer.pk) == 100


def test_losing_a_race_is_told_in_plain_words(unclear: Dispatch, staff_client: Client, staff: User) -> None:
    page(staff_client, unclear)
    resolving.mark_arrived(unclear.pk, "70001", actor_id=staff.pk)
    response = decide(staff_client, unclear, "cancel", why="not there")
    assert "has decided this dispatch already" in html.unescape(response.content.decode())
    assert Order.objects.get().refunded == 0
    assert "Cancel and refund" not in page(staff_client, unclear)


def test_who_may_only_look_sees_no_ways_out_and_has_none(
    unclear: Dispatch, helper: User, helper_client: Client
) -> None:
    assert helper_client.get(QUEUE).status_code == 403
    allow(helper, "orders.view_dispatch")
    assert "Cancel and refund" not in page(helper_client, unclear)
    for way in ("arrived", "send_again", "cancel", "refuse", "meaning"):
        assert decide(helper_client, unclear, way, remote_id="1", looked=CONFIRMATION, why="x").status_code == 403
    unclear.refresh_from_db()
    assert unclear.state == State.UNCLEAR
    allow(helper, "orders.change_dispatch")
    assert "Cancel and refund" in page(helper_client, unclear)


def test_deciding_takes_a_post_with_a_token(unclear: Dispatch, staff: User, staff_client: Client) -> None:
    assert staff_client.get(f"{QUEUE}{unclear.pk}/cancel/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    assert strict.post(f"{QUEUE}{unclear.pk}/cancel/", {"cancel-why": "x"}).status_code == 403
    assert Order.objects.get().refunded == 0


def test_nothing_on_a_dispatch_can_be_edited(unclear: Dispatch, staff_client: Client) -> None:
    staff_client.post(f"{QUEUE}{unclear.pk}/change/", {"state": "SENT", "remote_id": "1"})
    unclear.refresh_from_db()
    assert unclear.state == State.UNCLEAR
    assert staff_client.get(f"{QUEUE}add/").status_code == 403
    assert staff_client.get(f"{QUEUE}{unclear.pk}/delete/").status_code == 403


def test_the_evidence_is_told_in_figures(
    customer: User,
    service: Service,
    provider: Provider,
    sandbox: Sandbox,
    fund: Fund,
    place: Place,
    staff_client: Client,
) -> None:
    fund(customer, "100")
    sandbox.configure(lists_orders=True)
    Provider.objects.update(dialect_overrides={"list_orders": "orders"})
    connecting.read_balance(provider)
    sandbox.misbehave("add", "reset", times=2)
    first, second = (place(customer, service, link="https://example.org/a", quantity="1000") for _ in range(2))
    forwarding.forward_all()
    doubting.look_into_doubts()
    text = page(staff_client, first.dispatches.get())
    assert "Balance fell by 1.80" in text
    assert "this order would cost 0.90; 1 other order in doubt was sent in between and would cost 0.90" in text
    assert "could be this one" in text
    assert "It could as well be one of these orders" in text
    assert "The provider knows no keys" in text
    assert "1 other order is in doubt at this provider" in text
    assert f"/admin/orders/dispatch/{second.dispatches.get().pk}/change/" in text


@pytest.mark.parametrize(
    ("hours", "told"), [(0, "surely remembers its key until"), (13, "surely remembered its key until")]
)
def test_the_page_says_how_long_the_provider_remembers_the_key(
    unclear: Dispatch, staff_client: Client, hours: int, told: str
) -> None:
    Provider.objects.update(dialect_overrides={"idempotency_param": "request_id"})
    Dispatch.objects.update(keyed=True, first_claimed_at=timezone.now() - datetime.timedelta(hours=hours))
    assert told in page(staff_client, unclear)


def test_what_the_customer_wants_canceled_offers_no_sending_again(unclear: Dispatch, staff_client: Client) -> None:
    cancels.request_cancel(unclear.order.user_id, unclear.order_id)
    text = page(staff_client, unclear)
    assert "The customer has asked to cancel this order" in text
    assert f"{unclear.pk}/send_again/" not in text
    response = decide(staff_client, unclear, "send_again", looked=CONFIRMATION)
    assert "cancel and refund it instead" in html.unescape(response.content.decode())


@pytest.fixture
def strange(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> list[Dispatch]:
    """Two orders that were refused with a text that nobody has classed."""
    fund(customer, "100")
    sandbox.misbehave("add", "error", body="The <b>moon</b> is wrong", times=2)
    orders = [place(customer, service) for _ in range(2)]
    forwarding.forward_all()
    return [order.dispatches.get() for order in orders]


def test_saying_what_a_text_means_settles_what_waits_with_it(
    strange: list[Dispatch], staff_client: Client, staff: User, customer: User
) -> None:
    text = page(staff_client, strange[0])
    assert "What does this text mean?" in text
    assert "2 dispatches wait with it" in text
    response = decide(staff_client, strange[0], "meaning", meaning="final", settle="on")
    assert "2 dispatches are settled by it" in response.content.decode()
    assert RefusalText.objects.get().classed_by == staff
    assert ledger.read_balance(customer.pk) == 100


def test_a_text_can_be_classed_for_the_next_time_alone(strange: list[Dispatch], staff_client: Client) -> None:
    response = decide(staff_client, strange[0], "meaning", meaning="final")
    assert "what waits is still to be decided" in response.content.decode()
    assert set(Dispatch.objects.values_list("state", flat=True)) == {State.UNCLEAR}


def test_a_text_needs_a_meaning(strange: list[Dispatch], staff_client: Client) -> None:
    response = decide(staff_client, strange[0], "meaning", meaning="", settle="on")
    assert "required" in response.content.decode()
    assert not RefusalText.objects.exists()


def test_only_who_may_class_texts_is_asked_what_one_means(
    strange: list[Dispatch], helper: User, helper_client: Client
) -> None:
    allow(helper, "orders.view_dispatch", "orders.change_dispatch")
    text = page(helper_client, strange[0])
    assert "Cancel and refund" in text
    assert "What does this text mean?" not in text
    assert decide(helper_client, strange[0], "meaning", meaning="final").status_code == 403
    allow(helper, "catalog.add_refusaltext", "catalog.change_refusaltext")
    assert "What does this text mean?" in page(helper_client, strange[0])


def test_what_a_text_means_is_not_asked_where_there_is_none(unclear: Dispatch, staff_client: Client) -> None:
    assert "What does this text mean?" not in page(staff_client, unclear)
    response = decide(staff_client, unclear, "meaning", meaning="final", settle="on")
    assert "has decided this dispatch already" in html.unescape(response.content.decode())
    assert not RefusalText.objects.exists()


def test_a_refill_is_sent_again_or_refused_and_nothing_else(
    customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place, staff_client: Client
) -> None:
    Service.objects.update(refill=True)
    fund(customer, "100")
    order = place(customer, service)
    forwarding.forward_all()
    sandbox.set_order(order.dispatches.get().remote_id, status="Completed", remains=0)
    syncing.sync_all(everything=True)
    Order.objects.update(ended_at=timezone.now() - datetime.timedelta(hours=30))
    refills.request_refill(customer.pk, order.pk)
    sandbox.misbehave("refill", "error", body="The moon is wrong")
    forwarding.forward_all()
    dispatch = order.dispatches.get(command="refill")
    text = page(staff_client, dispatch)
    assert "Refuse it" in text
    assert "What does this text mean?" in text
    assert "Cancel and refund" not in text
    assert "It arrived as" not in text
    assert "What is known" not in text
    response = decide(staff_client, dispatch, "refuse", why="not on Mondays")
    assert f"order {order.pk} stays as it is" in response.content.decode()
    assert Refill.objects.get().status == "Rejected"
