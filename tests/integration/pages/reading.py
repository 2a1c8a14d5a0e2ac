"""Reading a page as a browser does: its forms with their fields, its text, its parts."""

import re
from html.parser import HTMLParser

from django.http.response import HttpResponseBase
from django.test import Client

VOID = {"br", "hr", "img", "input", "link", "meta", "use"}


class Reader(HTMLParser):
    """Collects what tests look at; a form's fields are those inside it and those that name it with `form`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.misplaced: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: dict[str, dict[str, str]] = {}
        self.words: list[str] = []
        self._form = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "form":
            self._form = given.get("id", given.get("action", ""))
            self.forms.setdefault(self._form, {})
        elif tag == "input" and given.get("name") and given.get("type") not in {"radio", "checkbox"}:
            self.forms.setdefault(given.get("form", self._form), {})[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = ""
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in VOID:
            self.misplaced.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """The page's words, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def having(self, **attributes: str) -> list[dict[str, str]]:
        """Return the attributes of every tag that has these."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [given for _, given in self.tags if wanted.items() <= given.items()]


def read(response: HttpResponseBase) -> Reader:
    """Parse a page or a fragment."""
    reader = Reader()
    reader.feed(response.content.decode())  # type: ignore[attr-defined]  # the test client's answers are not streams
    return reader


def rows(response: HttpResponseBase) -> list[int]:
    """Return the ids of the orders that a list or its news shows."""
    return [int(found) for found in re.findall(r'<tr id="order-(\d+)"', response.content.decode())]  # type: ignore[attr-defined]  # as above


def order_form(client: Client, query: str = "") -> dict[str, str]:
    """Open New order and return the order form's fields as the page gave them."""
    return read(client.get(f"/orders/new/{query}")).forms["order"]


class Finder(HTMLParser):
    """Collects the text of every tag of one sort that has an id."""

    def __init__(self, tag: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tag = tag
        self.texts: dict[str, str] = {}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == self.tag:
            self._inside = dict(attrs).get("id") or ""
            if self._inside:
                self.texts[self._inside] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == self.tag:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside] += data


def find_texts(page: str, tag: str) -> dict[str, str]:
    """Return the text of every such tag of a page that has an id, by the id, as a browser would copy it."""
    finder = Finder(tag)
    finder.feed(page)
    return finder.texts
