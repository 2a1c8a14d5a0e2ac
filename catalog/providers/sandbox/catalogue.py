"""What the sandbox sells: neutral things, written the way real catalogues are.

On purpose the rates differ in precision, the flags in every combination, names carry dashes, quotes and an emoji, one
row costs nothing, one has a type that nobody knows, one is a subscription and two leave `dripfeed` out, so that an
import shows what it does.
"""

from typing import Any

VISITS, SMS, CAPTIONS, TRANSLATION = "Website visits", "SMS credits", "Captions & subtitles", "Translation"
COMMENTS, PACKAGES, MAIL, PHOTOS = "Comments from your list", "Packages", "E-mail checks", "Product photos"

SUBSCRIPTIONS = "Subscriptions"

# service, name, type, category, rate, min, max, refill, cancel, dripfeed (None: the row has no such key)
ROWS: tuple[tuple[int, str, str, str, str, int, int, bool, bool, bool | None], ...] = (
    (1, "Website visits – worldwide", "Default", VISITS, "0.90", 50, 10_000, True, True, True),
    (2, "Website visits – “slow & steady” 🐢", "Default", VISITS, "2.5", 100, 100_000, True, True, True),
    (3, "Website visits – returning readers", "Default", VISITS, "1.375", 100, 50_000, False, True, True),
    (4, "Banner impressions, run of site", "Default", VISITS, "0.004", 1_000, 10_000_000, False, False, False),
    (5, "Targeted visits by country and device", "Web Traffic", VISITS, "0.35", 100, 1_000_000, False, True, True),
    (6, "Visits for each new article of an account", SUBSCRIPTIONS, VISITS, "1.25", 10, 5_000, False, True, False),
    (11, "SMS credits – national", "Default", SMS, "11", 10, 50_000, False, False, False),
    (12, "SMS credits – international", "Default", SMS, "48.25", 10, 20_000, False, False, False),
    (13, "SMS credits – “night rate” (22–06 h)", "Default", SMS, "8.6", 100, 50_000, False, True, None),
    (21, "Captions, machine made, per 1,000 seconds", "Default", CAPTIONS, "0.62", 60, 36_000, True, True, False),
    (
        22,
        "Captions, checked by a person, per 1,000 seconds",
        "Default",
        CAPTIONS,
        "14.375",
        60,
        14_400,
        True,
        False,
        False,
    ),
    (23, "Subtitle timing repair, per 1,000 lines", "Default", CAPTIONS, "3.1", 20, 8_000, True, True, False),
    (31, "Translation EN → DE, per 1,000 words", "Default", TRANSLATION, "39", 100, 60_000, True, False, False),
    (32, "Translation EN → ES, per 1,000 words", "Default", TRANSLATION, "34.50", 100, 60_000, True, False, False),
    (
        33,
        "Proof-reading, any language, per 1,000 words",
        "Default",
        TRANSLATION,
        "9.99",
        250,
        120_000,
        False,
        True,
        True,
    ),
    (41, "Guest-book comments from your list", "Custom Comments", COMMENTS, "8", 1, 1_500, False, True, False),
    (42, "Article comments – “written by hand” ✍️", "Custom Comments", COMMENTS, "12.75", 5, 500, True, True, None),
    (51, "Starter package: 1,000 visits + 100 captions", "Package", PACKAGES, "4.90", 1, 1, False, True, False),
    (52, "Launch package – “all in”", "Package", PACKAGES, "24.5", 1, 1, True, False, False),
    (61, "E-mail address check, syntax and domain", "Default", MAIL, "0.00125", 1_000, 5_000_000, False, True, False),
    (62, "E-mail address check, mailbox asked", "Default", MAIL, "0.1875", 100, 1_000_000, False, True, True),
    (63, "Trial: ten e-mail checks", "Default", MAIL, "0", 10, 10, False, False, False),
    (71, "Product photos, background removed", "Default", PHOTOS, "180", 5, 2_000, True, True, False),
    (72, "Product photos, retouched by hand", "Default", PHOTOS, "950", 1, 400, True, False, False),
    (99, "Guess the number on the packing slip", "Telepathy", PHOTOS, "1.11", 1, 10, False, False, False),
)

