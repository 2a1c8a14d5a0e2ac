"""Buying products of a sandbox without a socket, by their ids there."""

from typing import Any

from catalog.providers.sandbox import Sandbox, actions

LICENCE, SOLD_OUT, MAILBOX, DOMAIN, ADDRESS, BY_HAND = 1, 2, 7, 8, 9, 12


def ask(world: Sandbox, action: str, **params: Any) -> Any:
    texts = {name: str(value) for name, value in params.items()}
    return actions.handle(world, {"key": world.key, "action": action, **texts})[1]


def buy(world: Sandbox, product: int = MAILBOX, quantity: int = 1, require: str = "#completed", **params: Any) -> str:
    wanted = {"product": product, "quantity": quantity, "require": require, **params}
    return str(ask(world, "add_product_order", **wanted)["order"])
