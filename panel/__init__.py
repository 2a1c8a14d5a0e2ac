"""The panel itself: settings, URLs, the Celery schedule, /api/v2, health. Nobody imports it."""

from panel.celery import app as celery_app

__all__ = ["celery_app"]
