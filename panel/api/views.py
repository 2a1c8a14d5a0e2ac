"""The one view of `/api/v2`: authenticate, find the action, answer. Every answer is JSON, whatever was asked for."""

from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.errors import UserError
from accounts.requests import read_address
from panel.api import actions, auth, errors, params, shapes, throttles


class ApiView(APIView):
    """Answer POST and GET alike; other methods are refused."""

    http_method_names = ["get", "post", "head"]
    renderer_classes = [JSONRenderer]

    def initial(self, request: Request, *_args: object, **_kwargs: object) -> None:
        """Check nothing yet: nothing is negotiated, and the key is in the parameters."""

    def post(self, request: Request) -> HttpResponse:
        """Carry out one action."""
        address = read_address(request.META)
        try:
            values = params.read_params(request)
        except UserError:
            throttles.take_turn("", address)
            raise
        finally:
            # A key may stand there, and whoever logs a request prints its address with it.
            request.META["QUERY_STRING"] = ""
        digest = auth.take_digest(values, request.headers)
        throttles.take_turn(digest, address)
        try:
            caller = auth.find_caller(digest, address)
        except auth.BadKeyError:
            throttles.count_wrong_key(address)
            raise
        return shapes.render(
            actions.carry_out(actions.Call(caller, values, request.headers.get("Idempotency-Key", ""), address))
        )

    get = post

    def head(self, _request: Request) -> HttpResponse:
        """Say that the address answers, and do nothing: a probe must not buy."""
        return HttpResponse(content_type="application/json")

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # the stubs know only DRF's own Response
        """Answer every exception as the wire does."""
        return errors.answer(exc)
