"""The Celery app, and everything that happens by itself, on one screen.

A tick only looks for due rows; what is to be done stands in the database (ARCHITECTURE 2 and 3).
Every message expires with its interval, so that a broker that was away does not come back with a backlog.
"""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "panel.settings")

app = Celery("panel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def every(seconds: float, task: str) -> dict[str, object]:
    """Describe one line of the schedule."""
    return {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 1)}}


app.conf.beat_schedule = {
    "forward": every(settings.FORWARD_EVERY_SECONDS, "orders.tasks.forward_due"),
    "sweep": every(5, "orders.tasks.sweep_ended_leases"),
    "sync": every(min(settings.SYNC_EVERY_SECONDS, 5), "orders.tasks.sync_due"),
    "look into doubts": every(15, "orders.tasks.look_into_doubts"),
    "fetch goods": every(5, "orders.tasks.fetch_due"),
    "release": every(60, "orders.tasks.release_held"),
    "deliver webhooks": every(5, "orders.tasks.deliver_webhooks"),
    "expire refills": every(3600, "orders.tasks.expire_refills"),
    "read balances": every(60, "catalog.tasks.read_balances"),
    "sync services": every(5, "catalog.tasks.sync_due"),
    "publish": every(60, "catalog.tasks.publish"),
    "speed up": every(600, "catalog.tasks.speed_up"),
    "prune readings": every(24 * 3600, "catalog.tasks.prune_readings"),
    "prune syncs": every(24 * 3600, "catalog.tasks.prune_syncs"),
    "prune webhooks": every(24 * 3600, "orders.tasks.prune_webhooks"),
    "prune trials": every(3600, "orders.tasks.prune_trials"),
    "prune": every(3600, "orders.tasks.prune_placed_once"),
    "close day": every(3600, "accounts.tasks.close_days"),
    "audit": every(24 * 3600, "orders.tasks.audit"),
}
