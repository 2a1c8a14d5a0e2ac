"""Answers `/api/v2` before anything that is for browsers."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from panel.api.views import ApiView

PATHS = frozenset({"/api/v2", "/api/v2/"})
# Where a key may stand outside the body, which nobody can read twice.
KEPT_KEYS = {"QUERY_STRING": "", "HTTP_AUTHORIZATION": "", "HTTP_X_API_KEY": ""}


class AnswerApiFirst:
    """Hand both spellings of the API's address straight to its view.

    No session, cookie, CSRF token, language or redirect has a meaning there: a redirected POST comes back as a GET
    without a body (PROTOCOL 12). No Host is refused either, since no answer is built from it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.answer = ApiView.as_view()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            if request.path_info in PATHS:
                return self.answer(request)
            return self.get_response(request)
        finally:
            # What Django logs of a refusal carries the request, also of an address that was mistyped.
            if request.path_info.startswith("/api/"):
                request.META.update(KEPT_KEYS)
                vars(request).pop("headers", None)
