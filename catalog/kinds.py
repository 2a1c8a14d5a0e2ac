"""Which type of service or product a provider's word means (PROTOCOL 2, 2.2 and 3.9)."""

from catalog.models import Product, Service

TYPES = {kind.lower(): kind for kind in Service.Type}
SPELLINGS = {"hastag": "hashtag", "hastags": "hashtags"}
# What may be spread over runs: a provider's drip-feed flag on any other type says nothing that could be sent.
SPREADABLE = frozenset({Service.Type.DEFAULT, Service.Type.WEB_TRAFFIC})


def read_type(text: str) -> Service.Type:
    """Return the service type that a provider's word means; what is not known stays unknown, never guessed.

    No word at all is the usual type.
    """
    words = text.replace("_", " ").replace("-", " ").lower().split()
    return TYPES.get(" ".join(SPELLINGS.get(word, word) for word in words) or "default", Service.Type.UNKNOWN)


def read_kind(text: str) -> Product.Kind:
    """Return which kind of product a provider's word means: what people do there, or else what comes by itself."""
    return Product.Kind.SERVICE if text.strip().lower() == "service" else Product.Kind.AUTO
