"""Calls that schemathesis draws from the document: what it allows, and what it does not."""

import json
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.core.result import Ok

from panel.api.openapi import DOCUMENT
from tests.fuzz import posting
from tests.fuzz.posting import Volley


def volleys() -> st.SearchStrategy[Volley]:
    """Return calls of which half are as documented, with keys of ours."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    cases = [one.as_strategy(generation_mode=mode) for one in operations for mode in GenerationMode]
    return st.builds(from_case, st.one_of(cases), posting.seeds)


def from_case(case: Any, seed: int) -> Volley:
    """Turn a case into calls with its parameters; what is no object of parameters is sent as it is, as JSON."""
    body = (case.query or {}).get("parameters", case.query) if isinstance(case.body, NotSet) else case.body
    if isinstance(body, dict):
        return posting.post([(str(name), value) for name, value in body.items() if name != "key"], seed)
    return posting.post((), seed, raw=body if isinstance(body, bytes) else json.dumps(body, default=str).encode())
