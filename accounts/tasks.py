from celery import shared_task

from accounts import ledger


@shared_task
def close_days() -> None:
    ledger.close_days()
