"""Why something did not come about, in the customer's plain words: the one place that translates codes (PROTOCOL 4).

A provider's own text is never shown to customers; its condition is, where it concerns them.
"""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

WHY = {
    "customer": gettext_lazy("You canceled it."),
    "staff": gettext_lazy("Our staff decided it."),
    "unavailable": gettext_lazy("It could not be passed on in time."),
    "order_unknown": gettext_lazy("The order could not be found where it was delivered."),
    # The order itself.
    "invalid_link": gettext_lazy("The link was not accepted."),
    "link_duplicate": gettext_lazy("Another order for this link was still running."),
    "duplicate_link": gettext_lazy("Another order for this link was still running."),
    "quantity_too_low": gettext_lazy("The quantity was too low."),
    "quantity_too_high": gettext_lazy("The quantity was too high."),
    "quantity_invalid": gettext_lazy("The quantity was not accepted."),
    "comments_invalid": gettext_lazy("The comments were not accepted."),
    "require_invalid": gettext_lazy("What you entered was not accepted."),
    # Refills.
    "refill_not_supported": gettext_lazy("This service cannot be refilled."),
    "refill_too_early": gettext_lazy("It was too early for a refill. You can ask again later."),
    "refill_order_not_completed": gettext_lazy("The order was not yet complete. You can ask again later."),
    "refill_open": gettext_lazy("Another refill was still under way."),
    "refill_expired": gettext_lazy("The refill days were over."),
    "refill_not_eligible": gettext_lazy("This order cannot be refilled."),
    "refill_unknown": gettext_lazy("The refill was lost on the way. You can ask again."),
    "refill_refused": gettext_lazy("It was looked at and not granted."),
    "refill_failed": gettext_lazy("It could not be delivered. You can ask again."),
    "no_news": gettext_lazy("It was accepted, but no news of it will come."),
    # Cancels.
    "cancel_not_supported": gettext_lazy("This service cannot be canceled once it was accepted."),
    "cancel_refused": gettext_lazy("It can no longer be canceled."),
}


def say(why: str) -> str:
    """Say a code in plain words; nothing for the empty one, and no more than that for one that is our affair."""
    if not why:
        return ""
    return str(WHY[why]) if why in WHY else _("It was not accepted.")
