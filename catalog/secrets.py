"""Provider keys at rest: encrypted with the first key of ENCRYPTION_KEYS, read with any of them."""

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


def encrypt(text: str) -> str:
    """Encrypt a secret for the database."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Read a secret from the database; raise cryptography's InvalidToken when no key of the list made it."""
    return _fernet().decrypt(token.encode()).decode()


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])
