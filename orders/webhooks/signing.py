"""Secrets and signatures of the Standard Webhooks (https://www.standardwebhooks.com), version 1: HMAC-SHA256.

A secret is shown once and kept encrypted. The one that was renewed signs beside the new one for a day, so that no
delivery is refused while its owner puts the new one in place.
"""

import base64
import datetime
import hashlib
import hmac
import secrets

from django.utils import timezone

from catalog.secrets import decrypt, encrypt

PREFIX = "whsec_"
SECRET_BYTES = 32
OVERLAP = datetime.timedelta(days=1)


def make_secret() -> str:
    """Make a secret of 256 random bits, as the standard writes it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal(secret: str, *, earlier: str = "") -> str:
    """Encrypt a secret for the database, beside the newest one of `earlier`, sealed, which it takes the place of."""
    if not earlier:
        return encrypt(secret)
    until = int((timezone.now() + OVERLAP).timestamp())
    return encrypt(f"{secret} {_newest(earlier)} {until}")


def sign(sealed: str, message_id: str, at: int, body: str) -> str:
    """Return the header `webhook-signature` of a message sent at a moment, in whole seconds since 1970.

    Raises cryptography's InvalidToken when no key of the panel can read the secret.
    """
    secret, *before = decrypt(sealed).split(" ")
    valid = [secret, before[0]] if before and at < int(before[1]) else [secret]
    content = f"{message_id}.{at}.{body}".encode()
    return " ".join(f"v1,{_digest(one, content)}" for one in valid)


def _newest(sealed: str) -> str:
    return decrypt(sealed).split(" ")[0]


def _digest(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
