from celery import shared_task

from catalog import connecting, following, pacing, publishing, reading


@shared_task
def speed_up() -> None:
    pacing.speed_up()


@shared_task
def read_balances() -> None:
    connecting.read_balances()


@shared_task
def prune_readings() -> None:
    connecting.prune_readings()


@shared_task(time_limit=60)
def sync_due() -> None:
    for provider_id in reading.due_providers():
        sync_services.apply_async((provider_id,), expires=60)


@shared_task
def sync_services(provider_id: int) -> None:
    following.sync_alone(provider_id)


@shared_task
def publish() -> None:
    publishing.publish()


@shared_task
def prune_syncs() -> None:
    reading.prune()
