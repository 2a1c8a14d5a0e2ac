"""The Atom feed of what changed: for everybody, at list prices, and without a word about any customer."""

import datetime
import re

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page, require_safe

from catalog import updates
from catalog.models import ServiceChange
from catalog.updates import Update

FEED_SIZE = 100
MAX_AGE = 300  # seconds for which a reader need not ask again
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # what XML cannot say, and a provider may send
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class AtomFeed(Atom1Feed):
    """An empty one is as old as can be: Django's would be new, and unlike its last answer, every second."""

    def latest_post_date(self) -> datetime.datetime:
        return super().latest_post_date() if self.items else EPOCH


class UpdatesFeed(Feed):  # type: ignore[type-arg]  # generic in the stubs alone
    feed_type = AtomFeed

    def title(self) -> str:
        return f"{settings.SITE_NAME} · {_('Updates')}"

    def link(self) -> str:
        return reverse("updates")

    def author_name(self) -> str:
        """Name the shop: a feed without an author is no feed (RFC 4287, 4.1.1)."""
        return settings.SITE_NAME

    def items(self) -> list[Update]:
        return updates.read_latest(FEED_SIZE)

    def item_title(self, item: Update) -> str:
        change = item.change
        return CONTROL.sub(" ", f"{change.get_kind_display()}: {change.service_id} · {change.service.name}")

    def item_description(self, item: Update) -> str:
        return " ".join(filter(None, [" → ".join(filter(None, [item.before, item.after])), item.unit]))

    def item_link(self, item: Update) -> str:
        """Lead to the service; the fragment makes it the entry's id as well, which no other change has."""
        return f"{reverse('services')}?q={item.change.service_id}#change-{item.change.pk}"

    def item_pubdate(self, item: Update) -> datetime.datetime:
        return item.change.created_at

    def item_updateddate(self, item: Update) -> datetime.datetime:
        return item.change.created_at

    def item_categories(self, item: Update) -> list[str]:
        return [ServiceChange.Kind(item.change.kind).value]


@require_safe
@conditional_page
@cache_control(public=True, max_age=MAX_AGE)
def updates_feed(request: HttpRequest) -> HttpResponse:
    """Answer the feed, or 304 to who has it; raise Http404 where prices are not for everybody (PUBLIC_PRICES)."""
    if not settings.PUBLIC_PRICES:
        raise Http404
    return UpdatesFeed()(request)
