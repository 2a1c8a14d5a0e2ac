"""Importing as staff ask for it (`manage.py import_services`, admin): the wish is checked, what was done is told."""

from collections import Counter
from decimal import Decimal

from accounts.errors import UserError
from catalog import comparing, importing, receiving
from catalog.importing import ImportCounts
from catalog.models import Provider
from catalog.providers.errors import ProviderError
from catalog.providers.replies import Catalogue
from catalog.taking import Progress, untold

# A thousand broken rows are one line with a number, not a thousand lines.
MOST_REASONS = 20
MOST_CATEGORIES = 10
SHOWN_IDS = 5
MARKUP_LIMIT = 100_000  # its column


def fetch_services(
    provider: Provider,
    *,
    markup_percent: Decimal | None = None,
    category: str = "",
    is_product: bool = False,
    tell: Progress = untold,
) -> ImportCounts:
    """Read a provider's catalogue and import it, or one category of it as its name is shown; return what that did.

    Of services, or of products. Raises UserError, and nothing is changed then: the markup cannot be, the catalogue
    cannot be read or has no such category. Never call it inside a transaction, since it waits for the network.
    """
    percent = markup_percent
    if percent is not None and not (0 <= percent < MARKUP_LIMIT and percent == round(percent, 4)):
        raise UserError(f"{percent} is not a markup: 0 percent or more, with at most 4 places", field="markup_percent")
    catalogue = _read(provider, is_product=is_product)
    written = _find_category(catalogue, category)
    return importing.apply_catalogue(provider, catalogue, markup_percent=percent, category=written, tell=tell)


def tell_counts(counts: ImportCounts) -> str:
    """Return the counts of an import in one line."""
    return (
        f"added {counts.added}, changed {counts.changed}, unchanged {counts.unchanged}, "
        f"vanished {counts.vanished}, skipped {len(counts.skipped)}"
    )


def tell_skipped(counts: ImportCounts) -> list[str]:
    """Return one line for each reason, the most frequent first, with some of the ids it concerns."""
    reasons = Counter(reason for _, reason in counts.skipped)
    lines = []
    for reason, number in reasons.most_common(MOST_REASONS):
        ids = [remote_id for remote_id, why in counts.skipped if why == reason]
        more = f" and {number - SHOWN_IDS} more" if number > SHOWN_IDS else ""
        lines.append(f"{reason}: {', '.join(ids[:SHOWN_IDS])}{more}")
    if len(reasons) > MOST_REASONS:
        lines.append(f"and {len(reasons) - MOST_REASONS} other reasons")
    return lines


def explain(provider: Provider, why: object, *, is_product: bool) -> UserError:
    """Return the error that says that a provider's list could not be read."""
    return UserError(f"{provider} did not list its {'products' if is_product else 'services'}: {why}")


def _read(provider: Provider, *, is_product: bool) -> Catalogue:
    try:
        return receiving.receive(provider, is_product=is_product)
    except ProviderError as error:
        raise explain(provider, error, is_product=is_product) from error


def _find_category(catalogue: Catalogue, wanted: str) -> str:
    """Return a category as the catalogue writes it, given as staff read it; raise UserError naming those it has."""
    if not wanted:
        return ""
    names = {comparing.clean(row.category): row.category for row in catalogue.rows}
    for name, written in names.items():
        if wanted.strip().casefold() in {name.casefold(), written.casefold()}:
            return written
    known = ", ".join(sorted(names)[:MOST_CATEGORIES]) or "none at all"
    raise UserError(f"The provider has no category '{wanted}'; it has {known}", field="category")