LICENCES, CARDS, MAILBOXES, WORK = "Software licences", "Gift cards", "Mailboxes", "Work by hand"
AUTO, BY_HAND = "Auto", "Service"
IN_STOCK, OUT_OF_STOCK = "In stock", "Out of stock"

# product, name, require ("": none), rate per piece, min, max, category, inventory (None: not stated), type
PRODUCTS: tuple[tuple[int, str, str, float, int, int, str, int | None, str], ...] = (
    (1, "Backup software, licence for one year", "", 12.5, 1, 10, LICENCES, 40, AUTO),
    (2, "Password keeper – family licence", "Input your e-mail address", 5, 1, 1, LICENCES, 0, AUTO),
    (3, "Photo editor, licence “for life” 🖼️", "", 0.99, 1, 100, LICENCES, 500, AUTO),
    (4, "Gift card, book shop", "", 9.75, 1, 20, CARDS, 60, AUTO),
    (5, "Gift card, tea shop", "", 23.125, 1, 5, CARDS, 12, AUTO),
    (6, "Gift card & greeting by post", "Input the address of the recipient", 10.4, 1, 1, CARDS, None, BY_HAND),
    (7, "Mailbox, 5 GB, ready to use", "", 0.5, 1, 50, MAILBOXES, 1_000, AUTO),
    (8, "Mailbox, 50 GB, under your own name", "Input your domain", 2.5, 1, 10, MAILBOXES, 30, AUTO),
    (9, "Forwarding address", "", 0.00125, 10, 5_000, MAILBOXES, 10_000, AUTO),
    (11, "Website looked through by a person", "Input the address of your website", 18, 1, 1, WORK, None, BY_HAND),
    (12, "Mail program set up for you", "Input your account", 7.5, 1, 3, WORK, None, BY_HAND),
    (13, "Letterhead drawn by hand", "Input your wishes", 45, 1, 2, WORK, None, BY_HAND),
)

COUNTRY, DEVICE, TRAFFIC = "country", "device", "type_of_traffic"
WEB_TRAFFIC_FIELDS = (COUNTRY, DEVICE, TRAFFIC)
# PROTOCOL 2: what else a kind of web traffic needs
NEEDED_BY_TRAFFIC = {"1": "google_keyword", "2": "referring_url", "3": TRAFFIC}


def services() -> dict[int, dict[str, Any]]:
    """Build a fresh catalogue by service id, each row as it goes over the wire (seed 003_31070e689288a311.txt)."""
    catalogue = {}
    for service, name, kind, category, rate, least, most, refill, cancel, dripfeed in ROWS:
        row: dict[str, Any] = {
            "service": service,
            "name": name,
            "type": kind,
            "category": category,
            "rate": rate,
            "min": str(least),
            "max": str(most),
            "refill": refill,
            "cancel": cancel,
        }
        if dripfeed is not None:
            row["dripfeed"] = dripfeed
        catalogue[service] = row
    return catalogue


def products() -> dict[int, dict[str, Any]]:
    """Build a fresh list of products by product id, each row as it goes over the wire (000_fa79b687568cfb1d.txt)."""
    catalogue = {}
    for product, name, require, rate, least, most, category, inventory, kind in PRODUCTS:
        row: dict[str, Any] = {"product": product, "name": name}
        if require:
            row["require"] = require
        row |= {"rate": rate, "min": least, "max": most, "category": category, "status": stock_word(inventory)}
        if inventory is not None:
            row["inventory"] = inventory
        catalogue[product] = {**row, "type": kind}
    return catalogue


def stock_word(inventory: int | None) -> str:
    """Tell the word for what is in stock; what is not counted is there."""
    return OUT_OF_STOCK if inventory == 0 else IN_STOCK
