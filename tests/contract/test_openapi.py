"""The OpenAPI document and the code: each example is a call that was made, each parameter one that is read."""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import schemathesis
from django.http import HttpRequest
from django.test import Client
from jsonschema_rs import Draft202012Validator, meta
from openapi_spec_validator import validate
from schemathesis.core.result import Ok

from accounts.errors import UserError
from accounts.models import ApiKey, User
from catalog.kinds import SPREADABLE
from catalog.models import Service
from orders import forms, reading
from orders.offering import Obstacle
from panel.api import actions, params, shapes
from tests.conftest import Fund, MakeProduct, MakeService, Place
from tests.contract import shop
from tests.processes import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / "panel" / "api" / "openapi.json").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
REQUESTS = {name: schema for name, schema in SCHEMAS.items() if "x-answer" in schema}
ADD = SCHEMAS["AddRequest"]
TYPES = {SCHEMAS[ref["$ref"].rpartition("/")[2]]["title"]: ref["$ref"].rpartition("/")[2] for ref in ADD["anyOf"]}
POST = DOCUMENT["paths"]["/api/v2"]["post"]
SENT = POST["requestBody"]["content"]["application/x-www-form-urlencoded"]["examples"]
ANSWERED = DOCUMENT["components"]["responses"]["Answer"]["content"]["application/json"]["examples"]

Read = dict[str, set[str]]


class Watched(dict[str, str]):
    """The parameters of a call, which note by what name they are asked for."""

    read: set[str]

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def pop(self, name: str, *default: Any) -> Any:
        self.read.add(name)
        return super().pop(name, *default)


@pytest.fixture
def watched() -> Iterator[set[str]]:
    """Collect the names of all parameters that calls of the API read meanwhile."""
    names: set[str] = set()
    read_params = params.read_params

    def watch(request: HttpRequest) -> Watched:
        values = Watched(read_params(request))
        values.read = names
        return values

    with patch("panel.api.params.read_params", watch):
        yield names


@pytest.fixture
def trading(customer: User, make_service: MakeService, make_product: MakeProduct, fund: Fund, place: Place) -> User:
    shop.trade(customer, shop.stock(make_service)[0], fund, place)
    shop.trade_products(customer, shop.shelve(make_product), place)
    return customer


def resolve(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that can be validated with, its references led into the document."""
    return {**schema, "components": {"schemas": SCHEMAS}}


def refs(names: Mapping[str, Any]) -> set[str]:
    """Return the parameters of a schema's properties, with all their other names."""
    return {*names} | {alias for name in names for alias in SCHEMAS.get(name, {}).get("x-aliases", ())}


def example(name: str) -> Any:
    return SCHEMAS[name]["examples"][0]


def wanted(kind: str) -> dict[str, Any]:
    """Return the parameters of a type, each with its own example."""
    return {name: example(name) for name in SCHEMAS[TYPES[kind]]["properties"]}


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)
    for schema in SCHEMAS.values():
        meta.validate(resolve(schema))


def test_schemathesis_loads_it() -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    found = [operation.ok() for operation in schema.get_all_operations() if isinstance(operation, Ok)]
    assert [operation.label for operation in found] == ["POST /api/v2", "GET /api/v2"]


def test_every_example_is_asked_and_answered() -> None:
    assert list(SENT) == list(ANSWERED)
    assert {SENT[name]["value"]["action"] for name in SENT} == {
        schema["properties"]["action"]["enum"][0] for schema in REQUESTS.values()
    }


@pytest.mark.parametrize("name", SENT)
def test_every_example_is_what_the_api_answers(name: str, trading: User, api: Callable[..., Any], books: None) -> None:
    call = dict(SENT[name]["value"])
    del call["key"]
    shop.begin("orders_order", 23501)
    answer = api(**call)
    assert answer == ANSWERED[name]["value"]
    Draft202012Validator(resolve(SCHEMAS["Request"])).validate(SENT[name]["value"])
    fit(call["action"], answer)


def fit(action: str, answer: object) -> None:
    """Hold an answer to the schema of its action, or to that of an error."""
    schema = next(one for one in REQUESTS.values() if action in one["properties"]["action"]["enum"])
    own = {"anyOf": [{"$ref": schema["x-answer"]}, {"$ref": "#/components/schemas/Error"}]}
    Draft202012Validator(resolve(own)).validate(answer)


@pytest.mark.parametrize("sort", [{"style": "first"}, {"is_test": True}, {"may_order": False}], ids=str)
def test_what_other_keys_are_answered_fits_the_document_as_well(
    sort: dict[str, Any], trading: User, api: Callable[..., Any]
) -> None:
    ApiKey.objects.update(**sort)
    shop.begin("orders_trialorder", 1)
    for example in SENT.values():
        call = {name: value for name, value in example["value"].items() if name != "key"}
        fit(call["action"], api(**call))


@pytest.mark.parametrize("error", ["405", "429", "500", "503"])
def test_every_error_with_a_status_of_its_own_has_an_example_that_fits(error: str) -> None:
    name = POST["responses"][error]["$ref"].rpartition("/")[2]
    content = DOCUMENT["components"]["responses"][name]["content"]["application/json"]
    Draft202012Validator(resolve(content["schema"])).validate(content["example"])
    assert content["example"]["error"] in {row["error"] for row in DOCUMENT["x-errors"]}


def test_every_action_is_in_the_document_and_none_else() -> None:
    named = [name for schema in REQUESTS.values() for name in schema["properties"]["action"]["enum"]]
    assert sorted(named) == sorted(actions.ACTIONS)
    assert sorted(SCHEMAS["Request"]["discriminator"]["mapping"]) == sorted(actions.ACTIONS)


