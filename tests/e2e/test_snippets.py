"""The programs that the documentation prints run as they are printed, against a real server, with a test key."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from accounts import api_keys
from accounts.models import User
from catalog.models import Service
from orders.models import Order, TrialOrder
from tests.conftest import MakeService
from tests.integration.pages.reading import find_texts
from tests.processes import free_port, serving_panel

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = b"thirty-two bytes of random stuff"
BODY = b'{"type": "ping", "id": "msg_1", "data": {"endpoint": 1}}'
BALANCE = "1000.00000"


@pytest.fixture(scope="module")
def php() -> str:
    """Return the system's PHP; skip, saying so, where there is none, and fail where nothing may be skipped."""
    path = shutil.which("php")
    if path is None and os.environ.get("REQUIRE_BROWSER"):
        pytest.fail("REQUIRE_BROWSER is set, but there is no PHP on this system")
    if path is None:
        pytest.skip("no PHP on this system: its snippets were not run")
    return path


@pytest.fixture
def page(customer: User, make_service: MakeService) -> Iterator[dict[str, str]]:
    """Serve the panel and yield the snippets of its page, by their ids, with a test key in the place of the words."""
    make_service(type="Package")
    make_service(min=20)
    key = api_keys.issue_key(customer.pk, is_test=True)[1]
    with serving_panel(free_port()) as url:
        texts = find_texts(requests.get(f"{url}/api/docs/", timeout=30).text, "pre")
        assert f"{url}/api/v2" in texts["snippet-curl"]
        yield {name: text.replace("YOUR_KEY", key) for name, text in texts.items()}


def run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return done.stdout


def placed() -> list[tuple[int, int]]:
    """Return the id and the quantity of what was placed: trial orders alone."""
    assert not Order.objects.exists()
    return list(TrialOrder.objects.order_by("pk").values_list("pk", "quantity"))


def test_the_programs_run_as_printed(page: dict[str, str], php: str) -> None:
    said = run(["sh", "-e"], page["snippet-curl"])
    [(first, quantity)] = placed()
    assert said == json.dumps({"balance": BALANCE, "currency": "USD"}, separators=(",", ":")) + f'{{"order":{first}}}'
    assert quantity == Service.objects.get(type="Default").min

    for name, command in (("snippet-python", [sys.executable, "-"]), ("snippet-php", [php])):
        said = run(command, page[name])
        order, quantity = placed()[-1]
        assert said.split("\n") == [f"Balance: {BALANCE}", f"Order: {order}", "Status: Pending", ""]
        assert quantity == 20
        assert run(command, page[name]) == said, "the idempotency key of the program"
    assert len(placed()) == 3


def test_a_program_says_what_was_wrong(page: dict[str, str], php: str) -> None:
    broken = {name: text.replace("action=balance", "action=none") for name, text in page.items()}
    assert '{"error":"Incorrect request"}' in run(["sh", "-e"], broken["snippet-curl"])
    wrong = page["snippet-php"].replace("KEY = '", "KEY = 'x")
    assert run([php], wrong) == "Invalid API key\n"
    wrong = page["snippet-python"].replace('KEY = "', 'KEY = "x')
    done = subprocess.run([sys.executable, "-"], input=wrong, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "Invalid API key\n")


def sign(at: int, body: bytes) -> dict[str, str]:
    """Sign a call as the Standard Webhooks say: HMAC-SHA256 over `id.timestamp.body`, in base64, behind its version."""
    signature = hmac.new(SECRET, b"msg_1." + str(at).encode() + b"." + body, hashlib.sha256).digest()
    other = base64.b64encode(bytes(32)).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{other} v1,{base64.b64encode(signature).decode()}",
    }


def test_both_ways_to_verify_a_webhook_tell_what_is_genuine(page: dict[str, str], php: str, tmp_path: Path) -> None:
    secret = "whsec_" + base64.b64encode(SECRET).decode()
    now = int(time.time())
    cases = [
        (sign(now, BODY), BODY, True),
        (sign(now, BODY), BODY + b" ", False),
        (sign(now - 301, BODY), BODY, False),
        (sign(now, BODY) | {"webhook-id": "msg_2"}, BODY, False),
        (sign(now, BODY) | {"webhook-signature": "v1,ä"}, BODY, False),
    ]
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([(headers, body.decode()) for headers, body, _ in cases]))
    ask = (
        f"\nimport json, pathlib\nfor headers, body in json.loads(pathlib.Path({str(file)!r}).read_text()):\n"
        f"    print(int(is_genuine({secret!r}, headers, body.encode())))\n"
    )
    expected = "".join(f"{int(good)}\n" for *_, good in cases)
    assert run([sys.executable, "-"], page["snippet-verify-python"] + ask) == expected
    ask = (
        f"\nforeach (json_decode(file_get_contents('{file}'), true) as [$headers, $body]) {{\n"
        f"    echo (int) is_genuine('{secret}', $headers, $body), \"\\n\";\n}}\n"
    )
    assert run([php], page["snippet-verify-php"] + ask) == expected
