"""How people are asked for the parameters that a service type has beside link and quantity, and told what they gave."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.errors import UserError
from catalog.models import Service
from orders.forms import DETAILS, FORMS
from orders.models import Order
from orders.reading import LISTS, LONGEST_LINK, LONGEST_TEXT, split_lines

Words = str | Promise


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a parameter is asked for: the numbers that it may be, and the only kind of traffic that it goes with."""

    label: Words
    hint: Words = ""
    longest: int = LONGEST_LINK
    mode: str = "text"
    choices: tuple[tuple[str, Words], ...] = ()
    only: str = ""


DEVICES = (
    ("1", _("Desktop")),
    ("2", _("Mobile, Android")),
    ("3", _("Mobile, iOS")),
    ("4", _("Mixed, mobile only")),
    ("5", _("Mixed, mobile and desktop")),
)
TRAFFIC = (("1", _("A Google keyword")), ("2", _("A page of your choice")), ("3", _("Nowhere: no referrer")))
PROMPTS: Mapping[str, Prompt] = {
    "answer_number": Prompt(_("Answer number"), _("Which answer to vote for, counted from 1"), 4, "numeric"),
    "comments": Prompt(_("Comments, one per line")),
    "country": Prompt(_("Country"), _("A code such as US, or the name in full"), LONGEST_TEXT),
    "device": Prompt(_("Device"), choices=DEVICES),
    "google_keyword": Prompt(_("Google keyword"), _("What visitors searched for"), LONGEST_TEXT, only="1"),
    "groups": Prompt(_("Groups, one per line"), _("Where those who are invited come from")),
    "hashtag": Prompt(_("Hashtag"), _("Those who use it are mentioned")),
    "hashtags": Prompt(_("Hashtags, one per line")),
    "keywords": Prompt(_("Keywords, one per line")),
    "list": Prompt(_("List, one item per line"), _("Suggested videos, or keywords to search for")),
    "media": Prompt(_("Address of the post"), _("Those who liked it are mentioned"), mode="url"),
    "referring_url": Prompt(_("Referring page"), _("Where visitors seem to come from"), mode="url", only="2"),
    "search": Prompt(_("Search keywords, one per line")),
    "suggest": Prompt(_("Suggested videos, one per line")),
    "type_of_traffic": Prompt(_("Visitors come from"), choices=TRAFFIC),
    "username": Prompt(_("Username"), _("Who wrote the comment")),
    "usernames": Prompt(_("Usernames, one per line")),
}
HINTS: Mapping[tuple[str, str], Words] = {
    (Service.Type.MENTIONS_USER_FOLLOWERS, "username"): _("Whose followers are mentioned"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One parameter on a page: how it is asked for, what was given, and what is wrong with that."""

    name: str
    prompt: Prompt
    hint: Words
    value: str
    wrong: Words = ""

    @property
    def is_list(self) -> bool:
        """Whether it has one item on each line."""
        return self.name in LISTS

    @property
    def lines(self) -> int:
        """How many items a list has so far."""
        return len(split_lines(self.value))

    @property
    def told(self) -> Words:
        """What was given, in words where it is the number of a choice."""
        return dict(self.prompt.choices).get(self.value, self.value)


def ask(kind: str, values: Mapping[str, str], error: UserError | None = None) -> list[Asked]:
    """Return what a service type asks for beside link and quantity, in the page's order; nothing for a subscription."""
    form = FORMS.get(kind)
    if form is None or "link" not in form.fields:
        return []
    return [
        Asked(
            name,
            PROMPTS[name],
            HINTS.get((kind, name), PROMPTS[name].hint),
            values.get(name, ""),
            _complain(name, values.get(name, ""), error),
        )
        for name in form.fields
        if name in DETAILS
    ]


def tell(order: Order) -> list[Asked]:
    """Return what a customer gave for an order beside link and quantity. Expects its service to be loaded."""
    return [given for given in ask(order.service.type, order.details) if given.value]


def _complain(name: str, value: str, error: UserError | None) -> Words:
    """Return what is wrong in words for people: the wire's own name a field that nobody sees on the page."""
    if error is None or error.field != name:
        return ""
    if error.text != f"Incorrect {name}":
        return error.text
    if PROMPTS[name].choices:
        return _("Choose one.")
    return _("This does not look right.") if value.strip() else _("Fill this in.")