def test_every_type_has_its_parameters_in_the_document_and_none_else() -> None:
    spread = {kind: {"runs", "interval"} for kind in SPREADABLE}
    ours = {str(kind): {*form.fields} | spread.get(Service.Type(kind), set()) for kind, form in forms.FORMS.items()}
    assert ours == {kind: set(SCHEMAS[name]["properties"]) for kind, name in TYPES.items()}
    given = {name: schema["x-aliases"] for name, schema in SCHEMAS.items() if "x-aliases" in schema}
    assert given == {name: [alias] for name, alias in reading.ALIASES.items()}
    assert set(SCHEMAS["ServicesAnswer"]["items"]["properties"]["type"]["enum"]) == set(Service.Type) - {"Unknown"}


@pytest.mark.parametrize("kind", TYPES)
def test_an_add_reads_what_the_document_names_and_nothing_else(
    kind: str, make_service: MakeService, customer: User, fund: Fund, api: Callable[..., Any], watched: set[str]
) -> None:
    service = make_service(type=kind, min=1, dripfeed=kind in SPREADABLE)
    fund(customer, "1000")
    assert set(api(action="add", service=service.pk, **wanted(kind))) == {"order"}
    if kind == "Web Traffic":
        api(action="add", service=service.pk, **wanted(kind) | {"type_of_traffic": 2})
    named = refs(SCHEMAS[TYPES[kind]]["properties"]) | refs(ADD["properties"])
    # All names of ours are looked for at once, whatever the type; runs also where they would be refused.
    others = {*reading.ALIASES, *reading.ALIASES.values(), "runs", "interval"}
    assert named <= watched
    assert watched <= named | others


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in TYPES for name in SCHEMAS[TYPES[kind]]["properties"]]
)
def test_what_the_document_calls_required_is_missed_and_nothing_else(kind: str, name: str) -> None:
    service = Service(type=kind, min=1, max=100_000, dripfeed=kind in SPREADABLE)
    values = {one: str(value) for one, value in wanted(kind).items() if one != name}
    missing = {"runs": "interval", "google_keyword": "type_of_traffic"}.get(name)
    schema = SCHEMAS[TYPES[kind]]
    if name in schema["required"] or name in schema.get("dependentRequired", {}).get("runs", ()):
        with pytest.raises(UserError) as refused:
            forms.parse_order(service, values)
        assert refused.value.field == name
    elif name == "google_keyword":
        forms.parse_order(service, values | {"type_of_traffic": "3"})
    else:
        forms.parse_order(service, {one: value for one, value in values.items() if one != missing})


@pytest.mark.parametrize("name", [name for name in REQUESTS if name != "AddRequest"])
def test_an_action_reads_what_the_document_names_and_nothing_else(
    name: str, trading: User, api: Callable[..., Any], watched: set[str]
) -> None:
    schema = REQUESTS[name]
    for call in [example["value"] for example in SENT.values()]:
        if call["action"] in schema["properties"]["action"]["enum"]:
            api(**{one: value for one, value in call.items() if one != "key"})
    api(action=schema["properties"]["action"]["enum"][0])
    assert watched == refs(schema["properties"])


def test_every_error_the_api_can_answer_is_listed_and_none_else() -> None:
    listed = {row["error"] for row in DOCUMENT["x-errors"]}
    said = set(find_errors())
    shown = [re.sub(r"\\{\w+\\}", r"\\w+", re.escape(one)) for one in listed]
    unlisted = {
        text
        for text in said
        if not any(re.fullmatch(pattern(text), one) for one in listed)
        and not any(re.fullmatch(one, text) for one in shown)
    }
    assert not unlisted
    unsaid = {one for one in listed if not any(re.fullmatch(pattern(text), one) for text in said)}
    assert not unsaid


# Where a call of the API can end in an error; prices are quoted, and keys made, by pages alone.
SOURCES = ["panel/api", "orders/forms.py", "orders/reading.py", "orders/placing.py", "orders/refills.py"]
SOURCES += ["orders/cancels.py", "orders/trying.py", "catalog/stock.py", "accounts/errors.py", "accounts/api_keys.py"]
ONLY_PAGES = {"The price has changed", "'{}' is no address and no network", "At most {} addresses"}


def find_errors() -> Iterator[str]:
    """Find the text of every error: given to an exception, or answered as it is; `{}` for what is put in."""
    yield from (str(obstacle) for obstacle in Obstacle)
    yield from (shapes.unknown_refill(style) for style in ApiKey.Style)
    paths = [path for source in SOURCES for path in ([*(ROOT / source).glob("*.py")] or [ROOT / source])]
    for path in filter(Path.exists, paths):
        tree = ast.parse(path.read_text())
        named = {
            node.targets[0].id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            for value in said_by(node):
                found = text_of(named.get(value.id, value) if isinstance(value, ast.Name) else value)
                if found and found not in ONLY_PAGES:
                    yield found


def said_by(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call) and node.args:
        return [node.args[0]] if ast.unparse(node.func) in {"UserError", "super().__init__"} else []
    if isinstance(node, ast.Dict):
        return [
            value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and key.value == "error"
        ]
    return []


def text_of(value: ast.expr) -> str:
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in value.values)
    return str(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def pattern(text: str) -> str:
    return ".+".join(re.escape(part) for part in text.split("{}"))


@pytest.mark.parametrize("client", [Client(), Client(enforce_csrf_checks=True)])
def test_the_document_is_served_to_anybody_and_once(client: Client) -> None:
    answer = client.get("/api/v2/openapi.json")
    assert (answer.status_code, answer["Content-Type"], answer.json()) == (200, "application/json", DOCUMENT)
    again = client.get("/api/v2/openapi.json", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert not answer.cookies
