"""The front door and the health check."""

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Lead a customer to New order, and anybody else to the sign-in page."""
    return redirect("new_order" if request.user.is_authenticated else "account_login")


@never_cache
@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """Tell a load balancer whether this process can serve: 200 when the database answers, 503 when it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return JsonResponse({"status": "database away"}, status=503)
    return JsonResponse({"status": "ok"})
