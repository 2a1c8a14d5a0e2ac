"""Errors that say what the person or program at the other end did wrong, in words fit to show.

The text is the wire's own (PROTOCOL 4); pages translate it, `/api/v2` answers it as it is.
"""


class UserError(Exception):
    """A request that cannot be carried out; nothing was changed."""

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.field = field


class NotEnoughFundsError(UserError):
    """The balance is smaller than the charge."""

    def __init__(self) -> None:
        super().__init__("Not enough funds on balance", field="quantity")
