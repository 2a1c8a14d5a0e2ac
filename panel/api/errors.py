"""What went wrong, as the wire says it: a caller's mistake with 200, our own failure with 5xx (PROTOCOL 3.11 and 12).

A reseller takes any 5xx after `add` for "maybe placed". The one exception is a 503 that speaks of a pause: it is
answered only while surely nothing was done, so that the caller may simply come back.
"""

import logging

from django.http import HttpResponse
from rest_framework.exceptions import MethodNotAllowed

from accounts.errors import UserError
from panel.api import shapes
from panel.api.throttles import TooManyError

logger = logging.getLogger(__name__)


class AwayError(Exception):
    """The database cannot be asked who is calling; nothing was done."""


def answer(error: Exception) -> HttpResponse:
    """Return the answer for an exception; our own failures are logged with their traceback, without parameters."""
    if isinstance(error, UserError):
        return shapes.render({"error": error.text})
    if isinstance(error, TooManyError):
        busy = shapes.render({"error": "Too many requests"}, status=429)
        busy["Retry-After"] = str(error.retry_after)
        return busy
    if isinstance(error, MethodNotAllowed):
        return shapes.render({"error": "Method Not Allowed"}, status=405)
    if isinstance(error, AwayError):
        logger.error("the database is away: %s", error.__cause__)
        return shapes.render({"error": "This panel is temporarily unavailable"}, status=503)
    logger.error("a call to the API failed", exc_info=error)
    return shapes.render({"error": "Internal server error"}, status=500)
