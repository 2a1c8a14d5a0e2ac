"""Celery carries wake-ups, rows carry orders: each task loads by id and calls a verb, and is harmless twice."""

from celery import shared_task
from celery.signals import worker_shutting_down

from orders import auditing, claiming, delivering, doubting, forwarding, placing, refills, resolving, syncing, trying
from orders.webhooks import sending


@shared_task(time_limit=60)
def forward_due() -> None:
    for provider_id in forwarding.due_providers():
        forward_provider.apply_async((provider_id,), expires=10)


@shared_task
def forward_provider(provider_id: int) -> None:
    forwarding.forward_alone(provider_id)


@shared_task(time_limit=60)
def sweep_ended_leases() -> None:
    claiming.sweep_ended_leases()


@shared_task(time_limit=60)
def sync_due() -> None:
    for provider_id in syncing.due_providers():
        sync_provider.apply_async((provider_id,), expires=60)


@shared_task
def sync_provider(provider_id: int) -> None:
    syncing.sync_alone(provider_id)


@shared_task(time_limit=60)
def fetch_due() -> None:
    for provider_id in delivering.due_providers():
        fetch_provider.apply_async((provider_id,), expires=60)


@shared_task
def fetch_provider(provider_id: int) -> None:
    delivering.fetch_provider(provider_id)


@shared_task
def release_held() -> None:
    resolving.release_held()


@shared_task
def look_into_doubts() -> None:
    doubting.look_into_doubts()


@shared_task
def expire_refills() -> None:
    refills.expire_refills()


@shared_task
def deliver_webhooks() -> None:
    sending.deliver_due()


@shared_task
def prune_webhooks() -> None:
    sending.prune_deliveries()


@shared_task
def prune_placed_once() -> None:
    placing.prune_placed_once()


@shared_task
def prune_trials() -> None:
    trying.prune_trials()


@shared_task
def audit() -> None:
    auditing.report_differences()


@worker_shutting_down.connect
def stop_claiming(**_: object) -> None:
    """Let a worker that is asked to stop finish what is in flight, and claim nothing more."""
    forwarding.stopping.set()
