"""Which service type a provider's word means, however it is written (PROTOCOL 2)."""

import pytest

from catalog.kinds import read_type
from catalog.models import Service


@pytest.mark.parametrize("kind", Service.Type)
def test_every_type_is_known_by_its_own_name_however_it_is_written(kind: Service.Type) -> None:
    snake = kind.lower().replace(" ", "_")
    for written in (kind, kind.upper(), f" {kind}  ", snake, snake.capitalize(), kind.replace(" ", "-  ")):
        assert read_type(written) == kind


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("", "Default"),
        ("   ", "Default"),
        ("Custom_comments", "Custom Comments"),
        ("Subscriptions ", "Subscriptions"),
        ("mentions hastag", "Mentions Hashtag"),
        ("mentions_with_hastags", "Mentions with Hashtags"),
        ("SEO 2", "Unknown"),
        ("Telepathy", "Unknown"),
        ("Default 2", "Unknown"),
        ("Group orders", "Unknown"),
        ("12", "Unknown"),
    ],
)
def test_words_of_the_field_are_read_and_others_are_not_guessed_at(written: str, kind: str) -> None:
    assert read_type(written) == kind
