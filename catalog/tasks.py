from celery import shared_task

from catalog import connecting, pacing


@shared_task
def speed_up() -> None:
    pacing.speed_up()


@shared_task
def read_balances() -> None:
    connecting.read_balances()


@shared_task
def prune_readings() -> None:
    connecting.prune_readings()
