"""The one view of `/api/v2`: authenticate, find the action, answer. Every answer is JSON, whatever was asked for."""

from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from panel.api import actions, auth, errors, params, shapes


class ApiView(APIView):
    """Answer POST and GET alike; other methods are refused."""

    http_method_names = ["get", "post", "head"]
    renderer_classes = [JSONRenderer]

    def initial(self, request: Request, *_args: object, **_kwargs: object) -> None:
        """Check the limits that come before the key; nothing is negotiated, and the key is in the parameters."""
        self.check_throttles(request)

    def post(self, request: Request) -> HttpResponse:
        """Carry out one action."""
        values = params.read_params(request)
        caller = auth.find_caller(values, request.headers)
        action = actions.find_action(values)
        return shapes.render(action(actions.Call(caller, values, request.headers.get("Idempotency-Key", ""))))

    get = post

    def head(self, _request: Request) -> HttpResponse:
        """Say that the address answers, and do nothing: a probe must not buy."""
        return HttpResponse(content_type="application/json")

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # the stubs know only DRF's own Response
        """Answer every exception as the wire does."""
        return errors.answer(exc)
