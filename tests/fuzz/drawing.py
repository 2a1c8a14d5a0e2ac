"""What is sent: mostly calls that could work, then something done to them, and sometimes nonsense from end to end."""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from catalog.models import Service
from orders.forms import DELAYS, FORMS
from panel.api.actions import ACTIONS
from panel.api.openapi import DOCUMENT
from tests.fuzz import posting
from tests.fuzz.posting import Volley
from tests.fuzz.shop import Booth

Pair = tuple[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
EXAMPLES = {name: schema["examples"][0] for name, schema in SCHEMAS.items() if "examples" in schema}
# New orders get ids up to about this number, in long runs too.
MOST_ORDERS = 2000
NAMES = [*EXAMPLES, "customComments", "media_url", "answers_number", "id", "action", "csrfmiddlewaretoken", "require"]
ODD_NUMBERS = [0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**12, 10**15, 10**18, 10**19, 10**400, -(10**30)]
ODD_FLOATS = [0.1, -0.0, 1e5, 1e308, 1e-9, float("inf"), float("nan")]
ODD_TEXTS = [
    *(
        "",
        " ",
        "null",
        "undefined",
        "NaN",
        "true",
        "0",
        "-1",
        "+7",
        " 7 ",
        "007",
        "1e5",
        "0x10",
        "1,000",
        "1.0",
        "１２",
    ),
    *("1,2,3", ",,,", "1,1,1", ",".join(map(str, range(120))), "[1]", "[", "[[1]]", '["1", null, {"a": 2}]', "٣"),
    *("9" * 18, "9" * 19, "9" * 400, "1" * 5000, "\x00", "1\x00", "a\x00b", "\x1a", "\ud83d", "\ufffd", "\u202eabc"),
    *("' OR 1=1 --", '"; DROP TABLE orders_order; --', "${7*7}", "{{7*7}}", "%s", "%(user)s", "\\x00", "\\n\\n"),
    *("\r\n", "\n".join("abc"), "a,b\nc", "<script>", "../../etc/passwd", "https://e.org/ ", "https://e.org/\t"),
    *("é" * 999, "x" * 2048, "x" * 2049, "\n" * 3000, "a\n" * 3000, "31/12/2099", "2099-12-31", "31/02/2030"),
    *("0/0/0000", "9999-99-99"),
    *("٣/٣/2099", "2020-01-01T00:00:00Z", "99999999999999", "-99999999999", "0001-01-01", "9999-12-31T23:59:59+23:59"),
]
ODD_BYTES = [b"\xff", b"\xed\xa0\x80", b"caf\xe9", b"\xef\xbb\xbf", b"\xf8\x88\x80\x80\x80", b"\x00"]
ODD_LISTS: list[Any] = [[], [[]], [1, 2, 3], ["1", "1"], [None], {}, {"a": {"b": "c"}}, [{"order": 1}], [[[[[["x"]]]]]]]
RAW = [
    *(
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"<xml/>",
        b"a" * 70_000,
        b"&" * 20_000,
        b"=" * 100,
        b"%",
        b"%00=%00",
    ),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"key": ' + b"9" * 10_000 + b"}", b"a=1&" * 10_001, b'{"a": 1, "a": 2}'),
    *(b"\xef\xbb\xbf{}", b"\x00\x01\x02", b"key[]=x", b"--fuzz\r\n\r\n", b"--fuzz--", b'{"orders": ' + b"[" * 5000),
    *(b"\xff\xfe{\x00}\x00", b'{"action": "services"} ', b"{'action': 'services'}", b"x" * (2 * 1024 * 1024 + 1)),
]
IDEMPOTENCY = ["first", "second", "third", "x" * 128, "x" * 129, "é", "\x00", " first "]
DAMAGES = ["odd", "odd", "odd", "drop", "again", "bracket", "stranger", "null"]

# Made once: making a strategy costs more than drawing from it.
any_text = st.text(st.characters(exclude_categories=[]), max_size=20)
nested = st.recursive(
    st.none() | any_text | st.integers(),
    lambda some: st.lists(some) | st.dictionaries(any_text, some),
    max_leaves=8,
)
known = st.sampled_from([*ODD_NUMBERS, *ODD_FLOATS, *ODD_TEXTS, *ODD_BYTES, *ODD_LISTS, True, False, None])
odd = st.one_of(known, known, any_text, st.integers(), nested)
damages = st.lists(st.sampled_from(DAMAGES), max_size=4)
stranger_names = st.sampled_from(NAMES) | any_text
brackets = st.sampled_from(["[]", "[0]", "[a][b]", "["])
one_in_four = st.integers(0, 3).map(lambda number: number == 3)
# 0: the least that the service takes.
quantities = st.sampled_from([0, 0, 0, 0, 1000, 10**6, 10**9, 10**11, 10**12 - 1]) | st.integers(0, 10**12)
posts = st.sampled_from([1, 5, 100, 10_000])
any_actions = st.sampled_from(["add"] * 9 + list(ACTIONS))
updating = st.tuples(st.sampled_from([1, 500, 501, "100"]), st.sampled_from(["2026-01-31", 0]))
spreading = st.tuples(st.sampled_from([1, 2, 1000]), st.sampled_from([1, 10_080, 0]))
places = st.integers(0, 11)
requires = st.sampled_from(["me@example.org", "a\nb", "x" * 5000, "é"])
delays = st.sampled_from(DELAYS)
idempotency = st.tuples(st.sampled_from(["idempotency_key", "request_id"]), st.sampled_from(IDEMPOTENCY))
raw = st.sampled_from(RAW) | st.binary(max_size=60)


def volleys(booth: Booth) -> st.SearchStrategy[Volley]:
    """Return volleys of one customer: most are meant well and then spoilt more or less, some are nonsense."""
    services, products = st.sampled_from(booth.services), st.sampled_from(booth.products)
    ids = st.sampled_from(booth.ids) | st.integers(1, MOST_ORDERS)
    some_ids = st.lists(ids, min_size=1, max_size=5)

    @st.composite
    def draw_volley(draw: Draw) -> Volley:
        envelopes = draw(posting.seeds)
        if envelopes % 20 == 19:
            return posting.post((), envelopes, raw=draw(raw))
        action = draw(any_actions)
        pairs: list[Pair] = [("action", action)]
        if action == "add":
            pairs += intend_order(draw, draw(services))
        elif action == "add_product_order":
            pairs += intend_product(draw, draw(products))
        elif action == "updates":
            pairs += zip(("limit", "since"), draw(updating), strict=True)
        elif action not in {"services", "products", "balance"}:
            one = "refill" if "refill_status" in action else "order"
            some = draw(some_ids)
            pairs.append((one, some[0]) if len(some) == 1 else (f"{one}s", some if len(some) % 2 else joined(some)))
        for damage in draw(damages) if envelopes % 2 else ():
            pairs = spoil(draw, pairs, damage)
        return posting.post(pairs, envelopes)

    return draw_volley()


def intend_order(draw: Draw, service: Service) -> list[Pair]:
    """Return the parameters of an order that could be placed."""
    quantity = draw(quantities) or service.min
    given = {"quantity": quantity, "min": service.min, "max": quantity, "delay": draw(delays), "posts": draw(posts)}
    pairs: list[Pair] = [("service", service.pk)]
    pairs += [(name, given.get(name, EXAMPLES.get(name, "1"))) for name in FORMS[service.type].fields]
    if service.dripfeed and draw(one_in_four):
        pairs += zip(("runs", "interval"), draw(spreading), strict=True)
    if draw(one_in_four):
        pairs.append(draw(idempotency))
    return pairs


def intend_product(draw: Draw, product: Service) -> list[Pair]:
    """Return the parameters of an order of a product that could be placed."""
    pairs: list[Pair] = [("product", product.pk), ("quantity", draw(quantities) or 1)]
    if product.product.require:
        pairs.append(("require", draw(requires)))
    if draw(one_in_four):
        pairs.append(draw(idempotency))
    return pairs


def spoil(draw: Draw, pairs: list[Pair], damage: str) -> list[Pair]:
    """Do something to one of some parameters."""
    if damage == "stranger" or not pairs:
        return [*pairs, (draw(stranger_names), draw(odd))]
    place = draw(places) % len(pairs)
    before, (name, value), after = pairs[:place], pairs[place], pairs[place + 1 :]
    if damage == "drop":
        return before + after
    if damage == "again":
        return [*pairs, (name, draw(odd))]
    if damage == "bracket":
        return [*before, (name + draw(brackets), value), *after]
    return [*before, (name, None if damage == "null" else draw(odd)), *after]


def joined(ids: Sequence[object]) -> str:
    """Write ids as a comma list."""
    return ",".join(map(str, ids))
