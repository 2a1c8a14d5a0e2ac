"""The page that documents `/api/v2`: its words and examples are those of openapi.json, its types those of the forms.

The document's own words are English, as the wire's are; all else on the page is translated.
"""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from catalog import pricing
from catalog.kinds import SPREADABLE
from catalog.models import Service
from orders import trying
from orders.forms import FORMS
from panel.api.actions import ID_LIMIT
from panel.api.openapi import DOCUMENT

CODE = re.compile(r"`([^`]+)`")
# What the examples buy where nothing is on sale yet.
ANY_SERVICE = (1, 1000)
LOOKED_AT = 50
WIDTH = 100  # characters


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in words, with its other names."""

    name: str
    text: SafeString
    required: bool
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A service type: what `add` must and may have beside the service, and what of it is counted."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    counted: str


@dataclass(frozen=True, slots=True)
class Example:
    """A call as curl sends it, without the address, and its answer."""

    name: str
    title: str
    arguments: str
    answer: str


@dataclass(frozen=True, slots=True)
class Action:
    """An action in words, with its other names."""

    name: str
    title: str
    text: SafeString
    aliases: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    examples: tuple[Example, ...]


@never_cache
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Show the documentation to anybody, signed in or not."""
    context = {
        "api_url": request.build_absolute_uri(reverse("api")),
        "actions": read_actions(),
        "kinds": read_kinds(),
        "fields": read_fields(),
        "errors": [(row["error"], mark_code(row["meaning"])) for row in DOCUMENT["x-errors"]],
        "changes": [(row["version"], row["date"], mark_code(row["what"])) for row in DOCUMENT["info"]["x-changes"]],
        "hooks": read_hooks(),
        "id_limit": ID_LIMIT,
        "limits": read_limits(),
        "trial": trying,
        "sample": find_sample(),
    }
    return render(request, "accounts/api_docs.html", context)


@cache
def read_actions() -> tuple[Action, ...]:
    """Return every action of the document, with its examples."""
    found = (_schema(ref["$ref"]) for ref in _schema("Request")["oneOf"])
    return tuple(
        Action(
            schema["properties"]["action"]["enum"][0],
            schema["title"],
            mark_code(schema["description"]),
            tuple(schema["properties"]["action"]["enum"][1:]),
            _describe(schema["properties"], schema["required"]),
            tuple(_read_examples(schema["properties"]["action"]["enum"][0])),
        )
        for schema in found
    )


@cache
def read_kinds() -> tuple[Kind, ...]:
    """Return the parameters of every type as the forms read them; the document says which of them may be left out."""
    needed = {
        schema["title"]: schema["required"]
        for schema in (_schema(ref["$ref"]) for ref in _schema("AddRequest")["anyOf"])
    }
    return tuple(
        Kind(
            name,
            tuple(field for field in form.fields if field in needed[name]),
            tuple(field for field in form.fields if field not in needed[name])
            + (("runs", "interval") if name in SPREADABLE else ()),
            form.counted,
        )
        for name, form in FORMS.items()
    )


@cache
def read_fields() -> tuple[Parameter, ...]:
    """Return every parameter that some type has, in words."""
    names = [name for kind in read_kinds() for name in (*kind.required, *kind.optional)]
    return _describe(dict.fromkeys(names), ())


@cache
def read_hooks() -> tuple[tuple[str, str], ...]:
    """Return the body of each kind of webhook, by its type."""
    content = DOCUMENT["webhooks"]["event"]["post"]["requestBody"]["content"]["application/json"]
    return tuple((name, _write(example["value"])) for name, example in content["examples"].items())


def read_limits() -> dict[str, float]:
    """Return how many calls are let through; 0 stands for no limit."""
    return {
        "key": settings.API_KEY_CALLS_PER_SECOND,
        "key_burst": settings.API_KEY_BURST,
        "address": settings.API_ADDRESS_CALLS_PER_SECOND,
        "address_burst": settings.API_ADDRESS_BURST,
    }


def find_sample() -> tuple[int, int]:
    """Return a service that can be bought and its least quantity, so that the snippets run as they are printed."""
    sold = Service.objects.filter(enabled=True, is_product=False, type=Service.Type.DEFAULT).order_by("pk")
    first = dict(sold.values_list("pk", "min")[:LOOKED_AT])
    # What is on sale may still have no provider to send it to: only its terms tell.
    offered = pricing.load_terms(None, list(first)) if first else {}
    return next(((pk, least) for pk, least in first.items() if pk in offered), ANY_SERVICE)


def mark_code(text: str) -> SafeString:
    """Turn what stands between backticks into code."""
    return mark_safe(CODE.sub(r"<code>\1</code>", escape(text)))  # noqa: S308  # escaped, and from our own file


def _read_examples(action: str) -> Iterator[Example]:
    sent = DOCUMENT["paths"]["/api/v2"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    answered = DOCUMENT["components"]["responses"]["Answer"]["content"]["application/json"]["examples"]
    for name, example in sent["examples"].items():
        if example["value"]["action"] == action:
            arguments = " ".join(_write_arguments(example["value"]))
            yield Example(name, example["summary"], arguments, _write(answered[name]["value"]))


def _write_arguments(call: Mapping[str, Any]) -> Iterator[str]:
    for name, value in call.items():
        plain = re.fullmatch(r"[\w,.-]*", str(value))
        yield f"{'-d' if plain else '--data-urlencode'} {shlex.quote(f'{name}={value}')}"


def _write(value: object) -> str:
    """Write JSON to be read: what is short on one line, a list or an object of many with a line for each."""
    short = json.dumps(value, ensure_ascii=False)
    if len(short) <= WIDTH or not isinstance(value, list | dict):
        return short
    if isinstance(value, list):
        return "[\n" + ",\n".join(_indent(_write(item)) for item in value) + "\n]"
    return "{\n" + ",\n".join(_indent(f"{json.dumps(name)}: {_write(item)}") for name, item in value.items()) + "\n}"


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _describe(names: Mapping[str, object], required: Iterable[str]) -> tuple[Parameter, ...]:
    described = []
    for name in names:
        if name in {"key", "action"}:
            continue
        schema = _schema(name)
        text = mark_code(schema["description"])
        described.append(Parameter(name, text, name in set(required), tuple(schema.get("x-aliases", ()))))
    return tuple(described)


def _schema(ref: str) -> dict[str, Any]:
    schema: dict[str, Any] = DOCUMENT["components"]["schemas"][ref.rpartition("/")[2]]
    return schema
