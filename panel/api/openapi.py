"""The OpenAPI document of `/api/v2`, kept by hand beside this file and held to the code by a contract test."""

import hashlib
import json
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import condition, require_safe

TEXT = Path(__file__).with_suffix(".json").read_bytes()
DOCUMENT: dict[str, Any] = json.loads(TEXT)
ETAG = f'"{hashlib.sha256(TEXT).hexdigest()[:32]}"'


@require_safe
@condition(etag_func=lambda _request: ETAG)
def serve(_request: HttpRequest) -> HttpResponse:
    """Serve the document to anybody, also to pages of other sites that draw such documents."""
    response = HttpResponse(TEXT, content_type="application/json")
    response["Cache-Control"] = "public, max-age=300"
    response["Access-Control-Allow-Origin"] = "*"
    return response
