import pytest

from catalog.providers import statuses

WORDS = {
    "Pending": "Pending Queued Waiting Awaiting awaiting_approval Held",
    "Processing": "Processing Process processing_order",
    "In progress": "In_progress Inprogress in-progress IN__PROGRESS in_progess Running Active",
    "Completed": "Completed Complete Success Done Finished Delivered Closed Concluido Concluído",
    "Partial": "Partial Partially_completed PARTIALLY-COMPLETED",
    "Canceled": "Canceled Cancelled Cancel Refunded Refund Refunds Cancelled/Refunded canelled canscelled",
    "Failed": "Fail Failed Error Suspended",
    "Paused": "Paused Holding On_hold",
    "Expired": "Expired",
}
PAIRS = [(word, meant) for meant, words in WORDS.items() for word in words.split()]


@pytest.mark.parametrize(("word", "meant"), PAIRS)
def test_every_known_word_has_its_meaning(word: str, meant: str) -> None:
    assert statuses.order_status(word) == meant
    assert statuses.order_status(f"  {word.upper().replace('_', '  ')} ") == meant


@pytest.mark.parametrize("word", ["", "Old", "2", "Completed?", "Expires", "Part"])
def test_an_unknown_word_means_nothing(word: str) -> None:
    assert statuses.order_status(word) is None


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("Awaiting", "Pending"),
        ("Processing", "In progress"),
        ("Partial", "Completed"),
        ("Cancelled", "Rejected"),
        ("Refunded", "Rejected"),
        ("not_found", "Error"),
        ("Dancing", None),
    ],
)
def test_a_refills_word_has_its_own_meaning(word: str, meant: str | None) -> None:
    assert statuses.refill_status(word) == meant


def test_every_meaning_is_a_word_of_the_wire_or_the_end_of_a_subscription_or_for_staff() -> None:
    public = {"Pending", "Processing", "In progress", "Completed", "Partial", "Canceled"}
    assert set(statuses.ORDER_WORDS.values()) == public | {"Expired", "Failed", "Paused"}
