"""The content security policy: strict for customers, and what the admin's own scripts need for staff."""

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest
from django.http.response import HttpResponseBase

ADMIN = "/admin/"
# Alpine, on which the admin's theme is built, evaluates the expressions in its attributes.
FOR_STAFF = {
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
}


class ContentSecurityPolicy(CSPMiddleware):
    def get_policy_parts(
        self,
        request: HttpRequest,
        response: HttpResponseBase,
        report_only: bool = False,  # noqa: FBT001, FBT002 - the signature of the class above
    ) -> PolicyParts:
        """Return the policy of settings.py, with the admin's exceptions on its own pages."""
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith(ADMIN) and parts.replace is None:
            parts.replace = dict(FOR_STAFF)
        return parts
